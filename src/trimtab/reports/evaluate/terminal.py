"""A comparison on the terminal: what it comes to, and a line for each contender."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.reports.evaluate.statements import PARTS, contender, statements
from trimtab.reports.evaluate.tables import Line, lines
from trimtab.results.evaluation import Evaluation
from trimtab.results.numbers import given


def evaluation_summary(found: Evaluation, console: Console, language: Language = ENGLISH) -> None:
    """Print what a comparison comes to.

    Args:
        found: the result.
        console: where to; texts of the comparison are never read as markup.
        language: of all but names.
    """
    show = Words(console, language)
    for sentence in statements(found):
        console.print(item(show(sentence), show))
    for budget in found.protocol.damages:
        title = Phrase(
            "\nat a damage of {damage} nats per token on dev, {part}", damage=given(budget), part=PARTS[found.part]
        )
        console.print(Text(show(title), style="bold"))
        console.print(_table(found, lines(found, budget), show))
    for note in found.notes:
        console.print(item(show(note), show))


def _table(found: Evaluation, rows: list[Line], show: Words) -> Table:
    table = table_for(show)
    tasks = [f"{t.label} {t.figure}" for t in found.protocol.tasks if t.fitted]
    for k, name in enumerate((Phrase("contender"), Phrase("gain"), Phrase("p, Holm"), Phrase("damage"), *tasks)):
        table.add_column(show(name), overflow="fold", justify="right" if k else "left", no_wrap=not k)
    for row in rows:
        gain = Phrase("{value} {ends}", value=row.gain[0], ends=row.gain[1]) if row.gain[1] else row.gain[0]
        cells = [contender(row.name), gain, row.p, row.damage, *(pair[0] for pair in row.by_task)]
        table.add_row(*(Text(show(text)) for text in cells))
        if row.failed:
            table.add_row(Text(show(Phrase("  {note}", note=row.failed))))
    return table
