"""What the shell completes, beside names of verbs and flags; quick, without torch, and silent where nothing is found.

Paths below a folder are left to the shell: where these functions find nothing, it completes files and folders itself.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Final

import typer

_MAX: Final = 200  # names that are offered at most
_STEERING: Final = "steering.json"
_STORE: Final = "operations.db"


def behaviors(incomplete: str) -> list[str]:
    """Built-in behaviors, and files of examples in the current folder."""
    from trimtab.behaviors import builtin_names
    from trimtab.behaviors.files import OTHER_SUFFIXES, SUFFIXES

    files = (path.name for path in _inside(Path()) if path.name.endswith((*SUFFIXES, *OTHER_SUFFIXES)))
    return _beginning(incomplete, (*builtin_names(), *files))


def models(incomplete: str) -> list[str]:
    """The embedded model, those in the cache of Hugging Face's Hub, and GGUF files and model folders that lie here."""
    here = (path.name for path in _inside(Path()) if path.suffix.lower() == ".gguf" or (path / "config.json").is_file())
    return _beginning(incomplete, ("smollm2", *_cached(), *here))


def steerings(incomplete: str) -> list[str]:
    """Folders of steerings, here and up to two folders below."""
    above = Path(incomplete).parent
    found = (file.parent for depth in ("", "*/", "*/*/") for file in _matches(above, f"{depth}*/{_STEERING}"))
    return _beginning(incomplete, map(str, found))


def releases(context: typer.Context, incomplete: str) -> list[str]:
    """Releases of the command's store, where that is a file: read at once, without the libraries of the store."""
    told = context.params.get("store") or os.environ.get("TRIMTAB_STORE") or "."
    if "://" in told:
        return []
    file = Path(told) / _STORE if Path(told).is_dir() else Path(told)
    with (
        suppress(sqlite3.Error, OSError),
        closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as db,
    ):
        return _beginning(incomplete, [row[0] for row in db.execute("SELECT name FROM releases ORDER BY id")])
    return []


def reports(incomplete: str) -> list[str]:
    """Folders with a report, here and up to two folders below."""
    above = Path(incomplete).parent
    found = (file.parent for depth in ("", "*/", "*/*/") for file in _matches(above, f"{depth}*/report.html"))
    return _beginning(incomplete, map(str, found))


def scopes(incomplete: str) -> list[str]:
    """Which tokens are steered."""
    from trimtab.interventions import SCOPES

    return _beginning(incomplete, SCOPES)


def prompt_types(incomplete: str) -> list[str]:
    """The seven ways to put an example to a model."""
    from trimtab.behaviors import PromptType

    return _beginning(incomplete, ("all", *PromptType))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    """Those that begin so, each once."""
    fitting = dict.fromkeys(name for name in names if name.startswith(incomplete) and not name.startswith("."))
    return list(islice(fitting, _MAX))


def _inside(folder: Path) -> Iterator[Path]:
    """What lies in a folder that can be read."""
    with suppress(OSError):
        yield from sorted(folder.iterdir())


def _matches(folder: Path, pattern: str) -> Iterator[Path]:
    with suppress(OSError):
        yield from islice(folder.glob(pattern), _MAX)


def _cached() -> list[str]:
    """Models in the cache of the Hub, by id."""
    from huggingface_hub.constants import HF_HUB_CACHE

    names = (path.name for path in _inside(Path(HF_HUB_CACHE)) if path.name.startswith("models--"))
    return [name.removeprefix("models--").replace("--", "/") for name in names]
