"""Finished steps of a long piece of work, kept so that it resumes after any interruption with the same result."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError, TrimtabError
from trimtab.storage.atomic import fault, remove, whole
from trimtab.storage.keys import name_of

Arrays = Mapping[str, NDArray[Any]]


@contextmanager
def workplace(folder: Path | None) -> Iterator[Path]:
    """The folder; for None a temporary one, which lasts as long as the work."""
    if folder is not None:
        yield folder
        return
    with TemporaryDirectory(prefix="trimtab-") as temporary:
        yield Path(temporary)


class Ledger:
    """Results by step name: arrays, and texts such as JSON documents.

    Args:
        folder: where to keep the steps; None keeps them in memory, as long as the ledger lives.
        key: contains everything that determines the results; steps kept under another key are not used.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self.kept: dict[str, Arrays] = {}
        self.texts: dict[str, str] = {}
        self._asked: dict[str, object] = {}
        self.home = folder / f".unfinished-{name_of(key)}" if folder else None
        if self.home is not None and (why := fault(self.home)):
            raise InputError(
                f"results cannot be kept in {folder}: it {why}; give another folder",
                code="unwritable-file",
                field="folder",
            )

    def step(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of a step: read if it was finished before, else computed and kept.

        Raises:
            TrimtabError: they cannot be kept.
        """
        if self.home is None:
            if name not in self.kept:
                self.kept[name] = compute()
            return self.kept[name]
        from safetensors import SafetensorError
        from safetensors.numpy import load_file, save_file

        file = self._file(name, "safetensors")
        if file.is_file():
            try:
                return load_file(file)
            except (SafetensorError, OSError):
                file.unlink()  # damaged: computed again
        arrays = {k: np.asarray(v, order="C") for k, v in compute().items()}
        with self._keeping(file) as work:
            save_file(arrays, work)
        return arrays

    def forget(self, name: str) -> None:
        """Compute a step again when it is asked for the next time."""
        self.kept.pop(name, None)
        if self.home is not None:
            self._file(name, "safetensors").unlink(missing_ok=True)

    def text(self, name: str) -> str | None:
        """The text of a step, if it was finished before, by this process or another."""
        if self.home is None:
            return self.texts.get(name)
        try:
            return self._file(name, "json").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def keep(self, name: str, text: str) -> None:
        """Keep the text of a finished step.

        Raises:
            TrimtabError: it cannot be kept.
        """
        if self.home is None:
            self.texts[name] = text
            return
        with self._keeping(self._file(name, "json")) as work:
            work.write_text(text, encoding="utf-8", newline="\n")

    def inside(self, name: str) -> "Ledger":
        """A ledger for the steps of one step; it is removed with this one, if not before."""
        return Ledger(self.home, name)

    def first(self, name: str, step: object) -> bool:
        """Whether a step is asked for the first time; the step is kept, since its address may be part of the name."""
        return name not in self._asked and self._asked.setdefault(name, step) is step

    def close(self) -> None:
        """Remove the steps, when the work is done and its result is saved."""
        if self.home is not None:
            remove(self.home)

    def _file(self, name: str, ending: str) -> Path:
        assert self.home is not None
        return self.home / f"{name_of(name, length=24)}.{ending}"

    @contextmanager
    def _keeping(self, file: Path) -> Iterator[Path]:
        from safetensors import SafetensorError

        try:
            # The folder is created: another check of the same kind may have removed it. What others left in it goes
            # with it; looking for that before each of many steps would list all steps before it.
            with whole(file, sweep=False) as work:
                yield work
        except (SafetensorError, OSError) as error:
            raise TrimtabError(
                f"cannot keep finished steps in {self.home}: {error}; is the disk full?",
                code="unwritable-file",
                field="folder",
            ) from error
