"""Answers of a judge on disk, under a key of everything that determines them: nothing is asked twice.

One line of JSON an answer, on the disk before the next step. A line that was cut off by a crash does not count, and its
question is asked again. One process writes at a time.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from filelock import FileLock, Timeout

from trimtab.clients.chat import Turn
from trimtab.errors import InputError, TrimtabError
from trimtab.evaluation.judges.costs import Spent
from trimtab.storage.atomic import output_path
from trimtab.storage.keys import name_of
from trimtab.storage.lines import Lines

_HEADER: Final = {"trimtab": "answers of a judge", "version": 1}


def key_of(judge: str, turns: Sequence[Turn], schema: object, numbers: Sequence[float]) -> str:
    """The key of a question.

    Args:
        judge: model and server.
        turns: rubric and texts, in their order.
        schema: of the answer.
        numbers: repeat, try, seed, temperature, most tokens.
    """
    return name_of([judge, [dict(turn) for turn in turns], schema, list(numbers)], length=32)


class KeptAnswers:
    """Answers by key, in a file or in memory; used in a `with` block, which locks the file.

    Args:
        file: where they are kept; None keeps them as long as this lives.

    Raises:
        InputError: the file is something else, damaged, in use by another process, or cannot be written.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = None if file is None else output_path(file)
        self._lines: Lines | None = None
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()
        self.spent = Spent()

    def __enter__(self) -> "KeptAnswers":
        if self._file is None:
            return self
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._held = FileLock(f"{self._file}.lock", timeout=0)
            self._held.acquire()
        except Timeout:
            raise InputError(
                f"{self._file}: another process asks a judge with this file; wait for it, or give another place",
                code="busy",
                field="out",
            ) from None
        except OSError as error:
            raise InputError(
                f"cannot write {self._file}: {error.strerror or error}; give another place",
                code="unwritable-file",
                field="out",
            ) from None
        try:
            self._read(self._file)
        except BaseException:
            self._held.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._held.release()

    def _read(self, file: Path) -> None:
        self._lines, self._known, self.spent = Lines(file), {}, Spent()
        for number, entry in enumerate(self._lines.entries, 1):
            if number == 1 and entry != _HEADER:
                raise InputError(
                    f"{file} does not hold a judge's answers; remove it or give another place",
                    code="wrong-file",
                    field="out",
                )
            if number > 1:
                self._take(entry, f"{file}:{number}")
        if not self._lines.entries:
            self._append(_HEADER)

    def _take(self, entry: dict[str, Any], where: str) -> None:
        key, text, used = entry.get("key"), entry.get("answer"), entry.get("spent")
        counts = used if isinstance(used, list) and len(used) == 3 and all(type(x) is int for x in used) else None
        if not isinstance(key, str) or not (text is None or isinstance(text, str)) or counts is None:
            raise InputError(
                f"{where} is damaged: not a judge's answer; remove the line", code="damaged-file", field="out"
            )
        self.spent = self.spent.plus(Spent(*counts))
        if text is not None:
            self._known.setdefault(key, text)

    def get(self, key: str) -> str | None:
        """The answer, if it was given before."""
        with self._lock:
            return self._known.get(key)

    def keep(self, key: str, answer: str | None, spent: Spent) -> None:
        """Keep an answer, or that there was none, with what it took.

        Raises:
            TrimtabError: it cannot be written.
        """
        counts = [spent.requests, spent.prompt, spent.answer]
        with self._lock:
            self._append({"key": key, "answer": answer, "spent": counts})
            self.spent = self.spent.plus(spent)
            if answer is not None:
                self._known[key] = answer

    def _append(self, entry: Mapping[str, Any]) -> None:
        if self._lines is None:
            return
        try:
            self._lines.append(entry)
        except OSError as error:
            raise TrimtabError(
                f"cannot keep answers in {self._file}: {error}; is the disk full?", code="unwritable-file", field="out"
            ) from error
