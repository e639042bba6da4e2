"""The plots of a study by name, and that of the behaviors under each prompt type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go

from trimtab.phrases import Phrase
from trimtab.reports.check.plots import stacked_name
from trimtab.reports.palette import AXIS, BLUE, INK, PAPER, axis, layout
from trimtab.reports.study.grids import cosine_ends, cosines, ranks
from trimtab.reports.study.groups import ATS, GroupView, value
from trimtab.reports.study.marks import CONTROL, LEGEND, Scale, hover, in_plot, marks, named, shown, title, where
from trimtab.reports.study.scatter import PAIRS, scatter
from trimtab.results.figures import Estimate
from trimtab.results.numbers import number, plain, share, spread
from trimtab.results.study import At, Measure

ROW: Final = 50  # pixels per prompt type
# Heights within a prompt type's row: the behaviors' strip, and the mean above it.
STRIP: Final = (-0.38, 0.12)
MEAN: Final = 0.3
_MARGIN: Final = {"l": 10, "r": 16, "t": 44, "b": 76}


@dataclass(frozen=True)
class _Look:
    """How a measure is drawn: factor, name, words for the axis, and the line at which nothing happens."""

    factor: float
    name: Phrase
    words: Phrase
    nothing: float


_LOOKS: Final[Mapping[Measure, _Look]] = {
    "effect": _Look(1.0, Phrase("Effect"), Phrase("mean effect Δ of a behavior"), 0.0),
    "anti_steerable": _Look(100.0, Phrase("Anti-steerable share"), Phrase("examples pushed the wrong way, %"), 50.0),
}


def group_figures(group: GroupView, equal_dose: float) -> dict[str, go.Figure]:
    """Every plot of a group that there are figures for, by name; names begin with the group's key."""
    drawn: dict[str, go.Figure | None] = {"cosines": cosines(group), "cosine-ends": cosine_ends(group)}
    for at in ATS:
        for measure in _LOOKS:
            drawn[named(measure, at)] = strip(group, measure, at, equal_dose)
        drawn[named("ranks", at)] = ranks(group, at, equal_dose)
        for name, (x, y) in PAIRS.items():
            drawn[named(name, at)] = scatter(group, x, y, at, equal_dose)
    return {f"{group.key}-{name}": figure for name, figure in drawn.items() if figure is not None}


def strip(group: GroupView, measure: Measure, at: At, equal_dose: float) -> go.Figure | None:
    """A mark per behavior under each prompt type and the mean over behaviors, on one scale for both doses."""
    look = _LOOKS[measure]
    points = [(cell, v) for cell in group.measured if (v := value(cell, measure, at)) is not None]
    if not points:
        return None
    scale, rows = _scale(group, measure), {name: float(len(group.types) - 1 - i) for i, name in enumerate(group.types)}
    figure = go.Figure(layout=layout(ROW * len(rows) + 130, margin=_MARGIN))
    figure.add_vline(x=look.nothing, line={"width": 1.2, "color": AXIS})
    jitter = np.random.default_rng(0).uniform(*STRIP, len(points)).tolist()
    for control in (False, True):
        some = [
            (
                look.factor * v,
                rows[cell.prompt_type] + up,
                Phrase("{cell}<br>{figure}", cell=hover(cell), figure=_with_value(measure, Estimate(value=v))),
            )
            for (cell, v), up in zip(points, jitter, strict=True)
            if cell.control is control
        ]
        marker = CONTROL if control else {"symbol": "circle", "color": BLUE, "opacity": 0.65}
        marks(figure, some, (scale, None), marker, Phrase("control") if control else Phrase("behavior"))
    _means(figure, group, measure, at, rows)
    words = look.words
    if measure == "effect":
        words = Phrase("{what}, {unit}", what=words, unit=in_plot(group.unit))
    figure.update_layout(
        title=title(Phrase("{measure} at {dose}", measure=look.name, dose=where(at, equal_dose))),
        xaxis=axis(range=[scale.low, scale.high], title_text=words, nticks=7),
        yaxis=axis(
            range=[-0.55, len(rows) - 0.45],
            tickvals=list(rows.values()), ticktext=[stacked_name(plain(t)) for t in rows],
            showgrid=False, showline=False, ticks="", tickfont={"size": 11},
        ),
        legend={**LEGEND, "y": -52 / (ROW * len(rows))},
    )  # fmt: skip
    return figure


def _scale(group: GroupView, measure: Measure) -> Scale:
    """One axis for both doses: the behaviors, the means' intervals, and where nothing happens."""
    look = _LOOKS[measure]
    values = [look.factor * v for cell in group.measured for at in ATS if (v := value(cell, measure, at)) is not None]
    means: list[Estimate] = [getattr(s, measure) for s in group.summaries]
    ends = [look.factor * end for e in means for end in (e.value, e.low, e.high) if end is not None]
    # Shares have an end of their own: none lies far out.
    return Scale(values, [0.0, look.nothing, *ends, *(values if measure == "anti_steerable" else ())])


def _means(figure: go.Figure, group: GroupView, measure: Measure, at: At, rows: Mapping[str, float]) -> None:
    """Means over behaviors that are no controls, with their intervals."""
    look = _LOOKS[measure]
    summaries = {t: s for t in group.types if (s := group.summary(t, at))}
    known: list[tuple[str, Estimate]] = [(t, getattr(s, measure)) for t, s in summaries.items()]
    known = [(t, e) for t, e in known if e.value is not None]
    if not known:
        return

    def reach(e: Estimate, end: float | None) -> float:
        return 0.0 if end is None or e.value is None else look.factor * abs(end - e.value)

    figure.add_scatter(
        x=[look.factor * (e.value or 0.0) for _, e in known],
        y=[rows[t] + MEAN for t, _ in known],
        customdata=[
            Phrase(
                "<b>{type}</b><br>mean {mean}<br>{n} behaviors",
                type=shown(t), mean=_with_value(measure, e), n=e.n or 0,
            )
            for t, e in known
        ],
        error_x={
            "type": "data", "array": [reach(e, e.high) for _, e in known],
            "arrayminus": [reach(e, e.low) for _, e in known], "color": INK, "thickness": 2, "width": 5,
        },
        mode="markers",
        marker={"symbol": "diamond", "size": 10, "color": INK, "line": {"width": 1.5, "color": PAPER}},
        name=Phrase("mean with interval"),
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _with_value(measure: Measure, e: Estimate) -> str:
    """A figure in hover text."""
    if e.value is None or e.low is None or e.high is None:
        return number(e.value) if measure == "effect" or e.value is None else share(e.value)
    return (spread if measure == "effect" else share)(e.value, e.low, e.high)
