"""The plots of a search: what can be had for what, and what more trials brought."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

import plotly.graph_objects as go

from trimtab.phrases import Phrase, with_commas
from trimtab.reports.palette import AXIS, BLUE, INK, MUTED, VERMILLION, axis, layout, on_hover
from trimtab.reports.study.marks import shown
from trimtab.results.figures import Estimate
from trimtab.results.numbers import estimate, number
from trimtab.results.tuning import Trial, Tuning

MAX_PAIRS: Final = 6  # pairs of tasks that are drawn
DAMAGE: Final = "damage"
GROWTH: Final = "growth"
_LABELLED: Final = 15  # numbers in a plot at most


def figures(tuning: Tuning) -> dict[str, go.Figure]:
    """Mean gain against damage, pairs of tasks, and the hypervolume; by the ids of their places."""
    drawn = {DAMAGE: _against_damage(tuning), GROWTH: _growth(tuning)}
    for k, (one, other) in enumerate(pairs(tuning)):
        drawn[f"pair{k}"] = _pair(tuning, one, other)
    return drawn


def pairs(tuning: Tuning) -> list[tuple[str, str]]:
    """Pairs of tasks that are drawn."""
    return list(combinations(tuning.tasks, 2))[:MAX_PAIRS]


def _against_damage(tuning: Tuning) -> go.Figure:
    points = [(t, t.damage or 0.0, t.gain) for t in tuning.trials if t.gains]
    figure = _figure(Phrase("damage, nats per token"), Phrase("mean gain"))
    bound = tuning.max_damage
    figure.add_vline(x=bound, line={"width": 1.2, "dash": "dot", "color": VERMILLION})
    return _marked(figure, [(t, x, y.value or 0.0, None, y) for t, x, y in points], tuning)


def _pair(tuning: Tuning, one: str, other: str) -> go.Figure:
    figure = _figure(Phrase("gain on {task}", task=shown(one, 30)), Phrase("gain on {task}", task=shown(other, 30)))
    figure.add_vline(x=0, line={"width": 1.2, "color": AXIS})
    points = [(t, t.gains[one], t.gains[other]) for t in tuning.trials if t.gains]
    return _marked(figure, [(t, x.value or 0.0, y.value or 0.0, x, y) for t, x, y in points], tuning)


_Point = tuple[Trial, float, float, Estimate | None, Estimate | None]


def _figure(across: Phrase, up: Phrase) -> go.Figure:
    figure = go.Figure(layout=layout(440, margin={"l": 64, "r": 16, "t": 16, "b": 96}))
    figure.add_hline(y=0, line={"width": 1.2, "color": AXIS})
    figure.update_layout(
        xaxis=axis(title_text=across, nticks=7), yaxis=axis(title_text=up, nticks=7),
        legend={"yanchor": "top", "y": -0.2, "x": 0, "orientation": "h", "font": {"size": 11}},
    )  # fmt: skip
    return figure


def _marked(figure: go.Figure, points: Sequence[_Point], tuning: Tuning) -> go.Figure:
    """Other trials small, the front with intervals and numbers, the recommended and the unsteered model apart."""
    best = tuning.recommended
    groups: list[tuple[Phrase, dict[str, Any], list[_Point]]] = [
        (Phrase("other trials"), {"symbol": "circle", "size": 5, "color": MUTED, "opacity": 0.6},
         [p for p in points if not p[0].front and p[0].number]),
        (Phrase("best trade-offs"), {"symbol": "diamond", "size": 9, "color": BLUE},
         [p for p in points if p[0].front and p[0].number not in (0, best)]),
        (Phrase("recommended"), {"symbol": "star", "size": 15, "color": VERMILLION},
         [p for p in points if p[0].number == best]),
        (Phrase("unsteered"), {"symbol": "x", "size": 9, "color": INK}, [p for p in points if p[0].number == 0]),
    ]  # fmt: skip
    for name, marker, some in groups:
        if some:
            drawn = name in ("best trade-offs", "recommended")
            figure.add_scatter(**_trace(some, drawn, len(tuning.front) <= _LABELLED), marker=marker, name=name)
    return figure


def _trace(points: Sequence[_Point], drawn: bool, numbered: bool) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "x": [x for _, x, _, _, _ in points],
        "y": [y for _, _, y, _, _ in points],
        "mode": "markers+text" if drawn and numbered else "markers",
        "text": [str(t.number) for t, *_ in points],
        "textposition": "top right",
        "textfont": {"size": 11},
        "customdata": [_hover(t) for t, *_ in points],
        "hovertemplate": "%{customdata}<extra></extra>",
        "cliponaxis": False,
    }
    if drawn:
        trace |= {"error_x": _bars([x for *_, x, _ in points]), "error_y": _bars([y for *_, y in points])}
    return trace


def _bars(estimates: Sequence[Estimate | None]) -> dict[str, Any]:
    """Intervals as bars; none where there is none."""
    ends = [None if e is None else e.interval for e in estimates]
    return {
        "type": "data", "symmetric": False, "thickness": 1, "width": 0,
        "array": [0 if i is None else i.high - i.value for i in ends],
        "arrayminus": [0 if i is None else i.value - i.low for i in ends],
    }  # fmt: skip


def _hover(trial: Trial) -> Phrase:
    name = Phrase("unsteered")
    if trial.number:
        name = Phrase("trial {n}, {steering}", n=trial.number, steering=shown(trial.candidate))
    strengths = with_commas([f"{shown(a)} {number(s)}" for a, s in trial.strengths.items()])
    said = Phrase("<b>{name}</b><br>{strengths}", name=name, strengths=strengths)
    for task, gain in trial.gains.items():
        said = Phrase("{said}<br>{task}: {gain}", said=said, task=shown(task), gain=estimate(gain))
    return Phrase("{said}<br>damage: {damage}", said=said, damage=number(trial.damage))


def _growth(tuning: Tuning) -> go.Figure:
    figure = go.Figure(layout=layout(300, margin={"l": 64, "r": 16, "t": 16, "b": 52}))
    curve = tuning.hypervolume
    figure.add_scatter(
        x=list(range(len(curve))), y=list(curve), mode="lines", line={"color": BLUE, "width": 2, "shape": "hv"},
        hovertemplate=on_hover(Phrase("after {n} trials: {volume}", n="%{x}", volume="%{y:.4g}")),
    )  # fmt: skip
    figure.update_layout(
        xaxis=axis(title_text=Phrase("trials"), nticks=7),
        yaxis=axis(title_text=Phrase("hypervolume"), nticks=6),
        showlegend=False,
    )
    return figure
