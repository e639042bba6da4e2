"""The scatter plots of a study: geometry against effects, and one model against another."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from trimtab.phrases import Phrase
from trimtab.reports.check.plots import type_code
from trimtab.reports.palette import AXIS, BLUE, GREEN, INK, VERMILLION, axis, layout
from trimtab.reports.study.groups import GroupView, value
from trimtab.reports.study.marks import CONTROL, LEGEND, Scale, hover, in_plot, marks, shown, title, where
from trimtab.results.numbers import number, plain, spread
from trimtab.results.study import At, Cell, Measure

# By name of the plot: columns across and up.
PAIRS: Final[Mapping[str, tuple[str, Measure]]] = {
    "agreement-effect": ("agreement_loo", "effect"),
    "agreement-anti": ("agreement_loo", "anti_steerable"),
    "separability-effect": ("separability_held_out", "effect"),
}
SHARED: Final = ("agreement_loo", "effect")  # compared between models
NAMES: Final = {
    "agreement_loo": Phrase("agreement, leave-one-out"),
    "separability_held_out": Phrase("d′ held out"),
    "effect": Phrase("mean effect Δ"),
    "anti_steerable": Phrase("anti-steerable share, %"),
}
# The same where there is little room, and at the beginning of a title.
_SHORT: Final = {
    "agreement_loo": (Phrase("agreement"), Phrase("Agreement")),
    "separability_held_out": (Phrase("d′ held out"), Phrase("D′ held out")),
    "effect": (Phrase("mean effect Δ"), Phrase("Mean effect Δ")),
    "anti_steerable": (Phrase("anti-steerable share"), Phrase("Anti-steerable share")),
}
MAX_MODEL: Final = 30  # characters of a model's name at an axis
# More of Okabe and Ito's colours, darkened where white paper asks for it, with the dark scheme's partner.
PURPLE: Final = "#a4497f"
SKY: Final = "#3b9bd1"
ORANGE: Final = "#b97f00"
MORE_DARK: Final = {PURPLE: "#e09ac6", SKY: "#b5e0f7", ORANGE: "#f2c84b"}
# In the order of the types.
_LOOKS: Final = (
    ("circle", BLUE),
    ("square", VERMILLION),
    ("diamond", GREEN),
    ("triangle-up", PURPLE),
    ("cross", SKY),
    ("triangle-down", ORANGE),
    ("star", INK),
)

_Point = tuple[Cell, float, float]


def scatter(group: GroupView, x: str, y: Measure, at: At, equal_dose: float) -> go.Figure | None:
    """A column of geometry against what steering did, a mark per behavior and prompt type.

    Args:
        group: whose cells.
        x: column across.
        y: what steering did.
        at: where that was measured.
        equal_dose: the dose, for the title.
    """
    percent = 100.0 if y == "anti_steerable" else 1.0
    points = [
        (cell, float(across), percent * up)
        for cell in group.measured
        if (across := getattr(cell, x)) is not None and (up := value(cell, y, at)) is not None
    ]
    if not points:
        return None
    association = group.association(x, y, at)
    rho = Phrase("ρ was not computed")
    if association is not None:
        e = association.rho
        rho = Phrase("ρ not measured")
        if e.value is not None:
            rho = Phrase("ρ = {rho}", rho=spread(e.value, e.low, e.high))
        if e.n is not None:
            rho = Phrase("{rho}, {n} cells", rho=rho, n=e.n)
        rho = Phrase("{rho}, {n} families", rho=rho, n=association.families)
    heading = Phrase(
        "{first} and {second} at {dose}<br>{rho}",
        first=_SHORT[y][1], second=_SHORT[x][0], dose=where(at, equal_dose), rho=rho,
    )  # fmt: skip
    nothing = 0.0 if y == "effect" else 50.0
    return _drawn(points, group.types, heading, (_axis_title(x, group), _axis_title(y, group)), nothing)


def across(first: GroupView, other: GroupView, column: str) -> go.Figure | None:
    """The same behaviors and prompt types on two models, at strength 1."""
    there = {(cell.behavior, cell.prompt_type): getattr(cell, column) for cell in other.measured}
    pairs = [
        (cell, float(here), float(else_where))
        for cell in first.measured
        if (here := getattr(cell, column)) is not None
        and (else_where := there.get((cell.behavior, cell.prompt_type))) is not None
    ]
    if not pairs:
        return None
    rho = _spearman([x for _, x, _ in pairs], [y for _, _, y in pairs])
    rho_text = Phrase("ρ not measured")
    if rho is not None:
        rho_text = Phrase("ρ = {rho}", rho=Phrase("{figure} (no interval)", figure=number(rho)))
    heading = Phrase("{what} on two models<br>{rho}, {n} cells", what=_SHORT[column][1], rho=rho_text, n=len(pairs))
    here, there_ = (
        Phrase("{what}, {model}", what=_SHORT[column][0], model=shown(group.model, MAX_MODEL))
        for group in (first, other)
    )
    names = here, there_
    figure = _drawn(pairs, first.types, heading, names, 0.0)
    ends = [min(figure.layout.xaxis.range[0], figure.layout.yaxis.range[0]),
            max(figure.layout.xaxis.range[1], figure.layout.yaxis.range[1])]  # fmt: skip
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"width": 1.2, "dash": "dot", "color": AXIS}, hoverinfo="skip",
        name=Phrase("the same on both"), zorder=-1,
    )  # fmt: skip
    return figure


def _spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's ρ; None for fewer than three points or a constant."""
    from scipy.stats import spearmanr

    if len(x) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    return float(spearmanr(x, y).statistic)


def _axis_title(column: str, group: GroupView) -> Phrase:
    if column != "effect":
        return NAMES[column]
    return Phrase("{what}, {unit}", what=NAMES[column], unit=in_plot(group.unit))


def _drawn(
    points: Sequence[_Point], types: Sequence[str], heading: Phrase, names: tuple[Phrase, Phrase], nothing: float
) -> go.Figure:
    """Marks by prompt type, controls apart, and lines at zero effect."""
    figure = go.Figure(layout=layout(470, margin={"l": 58, "r": 16, "t": 58, "b": 100}))
    up = [y for _, _, y in points]
    # Shares have an end of their own: none lies far out.
    scales = Scale([x for _, x, _ in points]), Scale(up, [nothing, *(up if nothing else ())])
    figure.add_hline(y=nothing, line={"width": 1.2, "color": AXIS})
    for i, name in enumerate(types):
        symbol, color = _LOOKS[i % len(_LOOKS)]
        own = [_mark(p, names) for p in points if p[0].prompt_type == name and not p[0].control]
        marks(figure, own, scales, {"symbol": symbol, "color": color, "opacity": 0.75}, type_code(plain(name)))
    marks(figure, [_mark(p, names) for p in points if p[0].control], scales, CONTROL, Phrase("control"))
    style: dict[str, Any] = {"nticks": 7}
    figure.update_layout(
        title=title(heading),
        xaxis=axis(range=[scales[0].low, scales[0].high], title_text=names[0], **style),
        yaxis=axis(range=[scales[1].low, scales[1].high], title_text=names[1], **style),
        legend={**LEGEND, "y": -0.16},
    )
    return figure


def _mark(point: _Point, names: tuple[Phrase, Phrase]) -> tuple[float, float, str]:
    cell, x, y = point
    said = Phrase(
        "{cell}<br>{across}: {x}<br>{up}: {y}", cell=hover(cell), across=names[0], x=number(x), up=names[1], y=number(y)
    )
    return x, y, said
