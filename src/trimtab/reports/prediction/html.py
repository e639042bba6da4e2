"""The page of a calibration: how well geometry predicts steering, as one HTML file that needs nothing else."""

from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from trimtab.languages import ENGLISH, Language
from trimtab.phrases import Phrase
from trimtab.reports.html import document
from trimtab.reports.palette import AXIS, BLUE, DARK, INK, MUTED, VERMILLION, axis, layout
from trimtab.reports.prediction.terminal import KINDS, NAMES, between, features, meaning, trust
from trimtab.results.numbers import share
from trimtab.results.prediction import Calibration, Calibrations
from trimtab.statistics.prediction import Line, PredictionScores

_HEIGHT: Final = 400
WORDS: Final = (
    (
        Phrase("Left out"),
        Phrase(
            "Behaviors of one family are near copies. Each cell is predicted by a model that was fitted without its "
            "family, so what stands here is what a new behavior can expect."
        ),
    ),
    (
        Phrase("AUROC"),
        Phrase(
            "How often a cell that held gets a higher probability than one that did not: 0.5 is chance, 1 is never "
            "wrong."
        ),
    ),
    (
        Phrase("Brier score"),
        Phrase(
            "Mean square of probability minus outcome: 0 is perfect. It is held against that of the base rate, the "
            "share that held in the other families, which knows nothing of the behavior."
        ),
    ),
    (
        Phrase("R²"),
        Phrase(
            "Share of the squared error of the other families’ mean that the line takes away; below 0 the line is "
            "worse than the mean. For anti-steerable shares on the logit."
        ),
    ),
    (
        Phrase("Control"),
        Phrase("A set with nothing to steer toward, such as shuffled labels. The models are fitted to controls too."),
    ),
)


@dataclass(frozen=True)
class _Row:
    """How well a set of features predicts."""

    name: str
    scores: PredictionScores


@dataclass(frozen=True)
class _Slope:
    """What a spread more of a feature changes: log-odds, effect, logit of the share."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class _Section:
    """A calibration with what its tables and its plot hold."""

    key: str
    title: Phrase
    calibration: Calibration
    meaning: Phrase
    trust: Phrase
    rows: list[_Row]
    slopes: list[_Slope]


def calibration_page(calibrations: Calibrations, language: Language = ENGLISH) -> str:
    """The fit as a self-contained HTML page.

    Args:
        calibrations: the fit.
        language: of all but names, commands and the texts of data sets.

    Returns:
        The whole document. It makes no request, works without a network, and follows the reader's colour scheme.
    """
    sections = [_section(f"c{i}", c) for i, c in enumerate(calibrations.calibrations, start=1)]
    drawn = {f"{s.key}-bins": _plot(s.calibration) for s in sections}
    return document(
        "calibration.html", drawn, DARK, language, fit=calibrations, sections=sections, words=WORDS, between=between
    )


def _section(key: str, c: Calibration) -> _Section:
    rows = [_Row(features(c), c.scores)]
    if c.scores_with_controls:
        rows.append(_Row(Phrase("the same, controls counted too"), c.scores_with_controls))
    rows += [
        _Row(Phrase("{feature} alone", feature=NAMES.get(name, name)), scores) for name, scores in c.singles.items()
    ]
    lines = (c.predictor.success, c.predictor.effect, c.predictor.anti)
    names = [Phrase("at the mean of all features"), *(NAMES.get(name, name) for name in c.predictor.features)]
    slopes = [_Slope(name, _column(lines, i)) for i, name in enumerate(names)]
    title = Phrase(
        "{model} in {dtype}, block {block} {component}, {kind}",
        model=c.model.id, dtype=c.dtype, block=c.block, component=c.component, kind=KINDS.get(c.kind, c.kind),
    )  # fmt: skip
    return _Section(key, title, c, meaning(c), trust(c.scores), rows, slopes)


def _column(lines: tuple[Line, ...], i: int) -> tuple[float, ...]:
    return tuple(line.coefficients[i] for line in lines)


def _plot(c: Calibration) -> go.Figure:
    """Predicted probability against the share that held, in bins, with the diagonal of a calibrated model."""
    figure = go.Figure(layout=layout(_HEIGHT, margin={"l": 60, "r": 20, "t": 48, "b": 56}))
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line={"width": 1.2, "dash": "dot", "color": AXIS},
        hoverinfo="skip", name=Phrase("as predicted"),
    )  # fmt: skip
    parts = [(Phrase("without controls"), c.scores, BLUE, "circle")]
    if c.scores_with_controls:
        parts.append((Phrase("with controls"), c.scores_with_controls, VERMILLION, "diamond"))
    for name, scores, color, symbol in parts:
        bins = scores.bins
        figure.add_scatter(
            x=[100 * b.predicted for b in bins],
            y=[100 * b.observed.value for b in bins],
            error_y={
                "type": "data", "color": color, "thickness": 1.3, "width": 4,
                "array": [100 * (b.observed.high - b.observed.value) for b in bins],
                "arrayminus": [100 * (b.observed.value - b.observed.low) for b in bins],
            },
            customdata=[
                Phrase(
                    "{n} cells {name}<br>predicted {predicted}<br>held {held}",
                    n=b.n, name=name, predicted=share(b.predicted),
                    held=share(b.observed.value, b.observed.low, b.observed.high),
                )
                for b in bins
            ],
            mode="markers+lines", line={"width": 1, "color": color},
            marker={"size": 9, "symbol": symbol, "color": color},
            name=name, hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    rate = 100 * c.scores.successes / c.scores.cells
    figure.add_hline(y=rate, line={"width": 1, "dash": "dash", "color": MUTED})
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=rate, yanchor="bottom", showarrow=False,
        text=Phrase("base rate {share}", share=share(rate / 100)), font={"size": 11, "color": INK},
    )  # fmt: skip
    figure.update_layout(
        xaxis=axis(range=[-3, 103], title_text=Phrase("predicted probability, %")),
        yaxis=axis(range=[-3, 103], title_text=Phrase("share that held, %")),
    )
    return figure
