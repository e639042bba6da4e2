"""Plots of single examples: projections of both classes, and base propensity against effect."""

import textwrap
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from trimtab.phrases import Phrase
from trimtab.reports.palette import AXIS, BLUE, BLUE_FILL, INK, VERMILLION, VERMILLION_FILL, WRONG_WAY, axis, layout
from trimtab.results.numbers import number, plain
from trimtab.results.report import Report, Text

Floats = NDArray[np.float64]


def projections(report: Report) -> go.Figure | None:
    """κ of both classes on the difference line, as histograms with rugs; the training class means at ±1."""
    classes = (
        (Phrase("positive answers"), report.projections.positive),
        (Phrase("negative answers"), report.projections.negative),
    )
    if not all(values for _, values in classes):
        return None
    both = np.concatenate([np.asarray(values) for _, values in classes])
    edges = np.histogram_bin_edges(both, bins=int(np.clip(2 * np.sqrt(len(both)), 12, 50)))
    figure = go.Figure(layout=layout(400, barmode="overlay", bargap=0, margin={"l": 52, "r": 14, "t": 24, "b": 52}))
    tallest = 0.0
    for (name, values), color, fill in zip(classes, (BLUE, VERMILLION), (BLUE_FILL, VERMILLION_FILL), strict=True):
        percent = 100 * np.histogram(values, edges)[0] / len(values)
        tallest = max(tallest, float(percent.max()))
        _histogram(figure, Phrase("{name} (n = {n})", name=name, n=len(values)), edges, percent, (color, fill))
    for index, ((_, values), color) in enumerate(zip(classes, (BLUE, VERMILLION), strict=True)):
        _rug(figure, np.asarray(values), -tallest * (0.05 + 0.07 * index), color)
    for x, text, anchor in ((-1, "−1", "right"), (1, "+1", "left")):
        figure.add_vline(x=x, line={"width": 1.5, "dash": "dash", "color": INK})
        figure.add_annotation(
            x=x,
            y=1,
            yref="paper",
            yanchor="top",
            xanchor=anchor,
            text=Phrase("training<br>mean {at}", at=text),
            showarrow=False,
            align=anchor,
        )
    figure.update_layout(
        xaxis=axis(title_text=Phrase("projection on the steering vector κ<br>(training class means at ±1)")),
        yaxis=axis(
            title_text=Phrase("share of the class, %"), range=[-tallest * 0.18, tallest * 1.3], tickvals=_ticks(tallest)
        ),
    )
    return figure


def _histogram(figure: go.Figure, name: Phrase, edges: Floats, percent: Floats, colors: tuple[str, str]) -> None:
    hatched = colors[0] == VERMILLION
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=percent,
        width=np.diff(edges),
        name=name,
        marker={
            "color": colors[1],
            "line": {"width": 1, "color": colors[0]},
            "pattern": {"shape": "/" if hatched else "", "fgcolor": colors[0], "size": 6, "solidity": 0.2},
        },
        hovertemplate="κ ≈ %{x:.2f}: %{y:.1f} %<extra></extra>",
    )


def _rug(figure: go.Figure, values: Floats, y: float, color: str) -> None:
    figure.add_scatter(
        x=values,
        y=np.full(len(values), y),
        mode="markers",
        marker={"symbol": "line-ns", "size": 9, "line": {"width": 1, "color": color}, "opacity": 0.6},
        showlegend=False,
        hovertemplate="κ = %{x:.2f}<extra></extra>",
    )


def _ticks(top: float) -> list[float]:
    """Ticks of a share in per cent, from zero."""
    step = next(s for s in (1, 2, 5, 10, 20, 50) if top / s <= 5 or s == 50)
    return [float(t) for t in range(0, int(top) + 1, step)]


def backfiring(report: Report) -> go.Figure | None:
    """Base propensity against effect of every example, its texts on hover."""
    if not report.examples:
        return None
    figure = go.Figure(layout=layout(440, showlegend=True, margin={"l": 56, "r": 14, "t": 24, "b": 52}))
    lowest = min(0.0, *(text.effect for text in report.examples))
    highest = max(0.0, *(text.effect for text in report.examples))
    room = 0.06 * max(highest - lowest, 1e-9)
    figure.add_hrect(y0=lowest - 3 * room, y1=0, fillcolor=WRONG_WAY, line_width=0, layer="below")
    for wrong in (False, True):
        part = [text for text in report.examples if (text.effect < 0) == wrong]
        figure.add_scatter(
            x=[text.base for text in part],
            y=[text.effect for text in part],
            customdata=[hover(text) for text in part],
            mode="markers",
            marker={
                "size": 8,
                "symbol": "x-thin" if wrong else "circle",
                "color": VERMILLION if wrong else BLUE,
                "line": {"width": 1.8 if wrong else 0, "color": VERMILLION if wrong else BLUE},
                "opacity": 0.85 if wrong else 0.6,
            },
            name=Phrase("anti-steerable, Δ < 0 ({n})", n=len(part)) if wrong else f"Δ ≥ 0 ({len(part)})",
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=0, yref="paper", yanchor="bottom",
        text=Phrase("pushed the wrong way (Δ < 0)"),
        showarrow=False, font={"color": VERMILLION},
    )  # fmt: skip
    figure.add_hline(y=0, line={"width": 1.5, "color": AXIS})
    figure.add_vline(x=0, line={"width": 1.5, "color": AXIS})
    figure.update_layout(
        xaxis=axis(title_text=Phrase("propensity before steering, {unit}", unit=report.unit)),
        yaxis=axis(
            title_text=Phrase("steering effect Δ, {unit}", unit=report.unit),
            range=[lowest - 2.5 * room, highest + room],
        ),
    )
    return figure


def hover(text: Text) -> Phrase:
    """An example's texts for plotly's hover label: wrapped, cut, and escaped (plotly reads some HTML there)."""
    parts = (
        (Phrase("prompt"), text.prompt),
        (Phrase("positive"), text.positive),
        (Phrase("negative"), text.negative),
    )
    shown = Phrase(
        "Δ = {effect}, before {before}, after {after}",
        effect=number(text.effect), before=number(text.base), after=number(text.steered),
    )  # fmt: skip
    for name, value in parts:
        if value.strip():
            wrapped = textwrap.wrap(plain(value), 52, max_lines=5, placeholder=" …")
            lines = "<br>".join(escape(line) for line in wrapped)
            shown = Phrase("{shown}<br><b>{name}</b><br>{lines}", shown=shown, name=name, lines=lines)
    return shown
