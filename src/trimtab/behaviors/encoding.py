"""From bytes to text: byte-order marks, UTF-16 as Excel writes it, and kinds of files that are not text."""

import codecs
import re

from trimtab.errors import InputError
from trimtab.phrases import Phrase

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SHOWN = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32"}

# What a file begins with, what it is, and how to get readable rows from it.
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "save it as .xlsx or as CSV"),
    (b"%PDF", "a PDF", "write its rows into a CSV or JSONL file"),
    (b"BZh", "packed by bzip2", "unpack it: bunzip2 FILE"),
    (b"\xfd7zXZ\0", "packed by xz", "unpack it: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unpack it: unzstd FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give one of its files"),
    (b"Rar!", "a RAR archive", "unpack it and give one of its files"),
    (b"SQLite format 3\0", "a SQLite database", "write a table of it to CSV: sqlite3 -csv -header FILE 'select …'"),
    (b"\x93NUMPY", "a NumPy array", "write texts to CSV or JSONL"),
    (b"\x89HDF", "an HDF5 file", "write its rows as JSONL or Parquet"),
    (b"GGUF", "a GGUF model", "a behavior is a file of examples; a model is another argument"),
    (b"\x89PNG", "a picture", "a behavior is a file of texts"),
    (b"\xff\xd8\xff", "a picture", "a behavior is a file of texts"),
    (b"Obj\x01", "an Avro file", "write its rows as JSONL or Parquet"),
    (b"ORC", "an ORC file", "write its rows as JSONL or Parquet"),
    (b"RAR", "a RAR archive", "unpack it and give one of its files"),
)  # fmt: skip
_PICKLES = tuple(bytes([0x80, version]) for version in range(2, 6))


def decoded(data: bytes, file: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and a note where it is not UTF-8.

    Args:
        data: all bytes, unpacked.
        file: its name, for messages.

    Raises:
        InputError: a kind of file that is not text, bytes of another encoding, or a NUL byte; says what to do.
    """
    check_is_text(data, file)
    encoding, mark = _encoding(data)
    notes: tuple[Phrase, ...] = ()
    try:
        text = data[mark:].decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(_wrong_bytes(data, file, encoding, mark + error.start)) from None
    if encoding != "utf-8":
        notes = (Phrase("read as {encoding}, as Excel and Windows write it", encoding=_SHOWN[encoding]),)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{file}:{line}: a NUL byte; remove it, if this is a text file at all")
    return (text if "\n" in text else text.replace("\r", "\n")), notes  # line endings of the old Mac OS


def check_is_text(data: bytes, file: str) -> None:
    """
    Raises:
        InputError: the file begins like one that is not text: says what it is, and how to get its rows.
    """
    for start, what, fix in _BINARY:
        if data.startswith(start):
            raise InputError(f"{file}: this is {what}; {fix.replace('FILE', file)}")
    if data.startswith(_PICKLES):
        raise InputError(
            f"{file}: this is a Python pickle, which can run code and is not read; write its rows as JSONL: "
            "frame.to_json('rows.jsonl', orient='records', lines=True)"
        )
    if data[257:262] == b"ustar":
        raise InputError(f"{file}: this is a tar archive; unpack it and give one of its files: tar -xf {file}")


def _encoding(data: bytes) -> tuple[str, int]:
    """The encoding, and the length of its mark; UTF-16 without a mark is recognised by a NUL in every second byte."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    start = data[:4096]
    even, odd = start[::2], start[1::2]
    if len(start) >= 8:
        if odd.count(0) > 0.4 * len(odd) and even.count(0) == 0:
            return "utf-16-le", 0
        if even.count(0) > 0.4 * len(even) and odd.count(0) == 0:
            return "utf-16-be", 0
    return "utf-8", 0


def _wrong_bytes(data: bytes, file: str, encoding: str, at: int) -> str:
    line = data.count(b"\n", 0, at) + 1
    if encoding != "utf-8":
        return f"{file}:{line}: broken {_SHOWN[encoding]} at offset {at}; save the file as UTF-8"
    place = f"{file}:{line}: not UTF-8: byte 0x{data[at]:02x} at offset {at}"
    start = data[:4096]
    if sum(byte < 32 and byte not in b"\t\n\r\f" for byte in start) > 0.02 * len(start):
        return f"{place}, among control characters; this is not a text file: give JSONL, JSON, CSV, Parquet or .xlsx"
    words = _around(data, at)
    return (
        f"{place}; save the file as UTF-8\n"
        f"  if {words!r} is the right text: iconv -f WINDOWS-1252 -t UTF-8 {file} > utf8-{file.rsplit('/', 1)[-1]}"
    )


def _around(data: bytes, at: int) -> str:
    """The word that holds the byte, read as Windows-1252, which most files without UTF-8 are in."""
    start = max(data.rfind(b" ", max(0, at - 20), at), data.rfind(b"\n", max(0, at - 20), at)) + 1
    word = data[max(start, at - 20) : at + 20].decode("cp1252", errors="replace")
    return next((part for part in re.split(r"[\s\"',;{}\[\]:|]+", word) if not part.isascii()), word)
