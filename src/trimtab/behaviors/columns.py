"""Names of fields in other cases and spellings, what a caller calls them, and turns in the shapes that tools write."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from trimtab.behaviors.catalogue import FORMATS
from trimtab.behaviors.invalid_rows import InvalidRows
from trimtab.behaviors.table import Row, Table
from trimtab.behaviors.turns import AS_TEXT, PARTS, RENAMED, TOOLS, plain_turns
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import shown

_KNOWN = tuple(dict.fromkeys(name for entry in FORMATS for name in entry.names))
_CHATS = (
    "messages", "conversations", "context", "prompt", "question", "input", "chosen", "rejected",
    "chosen_response", "rejected_response", "chosen_conversations", "rejected_conversations", "chosen_messages",
    "rejected_messages", "preferred", "dispreferred",
    "preferred_output", "non_preferred_output", "positive", "negative", "completion", "output", "response", "answer",
)  # fmt: skip


def count_known(names: Iterable[str]) -> int:
    """How many of these names are fields of some format, whatever their case and spelling."""
    return sum(_squashed(name) in _BY_SPELLING for name in names)


def renamed(table: Table, names: Mapping[str, str]) -> Table:
    """The table with the caller's field names replaced by ours.

    Args:
        table: rows as they were read.
        names: from the file's names to ours, such as `{"good": "positive"}`.

    Raises:
        InputError: a name that no row has.
    """
    if not names or not table.rows:
        return table
    names_there = {name for row in table.rows for name in row.fields}
    for name in names:
        if name not in names_there:
            raise InputError(f"{table.file}: there is no field {name!r}; found {table.rows[0].field_names()}")
    taken = set(names.values())
    rows = tuple(
        Row({names.get(k, k): v for k, v in row.fields.items() if k in names or k not in taken}, row.source)
        for row in table.rows
    )
    note = Phrase("as requested, read {fields}", fields=names_read(names))
    return replace(table, rows=rows, notes=(*table.notes, note))


def names_read(names: Mapping[str, str]) -> Phrase:
    """How fields were read: each name of the file, and ours."""
    return with_commas([Phrase("{name} as {ours}", name=repr(shown(n, 40)), ours=ours) for n, ours in names.items()])


def spelled(table: Table) -> tuple[Table, dict[str, str]]:
    """The table with fields such as `Prompt` or `Chosen Response` under the names that formats have.

    Returns:
        the table, and what was renamed, from the file's name to ours; a name that fits two fields is left as it is.
    """
    names_there = dict.fromkeys(name for row in table.rows for name in row.fields)
    meant = {name: _BY_SPELLING[_squashed(name)] for name in names_there if _squashed(name) in _BY_SPELLING}
    wanted = Counter(meant.values())
    changed = {n: ours for n, ours in meant.items() if n != ours and ours not in names_there and wanted[ours] == 1}
    if not changed:
        return table, {}
    rows = tuple(Row({changed.get(k, k): v for k, v in row.fields.items()}, row.source) for row in table.rows)
    return replace(table, rows=rows), changed


def with_plain_turns(table: Table, invalid: InvalidRows) -> Table:
    """The table with all turns as role and content, however a tool wrote them; the notes say what was changed."""
    counts: Counter[str] = Counter()

    def plain(row: Row) -> Row:
        fields = {
            name: plain_turns(value, f"{row.source}: {name!r}", counts) if name in _CHATS else value
            for name, value in row.fields.items()
        }
        return Row(fields, row.source)

    rows = tuple(invalid.read(table.rows, plain))
    notes = [
        Phrase("in {n} fields {what}", n=counts[what], what=what)
        for what in (AS_TEXT, RENAMED, PARTS, TOOLS)
        if counts[what]
    ]
    return replace(table, rows=rows, notes=(*table.notes, *notes))


def _squashed(name: object) -> str:
    return "".join(letter for letter in str(name).casefold() if letter.isalnum())


_BY_SPELLING = {_squashed(name): name for name in _KNOWN}
