"""Answers as they come, kept in a file beside the draft, so that nothing is asked twice after an interruption."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trimtab.errors import InputError, TrimtabError

Answers = list[str | None]


class Journal:
    """Answers by step.

    Args:
        file: where they are kept, one step a line.
        key: everything that decides what is asked.
        about: facts of the first start, such as the date; a journal that goes on keeps its own.

    Raises:
        InputError: the file belongs to a draft with other options, or cannot be written.
    """

    def __init__(self, file: Path, key: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        self.file = file
        self._known: dict[str, Answers] = {}
        try:
            first, whole = self._read()
            if first is not None and first.get("key") != dict(key):
                asked = first.get("key") or {}
                differ = [k for k in key if asked.get(k) != key[k]] if isinstance(asked, dict) else []
                raise InputError(
                    f"{file} belongs to a draft with another {', '.join(differ) or 'version'}; give the same options "
                    "to go on with it, or remove it"
                )
            self.about: Mapping[str, Any] = about if first is None else first["about"]
            file.parent.mkdir(parents=True, exist_ok=True)
            self._stream = file.open("r+b" if first else "wb")
            self._stream.seek(whole)
            self._stream.truncate()  # a line that a crash cut off
            if first is None:
                self._append({"key": dict(key), "about": dict(about)})
        except OSError as error:
            raise InputError(f"cannot write {file}: {error.strerror or error}; give another --out") from None

    def step(self, name: str, ask: Callable[[], Answers]) -> Answers:
        """The answers of a step: read if they came before, else asked for and kept."""
        if name not in self._known:
            self._known[name] = ask()
            try:
                self._append({"step": name, "answers": self._known[name]})
            except OSError as error:
                raise TrimtabError(
                    f"cannot keep what was written in {self.file}: {error}; is the disk full?"
                ) from error
        return self._known[name]

    def close(self, done: bool) -> None:
        """Close the file; if all is done, remove it."""
        self._stream.close()
        if done:
            self.file.unlink(missing_ok=True)

    def _append(self, line: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(line).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _read(self) -> tuple[dict[str, Any] | None, int]:
        """The first line, and how many bytes of the file are whole lines."""
        first: dict[str, Any] | None = None
        whole = 0
        if not self.file.is_file():
            return None, 0
        for line in self.file.read_bytes().splitlines(keepends=True):
            try:
                value = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                value = None
            if not isinstance(value, dict):
                break
            if first is None and {"key", "about"} <= set(value):
                first = value
            elif first is not None and isinstance(value.get("answers"), list):
                self._known[str(value.get("step"))] = value["answers"]
            else:
                break
            whole += len(line)
        if first is None and whole == 0 and self.file.stat().st_size > 0 and b"\n" in self.file.read_bytes():
            raise InputError(f"{self.file} is no journal of a draft; remove it or give another --out")
        return first, whole
