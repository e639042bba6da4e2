"""The heat maps of a study: ranks of the prompt types, and cosines among their vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from trimtab.decimals import decimals
from trimtab.phrases import Phrase, with_and
from trimtab.reports.check.plots import stacked_name, type_code
from trimtab.reports.palette import COSINES, INK, NEUTRAL, ON_STRONG, axis, layout
from trimtab.reports.study.groups import GroupView
from trimtab.reports.study.marks import shown, title, where
from trimtab.results.numbers import MINUS, plain
from trimtab.results.study import At

ROW: Final = 50  # pixels
_COUNTS: Final = [[0.0, NEUTRAL], [1.0, COSINES[2][1]]]
_SIGNED: Final = [[(at + 1) / 2, color] for at, color in COSINES]

_BARE: Final[dict[str, Any]] = {
    "showgrid": False, "showline": False, "ticks": "", "tickfont": {"size": 11}, "ticklabelstandoff": 4,
}  # fmt: skip


@dataclass(frozen=True)
class _Tile:
    """A cell of a heat map: where on the colour scale, the words on it, those on pointing at it."""

    strength: float | None
    text: str
    hover: str


def ranks(group: GroupView, at: At, equal_dose: float) -> go.Figure | None:
    """How many behaviors have each prompt type at rank 1, 2, …; the colour is relative to the largest count."""
    rows = {s.prompt_type: s.ranks for t in group.types if (s := group.summary(t, at)) and s.ranks}
    largest = max((n for counts in rows.values() for n in counts), default=0)
    if not largest:
        return None
    width = max(map(len, rows.values()))
    counted = {t: [*counts, *[0] * (width - len(counts))] for t, counts in rows.items()}
    tiles = [
        [
            _Tile(n / largest, str(n), Phrase("{type}: rank {rank} in {n} behaviors", type=shown(t), rank=i + 1, n=n))
            for i, n in enumerate(counts)
        ]
        for t, counts in counted.items()
    ]
    places = [str(i + 1) for i in range(width)]
    heading = Phrase("Rank by mean effect at {dose} (1: largest)", dose=where(at, equal_dose))
    return _drawn(tiles, list(rows), places, _COUNTS, 0.0, heading)


def cosines(group: GroupView) -> go.Figure | None:
    """Cosine of every two prompt types' vectors, mean over behaviors that are no controls."""

    def tile(a: str, b: str, values: Sequence[float]) -> _Tile:
        if not values:
            return _Tile(None, "–", _words(a, b, values))
        mean = float(np.mean(values))
        return _Tile(mean, _short(mean), _words(a, b, values))

    return _types_by_types(group, tile, _SIGNED, -1.0, Phrase("Mean cosine over behaviors"))


def cosine_ends(group: GroupView) -> go.Figure | None:
    """The lowest and the highest of these cosines; the farther apart, the stronger the colour."""

    def tile(a: str, b: str, values: Sequence[float]) -> _Tile:
        if a == b or not values:
            return _Tile(None, "" if a == b else "–", _words(a, b, values))
        low, high = min(values), max(values)
        return _Tile(high - low, f"{_short(low)}<br>{_short(high)}", _words(a, b, values))

    several = any(len(values) > 1 for values in _cosines_of(group).values())
    heading = Phrase("Lowest and highest cosine over behaviors")
    return _types_by_types(group, tile, _COUNTS, 0.0, heading) if several else None


def _types_by_types(
    group: GroupView, tile: Callable[[str, str, Sequence[float]], _Tile], colors: Any, lowest: float, heading: Phrase
) -> go.Figure | None:
    """A heat map of every two prompt types; None for fewer than two."""
    by_pair = _cosines_of(group)
    types = [t for t in group.types if (t, t) in by_pair]
    if len(types) < 2:
        return None
    tiles = [[tile(a, b, by_pair.get((a, b), [])) for b in types] for a in types]
    return _drawn(tiles, types, [type_code(plain(t)) for t in types], colors, lowest, heading)


def _cosines_of(group: GroupView) -> dict[tuple[str, str], list[float]]:
    """For every two prompt types the cosines of the behaviors that are no controls."""
    controls = {cell.behavior for cell in group.cells if cell.control}
    by_pair: dict[tuple[str, str], list[float]] = {}
    for one in group.cosines:
        if one.behavior not in controls:
            for a, row in zip(one.types, one.matrix, strict=True):
                for b, cosine in zip(one.types, row, strict=True):
                    by_pair.setdefault((a, b), []).append(cosine)
    return by_pair


def _words(a: str, b: str, values: Sequence[float]) -> Phrase:
    pair = with_and([shown(a), shown(b)])
    if not values:
        return Phrase("{pair}: not measured together", pair=pair)
    mean, low, high = (_short(float(v)) for v in (np.mean(values), min(values), max(values)))
    return Phrase(
        "{pair}<br>mean {mean}, from {low} to {high}<br>{n} behaviors",
        pair=pair, mean=mean, low=low, high=high, n=len(values),
    )  # fmt: skip


def _short(cosine: float) -> str:
    return decimals(cosine).replace("-", MINUS)


def _drawn(
    tiles: list[list[_Tile]], rows: list[str], columns: list[str], colors: Any, lowest: float, heading: Phrase
) -> go.Figure:
    """A heat map with words in every cell; prompt types down, `columns` across."""
    figure = go.Figure(layout=layout(80 + ROW * max(len(rows), 2), margin={"l": 10, "r": 10, "t": 64, "b": 10}))
    figure.add_heatmap(
        z=[[tile.strength for tile in row] for row in tiles],
        customdata=[[tile.hover for tile in row] for row in tiles],
        zmin=lowest,
        zmax=1,
        colorscale=colors,
        showscale=False,  # every cell carries its number
        xgap=1,
        ygap=1,
        hoverongaps=False,
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_layout(
        title=title(heading),
        annotations=[_words_on(x, y, tile) for y, row in enumerate(tiles) for x, tile in enumerate(row)],
        xaxis=axis(side="top", tickvals=list(range(len(columns))), ticktext=columns, tickangle=0, **_BARE),
        yaxis=axis(
            autorange="reversed",
            tickvals=list(range(len(rows))),
            ticktext=[stacked_name(plain(t)) for t in rows],
            **_BARE,
        ),
    )
    return figure


def _words_on(x: int, y: int, tile: _Tile) -> dict[str, Any]:
    strong = tile.strength is not None and abs(tile.strength) > 0.85
    font = {"size": 10 if "<br>" in tile.text else 11.5, "color": ON_STRONG if strong else INK}
    return {"x": x, "y": y, "text": tile.text, "showarrow": False, "font": font}
