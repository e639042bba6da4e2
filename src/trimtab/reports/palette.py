"""The colours of reports: Okabe and Ito's, which colour-blind people tell apart, and the plots' style.

Figures are built in the light scheme's colours. `DARK` names the dark scheme's colour for each of them; the page
swaps them when the reader's screen is dark.
"""

from typing import Any, Final

from trimtab.phrases import Phrase

PAPER: Final = "#ffffff"
INK: Final = "#1b1f24"
MUTED: Final = "#59636e"
GRID: Final = "#e4e7eb"
AXIS: Final = "#9aa4ae"
FOCUS: Final = "#eef5fb"

BLUE: Final = "#0072b2"
VERMILLION: Final = "#d55e00"
GREEN: Final = "#009e73"
BLUE_FILL: Final = "rgba(0, 114, 178, 0.30)"
VERMILLION_FILL: Final = "rgba(213, 94, 0, 0.45)"
GREEN_FILL: Final = "rgba(0, 158, 115, 0.22)"
WRONG_WAY: Final = "rgba(213, 94, 0, 0.09)"

NEUTRAL: Final = "#f6f8fa"
# For cosines: neutral to blue, negative ones to vermillion. These are apart from BLUE and VERMILLION, since in the
# dark scheme cells stay dark enough for light numbers.
COSINES: Final = ((-1.0, "#d65f02"), (0.0, NEUTRAL), (1.0, "#0173b3"))
ON_STRONG: Final = "#fffffe"  # numbers on the strongest cells, white in both schemes

DARK: Final = {
    PAPER: "#14181d",
    INK: "#e8ebee",
    MUTED: "#a3adb8",
    GRID: "#2b323a",
    AXIS: "#6b7682",
    FOCUS: "#1b2a38",
    NEUTRAL: "#222a33",
    COSINES[0][1]: "#a84d0a",
    COSINES[2][1]: "#1a6ea8",
    BLUE: "#56b4e9",
    VERMILLION: "#f08a3c",
    GREEN: "#35c79b",
    BLUE_FILL: "rgba(86, 180, 233, 0.38)",
    VERMILLION_FILL: "rgba(240, 138, 60, 0.55)",
    GREEN_FILL: "rgba(53, 199, 155, 0.26)",
    WRONG_WAY: "rgba(240, 138, 60, 0.13)",
}

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


def on_hover(text: str) -> Phrase:
    """What plotly shows at a mark, without the name of its trace. Figures stand in it as `%{x:.3g}`."""
    return Phrase("{text}<extra></extra>", text=text)


def axis(**changes: Any) -> dict[str, Any]:
    """An axis in the house style."""
    style = {
        "gridcolor": GRID,
        "linecolor": AXIS,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": AXIS,
        "ticklen": 4,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return {**style, **changes}


def layout(height: int, **changes: Any) -> dict[str, Any]:
    """A layout in the house style; the width is the reader's.

    Args:
        height: in pixels.
        changes: entries of plotly's layout to add or replace.
    """
    style = {
        "height": height,
        "autosize": True,
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"family": FONT, "size": 12, "color": INK},
        "margin": {"l": 56, "r": 14, "t": 24, "b": 52},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "font": {"size": 12}},
        "hoverlabel": {
            "bgcolor": PAPER,
            "bordercolor": AXIS,
            "font": {"family": FONT, "color": INK, "size": 11},
            "align": "left",
        },
        "hovermode": "closest",
        "template": None,
    }
    return {**style, **changes}
