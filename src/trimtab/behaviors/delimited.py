"""Tables as text: which separator is between the cells, and the line each row begins on."""

import re
from collections.abc import Callable, Iterator, Sequence

from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.texts import shown

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", ":": "colons", "^": "carets"}
_SEP_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # Excel's own way to declare the separator, as the first line


def read_delimited(text: str, file: str, fits: Callable[[Sequence[str]], int]) -> Table:
    """The rows of a table whose first line names the columns.

    Args:
        text: of the whole file.
        file: its name, for messages.
        fits: how many of these column names are known; decides between separators.

    Raises:
        InputError: an unclosed quotation mark, a row with more cells than names, two columns of one name.
    """
    declared, line = _SEP_LINE.match(text), 1
    if declared:
        text, line = text[declared.end() :], 2
    whole, text = text, text.lstrip("\r\n")
    line += whole[: len(whole) - len(text)].count("\n")
    head = text.split("\n", 1)[0].rstrip("\r")
    if "\r" in head:
        raise InputError(f"{file}:{line}: mixed line endings, so the column names cannot be read; save the file again")
    separator = declared.group(1) if declared else separator_of(head, fits)
    if re.match(r"[^\n]*\n[ |:\t-]*-[ |:\t-]*\r?\n", text) and "|" in head:
        raise InputError(
            f"{file}:{line}: this is a Markdown table; write it as CSV, with the column names in the first line"
        )
    records = _records(text, separator, file, line)
    head_cells = next(records)[0]
    if isinstance(head_cells, str):
        raise InputError(head_cells)
    names = [name.strip() for name in head_cells]
    _check_distinct(names, file, line)
    rows: list[Row] = []
    broken: list[str] = []
    for cells, at in records:
        if isinstance(cells, str):
            broken.append(cells)
        elif any(cells[len(names) :]):
            broken.append(
                f"{file}:{at}: cannot be read as a table: {len(cells)} cells, but {len(names)} column names; "
                f"put quotation marks around a text that contains {SEPARATORS.get(separator, repr(separator))}"
            )
        elif unnamed := next((c for c, name in zip(cells, names, strict=False) if not name and " " in c.strip()), ""):
            raise InputError(
                f"{file}:{line}: a column without a name contains texts, such as {shown(unnamed, 40)!r}; give it a name"
            )
        elif any(cells):
            cells += [""] * (len(names) - len(cells))
            # A column without a name is an index, as pandas writes it, or an empty one, as Excel does.
            rows.append(Row({name: cell for name, cell in zip(names, cells, strict=False) if name}, f"{file}:{at}"))
    notes: tuple[Phrase, ...] = ()
    if separator not in ",\t":
        between = SEPARATORS.get(separator, repr(separator))
        notes = (Phrase("read as a table with {separator} between the cells", separator=between),)
    return Table(file, tuple(rows), notes=notes, broken=tuple(broken))


def separator_of(head: str, fits: Callable[[Sequence[str]], int]) -> str:
    """The separator that makes most known names of the first line; where none does, the most frequent one."""

    def rank(separator: str) -> tuple[int, int]:
        return fits([name.strip(' "') for name in head.split(separator)]), head.count(separator)

    known = max(SEPARATORS, key=rank)
    if rank(known)[0]:
        return known
    return max(",\t;|", key=head.count)


def _check_distinct(names: Sequence[str], file: str, line: int) -> None:
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise InputError(f"{file}:{line}: two columns have the same name in {list(names)}; rename one")


def _records(text: str, separator: str, file: str, line: int) -> Iterator[tuple[list[str] | str, int]]:
    """The cells of each record (RFC 4180), or what is wrong with its line, with the line that it begins on."""
    mark = re.escape(separator)
    quoted = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=' + mark + r"|\r?\n|\r?\Z)")
    plain = re.compile(r"[^\n" + mark + r"]*")
    at = 0
    while at < len(text):
        cells, begun, start = [], line, at
        while True:
            is_quoted = text.startswith('"', at)
            match = (quoted if is_quoted else plain).match(text, at)
            if match is None:
                break
            cells.append(match.group(1).replace('""', '"') if is_quoted else match.group())
            line += match.group().count("\n")
            at = match.end()
            if not text.startswith(separator, at):
                break
            at += 1
        if match is None:
            yield _open_quote(text, at, file, line), begun
            end = text.find("\n", start)  # the line alone is lost
            at, line = len(text) if end < 0 else end + 1, begun + 1
            continue
        if not is_quoted:
            cells[-1] = cells[-1].removesuffix("\r")
        elif text.startswith("\r", at):
            at += 1
        at, line = at + 1, line + 1
        yield cells, begun


def _open_quote(text: str, at: int, file: str, line: int) -> str:
    start = shown(text[at + 1 : at + 31].split("\n", 1)[0])
    return (
        f"{file}:{line}: cannot be read as a table: the quotation mark before {start!r} opens a cell that is never "
        'closed; close it, and write a quotation mark inside of a cell twice ("")'
    )
