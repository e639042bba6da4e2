"""An advice on the terminal: what was tried, how it did on dev, and the verdict on the best."""

from rich.console import Console
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase, with_commas
from trimtab.reports.advise.tables import NARROW, SHORT, bounds, headline, rows
from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.results.advice import Advice

_STYLES = {True: "green", False: "red", None: ""}
_MARKS = {True: "✔", False: "✘", None: "?"}


def advice_summary(advice: Advice, console: Console, language: Language = ENGLISH) -> None:
    """Print the summary.

    Args:
        advice: the result.
        console: where to; names are never read as markup.
        language: of all but names.
    """
    show = Words(console, language)
    table = table_for(show)
    table.add_column(Text(show(Phrase("tried, the cheapest first"))), no_wrap=True)
    needs = bounds(advice)
    columns = [short for short in SHORT.values() if short in needs]
    for short in columns:
        head = Phrase("{name}\n{needed}", name=NARROW.get(short, short), needed=needs[short])
        table.add_column(Text(show(head)), justify="right")
    for row in rows(advice):
        if not row.figures:
            continue
        cells = [Text(show(row.attempt.name), "bold" if row.chosen else "")]
        for short in columns:
            text, _, holds = row.figures.get(short, ("–", "", None))
            cell = Phrase("{figure} {sign}", figure=text, sign=_MARKS[holds])
            cells.append(Text(show(cell), _STYLES[holds]))
        table.add_row(*cells)
    if table.row_count:
        console.print(table)
        console.print(
            Text(show(Phrase("On dev; ✔ holds, ✘ fails, ? lies across the bound. The page has the intervals.")), "dim")
        )
    for reason, names in _left_out(advice).items():
        console.print(item(show(Phrase("{remedies}: {why}", remedies=with_commas(names), why=reason)), show))
    console.print(Text(show(headline(advice)), style="bold"))
    console.print(Text(show(advice.sentence)))
    for note in advice.notes:
        console.print(item(show(note), show))


def _left_out(advice: Advice) -> dict[Phrase, list[str]]:
    """Remedies that were not measured, by the reason."""
    found: dict[Phrase, list[str]] = {}
    for attempt in advice.attempts:
        if attempt.reason is not None:
            found.setdefault(attempt.reason, []).append(attempt.name)
    return found
