"""A search on the terminal: what is recommended and why, the best trade-offs, what was pruned."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.reports.tune.tables import name, pruned, strengths, summary, where
from trimtab.results.numbers import estimate, number
from trimtab.results.tuning import Tuning


def tuning_summary(tuning: Tuning, console: Console, language: Language = ENGLISH) -> None:
    """Print the summary of a search.

    Args:
        tuning: the result.
        console: where to; names are never read as markup.
        language: of all but names.
    """
    show = Words(console, language)
    best = Phrase("leave the model as it is")
    if tuning.recommended is not None:
        best = Phrase("trial {n}", n=tuning.recommended)
    console.print(Text(show(Phrase("recommended: {best}", best=best)), style="bold"))
    for sentence in summary(tuning):
        console.print(Text(show(sentence)))
    console.print(_front(tuning, show))
    if tuning.measured is not None:
        console.print(_measured(tuning, show))
    for what, n in pruned(tuning):
        line = Phrase("{n} of {of} trials pruned: {what}", n=n, of=len(tuning.trials) - 1, what=what)
        console.print(item(show(line), show))
    for note in tuning.notes:
        console.print(item(show(note), show))


def _front(tuning: Tuning, show: Words) -> Table:
    table = table_for(show)
    heads = (Phrase("trade-off"), Phrase("strengths"), *tuning.tasks, Phrase("damage"), Phrase("preset"))
    for head in heads:
        table.add_column(Text(show(head)), overflow="fold")
    for trial in tuning.front:
        gains = [estimate(trial.gains[task]) for task in tuning.tasks]
        cells = [name(trial), strengths(trial), *gains, number(trial.damage), where(trial)]
        style = "bold" if trial.number == tuning.recommended else ""
        table.add_row(*(Text(show(cell), style) for cell in cells))
    return table


def _measured(tuning: Tuning, show: Words) -> Table:
    assert tuning.measured is not None
    table = table_for(show)
    for head in (Phrase("on test"), Phrase("unsteered"), Phrase("gain")):
        table.add_column(show(head), overflow="fold")
    for label, task in tuning.tasks.items():
        gain = tuning.measured.gains.get(label, tuning.measured.gain)
        cells = (f"{label}, {task.figure}", number(task.base_test), estimate(gain))
        table.add_row(*(Text(show(cell)) for cell in cells))
    return table
