"""Whether a steering's folder still holds what was loaded from it."""

import os
from pathlib import Path

from trimtab.errors import TrimtabError
from trimtab.steering.artifact import read

Stamp = tuple[tuple[str, int, int], ...]


class Unchanged:
    """Verifies folders, and reads one again only when a file in it changed."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[Stamp, str | None]] = {}

    def fault(self, folder: Path, artifact: str) -> str | None:
        """Why a folder is not the steering of an id any more; None if it is."""
        try:
            stamp = _stamp(folder)
        except OSError as error:
            return f"its folder cannot be read: {error.strerror}"
        if folder not in self._seen or self._seen[folder][0] != stamp:
            self._seen[folder] = (stamp, _id(folder))
        found = self._seen[folder][1]
        if found == artifact:
            return None
        return f"its files were changed after it was released: {found[:12] if found else 'they cannot be verified'}"


def _stamp(folder: Path) -> Stamp:
    with os.scandir(folder) as entries:
        return tuple(sorted((e.name, (s := e.stat(follow_symlinks=False)).st_mtime_ns, s.st_size) for e in entries))


def _id(folder: Path) -> str | None:
    try:
        return read(folder).id
    except TrimtabError:
        return None
