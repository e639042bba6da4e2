"""An advice on the terminal: what was tried, how it did on dev, and the verdict on the best."""

from rich.console import Console
from rich.text import Text

from trimtab.reports.advise.tables import SHORT, bounds, headline, rows
from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.results.advice import Advice

_STYLES = {True: "green", False: "red", None: ""}
_MARKS = {True: "✔", False: "✘", None: "?"}


def advice_summary(advice: Advice, console: Console) -> None:
    """Print the summary.

    Args:
        advice: the result.
        console: where to; names are never read as markup.
    """
    show = Words(console)
    table = table_for(show)
    table.add_column(Text(show("tried, the cheapest first")), no_wrap=True)
    needs = bounds(advice)
    columns = [short for short in SHORT.values() if short in needs]
    for short in columns:
        table.add_column(Text(show(f"{short.replace(', ', chr(10))}\n{needs[short]}")), justify="right")
    for row in rows(advice):
        if not row.figures:
            continue
        cells = [Text(show(row.attempt.name), "bold" if row.chosen else "")]
        for short in columns:
            text, _, holds = row.figures.get(short, ("–", "", None))
            cells.append(Text(show(f"{text} {_MARKS[holds]}"), _STYLES[holds]))
        table.add_row(*cells)
    if table.row_count:
        console.print(table)
        console.print(
            Text(show("On dev; ✔ holds, ✘ fails, ? lies across the bound. The page has the intervals."), "dim")
        )
    for reason, names in _left_out(advice).items():
        console.print(item(show(f"{', '.join(names)}: {reason}"), show))
    console.print(Text(show(headline(advice)), style="bold"))
    console.print(Text(show(advice.sentence)))
    for note in advice.notes:
        console.print(item(show(note), show))


def _left_out(advice: Advice) -> dict[str, list[str]]:
    """Remedies that were not measured, by the reason."""
    found: dict[str, list[str]] = {}
    for attempt in advice.attempts:
        if attempt.reason is not None:
            found.setdefault(attempt.reason, []).append(attempt.name)
    return found
