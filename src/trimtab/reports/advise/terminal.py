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
    table.add_column(Text(show("tried, the cheapest first")), overflow="fold")
    needs = bounds(advice)
    columns = [short for short in SHORT.values() if short in needs]
    for short in columns:
        table.add_column(Text(show(f"{short}\n{needs[short]}")), overflow="fold")
    table.add_column(Text(show("on dev")), overflow="fold")
    for row in rows(advice):
        cells = [Text(show(row.attempt.name), "bold" if row.chosen else "")]
        for short in columns:
            text, holds = row.figures.get(short, ("", None))
            cells.append(Text(show(f"{text} {_MARKS[holds]}" if text else "–"), _STYLES[holds]))
        table.add_row(*cells, Text(show(row.outcome)))
    console.print(table)
    console.print(Text(show(headline(advice)), style="bold"))
    console.print(Text(show(advice.sentence)))
    for note in advice.notes:
        console.print(item(show(note), show))
