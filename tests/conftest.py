"""What many tests share: where real data lies, the embedded model, tiny random models."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def _missing(part: str, reason: str) -> None:
    """Skip, unless CI requires the part."""
    if part in os.environ.get("TRIMTAB_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required here, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the public data sets."""
    told = os.environ.get("TRIMTAB_DATA")
    if not told or not Path(told).is_dir():
        _missing("data", "TRIMTAB_DATA does not name the folder with the public data sets")
    return Path(str(told))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    _missing("browser", "there is no chromium on the PATH")
    raise AssertionError


@pytest.fixture(scope="session")
def embedded() -> Iterator[object]:
    """The embedded model in float32, loaded once per process."""
    import trimtab as tt
    from trimtab.models.loading import embedded_file

    if embedded_file() is None:
        _missing("embedded", "the embedded model is not installed (make install)")
    yield tt.load("smollm2", dtype="float32")
