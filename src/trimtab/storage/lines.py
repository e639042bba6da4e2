"""Files of JSON objects, one a line, that only grow; a line that was cut off at the end does not count."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trimtab.errors import InputError


class Lines:
    """The complete lines of a file, to which more can be appended.

    Nothing is written before the first `append`; a file that is not there has no lines.

    Args:
        file: may be missing.

    Raises:
        InputError: it cannot be read, or a line other than one cut off at the end is not a JSON object.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.entries: list[dict[str, Any]] = []
        self._end = 0  # bytes of whole lines
        try:
            content = file.read_bytes() if file.exists() else b""
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror or error}", code="unreadable-file") from None
        for number, line in enumerate(
            content.split(b"\n")[:-1], 1
        ):  # after the last newline: a line cut off, or nothing
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise InputError(
                    f"{file}:{number} is damaged: not a JSON object; remove the file to start again",
                    code="damaged-file",
                    field=f"lines.{number}",
                )
            self.entries.append(entry)
            self._end += len(line) + 1
        self.torn = len(content) > self._end

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append a line, in place of one that was cut off; it is on the disk afterwards.

        Raises:
            OSError: it cannot be written.
        """
        line = json.dumps(entry).encode() + b"\n"
        with self.file.open("r+b" if self.file.exists() else "wb") as file:
            file.truncate(file.seek(self._end))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(dict(entry))
        self._end += len(line)
