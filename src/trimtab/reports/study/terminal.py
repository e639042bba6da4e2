"""A study's summary on the terminal: one line per prompt type, and what goes with a large effect."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.results.figures import Estimate
from trimtab.results.numbers import estimate, share
from trimtab.results.study import Association, Study, TypeSummary

_NAMES = {
    "agreement_loo": "agreement (leave-one-out)",
    "agreement": "agreement",
    "separability_held_out": "d′ (held out)",
    "edit_size_ratio": "dose",
    "effect": "mean effect",
    "anti_steerable": "anti-steerable share",
}


def study_summary(study: Study, console: Console) -> None:
    """Print the study's summary.

    Args:
        study: the result.
        console: where to; texts of the study are never read as markup.
    """
    show = Words(console)
    measured = [c for c in study.cells if c.not_measured is None]
    behaviors = {c.behavior for c in measured}
    families = {c.family for c in measured}
    console.print(
        Text(show(f"{len(measured)} cells: {len(behaviors)} behaviors in {len(families)} families")), style="bold"
    )
    for group in dict.fromkeys(map(_group, study.types)):
        model, block, component, kind = group
        console.print(Text(show(f"\n{model} · block {block} {component} · {kind}"), style="bold"))
        console.print(_types([t for t in study.types if _group(t) == group], show))
        rows = [a for a in study.associations if _group(a) == group and a.prompt_type is None]
        console.print(_associations(rows, show))
    for note in study.notes:
        console.print(item(show(note), show))


def _group(row: TypeSummary | Association) -> tuple[str, int, str, str]:
    return row.model, row.block, row.component, row.answer_kind


def _types(rows: list[TypeSummary], show: Words) -> Table:
    table = table_for(show)
    for name in ("prompt type", "effect", "anti-steerable", "effect > 0", "at equal dose", "n"):
        table.add_column(name, overflow="fold", justify="left" if name == "prompt type" else "right")
    equal = {t.prompt_type: t.effect for t in rows if t.at == "equal dose"}
    for t in rows:
        if t.at == "strength 1":
            cells = (estimate(t.effect), _share(t.anti_steerable), _share(t.positive), estimate(equal[t.prompt_type]))
            table.add_row(*(Text(show(text)) for text in (t.prompt_type, *cells, str(t.effect.n or 0))))
    return table


def _associations(rows: list[Association], show: Words) -> Table:
    table = table_for(show)
    for name in ("Spearman ρ of", "with", "strength 1", "given ‖s‖", "equal dose"):
        table.add_column(show(name), overflow="fold", justify="left" if name in ("Spearman ρ of", "with") else "right")
    for x, y in dict.fromkeys((a.x, a.y) for a in rows):
        cells = [_rho(rows, x, y, at, given) for at, given in _CASES]
        table.add_row(*(Text(show(text)) for text in (_NAMES.get(x, x), _NAMES.get(y, y), *cells)))
    return table


_CASES = (("strength 1", None), ("strength 1", "norm"), ("equal dose", None))


def _rho(rows: list[Association], x: str, y: str, at: str, given: str | None) -> str:
    matches: Iterator[Estimate] = (a.rho for a in rows if (a.x, a.y, a.at, a.given) == (x, y, at, given))
    return estimate(next(matches, Estimate()))


def _share(figure: Estimate) -> str:
    return estimate(figure) if figure.value is None else share(figure.value, figure.low, figure.high)
