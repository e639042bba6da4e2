"""Tables that programs write: Parquet, and Arrow as the library datasets keeps it."""

import io
import subprocess
import sys
from collections.abc import Sequence

from trimtab.behaviors.table import Row
from trimtab.errors import InputError

PARQUET = b"PAR1"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"

# A broken file can make polars abort the process and print debugging output, so another process tries first.
_TRIAL = """
import io, sys
import polars as pl
for size in map(int, sys.argv[1:]):
    data = sys.stdin.buffer.read(size)
    try:
        if data.startswith(b"PAR1"):
            frame = pl.read_parquet(io.BytesIO(data))
        elif data.startswith(b"ARROW1"):
            frame = pl.read_ipc(io.BytesIO(data))
        else:
            frame = pl.read_ipc_stream(io.BytesIO(data))
        for _ in frame.iter_rows():
            pass
    except BaseException as error:
        print(str(error).split("\\n", 1)[0])
    else:
        print()
"""


def read_frames(parts: Sequence[tuple[bytes, str]]) -> tuple[Row, ...]:
    """The rows of Parquet or Arrow files, one after another.

    Args:
        parts: the bytes of each file, and its name for messages.

    Raises:
        InputError: one of them is broken.
    """
    import polars as pl

    _try_elsewhere(parts)
    rows: list[Row] = []
    for data, file in parts:
        try:
            if data.startswith(PARQUET):
                frame = pl.read_parquet(io.BytesIO(data))
            elif data.startswith(ARROW_FILE):
                frame = pl.read_ipc(io.BytesIO(data))
            else:
                frame = pl.read_ipc_stream(io.BytesIO(data))
            rows += [Row(cells, f"{file}:{k}") for k, cells in enumerate(frame.iter_rows(named=True), 1)]
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
            raise InputError(_broken(data, file, str(error).split("\n", 1)[0])) from None
    return tuple(rows)


def _try_elsewhere(parts: Sequence[tuple[bytes, str]]) -> None:
    """Read the files in a separate process, which they may crash.

    Raises:
        InputError: it could not read one.
    """
    if not sys.executable:
        return
    command = [sys.executable, "-c", _TRIAL, *(str(len(data)) for data, _ in parts)]
    trial = subprocess.run(command, input=b"".join(d for d, _ in parts), capture_output=True)  # noqa: S603
    reasons = trial.stdout.decode(errors="replace").split("\n")[:-1]
    for (data, file), reason in zip(parts, reasons, strict=False):
        if reason:
            raise InputError(_broken(data, file, reason))
    if len(reasons) < len(parts) and trial.returncode < 0:  # killed by what it read
        raise InputError(_broken(*parts[len(reasons)], "its sizes are impossible"))


def _broken(data: bytes, file: str, reason: str) -> str:
    return f"{file}: broken {'Parquet' if data.startswith(PARQUET) else 'Arrow'} file: {reason}; write it again"
