"""Excel workbooks (.xlsx): the cells of one sheet as text, by the standard library alone (ECMA-376, part 1, 18)."""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree  # entities are refused before it sees a byte

from trimtab.behaviors import opening
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import shown

ZIP = b"PK\x03\x04"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def read_workbook(data: bytes, file: str) -> Table:
    """The rows of the first sheet that has any; its first row names the columns.

    Args:
        data: the file's bytes.
        file: its name, for messages.

    Raises:
        InputError: not a workbook, too large, broken, or a formula without its result; says the sheet and the cell.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _sheet(archive, file)
    except (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, ValueError, NotImplementedError,
            RuntimeError, OSError, EOFError) as error:  # fmt: skip
        raise InputError(f"{file}: broken or locked Excel workbook ({error}); save it again, or as CSV") from None


def _sheet(archive: zipfile.ZipFile, file: str) -> Table:
    if "xl/workbook.xml" not in archive.namelist():
        if "mimetype" in archive.namelist():
            raise InputError(f"{file}: this is an OpenDocument file; save it as .xlsx or CSV")
        raise InputError(f"{file}: this is a zip archive; unpack it and give one of its files: unzip {file}")
    parts = _Archive(archive, file)
    shared = list(_shared(parts))
    names: list[str] = []
    chosen: list[tuple[int, dict[str, str]]] = []
    used = ""
    for name, member in _sheets(parts):
        cells = [(n, held) for n, held in _cells(parts.parse(member), shared, f"{file}:{name}") if any(held.values())]
        names.append(name)
        if cells and not chosen:
            chosen, used = cells, name
        elif cells:
            names[-1] += "!"  # it has rows too
    if not chosen:
        raise InputError(f"{file}: the workbook is empty; it needs a row of column names and one example a row")
    others = [name[:-1] for name in names if name.endswith("!")]
    note = Phrase("read from the sheet {sheet}", sheet=repr(used))
    if others:
        note = Phrase("{what}; {others} not read", what=note, others=with_commas([repr(name) for name in others]))
    return Table(file, tuple(_rows(chosen, f"{file}:{used}")), notes=(note,))


def _rows(cells: list[tuple[int, dict[str, str]]], where: str) -> Iterator[Row]:
    (number, head), *rest = cells
    named = {column: name.strip() for column, name in head.items() if name.strip()}
    if len(set(named.values())) < len(named):
        raise InputError(f"{where}!{number}: two columns have the same name in {list(named.values())}; rename one")
    for number, held in rest:
        # A column without a name is an index, as pandas writes it; but sentences in it may be data.
        if extra := sorted(column for column, text in held.items() if " " in text.strip() and column not in named):
            raise InputError(f"{where}!{extra[0]}{number}: a text in a column without a name; add one in row 1")
        yield Row({name: held.get(column, "") for column, name in named.items()}, f"{where}!{number}")


class _Archive:
    """Parts of the archive, unpacked up to the limit that holds for every file."""

    def __init__(self, archive: zipfile.ZipFile, file: str) -> None:
        self.archive, self.file, self.left = archive, file, opening.MAX_BYTES

    def parse(self, member: str) -> ElementTree.Element:
        chunks = []
        with self.archive.open(member) as stream:
            while chunk := stream.read(1 << 20):
                self.left -= len(chunk)
                if self.left < 0:
                    raise InputError(
                        f"{self.file}: the workbook unpacks to something larger than "
                        f"{opening.MAX_BYTES / 2**30:g} GiB; give a part of its rows"
                    )
                chunks.append(chunk)
        text = b"".join(chunks)
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise InputError(f"{self.file}: the workbook declares entities, which Excel never writes; save it again")
        return ElementTree.fromstring(text)  # noqa: S314  no entities, and a limit on its size

    def has(self, member: str) -> bool:
        return member in self.archive.namelist()


def _sheets(parts: _Archive) -> Iterator[tuple[str, str]]:
    """Names of the sheets and the parts that hold them, in the workbook's order."""
    targets = {
        relation.get("Id"): relation.get("Target", "")
        for relation in parts.parse("xl/_rels/workbook.xml.rels")
        if relation.get("Type", "").endswith("/worksheet")
    }
    for sheet in parts.parse("xl/workbook.xml").iter(f"{_MAIN}sheet"):
        target = targets.get(sheet.get(_RELATION))
        if target:
            member = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
            yield shown(sheet.get("name", "sheet"), 40), member


def _shared(parts: _Archive) -> Iterator[str]:
    """The table of texts that cells point into."""
    if parts.has("xl/sharedStrings.xml"):
        for item in parts.parse("xl/sharedStrings.xml").iter(f"{_MAIN}si"):
            yield _words(item)


def _words(item: ElementTree.Element) -> str:
    """The text of a cell: plain, or in runs of one style each; without the phonetic readings of East Asian words."""
    runs = [item.findtext(f"{_MAIN}t")] + [run.findtext(f"{_MAIN}t") for run in item.findall(f"{_MAIN}r")]
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), "".join(run or "" for run in runs))


def _cells(sheet: ElementTree.Element, shared: list[str], where: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Row numbers, with the cells' texts by the letters of their columns."""
    number = 0
    for row in sheet.iter(f"{_MAIN}row"):
        number = int(row.get("r") or number + 1)
        held: dict[str, str] = {}
        for k, cell in enumerate(row.findall(f"{_MAIN}c")):
            column = re.sub(r"\d+", "", cell.get("r") or "") or _letters(k)
            held[column] = _text(cell, shared, f"{where}!{column}{number}")
        yield number, held


def _text(cell: ElementTree.Element, shared: list[str], where: str) -> str:
    kind, value = cell.get("t", "n"), cell.findtext(f"{_MAIN}v")
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return "" if inline is None else _words(inline)
    if value is None:
        if cell.find(f"{_MAIN}f") is not None:
            raise InputError(f"{where}: a formula without its result; open and save it in Excel, or write the text")
        return ""
    if kind == "s":
        if not value.strip().isdigit() or int(value) >= len(shared):
            raise InputError(f"{where}: the cell points to a text that is not there; save the workbook again")
        return shared[int(value)]
    if kind == "e":
        raise InputError(f"{where}: the cell contains the error {value}; fix the formula, or write the text")
    if kind == "b":
        return "true" if value.strip() == "1" else "false"
    return re.sub(r"^(-?\d+)\.0+$", r"\1", value)


def _letters(k: int) -> str:
    name = ""
    k += 1
    while k:
        k, rest = divmod(k - 1, 26)
        name = chr(65 + rest) + name
    return name
