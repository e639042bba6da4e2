"""The plots of a report by name, and those of its sweeps: prompt types against each other, blocks, strengths."""

from collections.abc import Callable
from html import escape
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from trimtab.decimals import decimals
from trimtab.phrases import Phrase
from trimtab.reports.check.damage import damage
from trimtab.reports.check.distributions import backfiring, projections
from trimtab.reports.check.ridges import effects
from trimtab.reports.palette import (
    AXIS,
    BLUE,
    BLUE_FILL,
    COSINES,
    GREEN,
    GREEN_FILL,
    INK,
    MUTED,
    ON_STRONG,
    VERMILLION,
    axis,
    layout,
    on_hover,
)
from trimtab.results.figures import Estimate
from trimtab.results.numbers import MINUS, number, plain
from trimtab.results.report import Report

_CODES: Final = {"prefilled": "P", "instruction": "I", "5-shot": "5"}


def cosines(report: Report) -> go.Figure | None:
    """Cosines among the prompt types' vectors, a number in every cell."""
    types, matrix = report.prompt_type_cosine.types, report.prompt_type_cosine.matrix
    if not types:
        return None
    figure = go.Figure(layout=layout(50 + 50 * max(len(types), 2), margin={"l": 10, "r": 10, "t": 34, "b": 10}))
    names = [plain(name) for name in types]
    figure.add_heatmap(
        z=[list(row) for row in matrix],
        customdata=[[Phrase("{first} and {others}", first=escape(a), others=escape(b)) for b in names] for a in names],
        zmin=-1,
        zmax=1,
        colorscale=[[(at + 1) / 2, color] for at, color in COSINES],
        showscale=False,  # every cell carries its number
        xgap=1,
        ygap=1,
        hovertemplate="%{customdata}: %{z:.3f}<extra></extra>",
    )
    places = list(range(len(types)))
    bare: dict[str, Any] = {"showgrid": False, "showline": False, "ticks": "", "tickfont": {"size": 11}}
    figure.update_layout(
        annotations=[_cell(x, y, value) for y, row in enumerate(matrix) for x, value in enumerate(row)],
        xaxis=axis(side="top", tickvals=places, ticktext=[type_code(n) for n in names], tickangle=0, **bare),
        yaxis=axis(autorange="reversed", tickvals=places, ticktext=[stacked_name(n) for n in names], **bare),
    )
    return figure


def _cell(x: int, y: int, value: float) -> dict[str, Any]:
    """A number on its cell."""
    font = {"size": 11.5, "color": ON_STRONG if abs(value) > 0.85 else INK}
    return {"x": x, "y": y, "text": decimals(value).replace("-", MINUS), "showarrow": False, "font": font}


def type_code(name: str) -> str:
    """Short form of a prompt type: `P+I+5`."""
    return escape("+".join(_CODES.get(part, part[:12]) for part in name.split("+")))


def stacked_name(name: str) -> str:
    """A prompt type's name, a part a line."""
    return "<br>+".join(escape(part[:24]) for part in name.split("+"))


def blocks(report: Report) -> go.Figure | None:
    """Agreement and effect of every block's vector, one panel each, the chosen site marked."""
    rows = sorted(report.blocks, key=lambda row: row.block)
    if not rows or report.site is None:
        return None
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    figure.update_layout(**layout(480, showlegend=False, margin={"l": 58, "r": 14, "t": 28, "b": 48}))
    x = [row.block for row in rows]
    _band(figure, x, [row.agreement for row in rows], (BLUE, BLUE_FILL), 1, Phrase("agreement"))
    _band(figure, x, [row.effect for row in rows], (GREEN, GREEN_FILL), 2, Phrase("effect Δ"))
    figure.add_vline(x=report.site.block, line={"width": 1.5, "dash": "dash", "color": INK}, row="all", col=1)
    figure.add_hline(y=0, line={"width": 1.2, "color": AXIS}, row="all", col=1)
    right = report.site.block > (x[0] + x[-1]) / 2
    figure.add_annotation(
        x=report.site.block,
        y=1,
        yref="paper",
        yanchor="bottom",
        text=Phrase("★ chosen: block {block}", block=report.site.block),
        showarrow=False,
        xanchor="right" if right else "left",
        font={"color": INK},
    )
    figure.update_xaxes(**axis())
    figure.update_xaxes(title_text=Phrase("block (0-based)"), row=2, col=1)
    figure.update_yaxes(**axis())
    figure.update_yaxes(title_text=Phrase("agreement, cosine"), row=1, col=1)
    figure.update_yaxes(title_text=Phrase("effect Δ, {unit}", unit=report.unit), row=2, col=1)
    return figure


def _band(
    figure: go.Figure, x: list[int], figures: list[Estimate], colors: tuple[str, str], row: int, name: Phrase
) -> None:
    """A line through the estimates and a band over their intervals; gaps where nothing was measured."""
    known = [(at, e) for at, e in zip(x, figures, strict=True) if e.low is not None and e.high is not None]
    if known:
        figure.add_scatter(
            x=[at for at, _ in known] + [at for at, _ in reversed(known)],
            y=[e.high for _, e in known] + [e.low for _, e in reversed(known)],
            fill="toself",
            fillcolor=colors[1],
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            row=row,
            col=1,
        )
    figure.add_scatter(
        x=x,
        y=[e.value for e in figures],
        customdata=[_limits(e) for e in figures],
        mode="lines+markers",
        connectgaps=False,
        line={"width": 2, "color": colors[0]},
        marker={"size": 6, "color": colors[0], "symbol": "circle" if row == 1 else "square"},
        hovertemplate=on_hover(
            Phrase("block {x}: {name} {y} {ends}", x="%{x}", name=name, y="%{y:.3g}", ends="%{customdata}")
        ),
        row=row,
        col=1,
    )


def _limits(figure: Estimate) -> str:
    if figure.low is None or figure.high is None:
        return Phrase("(no interval)")
    return f"[{number(figure.low)}, {number(figure.high)}]"


def curve(report: Report) -> go.Figure | None:
    """Mean effect over strengths with its intervals, a straight line through it, and both zero lines."""
    points = sorted((p for p in report.curve.points if p.effect.value is not None), key=lambda p: p.strength)
    if not points:
        return None
    x, y = [p.strength for p in points], [p.effect.value or 0.0 for p in points]
    figure = go.Figure(layout=layout(380, margin={"l": 58, "r": 14, "t": 24, "b": 48}))
    figure.add_hline(y=0, line={"width": 1.2, "color": AXIS})
    figure.add_vline(x=0, line={"width": 1.2, "color": AXIS})
    if len(set(x)) > 1:
        _straight_line(figure, x, y)
    figure.add_scatter(
        x=x,
        y=y,
        customdata=[_limits(p.effect) for p in points],
        error_y=_bars(points),
        mode="lines+markers",
        line={"width": 2, "color": BLUE},
        marker={"size": 8, "color": BLUE},
        name=Phrase("mean Δ with interval"),
        hovertemplate=on_hover(
            Phrase("strength {x}: {name} = {y} {ends}", x="%{x}", name="Δ", y="%{y:.3g}", ends="%{customdata}")
        ),
    )
    for name, color, dash in (("positive", GREEN, "dash"), ("negative", VERMILLION, "dashdot")):
        some = [(p.strength, getattr(p, name)) for p in points if getattr(p, name).value is not None]
        what = Phrase("desired answers, Δ+") if name == "positive" else Phrase("undesired answers, Δ−")
        if some:
            figure.add_scatter(
                x=[at for at, _ in some],
                y=[e.value for _, e in some],
                customdata=[_limits(e) for _, e in some],
                mode="lines+markers",
                line={"width": 1.6, "color": color, "dash": dash},
                marker={"size": 5, "color": color},
                name=what,
                hovertemplate=on_hover(
                    Phrase("strength {x}: {name} = {y} {ends}", x="%{x}", name=what, y="%{y:.3g}", ends="%{customdata}")
                ),
            )
    figure.update_layout(
        xaxis=axis(title_text=Phrase("strength λ")),
        yaxis=axis(title_text=Phrase("mean change, {unit}", unit=report.unit)),
    )
    rising = y[-1] >= y[0]
    figure.add_annotation(
        x=0.02 if rising else 0.98,
        y=0.98,
        xref="paper",
        yref="paper",
        xanchor="left" if rising else "right",
        yanchor="top",
        align="left",
        showarrow=False,
        text=Phrase(
            "Spearman ρ = {rho}<br>R² = {r_squared}",
            rho=number(report.curve.spearman),
            r_squared=number(report.curve.r_squared),
        ),
    )
    return figure


def _straight_line(figure: go.Figure, x: list[float], y: list[float]) -> None:
    """The least-squares line through the means."""
    slope, start = np.polyfit(x, y, 1)
    figure.add_scatter(
        x=[x[0], x[-1]],
        y=[start + slope * x[0], start + slope * x[-1]],
        mode="lines",
        line={"width": 1.5, "dash": "dot", "color": MUTED},
        name=Phrase("straight line"),
        hoverinfo="skip",
    )


def _bars(points: list[Any]) -> dict[str, Any]:
    """Error bars; none where there is no interval."""
    return {
        "type": "data",
        "array": [(p.effect.high - p.effect.value) if p.effect.high is not None else 0 for p in points],
        "arrayminus": [(p.effect.value - p.effect.low) if p.effect.low is not None else 0 for p in points],
        "color": BLUE,
        "thickness": 1.8,
        "width": 5,
    }


PLOTS: Final[dict[str, Callable[[Report], go.Figure | None]]] = {
    "effects": effects,
    "projections": projections,
    "cosines": cosines,
    "blocks": blocks,
    "curve": curve,
    "damage": damage,
    "backfiring": backfiring,
}


def figures(report: Report) -> dict[str, go.Figure]:
    """Every plot that the report has figures for, by name."""
    drawn = {name: plot(report) for name, plot in PLOTS.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}
