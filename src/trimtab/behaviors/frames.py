"""Tables that programs write: Parquet, and Arrow as the library datasets keeps it."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trimtab.behaviors.table import Row
from trimtab.errors import InputError

if TYPE_CHECKING:
    import polars as pl

PARQUET = b"PAR1"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"


def read_parquet(data: bytes, file: str) -> tuple[Row, ...]:
    """The rows of a Parquet file.

    Raises:
        InputError: it is broken.
    """
    import polars as pl

    return tuple(_rows(pl.read_parquet, data, file, "Parquet"))


def read_arrow(data: bytes, file: str) -> tuple[Row, ...]:
    """The rows of an Arrow file or stream.

    Raises:
        InputError: it is broken.
    """
    import polars as pl

    reader = pl.read_ipc if data.startswith(ARROW_FILE) else pl.read_ipc_stream
    return tuple(_rows(reader, data, file, "Arrow"))


def _rows(read: "Callable[[io.BytesIO], pl.DataFrame]", data: bytes, file: str, kind: str) -> Iterator[Row]:
    import polars as pl

    try:
        with _quiet():
            records = list(read(io.BytesIO(data)).iter_rows(named=True))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(f"{file}: broken {kind} file: {reason}; write it again") from None
    for k, cells in enumerate(records, 1):
        yield Row(cells, f"{file}:{k}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what polars' threads print where they break, for its authors: the reason comes as an error, too."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
