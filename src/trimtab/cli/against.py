"""The comparison with an earlier report on the terminal, for `trimtab check --against`."""

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from trimtab.results.changes import Figure
    from trimtab.results.comparison import Comparison

_SIGNS: Final = {"worse": ("✘", "bold red"), "same": ("·", "bold"), "better": ("✔", "bold green")}
_CHANGED: Final = {True: ("yes", "bold yellow"), False: ("no", ""), None: ("–", "dim")}


def show_comparison(comparison: "Comparison", console: Console) -> None:
    """Print what became of a behavior's check."""
    from trimtab.reports.check.terminal import Words, item, table_for

    show = Words(console)
    sign, style = _SIGNS[comparison.outcome]
    headline = Text(show(f"{sign} {comparison.outcome}"), style)
    console.print(Text.assemble(headline, show(f"  {comparison.behavior}, against the earlier report")))
    console.print(Text(show(comparison.sentence)))
    table = table_for(show)
    table.add_column("figure", overflow="fold", ratio=1)
    for name in ("old", "new", "difference [interval]"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("by", overflow="fold")
    table.add_column("changed", no_wrap=True)
    for figure in comparison.figures.values():
        word, style = _CHANGED[figure.changed]
        cells = (show(cell) for cell in _cells(figure))
        table.add_row(*map(Text, cells), Text(show(word), style))
    console.print(table)
    legend = "paired: on the same examples; indep.: from the two intervals, as if on separate examples."
    console.print(Text(show(legend), style="dim"))
    for figure in comparison.figures.values():
        if figure.reason:
            console.print(item(show(f"{figure.name}: {figure.reason}"), show), style="dim")
    if comparison.differs:
        console.print(Text("What differs", style="bold"))
    for change in comparison.differs:
        console.print(item(show(f"{change.name}: {change.old} -> {change.new}"), show))


def _cells(figure: "Figure") -> tuple[str, str, str, str, str]:
    """Name with unit, the two values, the difference with its interval, and how that came about."""
    from trimtab.results.numbers import centre, number, spread

    scale, unit = (100, "%") if figure.unit == "share" else (1, figure.unit)

    def scaled(*values: float | None) -> list[float | None]:
        return [None if value is None else scale * value for value in values]

    sides = []
    for side in (figure.old, figure.new):
        value, low, high = scaled(side.value, side.low, side.high)
        sides.append("–" if value is None else centre(value, low, high))
    change, low, high = scaled(figure.difference, figure.low, figure.high)
    difference = "–" if change is None else number(change) if low is None else spread(change, low, high)
    by = {"paired": "paired", "independent": "indep.", None: "–"}[figure.method]
    return f"{figure.name}, {unit}" if unit else figure.name, sides[0], sides[1], difference, by
