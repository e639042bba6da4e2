"""The gates of a fit on the terminal."""

from rich.console import Console
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.check.tables import HOLDS
from trimtab.reports.check.terminal import Words, table_for
from trimtab.reports.fit.tables import BOUND, GateRow, gate_rows
from trimtab.results.fit import Training
from trimtab.results.numbers import number

_STYLES = {True: "green", False: "red", None: ""}
_NONE = "–"


def gate_summary(training: Training, console: Console, language: Language = ENGLISH) -> None:
    """Print mean gates by attribute, what is not as it should be marked; nothing where no gates were trained.

    Args:
        training: what was recorded of it.
        console: where to; names are never read as markup.
        language: of all but names.
    """
    show = Words(console, language)
    for site, trained in training.sites.items():
        table = table_for(show)
        table.add_column(Text(show(Phrase("gates at site {site}", site=site))), overflow="fold")
        heads = (
            Phrase("own\nnegatives"), Phrase("own\npositives"), Phrase("others’\ntext"), Phrase("touched\nin a text"),
            "AUROC", Phrase("MMD²\nbefore"), Phrase("\nafter"),
        )  # fmt: skip
        for head in heads:
            table.add_column(Text(show(head)), justify="right", no_wrap=True)
        for row in gate_rows(trained.gates):
            table.add_row(Text(show(row.attribute)), *_cells(row, show))
        console.print(table)
        good = Phrase(
            "Good: above {bound} on own negatives, less on own positives, below {bound} on others’ text.",
            bound=f"{BOUND:g}",
        )
        console.print(Text(show(good), style="dim"))


def _cells(row: GateRow, show: Words) -> list[Text]:
    gates = []
    for line in row.lines:
        text = _NONE if line.tokens is None else f"{number(line.tokens.gate, 2)} {HOLDS[line.holds][1]}"
        gates.append(Text(show(text), _STYLES[line.holds]))
    more = (row.gate.negative.touched_per_text, row.gate.auroc, row.gate.mmd2_before, row.gate.mmd2_after)
    return [*gates, *(Text(show(number(value, 2))) for value in more)]
