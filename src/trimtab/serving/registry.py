"""The steerings that a server offers, all from one folder."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from trimtab.errors import InputError, TrimtabError
from trimtab.nearest import meant
from trimtab.serving.served import Served, served
from trimtab.steering.artifact import STEERING, read
from trimtab.texts import name_fault, shown


class Registry:
    """Steerings by the names of their folders, each on or off; all that can be read are loaded and on at first.

    Nothing outside of the folder is read: a name is no path, and links are not followed. A change holds from the next
    request on; requests that run keep what they began with.

    Args:
        folder: holds the folders of steerings; None for a server without any.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._loaded: dict[str, Served] = {}
        self._disabled: frozenset[str] = frozenset()
        self._faults: dict[str, str] = {}
        self._lock = Lock()  # loading reads much, and is done in threads
        if folder is not None and not folder.is_dir():
            raise InputError(
                f"{folder} is no folder; give the one that holds the folders of steerings",
                code="no-such-file",
                field="steerings",
            )
        for name in self._candidates():
            try:
                self.load(name)
            except TrimtabError as error:
                self._faults[name] = str(error)

    @property
    def loaded(self) -> Mapping[str, Served]:
        """By name, in order, whether on or off."""
        return {name: self._loaded[name] for name in sorted(self._loaded)}

    @property
    def enabled(self) -> Mapping[str, Served]:
        """Those that requests may name."""
        return {name: one for name, one in self.loaded.items() if name not in self._disabled}

    @property
    def faults(self) -> Mapping[str, str]:
        """By name, why a folder that looks like a steering was not loaded."""
        return dict(self._faults)

    def find(self, name: str) -> Served:
        """A steering that is on.

        Raises:
            InputError: there is none of this name, or it is off.
        """
        one = self._get(name)
        if name in self._disabled:
            raise InputError(
                f"the steering {name!r} is disabled; enable it, or use {_listed(self.enabled)}",
                code="unsupported",
                field="steering.name",
            )
        return one

    def folder_of(self, artifact: str) -> Path | None:
        """Where the steering of an id lies; None if none of the loaded ones has it."""
        names = [name for name, one in self._loaded.items() if one.id == artifact]
        return self.folder / names[0] if names and self.folder is not None else None

    def load(self, name: str) -> Served:
        """Read a steering from the folder, anew if it is loaded already; it is on afterwards.

        Raises:
            InputError: a name that is no folder's there, a link, a steering that cannot be verified.
        """
        with self._lock:
            one = self.peek(name)
            self._loaded[name] = one
            self._disabled -= {name}
            self._faults.pop(name, None)
        return one

    def peek(self, name: str) -> Served:
        """A steering as the folder holds it now, without loading it.

        Raises:
            InputError: as for `load`.
        """
        return served(name, read(self._place(name)))

    def unload(self, name: str) -> Served:
        """Forget a steering; its folder stays.

        Raises:
            InputError: it is not loaded.
        """
        with self._lock:
            one = self._get(name)
            del self._loaded[name]
            self._disabled -= {name}
        return one

    def enable(self, name: str) -> Served:
        """Switch a steering on.

        Raises:
            InputError: it is not loaded.
        """
        one = self._get(name)
        self._disabled -= {name}
        return one

    def disable(self, name: str) -> Served:
        """Switch a steering off: requests that name it are refused.

        Raises:
            InputError: it is not loaded.
        """
        one = self._get(name)
        self._disabled |= {name}
        return one

    def _get(self, name: str) -> Served:
        one = self._loaded.get(name)
        if one is None:
            raise InputError(
                f"there is no steering {shown(name, 80)!r} here; {meant(name, self.enabled)}there is "
                f"{_listed(self.enabled)}",
                code="unknown-choice",
                field="steering.name",
            )
        return one

    def _candidates(self) -> list[str]:
        """Names of folders that look like steerings."""
        if self.folder is None:
            return []
        return sorted(
            entry.name
            for entry in os.scandir(self.folder)
            if not entry.name.startswith(".")
            and entry.is_dir(follow_symlinks=False)
            and os.path.lexists(Path(entry.path) / STEERING)
        )

    def _place(self, name: str) -> Path:
        """The folder of a name, directly in the configured one."""
        if self.folder is None:
            raise InputError("this server has no folder of steerings", code="no-such-file", field="name")
        fault = name_fault(name) or ("begins with a dot" if name.startswith(".") else "")
        if fault or "@" in name:
            why = fault or "holds @, which stands between model and steering"
            raise InputError(f"{shown(name, 80)!r} is no name of a steering: it {why}", field="name")
        place = self.folder / name
        try:
            found = stat.S_ISDIR(os.lstat(place).st_mode)
        except OSError:
            found = False
        if not found:
            there = self._candidates()
            raise InputError(
                f"there is no folder {name!r} among the steerings (links are not followed); "
                f"{meant(name, there)}there is {_listed(there)}",
                code="no-such-file",
                field="name",
            )
        return place


def _listed(names: Mapping[str, object] | list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
