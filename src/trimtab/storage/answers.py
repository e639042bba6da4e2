"""Answers of a chat model, kept in a file beside the draft, so that nothing is asked twice after an interruption."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trimtab.errors import InputError, TrimtabError
from trimtab.storage.keys import check_same_settings
from trimtab.storage.lines import Lines

Answers = list[str | None]


class AnswerJournal:
    """Answers by step.

    Args:
        file: where they are kept, one step a line.
        key: everything that decides what is asked.
        about: facts of the first start, such as the date; a journal that is resumed keeps its own.

    Raises:
        InputError: the file belongs to a draft with other options, is something else, or cannot be written.
    """

    def __init__(self, file: Path, key: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        self._lines = Lines(file)
        if not self._lines.entries:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                self._lines.append({"key": dict(key), "about": dict(about)})
            except OSError as error:
                raise InputError(
                    f"cannot write {file}: {error.strerror or error}; give another place",
                    code="unwritable-file",
                    field="out",
                ) from None
        first, *steps = self._lines.entries
        kept_key, kept_about = first.get("key"), first.get("about")
        if not isinstance(kept_key, dict) or not isinstance(kept_about, dict):
            raise InputError(
                f"{file} is not the journal of a draft; remove it or give another place", code="wrong-file", field="out"
            )
        check_same_settings(f"{file} belongs to a draft", kept_key, key)
        self.about: Mapping[str, Any] = kept_about
        self._known: dict[str, Answers] = {}
        for number, step in enumerate(steps, 2):
            if not isinstance(step.get("step"), str) or not isinstance(step.get("answers"), list):
                raise InputError(
                    f"{file}:{number} is damaged: not the answers of a step; remove the file to start again",
                    code="damaged-file",
                    field=f"lines.{number}",
                )
            self._known[step["step"]] = step["answers"]

    def step(self, name: str, ask: Callable[[], Answers]) -> Answers:
        """The answers of a step: read if they were kept, else asked for and kept."""
        if name not in self._known:
            self._known[name] = ask()
            try:
                self._lines.append({"step": name, "answers": self._known[name]})
            except OSError as error:
                raise TrimtabError(
                    f"cannot keep the answers in {self._lines.file}: {error}; is the disk full?",
                    code="unwritable-file",
                    field="out",
                ) from error
        return self._known[name]

    def remove(self) -> None:
        """Remove the file, when the draft is done."""
        self._lines.file.unlink(missing_ok=True)
