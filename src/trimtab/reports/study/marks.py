"""How the plots of a study mark a cell, name a dose, carry a title, and leave the far-out few at the edge."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from trimtab.phrases import Phrase, untranslated
from trimtab.reports.palette import INK, MUTED
from trimtab.results.numbers import given, plain
from trimtab.results.study import At, Cell

# What lies farther outside the middle nine tenths of the values than this share of their width is left to the edges.
ROOM: Final = 0.6
MAX_NAME: Final = 80  # characters of a name in hover text
ARROWS: Final = {
    (0, 0): "up", (-1, 0): "left", (1, 0): "right", (0, -1): "down", (0, 1): "up",
    (-1, 1): "nw", (1, 1): "ne", (-1, -1): "sw", (1, -1): "se",
}  # fmt: skip


CONTROL: Final = {"symbol": "x-thin", "color": MUTED, "size": 7, "line": {"width": 1.6, "color": MUTED}}

# Below the axis's title; `y` is its distance as a share of the plot's height.
LEGEND: Final = {"yanchor": "top", "font": {"size": 11}}


class Scale:
    """An axis for values of which a few may lie far out.

    Args:
        values: at least one.
        shown: values that must lie inside, such as zero.
    """

    def __init__(self, values: Sequence[float], shown: Iterable[float] = ()) -> None:
        low, high = (float(end) for end in np.percentile(values, [5, 95]))
        room = ROOM * (high - low) or 0.1 * max(abs(high), 1e-9)
        inner = max(min(values), low - room), min(max(values), high + room)
        ends = min(inner[0], *shown, inner[1]), max(inner[1], *shown, inner[0])
        edge = 0.04 * (ends[1] - ends[0]) or room
        self.low, self.high = ends[0] - edge, ends[1] + edge

    def side(self, value: float) -> int:
        """−1 below the axis, 1 above it, else 0."""
        return (value > self.high) - (value < self.low)

    def place(self, value: float) -> float:
        """Where to draw a value: where it is, or at the edge."""
        edge = 0.015 * (self.high - self.low)
        return value if not self.side(value) else min(max(value, self.low + edge), self.high - edge)


def title(text: Phrase) -> dict[str, Any]:
    """A title on the left; it stands in the figure itself, so that a saved plot keeps it."""
    font = {"size": 13, "color": INK}
    return {"text": text, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "font": font, "pad": {"t": 16, "l": 2}}


def named(plot: str, at: At) -> str:
    """Name of a plot at one of the two doses, fit for an HTML id."""
    return f"{plot}-{at.replace(' ', '-')}"


def where(at: At, equal_dose: float) -> Phrase:
    """Where effects were measured, for a title."""
    return Phrase("strength 1") if at == "strength 1" else Phrase("equal dose {dose}", dose=given(equal_dose))


def hover(cell: Cell) -> Phrase:
    """A cell's name in hover text, escaped."""
    names = {"behavior": shown(cell.behavior), "type": shown(cell.prompt_type)}
    if cell.control:
        return Phrase("<b>{behavior}</b><br>{type}, control", **names)
    return Phrase("<b>{behavior}</b><br>{type}", **names)


def shown(text: str, max_length: int = MAX_NAME) -> str:
    """A text from outside, for a plot: escaped, control characters visible, not too long."""
    visible = plain(text)
    # Plotly knows no `&quot;`, and nothing of a text gets into an attribute.
    return escape(visible if len(visible) <= max_length else visible[: max_length - 1] + "…", quote=False)


def in_plot(unit: Phrase) -> Phrase:
    """A unit for a plot: of our own a phrase, of a file a text from outside."""
    return unit if not unit.values and unit == shown(unit) else untranslated(shown(unit))


def marks(
    figure: go.Figure,
    points: Sequence[tuple[float, float, str]],
    scales: tuple[Scale | None, Scale | None],
    marker: dict[str, Any],
    name: str,
) -> None:
    """Points (x, y, hover text) as a trace of the legend; those beyond an axis as arrows at its edge.

    Args:
        figure: gets the traces.
        points: may be none; then nothing is drawn.
        scales: of x and y; None where all lie inside.
        marker: symbol, colour and the like.
        name: in the legend.
    """
    across, up = scales
    sides = [(across.side(x) if across else 0, up.side(y) if up else 0) for x, y, _ in points]
    for beyond in (False, True):
        part = [(p, ARROWS[side]) for p, side in zip(points, sides, strict=True) if any(side) is beyond]
        if not part:
            continue
        arrows = {"symbol": [f"triangle-{arrow}" for _, arrow in part], "size": 11} if beyond else {}
        figure.add_scatter(
            x=[across.place(x) if across else x for (x, _, _), _ in part],
            y=[up.place(y) if up else y for (_, y, _), _ in part],
            customdata=[text for (_, _, text), _ in part],
            mode="markers",
            marker={"size": 7, **marker, **arrows},
            name=name,
            legendgroup=name,
            showlegend=not beyond or all(map(any, sides)),
            cliponaxis=False,
            hovertemplate="%{customdata}<extra></extra>",
        )
