"""A study's summary on the terminal: one line per prompt type, and what goes with a large effect."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.results.figures import Estimate
from trimtab.results.numbers import estimate, share
from trimtab.results.study import Association, Study, TypeSummary

_NAMES = {
    "agreement_loo": Phrase("agreement (leave-one-out)"),
    "agreement": Phrase("agreement"),
    "separability_held_out": Phrase("d′ (held out)"),
    "edit_size_ratio": Phrase("dose"),
    "effect": Phrase("mean effect"),
    "anti_steerable": Phrase("anti-steerable share"),
}


_KINDS = {"choice": Phrase("choice"), "text": Phrase("text")}


def study_summary(study: Study, console: Console, language: Language = ENGLISH) -> None:
    """Print the study's summary.

    Args:
        study: the result.
        console: where to; texts of the study are never read as markup.
        language: of all but names.
    """
    show = Words(console, language)
    measured = [c for c in study.cells if c.not_measured is None]
    behaviors = {c.behavior for c in measured}
    families = {c.family for c in measured}
    counts = Phrase(
        "{cells} cells: {behaviors} behaviors in {families} families",
        cells=len(measured), behaviors=len(behaviors), families=len(families),
    )  # fmt: skip
    console.print(Text(show(counts)), style="bold")
    for group in dict.fromkeys(map(_group, study.types)):
        model, block, component, kind = group
        title = Phrase(
            "\n{model} · block {block} {component} · {kind}",
            model=model, block=block, component=component, kind=_KINDS.get(kind, kind),
        )  # fmt: skip
        console.print(Text(show(title), style="bold"))
        console.print(_types([t for t in study.types if _group(t) == group], show))
        rows = [a for a in study.associations if _group(a) == group and a.prompt_type is None]
        console.print(_associations(rows, show))
    for note in study.notes:
        console.print(item(show(note), show))


def _group(row: TypeSummary | Association) -> tuple[str, int, str, str]:
    return row.model, row.block, row.component, row.answer_kind


def _types(rows: list[TypeSummary], show: Words) -> Table:
    table = table_for(show)
    heads = (
        Phrase("prompt type"), Phrase("effect"), Phrase("anti-steerable"), Phrase("effect > 0"),
        Phrase("at equal dose"), "n",
    )  # fmt: skip
    for k, name in enumerate(heads):
        table.add_column(show(name), overflow="fold", justify="right" if k else "left")
    equal = {t.prompt_type: t.effect for t in rows if t.at == "equal dose"}
    for t in rows:
        if t.at == "strength 1":
            cells = (estimate(t.effect), _share(t.anti_steerable), _share(t.positive), estimate(equal[t.prompt_type]))
            table.add_row(*(Text(show(text)) for text in (t.prompt_type, *cells, str(t.effect.n or 0))))
    return table


def _associations(rows: list[Association], show: Words) -> Table:
    table = table_for(show)
    heads = (
        Phrase("Spearman ρ of"), Phrase("with"), Phrase("strength 1"), Phrase("given ‖s‖"), Phrase("equal dose"),
    )  # fmt: skip
    for k, name in enumerate(heads):
        table.add_column(show(name), overflow="fold", justify="left" if k < 2 else "right")
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
