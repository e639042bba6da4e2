"""Plots hold what the record holds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trimtab.reports.check.distributions import hover
from trimtab.reports.check.plots import PLOTS, figures
from trimtab.reports.check.ridges import density
from trimtab.reports.palette import DARK
from trimtab.results.figures import Estimate
from trimtab.results.report import Report, Text


@pytest.fixture(scope="module")
def drawn(report: Report) -> dict[str, Any]:
    return figures(report)


def points(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"]


def test_every_example_is_drawn_once_under_every_type(report: Report, drawn: dict[str, Any]) -> None:
    traces = [t for t in points(drawn["effects"]) if t.marker.symbol != "diamond"]
    shown = np.sort(np.concatenate([np.asarray(t.x) for t in traces]))
    held = np.sort(np.concatenate([result.effects for result in report.prompt_types.values()]))
    np.testing.assert_array_equal(shown, held)
    for trace in traces:
        assert all(x < 0 for x in trace.x) == (trace.marker.symbol == "x-thin")


def test_chosen_type_stands_first_and_is_named_so(drawn: dict[str, Any]) -> None:
    words = [a.text for a in drawn["effects"].layout.annotations if "exploratory" in a.text or "★" in a.text]
    assert words[0].startswith("<b>prefilled+instruction</b>  ★ chosen")
    assert len(words) == 7
    assert sum("exploratory" in text for text in words) == 6


def test_density_integrates_to_one_and_agrees_with_scipy() -> None:
    from scipy.stats import gaussian_kde

    values = np.random.default_rng(1).normal(0.3, 2.0, 400)
    grid = np.linspace(-12, 12, 2001)
    mine = density(values, grid)
    assert np.trapezoid(mine, grid) == pytest.approx(1.0, abs=1e-6)
    width = 0.9 * min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.349) * 400**-0.2
    theirs = gaussian_kde(values, bw_method=width / values.std(ddof=1))(grid)
    np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-15)


def test_density_of_equal_values_is_finite() -> None:
    assert np.isfinite(density(np.zeros(10), np.linspace(-1, 1, 50))).all()


@pytest.mark.parametrize("effects", [(0.0,) * 9, (0.2,) * 9, (-0.3,) * 9, (0.1,), (-1.0, -0.5, -0.2)])
def test_one_sided_and_equal_effects_are_drawn(effects: tuple[float, ...], report: Report) -> None:
    result = report.prompt_types["prefilled"].model_copy(update={"effects": effects})
    figure = PLOTS["effects"](report.model_copy(update={"prompt_types": {"prefilled": result}}))
    shown = [x for t in points(figure) if t.marker.symbol != "diamond" for x in t.x if x is not None]
    assert sorted(shown) == sorted(effects)
    low, high = figure.layout.xaxis.range
    assert low < min(effects) <= max(effects) < high
    assert low < 0 < high


def test_density_ends_where_the_examples_do(report: Report, drawn: dict[str, Any]) -> None:
    filled = [trace for trace in drawn["effects"].data if trace.fill == "toself"]
    shown = np.concatenate([np.asarray(trace.x) for trace in filled])
    held = np.concatenate([result.effects for result in report.prompt_types.values()])
    assert (shown.min(), shown.max()) == (held.min(), held.max())


def test_histograms_count_every_projection(drawn: dict[str, Any]) -> None:
    bars = [trace for trace in drawn["projections"].data if trace.type == "bar"]
    assert [sum(bar.y) for bar in bars] == pytest.approx([100.0, 100.0])


def test_every_cell_of_the_cosines_carries_its_number(report: Report, drawn: dict[str, Any]) -> None:
    figure = drawn["cosines"]
    texts = {(a.x, a.y): a.text for a in figure.layout.annotations}
    matrix = report.prompt_type_cosine.matrix
    assert texts == {
        (x, y): f"{matrix[y][x]:.2f}".replace("-", "−") for x in range(len(matrix)) for y in range(len(matrix))
    }


def test_unmeasured_blocks_leave_a_gap(report: Report) -> None:
    blocks = [row.model_copy(update={"effect": Estimate(reason="diverged")}) if row.block == 8 else row
              for row in report.blocks]  # fmt: skip
    figure = PLOTS["blocks"](report.model_copy(update={"blocks": tuple(blocks)}))
    line = figure.data[-1]
    assert dict(zip(line.x, line.y, strict=True))[8] is None


def test_nothing_to_draw_is_no_plot(variant: Callable[[str], Report]) -> None:
    assert set(figures(variant("unmeasured"))) == {"effects", "backfiring"}


def test_hover_text_is_wrapped_and_escaped() -> None:
    text = Text(prompt="<b>" + "x" * 200, positive="a & b", negative="", base=0, steered=1, effect=1, source="s")
    lines = hover(text).split("<br>")
    assert "&lt;b&gt;" + "x" * 49 in lines
    assert "a &amp; b" in lines
    assert "<b>negative</b>" not in lines


def test_every_colour_has_a_dark_partner_that_differs(drawn: dict[str, Any]) -> None:
    assert all(light != dark for light, dark in DARK.items())
    used = " ".join(figure.to_json() for figure in drawn.values())
    assert all(light in used for light in DARK)
