"""Plots of a study hold what the record holds."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata
from tests.reports.study_example import ATS, CONTROLS, TYPES, example, names

from trimtab.reports.study.groups import GroupView, groups
from trimtab.reports.study.marks import Scale
from trimtab.reports.study.plots import group_figures, strip
from trimtab.reports.study.scatter import PAIRS, across, scatter
from trimtab.results.figures import Estimate
from trimtab.results.numbers import spread
from trimtab.results.study import Study

CONTROL_NAMES = {name for name, _ in names(CONTROLS)}


@pytest.fixture(scope="module")
def study() -> Study:
    return example()


@pytest.fixture(scope="module")
def single() -> Study:
    return example(1)


@pytest.fixture(scope="module")
def group(single: Study) -> GroupView:
    return groups(single)[0]


def marks(figure: Any, name: str) -> list[Any]:
    return [trace for trace in figure.data if trace.name == name]


@pytest.mark.parametrize("at", ATS)
@pytest.mark.parametrize(("measure", "scale"), [("effect", 1.0), ("anti_steerable", 100.0)])
def test_a_strip_draws_every_measured_cell_once_controls_apart(
    group: GroupView, measure: Any, scale: float, at: Any
) -> None:
    figure = strip(group, measure, at, 0.5)
    column = measure if at == "strength 1" else f"equal_{measure}"
    for name, control in (("behavior", False), ("control", True)):
        held = [scale * getattr(c, column) for c in group.measured if c.control is control]
        low, high = figure.layout.xaxis.range
        inside = sorted(x for trace in marks(figure, name) if isinstance(trace.marker.symbol, str) for x in trace.x)
        arrows = [x for trace in marks(figure, name) if not isinstance(trace.marker.symbol, str) for x in trace.x]
        assert inside == sorted(v for v in held if low <= v <= high)
        assert len(inside) + len(arrows) == len(held)
        assert all(low < x < high for x in arrows)


def test_a_strip_shows_means_of_the_summaries_above_their_type(group: GroupView) -> None:
    figure = strip(group, "effect", "equal dose", 0.5)
    (means,) = marks(figure, "mean with interval")
    rows = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    for x, y, prompt_type in zip(means.x, means.y, TYPES, strict=True):
        summary = group.summary(prompt_type, "equal dose")
        assert summary is not None
        assert x == summary.effect.value
        assert abs(y - rows[prompt_type.replace("+", "<br>+")]) < 0.5


def test_both_doses_have_one_scale(group: GroupView) -> None:
    ranges = {strip(group, "effect", at, 0.5).layout.xaxis.range for at in ATS}
    assert len(ranges) == 1


def test_a_far_out_value_is_an_arrow_that_tells_its_figure(group: GroupView) -> None:
    figure = strip(group, "effect", "strength 1", 0.5)
    arrows = {
        text: symbol
        for trace in marks(figure, "behavior")
        if not isinstance(trace.marker.symbol, str)
        for text, symbol in zip(trace.customdata, trace.marker.symbol, strict=True)
    }
    far = {text for text, symbol in arrows.items() if symbol == "triangle-left"}
    assert len(far) == 2
    for text in far:
        assert text.startswith("<b>politics-conservative</b><br>")
        assert float(text.rsplit("<br>", 1)[1].replace("−", "-")) < -5
    assert sum(trace.showlegend for trace in marks(figure, "behavior")) == 1


def test_a_scale_holds_all_values_but_the_far_out_and_what_must_be_shown() -> None:
    values = [*np.linspace(0.1, 0.5, 99), 40.0]
    scale = Scale(values, [0.0])
    assert [scale.side(v) for v in (0.0, 0.1, 0.5, 40.0)] == [0, 0, 0, 1]
    assert scale.place(0.3) == 0.3
    assert 0.5 < scale.place(40.0) < scale.high < 1.0
    assert Scale([0.2] * 5).side(0.2) == 0


@pytest.mark.parametrize("at", ATS)
def test_ranks_are_written_into_the_cells(group: GroupView, single: Study, at: Any) -> None:
    figure = group_figures(group, single.equal_dose)[f"g1-ranks-{at.replace(' ', '-')}"]
    texts = {(a.x, a.y): a.text for a in figure.layout.annotations}
    expected = {
        (x, y): str(n)
        for y, prompt_type in enumerate(TYPES)
        for x, n in enumerate(next(s for s in single.types if (s.prompt_type, s.at) == (prompt_type, at)).ranks)
    }
    assert texts == expected


def test_cosines_are_means_and_ends_over_behaviors_that_are_no_controls(group: GroupView, single: Study) -> None:
    figures = group_figures(group, single.equal_dose)
    for y, a in enumerate(TYPES):
        for x, b in enumerate(TYPES):
            result = [
                one.matrix[one.types.index(a)][one.types.index(b)]
                for one in single.cosines
                if one.behavior not in CONTROL_NAMES and {a, b} <= set(one.types)
            ]
            assert figures["g1-cosines"].data[0].z[y][x] == pytest.approx(np.mean(result))
            ends = figures["g1-cosine-ends"].data[0].z[y][x]
            assert ends is None if a == b else ends == pytest.approx(max(result) - min(result))


@pytest.mark.parametrize("at", ATS)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_scatter_plot_draws_every_cell_and_its_title_carries_rho(group: GroupView, pair: str, at: Any) -> None:
    x, y = PAIRS[pair]
    figure = scatter(group, x, y, at, 0.5)
    result = group.association(x, y, at)
    assert result is not None
    rho = spread(result.rho.value or 0.0, result.rho.low, result.rho.high)
    assert f"ρ = {rho}, {result.rho.n} cells, {result.families} families" in figure.layout.title.text
    assert ("equal dose 0.5" if at == "equal dose" else "strength 1") in figure.layout.title.text
    drawn = [text for trace in figure.data for text in trace.customdata]
    assert len(drawn) == len(set(drawn)) == len(group.measured)
    controls = [text for trace in marks(figure, "control") for text in trace.customdata]
    assert len(controls) == len(TYPES) * len(CONTROL_NAMES)
    assert all(", control<br>" in text for text in controls)
    assert len({trace.name for trace in figure.data}) == len(TYPES) + 1


def test_a_plot_without_rho_says_so(group: GroupView) -> None:
    bare = GroupView(**{**vars(group), "associations": ()})
    assert "ρ was not computed" in scatter(bare, "agreement_loo", "effect", "strength 1", 0.5).layout.title.text
    result = group.association("agreement_loo", "effect", "strength 1")
    assert result is not None
    unknown = GroupView(
        **{**vars(group), "associations": (result.model_copy(update={"rho": Estimate(reason="too few", n=3)}),)}
    )
    title = scatter(unknown, "agreement_loo", "effect", "strength 1", 0.5).layout.title.text
    assert "ρ not measured, 3 cells" in title


def test_two_models_are_compared_cell_by_cell(study: Study) -> None:
    first, other = groups(study)
    figure = across(first, other, "agreement_loo")
    there = {(c.behavior, c.prompt_type): c.agreement_loo for c in other.measured}
    pairs = [(c.agreement_loo, there[c.behavior, c.prompt_type]) for c in first.measured]
    ranks = [rankdata(column) for column in zip(*pairs, strict=True)]
    rho = np.corrcoef(ranks)[0, 1]
    assert f"ρ = {rho:.3f} (no interval), {len(pairs)} cells" in figure.layout.title.text
    drawn = [point for t in figure.data if t.mode == "markers" for point in zip(t.x, t.y, strict=True)]
    assert sorted(drawn) == sorted(pairs)


def test_models_that_share_no_cell_are_not_drawn(study: Study) -> None:
    first, other = groups(study)
    strange = GroupView(
        **{**vars(other), "cells": tuple(c.model_copy(update={"behavior": "else"}) for c in other.cells)}
    )
    assert across(first, strange, "effect") is None
