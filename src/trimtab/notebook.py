"""What a notebook shows of an object: a title, a few facts and a small table, as HTML that stands alone.

Phrases are in the language of the environment; names and texts of data sets stay as they are.

No script, no style sheet and no colour of its own, so that it reads in light and dark notebooks alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Final

from trimtab.languages import own, spoken
from trimtab.phrases import Phrase, with_dots
from trimtab.texts import shown

MAX_ROWS: Final = 8
MAX_LENGTH: Final = 160  # characters of a text in a table


def summary(
    title: str,
    facts: Mapping[str, object],
    columns: Sequence[str] = (),
    rows: Iterable[Sequence[object]] = (),
    *,
    n_rows: int | None = None,
    below: str = "",
) -> str:
    """An object in HTML; every text is escaped, control characters are made visible, long ones cut.

    Args:
        title: what it is, in a few words.
        facts: by name, in one line below; those whose value is empty are left out.
        columns: of the table; none for no table.
        rows: of the table, of which the first `MAX_ROWS` are shown.
        n_rows: how many rows there are, for a line that says how many are not shown; None if all are.
        below: a sentence at the end.

    Example:
        >>> from trimtab.notebook import summary
        >>> summary("a <b>", {"n": 2, "notes": ""})
        '<div><b>a &lt;b&gt;</b><div>n: 2</div></div>'
    """
    parts = [f"<b>{_text(title)}</b>"]
    said = [
        Phrase("{name}: {value}", name=_text(name), value=_text(value))
        for name, value in facts.items()
        if value not in ("", None)
    ]
    if said:
        parts.append(f"<div>{spoken(own())(with_dots(said))}</div>")
    if columns:
        some = list(islice(rows, MAX_ROWS))
        head = _row("th", columns)
        body = "".join(_row("td", row) for row in some)
        parts.append(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")
        if n_rows is not None and n_rows > len(some):
            more = Phrase("… and {n} more", n=f"{n_rows - len(some):,}")
            parts.append(f"<div>{_text(more)}</div>")
    if below:
        parts.append(f"<div>{_text(below, None)}</div>")
    return f"<div>{''.join(parts)}</div>"


def _row(kind: str, cells: Iterable[object]) -> str:
    return "<tr>" + "".join(f'<{kind} style="text-align:left">{_text(cell)}</{kind}>' for cell in cells) + "</tr>"


def _text(value: object, longest: int | None = MAX_LENGTH) -> str:
    said = spoken(own())(value) if isinstance(value, Phrase) else str(value)
    return escape(shown(said, longest))
