"""The plot of effects: every example under each prompt type, with what went the wrong way shaded."""

from html import escape
from typing import Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from trimtab.phrases import Phrase, with_dots
from trimtab.reports.check.tables import TYPES
from trimtab.reports.palette import (
    AXIS,
    BLUE,
    BLUE_FILL,
    FOCUS,
    INK,
    MUTED,
    PAPER,
    VERMILLION,
    VERMILLION_FILL,
    WRONG_WAY,
    axis,
    layout,
    on_hover,
)
from trimtab.results.numbers import given, plain, share, spread
from trimtab.results.report import PromptTypeResult, Report

Floats = NDArray[np.float64]

ROW: Final = 112  # pixels per prompt type
# Heights within a prompt type's row, as shares of it: the points' strip, the baseline of the density, the words.
STRIP: Final = (0.05, 0.24)
BASELINE: Final = 0.29
PEAK: Final = 0.64
WORDS: Final = 0.99
GRID_POINTS: Final = 160


def effects(report: Report) -> go.Figure | None:
    """Δ of every example under each measured prompt type, the wrong way shaded; the chosen type on top.

    Returns:
        None where no prompt type carries effects.
    """
    chosen = report.verdict.prompt_type
    measured = [(name, result) for name, result in report.prompt_types.items() if result.effects]
    measured.sort(key=lambda pair: pair[0] != chosen)
    if not measured:
        return None
    values = np.concatenate([np.asarray(result.effects) for _, result in measured])
    low, high = _range(values)
    figure = go.Figure(layout=layout(ROW * len(measured) + 130, margin={"l": 10, "r": 10, "t": 24, "b": 52}))
    figure.add_shape(
        type="rect", x0=low, x1=0, y0=0, y1=1, yref="paper", fillcolor=WRONG_WAY, line_width=0, layer="below"
    )
    for index, (name, result) in enumerate(measured):
        bottom = float(len(measured) - 1 - index)
        _effect_row(figure, result, bottom, first=index == 0)
        _effect_words(figure, name, result, bottom, chosen=name == chosen)
    _zero_words(figure)
    figure.update_layout(
        xaxis=axis(
            range=[low, high],
            title_text=Phrase(
                "steering effect Δ, {unit} (strength {strength})",
                unit=report.unit,
                strength=given(report.verdict.strength),
            ),
        ),
        yaxis={"range": [0, len(measured)], "visible": False, "fixedrange": True},
        legend={"y": 1 + 22 / (ROW * len(measured))},  # above the words for the two sides of zero
    )
    return figure


def _range(values: Floats) -> tuple[float, float]:
    """Limits of the axis: all values, and enough room on both sides of zero for the words."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    span = max(high - low, 1e-9)
    return min(low - 0.04 * span, -0.4 * span), max(high + 0.04 * span, 0.36 * span)


def _effect_row(figure: go.Figure, result: PromptTypeResult, bottom: float, *, first: bool) -> None:
    """Density, points and mean of one prompt type; the density ends where the examples do."""
    values = np.asarray(result.effects)
    ends = float(values.min()), float(values.max())
    grid = np.union1d(np.linspace(*ends, GRID_POINTS), [np.clip(0.0, *ends)])
    height = density(values, grid)
    curve = bottom + BASELINE + (PEAK - BASELINE) * height / max(float(height.max()), 1e-12)
    for wrong in (False, True):
        part = grid <= 0 if wrong else grid >= 0
        if not part.any():
            continue
        _filled(figure, grid[part], curve[part], bottom + BASELINE, wrong=wrong)
    jitter = np.random.default_rng(0).uniform(*STRIP, size=len(values))
    for wrong in (False, True):
        part = (values < 0) == wrong
        if not part.any() and not first:
            continue
        figure.add_scatter(
            x=values[part].tolist() or [None],
            y=(bottom + jitter[part]).tolist() or [None],
            mode="markers",
            marker={
                "size": 6 if wrong else 5,
                "symbol": "x-thin" if wrong else "circle",
                "color": VERMILLION if wrong else BLUE,
                "line": {"width": 1.3 if wrong else 0, "color": VERMILLION if wrong else BLUE},
                "opacity": 0.8 if wrong else 0.5,
            },
            name=Phrase("example, Δ < 0 (anti-steerable)") if wrong else Phrase("example, Δ ≥ 0"),
            legendgroup=str(wrong),
            showlegend=first,
            hovertemplate="Δ = %{x:.3g}<extra></extra>",
        )
    if result.effect is not None:
        _mean(figure, result, bottom + BASELINE, first=first)


def _filled(figure: go.Figure, x: Floats, y: Floats, base: float, *, wrong: bool) -> None:
    """The part of a density on one side of zero."""
    figure.add_scatter(
        x=[x[0], *x, x[-1]],
        y=[base, *y, base],
        mode="lines",
        fill="toself",
        fillcolor=VERMILLION_FILL if wrong else BLUE_FILL,
        line={"width": 1, "color": VERMILLION if wrong else BLUE},
        hoverinfo="skip",
        showlegend=False,
    )


def _mean(figure: go.Figure, result: PromptTypeResult, y: float, *, first: bool) -> None:
    """The mean effect with its interval, as a diamond on the baseline."""
    effect = result.effect
    assert effect is not None
    figure.add_scatter(
        x=[effect.mean],
        y=[y],
        error_x={
            "type": "data",
            "array": [effect.high - effect.mean],
            "arrayminus": [effect.mean - effect.low],
            "color": INK,
            "thickness": 2,
            "width": 5,
        },
        mode="markers",
        marker={"symbol": "diamond", "size": 10, "color": INK, "line": {"width": 1.5, "color": PAPER}},
        name=Phrase("mean Δ with interval"),
        legendgroup="mean",
        showlegend=first,
        hovertemplate=on_hover(
            Phrase("mean Δ = {effect}, n = {n}", effect=spread(effect.mean, effect.low, effect.high), n=effect.n)
        ),
    )


def _effect_words(figure: go.Figure, name: str, result: PromptTypeResult, bottom: float, *, chosen: bool) -> None:
    """The row's heading, with its two figures."""
    if chosen:
        figure.add_shape(
            type="rect", x0=0, x1=1, xref="paper", y0=bottom + PEAK + 0.03, y1=bottom + 1, fillcolor=FOCUS, line_width=0
        )
    line = {"width": 1, "color": AXIS}
    figure.add_shape(type="line", x0=0, x1=1, xref="paper", y0=bottom, y1=bottom, line=line, layer="below")
    line = {"width": 1.5, "color": INK}
    figure.add_shape(type="line", x0=0, x1=0, y0=bottom, y1=bottom + PEAK + 0.03, line=line)
    figures = []
    if result.anti_steerable is not None:
        wrong = result.anti_steerable
        figures.append(Phrase("anti-steerable {share}", share=share(wrong.share, wrong.low, wrong.high)))
    if result.effect is not None:
        figures.append(Phrase("Δ {effect}", effect=spread(result.effect.mean, result.effect.low, result.effect.high)))
    role = Phrase("★ chosen") if chosen else Phrase("exploratory")
    figure.add_annotation(
        x=0,
        xref="paper",
        xanchor="left",
        y=bottom + WORDS,
        yanchor="top",
        xshift=4,
        align="left",
        showarrow=False,
        text=Phrase(
            "<b>{name}</b>  {role}<br><span style='font-size:11px'>{figures}</span>",
            name=TYPES.get(name) or escape(plain(name)), role=role, figures=with_dots(figures),
        ),
        font={"size": 12, "color": INK if chosen else MUTED},
    )  # fmt: skip


def _zero_words(figure: go.Figure) -> None:
    """Which side of zero is which."""
    for text, anchor, color in (
        (Phrase("◀ anti-steerable"), "right", VERMILLION),
        (Phrase("as intended ▶"), "left", BLUE),
    ):
        figure.add_annotation(
            x=0,
            y=1,
            yref="paper",
            yanchor="bottom",
            xanchor=anchor,
            xshift=-4 if anchor == "right" else 4,
            text=text,
            showarrow=False,
            font={"size": 12, "color": color},
        )


def density(values: Floats, grid: Floats) -> Floats:
    """Gaussian kernel density `[g]` of `[n]` values, Silverman's bandwidth."""
    n = len(values)
    quartiles = np.subtract(*np.percentile(values, [75, 25])) / 1.349
    width = min(w for w in (float(values.std()), float(quartiles), np.inf) if w > 0)
    if not np.isfinite(width):
        width = max(float(grid[-1] - grid[0]) / 50, 1e-9)  # all values are equal
    width *= 0.9 * n**-0.2
    z = (grid[:, None] - values[None, :]) / width  # (g, n)
    height: Floats = np.exp(-0.5 * z**2).sum(axis=1) / (n * width * np.sqrt(2 * np.pi))
    return height
