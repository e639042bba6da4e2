"""Other tools' files are looked at before they are read: they must be there, and of a size that memory can hold."""

from pathlib import Path
from typing import Final

from trimtab.errors import InputError

MAX_BYTES: Final = 1 << 30


def check_file(file: Path) -> None:
    """Refuse a file that is not there or too large to be vectors.

    Raises:
        InputError: it does not exist, or has more than `MAX_BYTES`.
    """
    if not file.is_file():
        raise InputError(f"{file} does not exist", code="no-such-file", field="file")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(
            f"{file} has {file.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read",
            code="out-of-range",
            field="file",
        )
