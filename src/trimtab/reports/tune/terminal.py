"""A search on the terminal: what is recommended and why, the best trade-offs, what was pruned."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.reports.tune.tables import name, pruned, strengths, summary, where
from trimtab.results.numbers import estimate, number
from trimtab.results.tuning import Tuning


def tuning_summary(tuning: Tuning, console: Console) -> None:
    """Print the summary of a search.

    Args:
        tuning: the result.
        console: where to; names are never read as markup.
    """
    show = Words(console)
    best = "leave the model as it is" if tuning.recommended is None else f"trial {tuning.recommended}"
    console.print(Text(show(f"recommended: {best}"), style="bold"))
    for sentence in summary(tuning):
        console.print(Text(show(sentence)))
    console.print(_front(tuning, show))
    if tuning.measured is not None:
        console.print(_measured(tuning, show))
    for what, n in pruned(tuning):
        console.print(item(show(f"{n} of {len(tuning.trials) - 1} trials pruned: {what}"), show))
    for note in tuning.notes:
        console.print(item(show(note), show))


def _front(tuning: Tuning, show: Words) -> Table:
    table = table_for(show)
    for head in ("trade-off", "strengths", *tuning.tasks, "damage", "preset"):
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
    for head in ("on test", "unsteered", "gain"):
        table.add_column(head, overflow="fold")
    for label, task in tuning.tasks.items():
        gain = tuning.measured.gains.get(label, tuning.measured.gain)
        cells = (f"{label}, {task.figure}", number(task.base_test), estimate(gain))
        table.add_row(*(Text(show(cell)) for cell in cells))
    return table
