"""The decision is what the intervals say, in four values."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from trimtab.phrases import Phrase
from trimtab.statistics.intervals import Interval
from trimtab.verdict.decision import Requirement, conclude, failing


def above(low: float, high: float, threshold: float = 0.05) -> Requirement:
    return Requirement("effect", Interval((low + high) / 2, low, high), threshold, "above", 50, "nats/token")


def below(low: float, high: float, threshold: float = 0.25) -> Requirement:
    return Requirement("share", Interval((low + high) / 2, low, high), threshold, "below", 50, "share")


@pytest.mark.parametrize(
    ("requirement", "holds"),
    [
        (above(0.1, 0.2), True),
        (above(0.0, 0.2), None),
        (above(-0.1, 0.04), False),
        (above(0.05, 0.2), None),
        (below(0.0, 0.2), True),
        (below(0.2, 0.3), None),
        (below(0.3, 0.5), False),
    ],
)
def test_a_requirement_holds_only_if_its_whole_interval_lies_on_the_right_side(
    requirement: Requirement, holds: bool | None
) -> None:
    assert requirement.holds is holds


STATES = {
    True: (above(0.1, 0.2), below(0.0, 0.2)),
    None: (above(0.0, 0.2), below(0.2, 0.3)),
    False: (above(-0.1, 0), below(0.3, 0.5)),
}


@pytest.mark.parametrize(("effect", "share"), list(itertools.product(STATES, STATES)))
@pytest.mark.parametrize("reservations", [(), ("few examples",)])
def test_decision_follows_from_the_requirements_and_reservations(
    effect: bool | None, share: bool | None, reservations: tuple[str, ...]
) -> None:
    conclusion = conclude([STATES[effect][0], STATES[share][1]], reservations)
    if False in (effect, share):
        expected = "no-go"
    elif None in (effect, share):
        expected = "inconclusive"
    else:
        expected = "caution" if reservations else "go"
    assert conclusion.decision == expected


def test_every_reason_carries_its_figure_and_inconclusive_says_what_would_settle_it() -> None:
    conclusion = conclude([above(0.0, 0.2), below(0.1, 0.2)], ())
    assert conclusion.reasons[0] == "effect 0.1 [0, 0.2] nats/token, needs more than 0.05: undecided (n = 50)"
    assert conclusion.reasons[1] == "share 15% [10%, 20%], needs less than 25%: holds (n = 50)"
    # the interval's half-width of 0.1 must shrink to the gap of 0.05, and a bit more for a chance of 80 %
    needed = math.ceil(50 * (0.1 / 0.05) ** 2 * ((1.96 + 0.84) / 1.96) ** 2)
    assert conclusion.reasons[2] == (
        f"to settle the effect: about {needed} evaluation examples (80 % sure, if the estimate is right)"
    )


def test_the_number_that_would_settle_it_settles_it_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    true, sd, threshold = 0.1, 0.3, 0.05
    half = 1.96 * sd / math.sqrt(40)
    needed = Requirement("e", Interval(true, true - half, true + half), threshold, "above", 40, "nats").would_settle
    assert needed is not None
    draws = rng.normal(true, sd, (2000, needed))
    low = draws.mean(axis=1) - 1.96 * draws.std(axis=1, ddof=1) / math.sqrt(needed)
    assert 0.76 < (low > threshold).mean() < 0.84


def test_a_blocking_reservation_keeps_a_success_from_counting_but_does_not_excuse_a_failure() -> None:
    assert conclude([above(0.1, 0.2)], (), [Phrase("one-sided")]).decision == "inconclusive"
    assert conclude([above(-0.1, 0.0)], (), [Phrase("one-sided")]).decision == "no-go"


def test_an_estimate_on_its_bound_cannot_be_settled() -> None:
    assert above(0.0, 0.1).would_settle is None
    assert "no affordable number" in conclude([above(0.0, 0.1)], ()).reasons[-1]


def normal(z: float) -> Requirement:
    """A requirement `above 0` whose estimate lies z standard errors above; z below 0 speaks against it."""
    from scipy.stats import norm

    def at(level: float) -> Interval:
        half = float(norm.ppf((1 + level) / 2))
        return Interval(z, z - half, z + half)

    return Requirement("r", at(0.95), 0.0, "above", 50, "nats", at)


def test_failures_are_those_of_holms_method() -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    for _ in range(300):
        zs = rng.normal(-1.5, 1.5, size=5)
        p = 2 * norm.cdf(zs)  # two-sided intervals; only those below 0 can fail
        order = np.argsort(p)
        expected = [False] * 5
        for rank, i in enumerate(order):
            if zs[i] >= 0 or p[i] >= 0.05 / (5 - rank):
                break
            expected[i] = True
        assert failing([normal(z) for z in zs]) == expected
        assert failing([replace(normal(z), at=None) for z in zs]) == expected  # the interval of 95 % tells the others


def test_five_true_requirements_give_a_no_go_in_at_most_five_per_cent() -> None:
    rng = np.random.default_rng(2)
    wrong = sum(conclude([normal(z) for z in rng.normal(0, 1, 5)], ()).decision == "no-go" for _ in range(2000))
    assert wrong / 2000 <= 0.06


def test_a_model_that_cannot_read_the_examples_is_inconclusive_not_a_no_go() -> None:
    fails = above(-0.1, 0.0)
    assert conclude([fails], ()).decision == "no-go"
    conclusion = conclude([fails], (), unable="the unsteered model answers at random")
    assert conclusion.decision == "inconclusive"
    assert "the unsteered model answers at random" in conclusion.reasons
    assert conclude([above(0.1, 0.2)], (), unable="it cannot read them").decision == "go"
