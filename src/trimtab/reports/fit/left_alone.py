"""The plot of abstention: the share pushed the wrong way, by how many examples the steering acts on."""

from typing import Final

import plotly.graph_objects as go

from trimtab.phrases import Phrase
from trimtab.reports.palette import BLUE, BLUE_FILL, INK, VERMILLION, axis, layout, on_hover
from trimtab.results.fit import Abstention

_HEIGHT: Final = 330  # pixels


def left_alone(abstention: Abstention) -> go.Figure:
    """Shares with their intervals at every threshold, the promise as a line, and the threshold that was taken."""
    points = [p for p in abstention.curve if p.wrong.interval is not None]
    x = [100 * p.acts for p in points]
    value, low, high = ([100 * getattr(p.wrong.interval, end) for p in points] for end in ("value", "low", "high"))
    figure = go.Figure()
    figure.add_scatter(
        x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=BLUE_FILL, line={"width": 0},
        name=Phrase("95 % interval"), hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=value, mode="lines+markers", line={"color": BLUE, "width": 1.8}, marker={"size": 5},
        name=Phrase("pushed the wrong way"),
        hovertemplate=on_hover(Phrase("acts on {acts} %: {wrong} % wrong", acts="%{x:.0f}", wrong="%{y:.1f}")),
    )  # fmt: skip
    figure.add_hline(y=100 * abstention.most, line={"color": VERMILLION, "width": 1.5, "dash": "dash"})
    figure.add_annotation(
        x=0, xref="paper", xanchor="left", y=100 * abstention.most, yanchor="bottom", text=Phrase("asked for"),
        showarrow=False, font={"color": VERMILLION},
    )  # fmt: skip
    if abstention.acts.value is not None:
        figure.add_vline(x=100 * abstention.acts.value, line={"color": INK, "width": 1.5, "dash": "dot"})
        figure.add_annotation(
            x=100 * abstention.acts.value, y=1, yref="paper", yanchor="bottom", text=Phrase("taken"), showarrow=False
        )
    figure.update_layout(**layout(_HEIGHT, margin={"l": 62, "r": 14, "t": 48, "b": 48}))
    figure.update_xaxes(**axis(title_text=Phrase("share of the examples acted on, %"), range=[0, 102]))
    figure.update_yaxes(**axis(title_text=Phrase("pushed the wrong way, %"), rangemode="tozero"))
    return figure
