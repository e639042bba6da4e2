"""Finished steps of a long piece of work, kept so that it resumes after any interruption with the same result."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError, TrimtabError
from trimtab.storage.atomic import fault, whole

Arrays = Mapping[str, NDArray[Any]]


@contextmanager
def workplace(folder: Path | None) -> Iterator[Path]:
    """The folder; for None a temporary one, so that work which comes back to its steps has them while it lasts."""
    if folder is not None:
        yield folder
        return
    with TemporaryDirectory(prefix="trimtab-") as temporary:
        yield Path(temporary)


class Ledger:
    """Arrays by step name.

    Args:
        folder: where to keep the steps; None keeps them in memory, as long as the ledger lives.
        key: names everything that decides the results; steps kept under another key are not used.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self.kept: dict[str, Arrays] = {}
        self._asked: dict[str, object] = {}
        self.home = folder / f".unfinished-{sha256(key.encode()).hexdigest()[:16]}" if folder else None
        if self.home is not None and (why := fault(self.home)):
            raise InputError(f"cannot write to {folder}, which {why}; give another --out")

    def step(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a step: read if it was finished before, else computed and kept."""
        if self.home is None:
            if name not in self.kept:
                self.kept[name] = compute()
            return self.kept[name]
        from safetensors import SafetensorError
        from safetensors.numpy import load_file, save_file

        file = self.home / f"{sha256(name.encode()).hexdigest()[:24]}.safetensors"
        if file.is_file():
            try:
                return load_file(file)
            except (SafetensorError, OSError):
                file.unlink()  # cut off by a crash of the machine: computed again
        arrays = {k: np.asarray(v, order="C") for k, v in compute().items()}
        try:
            with whole(file) as work:  # makes the folder: another check of the same kind may have ended and tidied up
                save_file(arrays, work)
        except (SafetensorError, OSError) as error:
            raise TrimtabError(f"cannot keep finished steps in {self.home}: {error}; is the disk full?") from error
        return arrays

    def first(self, name: str, asked: object) -> bool:
        """Whether a step is asked for the first time; what is asked is kept, since its address may be in the name."""
        return name not in self._asked and self._asked.setdefault(name, asked) is asked

    def close(self) -> None:
        """The work is done and its result is saved: forget the steps."""
        if self.home is not None:
            shutil.rmtree(self.home, ignore_errors=True)
