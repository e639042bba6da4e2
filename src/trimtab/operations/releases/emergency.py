"""The emergency off: a file or an environment variable by which servers steer nobody, with no store to ask."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from platform import node
from typing import Final

from trimtab.errors import InputError
from trimtab.operations.audit import Change, record
from trimtab.operations.store.database import Store, url_of
from trimtab.storage.atomic import whole

VARIABLE: Final = "TRIMTAB_OFF"
"""If it is set when a server starts, to anything but 0, the server steers nobody."""
FILE_VARIABLE: Final = "TRIMTAB_OFF_FILE"
FILE: Final = "OFF"


@dataclass(frozen=True)
class OffSwitch:
    """Whether all steering is off, on this machine.

    Args:
        file: steering is off while it is there.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.operations import OffSwitch
        >>> switch = OffSwitch(Path("OFF"))
        >>> switch.pull(by="ada", why="complaints")
        >>> switch.reason
        'the file OFF is there'
    """

    file: Path

    @staticmethod
    def beside(store: str | Path | None = None) -> "OffSwitch":
        """The switch of a store: `TRIMTAB_OFF_FILE`, else `OFF` beside a store in SQLite, else in the user's
        configuration folder.

        Raises:
            InputError: the place of the store is none.
        """
        given = os.environ.get(FILE_VARIABLE)
        if given:
            return OffSwitch(Path(given))
        url = url_of(store)
        if url.get_backend_name() == "sqlite":
            return OffSwitch(Path(str(url.database)).with_name(FILE))
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return OffSwitch(home / "trimtab" / FILE)

    @property
    def reason(self) -> str | None:
        """Why all steering is off; None if it is not."""
        if os.environ.get(VARIABLE, "0").strip() not in ("", "0"):
            return f"{VARIABLE} is set"
        return f"the file {self.file} is there" if os.path.lexists(self.file) else None

    def pull(self, *, by: str, why: str = "") -> None:
        """Switch all steering off; servers on this machine see it within a second.

        Raises:
            InputError: the file cannot be written.
        """
        said = f"{datetime.now(UTC).isoformat(timespec='seconds')} {by}: {why}\n"
        try:
            with whole(self.file) as new:
                new.write_text(said, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(
                f"{self.file} cannot be written: {error.strerror}; set {VARIABLE}=1 and start the servers again",
                code="unwritable-file",
                field="file",
            ) from error

    def note(self, store: Store, *, off: bool, by: str, why: str = "") -> None:
        """Write into the audit that the switch was pulled or released, and on which machine.

        Raises:
            InputError: a reason that the audit does not take.
            TrimtabError: the store cannot be written.
        """
        what, machine = ("steering.off" if off else "steering.on"), {"machine": node(), "file": str(self.file)}
        with store.changing() as connection:
            record(connection, Change(by, what, "all steering", why, {"off": not off}, {"off": off} | machine))

    def release(self) -> bool:
        """Remove the file; says whether it was there. Releases that were paused stay so.

        Raises:
            InputError: it cannot be removed.
        """
        try:
            self.file.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise InputError(
                f"{self.file} cannot be removed: {error.strerror}", code="unwritable-file", field="file"
            ) from error
        return True
