"""The curves of a training: the loss and its terms over epochs, on train and dev, the best epoch marked."""

from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from trimtab.phrases import Phrase
from trimtab.reports.palette import BLUE, INK, VERMILLION, axis, layout, on_hover
from trimtab.results.fit import TrainedSite

_LOSS: Final = 190  # pixels, of a panel
_TERM: Final = 105
_EDGES: Final = 112
_GAP: Final = 26
_LINES: Final = ((Phrase("train"), VERMILLION, "dash", "diamond"), (Phrase("dev"), BLUE, "solid", "circle"))
# Terms of a loss; those of other methods are names.
_TERMS: Final = {
    "loss": Phrase("loss"), "alignment": Phrase("alignment"), "positives": Phrase("positives"),
    "sparsity": Phrase("sparsity"), "orthogonality": Phrase("orthogonality"), "shrinkage": Phrase("shrinkage"),
}  # fmt: skip
_MAX_MARKED: Final = 30  # epochs, beyond which they get no markers


def curves(site: TrainedSite) -> go.Figure:
    """A panel for the loss and one for each term that is not zero throughout, over the same epochs."""
    names = panels(site)
    heights = [_LOSS, *[_TERM] * (len(names) - 1)]
    inner = sum(heights) + _GAP * (len(names) - 1)
    figure = make_subplots(
        rows=len(names), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=_GAP / inner
    )
    figure.update_layout(**layout(inner + _EDGES, margin={"l": 62, "r": 14, "t": 64, "b": 48}, hovermode="x"))
    figure.update_layout(legend={"y": 1, "yref": "container", "yanchor": "top"})  # above the name of the line
    for row, name in enumerate(names, start=1):
        named = _TERMS.get(name, name)
        for part, color, dash, symbol in _LINES:
            values = (site.train if part == "train" else site.dev or {}).get(name, ())
            start = 1 if part == "train" else 0  # dev is judged before the first epoch too
            figure.add_scatter(
                x=list(range(start, start + len(values))), y=list(values),
                mode="lines+markers" if len(values) <= _MAX_MARKED else "lines",
                line={"width": 1.8, "color": color, "dash": dash},
                marker={"size": 5, "symbol": symbol, "color": color},
                name=part, legendgroup=part, showlegend=row == 1 and bool(values),
                row=row, col=1,
                hovertemplate=on_hover(Phrase("{part} {name} {figure}", part=part, name=named, figure="%{y:.4g}")),
            )  # fmt: skip
    _mark(figure, site)
    figure.update_xaxes(**axis(rangemode="tozero"))
    figure.update_xaxes(title_text=Phrase("epoch"), row=len(names), col=1)
    figure.update_yaxes(**axis(nticks=5))
    for row, name in enumerate(names, start=1):
        figure.update_yaxes(title_text=_TERMS.get(name, name), title_font={"size": 11}, row=row, col=1)
    return figure


def panels(site: TrainedSite) -> list[str]:
    """The loss first, then the terms that ever were above 0."""
    return [n for n, values in site.train.items() if n == "loss" or any(values) or any((site.dev or {}).get(n, ()))]


def _mark(figure: go.Figure, site: TrainedSite) -> None:
    """A line at the best epoch, through all panels, named above them."""
    best, last = site.best_epoch, len(site.train["loss"])
    figure.add_vline(x=best, line={"width": 1.5, "dash": "dot", "color": INK}, row="all", col=1)
    right = best > last / 2
    figure.add_annotation(
        x=best, y=1, yref="paper", yanchor="bottom", showarrow=False, xanchor="right" if right else "left",
        text=Phrase("★ taken: epoch {n}", n=best) if best else Phrase("★ taken: the start"), font={"color": INK},
    )  # fmt: skip
