"""Differences of the same units, and the scale that tasks are compared on."""

import pytest

from trimtab.errors import InputError
from trimtab.evaluation.tasks import Figure, TaskScores, UnitScore, gain

FIGURES = (
    Figure("share", "of what is right", "higher", 0.0, 1.0), Figure("margin", "in nats", "higher"),
    Figure("bias", "for and against", "nearer 0", -1.0, 1.0), Figure("rude", "share", "lower", 0.0, 1.0),
    Figure("length", "in words", "neither"),
)  # fmt: skip


def scores(**by_figure: dict[str, float]) -> TaskScores:
    rows = [UnitScore(unit, f"of {unit}", name, v) for name, units in by_figure.items() for unit, v in units.items()]
    return TaskScores("mine", FIGURES, tuple(rows), {})


def test_larger_is_better_whichever_way_a_figure_runs():
    base = scores(share={"1": 0.0}, bias={"1": -1.0}, rude={"1": 1.0})
    after = scores(share={"1": 1.0}, bias={"1": 0.0}, rude={"1": 0.0})
    assert [gain(base, after, name).values.tolist() for name in ("share", "bias", "rude")] == [[1.0]] * 3


def test_what_is_better_nearer_0_counts_by_its_mean_over_units():
    base = scores(bias={"1": 1.0, "2": 1.0, "3": -1.0, "4": 1.0})  # mean 1/2
    balanced = scores(bias={"1": 1.0, "2": -1.0, "3": -1.0, "4": 1.0})
    reversed_ = scores(bias={"1": -1.0, "2": -1.0, "3": -1.0, "4": -1.0})
    assert gain(base, balanced, "bias").values.mean() == pytest.approx(0.5)
    assert gain(base, reversed_, "bias").values.mean() == pytest.approx(-0.5)


def test_the_side_of_0_may_be_known_from_more_than_these_units():
    base, after = scores(bias={"1": 1.0}), scores(bias={"1": -1.0})
    assert gain(base, after, "bias").values.tolist() == [0.0]  # as far from 0 as before
    assert gain(base, after, "bias", signs=(1.0, 1.0)).values.tolist() == [2.0]


def test_only_units_that_both_runs_have_are_compared():
    found = gain(scores(bias={"1": 1.0, "2": -1.0}), scores(bias={"2": 1.0, "3": 0.0}), "bias")
    assert (found.units, found.clusters, found.values.tolist()) == (("2",), ("of 2",), [-0.0])


def test_figures_with_a_range_are_scaled_by_it_and_others_by_their_spread():
    base, after = scores(margin={"1": 1.0, "2": 5.0}), scores(margin={"1": 2.0, "2": 6.0})
    assert gain(base, after, "margin").standardised == pytest.approx(1 / 2)
    assert gain(scores(bias={"1": 1.0}), scores(bias={"1": 0.0}), "bias").standardised == pytest.approx(1 / 2)
    assert gain(scores(margin={"1": 1.0}), scores(margin={"1": 3.0}), "margin").standardised == 2.0


def test_figures_without_a_better_side_and_units_without_a_twin_are_refused():
    with pytest.raises(InputError, match="length of task mine has no better side; compare by share, margin"):
        gain(scores(length={"1": 1.0}), scores(length={"1": 2.0}), "length")
    with pytest.raises(InputError, match="no figure 'other'"):
        gain(scores(), scores(), "other")
    with pytest.raises(InputError, match="no unit of task mine has the figure share in both"):
        gain(scores(share={"1": 1.0}), scores(share={"2": 1.0}), "share")
