"""Predictions and calibrations on the terminal."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.results.numbers import given, level, number, share, spread
from trimtab.results.prediction import Calibration, Calibrations, PredictedRow, Prediction
from trimtab.statistics.intervals import Interval
from trimtab.statistics.prediction import PredictionScores

NAMES: Final = {
    "agreement": "agreement (paper)",
    "agreement_loo": "agreement (leave-one-out)",
    "separability": "d′ (in sample)",
    "separability_held_out": "d′ (held out)",
    "auroc_held_out": "AUROC (held out)",
    "norm": "norm of the vector",
    "edit_size_ratio": "dose of strength 1",
    "expected_cosine": "cosine of two vectors trained apart, expected",
    "halves_cosine": "cosine between halves that differ in subject",
}
_NONE: Final = "–"


def prediction_summary(prediction: Prediction, console: Console) -> None:
    """Print predictions, the most promising first.

    Args:
        prediction: the result.
        console: where to; texts of the data are never read as markup.
    """
    show = Words(console)
    first = prediction.rows[0].geometry
    behaviors = dict.fromkeys(row.geometry.behavior for row in prediction.rows)
    what = first.behavior if len(behaviors) == 1 else f"{len(behaviors)} behaviors"
    blocks = list(dict.fromkeys(row.geometry.block for row in prediction.rows))
    where = f"block {first.block}" if len(blocks) == 1 else f"blocks {blocks[0]} to {blocks[-1]}"
    place = f"{prediction.model.id} · {where} {first.component}"
    console.print(Text(show(f"{what} · {place}"), style="bold"))
    console.print(_rows(prediction, len(behaviors) > 1, len(blocks) > 1, show))
    for calibration in prediction.calibrations:
        console.print(Text(show(f"{meaning(calibration)} {trust(calibration.scores)}")))
    for kind, reason in prediction.uncalibrated.items():
        console.print(Text.assemble(("uncalibrated", "bold yellow"), show(f" ({kind}): {reason}.")))
    rows = prediction.rows
    outside = [
        f"{_name(row, len(behaviors) > 1)}: {reason}" for row in rows if row.expected for reason in row.expected.outside
    ]
    absent = [f"{_name(row, len(behaviors) > 1)}: {r}" for row in rows if (r := row.geometry.not_measured)]
    for title, lines in (("* Outside of what was fitted", outside), ("Notes", [*absent, *prediction.notes])):
        if lines:
            console.print(Text(title, style="bold"))
            for line in lines:
                console.print(item(show(line), show))


def calibration_summary(calibrations: Calibrations, console: Console) -> None:
    """Print the results of a fit.

    Args:
        calibrations: the fit.
        console: where to.
    """
    show = Words(console)
    for c in calibrations.calibrations:
        console.print(Text(show(f"{c.model.id} in {c.dtype} · {_site(c)} · {c.kind}"), style="bold"))
        console.print(Text(show(meaning(c))))
        console.print(_scores(c, show))
    for note in calibrations.notes:
        console.print(item(show(note), show))


def meaning(c: Calibration) -> str:
    """What a calibration's probability is of."""
    return (
        f"“Holds” is the chance that at dose {given(c.equal_dose)} the interval of the effect lies above "
        f"{given(c.min_effect)} {c.unit} and that of the anti-steerable share below {level(c.max_anti_steerable)}; "
        f"side effects are not predicted. Fitted to {_counted(c)}."
    )


def trust(s: PredictionScores) -> str:
    """How well it predicts families that it was not fitted to."""
    return (
        f"Families left out of the fit: AUROC {between(s.auroc)}, Brier score {number(s.brier)} "
        f"(base rate {number(s.brier_base)})."
    )


def between(i: Interval) -> str:
    """An interval as text."""
    return spread(i.value, i.low, i.high)


def _counted(c: Calibration) -> str:
    controls = f" and {c.controls} controls" if c.controls else ""
    return f"{c.behaviors} behaviors{controls} ({c.kind}) on {c.model.id} in {c.dtype}"


def _rows(prediction: Prediction, several: bool, spread: bool, show: Words) -> Table:
    table = table_for(show)
    if spread:
        table.add_column("block", justify="right", no_wrap=True)
    if several:
        table.add_column("behavior", overflow="fold", min_width=12)
    table.add_column("prompt type", overflow="fold", min_width=14)
    for name in (show("d′\nheld out"), "agree-\nment", "dose"):
        table.add_column(name, justify="right", no_wrap=True)
    if prediction.calibrations:
        for name in ("holds", "effect", "anti-steer-\nable"):
            table.add_column(name, justify="right", overflow="fold")
    for row in prediction.rows:
        if row.geometry.not_measured is None:
            names = [row.geometry.behavior, row.geometry.prompt_type][0 if several else 1 :]
            names = [str(row.geometry.block), *names] if spread else names
            table.add_row(*(Text(show(text)) for text in (*names, *_figures(row, bool(prediction.calibrations)))))
    return table


def _figures(row: PredictedRow, calibrated: bool) -> list[str]:
    g = row.geometry
    ranked = [
        _NONE if value is None else f"{number(value)} #{row.ranks[name]}"
        for name, value in (("separability_held_out", g.separability_held_out), ("agreement_loo", g.agreement_loo))
    ]
    cells = [*ranked, number(g.edit_size_ratio)]
    if not calibrated:
        return cells
    if row.expected is None:
        return [*cells, row.not_expected or "uncalibrated", _NONE, _NONE]
    wrong = row.expected.anti_steerable
    holds = f"{share(row.expected.probability)}{'*' if row.expected.outside else ''}"
    return [*cells, holds, between(row.expected.effect), share(wrong.value, wrong.low, wrong.high)]


def _scores(c: Calibration, show: Words) -> Table:
    table = table_for(show)
    table.add_column("families left out", overflow="fold")
    for name in ("cells", "held", "AUROC", "Brier", "base rate"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [(" + ".join(NAMES[name] for name in c.predictor.features), c.scores)]
    if c.scores_with_controls:
        rows.append(("the same, with controls", c.scores_with_controls))
    rows += [(f"{NAMES[name]} alone", scores) for name, scores in c.singles.items()]
    for name, s in rows:
        cells = (name, str(s.cells), str(s.successes), between(s.auroc), number(s.brier), number(s.brier_base))
        table.add_row(*(Text(show(text)) for text in cells))
    return table


def _name(row: PredictedRow, several: bool) -> str:
    g = row.geometry
    return f"{g.behavior}, {g.prompt_type}" if several else g.prompt_type


def _site(c: Calibration) -> str:
    return f"block {c.block} {c.component}"
