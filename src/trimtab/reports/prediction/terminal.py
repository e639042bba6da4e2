"""Predictions and calibrations on the terminal."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase, with_commas
from trimtab.reports.check.terminal import Words, item, table_for
from trimtab.results.numbers import given, level, number, share, spread
from trimtab.results.prediction import Calibration, Calibrations, PredictedRow, Prediction
from trimtab.statistics.intervals import Interval
from trimtab.statistics.prediction import PredictionScores

NAMES: Final = {
    "agreement": Phrase("agreement (paper)"),
    "agreement_loo": Phrase("agreement (leave-one-out)"),
    "separability": Phrase("d′ (in sample)"),
    "separability_held_out": Phrase("d′ (held out)"),
    "auroc_held_out": Phrase("AUROC (held out)"),
    "norm": Phrase("norm of the vector"),
    "edit_size_ratio": Phrase("dose of strength 1"),
    "expected_cosine": Phrase("cosine of two vectors trained apart, expected"),
    "halves_cosine": Phrase("cosine between halves that differ in subject"),
}
KINDS: Final = {
    "labelled answers, pairs": Phrase("labelled answers, pairs"),
    "labelled answers, unpaired": Phrase("labelled answers, unpaired"),
    "free text, pairs": Phrase("free text, pairs"),
    "free text, unpaired": Phrase("free text, unpaired"),
}
"""Kinds of data (`data_kind`) in words."""
_NONE: Final = "–"


def prediction_summary(prediction: Prediction, console: Console, language: Language = ENGLISH) -> None:
    """Print predictions, the most promising first.

    Args:
        prediction: the result.
        console: where to; texts of the data are never read as markup.
        language: of all but names.
    """
    show = Words(console, language)
    first = prediction.rows[0].geometry
    behaviors = dict.fromkeys(row.geometry.behavior for row in prediction.rows)
    what = first.behavior if len(behaviors) == 1 else Phrase("{n} behaviors", n=len(behaviors))
    blocks = list(dict.fromkeys(row.geometry.block for row in prediction.rows))
    where = Phrase("block {block} {component}", block=first.block, component=first.component)
    if len(blocks) > 1:
        where = Phrase(
            "blocks {first} to {last} {component}", first=blocks[0], last=blocks[-1], component=first.component
        )
    title = Phrase("{what} · {model} · {where}", what=what, model=prediction.model.id, where=where)
    console.print(Text(show(title), style="bold"))
    console.print(_rows(prediction, len(behaviors) > 1, len(blocks) > 1, show))
    for calibration in prediction.calibrations:
        said = Phrase("{first} {second}", first=meaning(calibration), second=trust(calibration.scores))
        console.print(Text(show(said)))
    for kind, reason in prediction.uncalibrated.items():
        why = Phrase(" ({kind}): {why}.", kind=KINDS.get(kind, kind), why=reason)
        console.print(Text.assemble((show(Phrase("uncalibrated")), "bold yellow"), show(why)))
    rows = prediction.rows
    outside = [
        Phrase("{row}: {why}", row=_name(row, len(behaviors) > 1), why=reason)
        for row in rows
        if row.expected
        for reason in row.expected.outside
    ]
    absent = [
        Phrase("{row}: {why}", row=_name(row, len(behaviors) > 1), why=row.geometry.not_measured)
        for row in rows
        if row.geometry.not_measured
    ]
    for heading, lines in (
        (Phrase("* Outside of what was fitted"), outside),
        (Phrase("Notes"), [*absent, *prediction.notes]),
    ):
        if lines:
            console.print(Text(show(heading), style="bold"))
            for line in lines:
                console.print(item(show(line), show))


def calibration_summary(calibrations: Calibrations, console: Console, language: Language = ENGLISH) -> None:
    """Print the results of a fit.

    Args:
        calibrations: the fit.
        console: where to.
        language: of all but names.
    """
    show = Words(console, language)
    for c in calibrations.calibrations:
        title = Phrase(
            "{model} in {dtype} · {site} · {kind}",
            model=c.model.id, dtype=c.dtype, site=_site(c), kind=KINDS.get(c.kind, c.kind),
        )  # fmt: skip
        console.print(Text(show(title), style="bold"))
        console.print(Text(show(meaning(c))))
        console.print(_scores(c, show))
    for note in calibrations.notes:
        console.print(item(show(note), show))


def meaning(c: Calibration) -> Phrase:
    """What a calibration's probability is of."""
    return Phrase(
        "“Holds” is the chance that at dose {dose} the interval of the effect lies above {effect} {unit} and that of "
        "the anti-steerable share below {share}; side effects are not predicted. Fitted to {cells}.",
        dose=given(c.equal_dose), effect=given(c.min_effect), unit=c.unit, share=level(c.max_anti_steerable),
        cells=_counted(c),
    )  # fmt: skip


def trust(s: PredictionScores) -> Phrase:
    """How well it predicts families that it was not fitted to."""
    return Phrase(
        "Families left out of the fit: AUROC {auroc}, Brier score {brier} (base rate {base}).",
        auroc=between(s.auroc), brier=number(s.brier), base=number(s.brier_base),
    )  # fmt: skip


def between(i: Interval) -> str:
    """An interval as text."""
    return spread(i.value, i.low, i.high)


def _counted(c: Calibration) -> Phrase:
    about: dict[str, str] = {"kind": KINDS.get(c.kind, c.kind), "model": c.model.id, "dtype": c.dtype}
    if c.controls:
        return Phrase(
            "{n} behaviors and {controls} controls ({kind}) on {model} in {dtype}",
            n=c.behaviors, controls=c.controls, **about,
        )  # fmt: skip
    return Phrase("{n} behaviors ({kind}) on {model} in {dtype}", n=c.behaviors, **about)


def _rows(prediction: Prediction, several: bool, spread: bool, show: Words) -> Table:
    table = table_for(show)
    if spread:
        table.add_column(show(Phrase("block")), justify="right", no_wrap=True)
    if several:
        table.add_column(show(Phrase("behavior")), overflow="fold", min_width=12)
    table.add_column(show(Phrase("prompt type")), overflow="fold", min_width=14)
    for name in (Phrase("d′\nheld out"), Phrase("agree-\nment"), Phrase("dose")):
        table.add_column(show(name), justify="right", no_wrap=True)
    if prediction.calibrations:
        for name in (Phrase("holds"), Phrase("effect"), Phrase("anti-steer-\nable")):
            table.add_column(show(name), justify="right", overflow="fold")
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
        return [*cells, row.not_expected or Phrase("uncalibrated"), _NONE, _NONE]
    wrong = row.expected.anti_steerable
    holds = share(row.expected.probability)
    if row.expected.outside:
        holds = Phrase("{share}*", share=holds)
    return [*cells, holds, between(row.expected.effect), share(wrong.value, wrong.low, wrong.high)]


def _scores(c: Calibration, show: Words) -> Table:
    table = table_for(show)
    table.add_column(show(Phrase("families left out")), overflow="fold")
    for name in (Phrase("cells"), Phrase("held"), "AUROC", "Brier", Phrase("base rate")):
        table.add_column(show(name), justify="right", no_wrap=True)
    rows: list[tuple[str, PredictionScores]] = [(features(c), c.scores)]
    if c.scores_with_controls:
        rows.append((Phrase("the same, with controls"), c.scores_with_controls))
    rows += [(Phrase("{feature} alone", feature=NAMES.get(name, name)), scores) for name, scores in c.singles.items()]
    for name, s in rows:
        cells = (name, str(s.cells), str(s.successes), between(s.auroc), number(s.brier), number(s.brier_base))
        table.add_row(*(Text(show(text)) for text in cells))
    return table


def features(c: Calibration) -> str:
    """What a calibration predicts from."""
    names = [NAMES.get(name, name) for name in c.predictor.features]
    said: str = names[0]
    for name in names[1:]:
        said = Phrase("{features} + {feature}", features=said, feature=name)
    return said


def _name(row: PredictedRow, several: bool) -> str:
    g = row.geometry
    return with_commas([g.behavior, g.prompt_type]) if several else g.prompt_type


def _site(c: Calibration) -> Phrase:
    return Phrase("block {block} {component}", block=c.block, component=c.component)
