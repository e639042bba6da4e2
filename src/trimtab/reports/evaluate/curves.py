"""Gain against damage: a line for each contender through the damages that it was measured at."""

from typing import Final

import plotly.graph_objects as go

from trimtab.phrases import Phrase
from trimtab.reports.evaluate.statements import contender
from trimtab.reports.palette import AXIS, BLUE, GREEN, INK, MUTED, VERMILLION, axis, layout, on_hover
from trimtab.results.evaluation import FLOORS, Evaluation, Overall
from trimtab.results.numbers import plain

_COLORS: Final = (BLUE, VERMILLION, GREEN, INK)
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
_HEIGHT: Final = 440
_TICKS: Final = [digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 5)]  # nats per token


def gain_against_damage(found: Evaluation) -> go.Figure:
    """Over all fitted tasks: gain with its interval over the damage on test; floors are grey and dotted."""
    figure = go.Figure(layout=layout(_HEIGHT, margin={"l": 62, "r": 14, "t": 20, "b": 56}))
    figure.add_hline(y=0, line={"width": 1.2, "color": AXIS})
    methods = [m.label for m in found.protocol.methods]
    for name in (*FLOORS, *methods):
        rows = [o for o in found.overall if o.contender == name and o.gain.value is not None and o.damage]
        if not rows:
            continue
        floor = name in FLOORS
        k = (FLOORS if floor else methods).index(name)
        color = MUTED if floor else _COLORS[k % len(_COLORS)]
        figure.add_scatter(
            x=[o.damage for o in rows], y=[o.gain.value for o in rows], name=contender(plain(name)),
            mode="lines+markers",
            line={"width": 1.6, "color": color, "dash": "dot" if floor else "solid"},
            marker={"size": 9, "symbol": _SYMBOLS[k % len(_SYMBOLS)], "color": color},
            error_y=_bars(rows, color), customdata=[[o.budget, o.n_seeds] for o in rows],
            hovertemplate=on_hover(
                Phrase(
                    "{contender}<br>damage {damage}, gain {gain}<br>allowed on dev {allowed}, seeds {seeds}",
                    contender=contender(plain(name)), damage="%{x:.3g}", gain="%{y:+.3f}",
                    allowed="%{customdata[0]}", seeds="%{customdata[1]}",
                )
            ),
        )  # fmt: skip
    figure.update_xaxes(
        **axis(
            title_text=Phrase("damage on test, nats per token"),
            type="log",
            tickvals=_TICKS,
            ticktext=[f"{x:g}" for x in _TICKS],
        )
    )
    figure.update_yaxes(**axis(title_text=Phrase("gain over unsteered, mean of the tasks"), nticks=7))
    figure.update_layout(showlegend=True)
    return figure


def _bars(rows: list[Overall], color: str) -> dict[str, object]:
    up = [(o.gain.high if o.gain.high is not None else o.gain.value or 0.0) - (o.gain.value or 0.0) for o in rows]
    down = [(o.gain.value or 0.0) - (o.gain.low if o.gain.low is not None else o.gain.value or 0.0) for o in rows]
    return {"type": "data", "array": up, "arrayminus": down, "thickness": 1.2, "width": 3, "color": color}
