"""The plot of gain against damage: what more strength buys, and what it costs."""

from typing import Any, Final

import plotly.graph_objects as go

from trimtab.phrases import Phrase
from trimtab.reports.palette import AXIS, BLUE, INK, MUTED, VERMILLION, axis, layout, on_hover
from trimtab.results.consequences import CurvePoint
from trimtab.results.numbers import given, number
from trimtab.results.report import Report

_MARGIN: Final = {"l": 58, "r": 14, "t": 24, "b": 48}


def damage(report: Report) -> go.Figure | None:
    """Mean effect over the divergence on neutral text, a point a strength, with the bound of the verdict."""
    points = [p for p in report.curve.points if p.effect.value is not None and p.kl.value is not None]
    points.sort(key=lambda p: p.strength)
    if not any(p.strength for p in points):
        return None
    figure = go.Figure(layout=layout(400, margin=_MARGIN))
    figure.add_hline(y=0, line={"width": 1.2, "color": AXIS})
    limit = report.thresholds.get("max_kl")
    if limit is not None:
        figure.add_vline(
            x=limit, line={"width": 1.5, "dash": "dash", "color": VERMILLION},
            annotation={
                "text": Phrase("bound {bound}", bound=given(limit)), "font": {"color": INK}, "yanchor": "bottom",
            },
            annotation_position="top",
        )  # fmt: skip
    for sign, color, name in ((1, BLUE, Phrase("steered toward the behavior")), (-1, MUTED, Phrase("away from it"))):
        _branch(figure, [p for p in points if p.strength * sign >= 0], color, name)
    figure.update_layout(
        xaxis=axis(title_text=Phrase("KL divergence on neutral text, nats per token"), rangemode="tozero"),
        yaxis=axis(title_text=Phrase("mean effect Δ, {unit}", unit=report.unit)),
    )
    return figure


def _branch(figure: go.Figure, points: list[CurvePoint], color: str, name: Phrase) -> None:
    points = sorted(points, key=lambda p: abs(p.strength))
    if len(points) < 2:
        return
    figure.add_scatter(
        x=[p.kl.value for p in points],
        y=[p.effect.value for p in points],
        error_x=_bars(color, [(p.kl.value, p.kl.low, p.kl.high) for p in points]),
        error_y=_bars(color, [(p.effect.value, p.effect.low, p.effect.high) for p in points]),
        customdata=[[p.strength, number(p.perplexity_ratio.value)] for p in points],
        text=[f"λ = {given(p.strength)}  " if p.strength else "" for p in points],
        textposition=["bottom left" if p.strength < 0 else "top left" for p in points],
        textfont={"size": 11, "color": INK},
        mode="lines+markers+text",
        line={"width": 2, "color": color},
        marker={"size": 8, "color": color, "symbol": ["x" if p.overdosed else "circle" for p in points]},
        name=name,
        cliponaxis=False,
        hovertemplate=on_hover(
            Phrase(
                "λ = {strength}: Δ = {effect}, KL {kl}, perplexity × {ratio}",
                strength="%{customdata[0]}",
                effect="%{y:.3g}",
                kl="%{x:.3g}",
                ratio="%{customdata[1]}",
            )
        ),
    )


def _bars(color: str, ends: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """Error bars; none where there is no interval."""
    return {
        "type": "data",
        "array": [0 if high is None else high - value for value, _, high in ends],
        "arrayminus": [0 if low is None else value - low for value, low, _ in ends],
        "color": color,
        "thickness": 1.2,
        "width": 3,
    }
