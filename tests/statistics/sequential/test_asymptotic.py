"""Asymptotic sequences against `ville`, and their level when somebody looks after every unit."""

import numpy as np
import pytest
import ville
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import (
    AsymptoticSequence,
    Estimate,
    Moments,
    PairMoments,
    adjusted_difference,
    difference,
    fixed_size,
    mean_estimate,
    ratio_estimate,
)

ALPHA = 0.05
DRAWS, UNITS = 400, 4000


def allowed(n, rate=ALPHA):
    """The most false alarms of n that chance lets through (99.9 %)."""
    return stats.binom.ppf(0.999, n, rate)


def arms(rng, draw, shares=0.5, draws=DRAWS, units=UNITS):
    """Values of units, and which are treated: [draws, units] each."""
    return draw(rng, (draws, units)), (rng.random((draws, units)) < shares).astype(float)


def false_alarms(sequence, values, treated, truth=0.0):
    """How many of the paths ever leave the truth out."""
    found = difference(*(mean_estimate(Moments.path(values, w)) for w in (treated, 1 - treated)))
    low, high = sequence.ends(found)
    return int(((low > truth) | (high < truth)).any(axis=1).sum())


POPULATIONS = {
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.lognormal(size=size),
    "rare": lambda rng, size: (rng.random(size) < 0.02).astype(float),
    "heavy": lambda rng, size: rng.standard_t(4, size=size),
}


def test_the_interval_of_a_mean_is_that_of_ville():
    values = np.random.default_rng(0).exponential(size=2000)
    theirs = ville.AsymptoticCS(alpha=ALPHA, t_opt=500).fit(values)
    low, high = AsymptoticSequence(500, ALPHA, start=100).ends(mean_estimate(Moments.path(values)))
    np.testing.assert_allclose(low, theirs.lower_, rtol=1e-6)
    np.testing.assert_allclose(high, theirs.upper_, rtol=1e-6)


@pytest.mark.parametrize("side", ["both", "lower"])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_boundary_is_robbins_normal_mixture_and_nearest_at_the_target(side, alpha):
    one = side != "both"
    sequence, t = AsymptoticSequence(700, alpha, side), np.array([30, 300, 700, 3000, 10**6])
    exact = ville.normal_mixture(t, alpha, 1 / sequence.rate, one_sided=one) / np.sqrt(t)
    ours = sequence.errors(t)
    if one:  # a closed form that lies a little outside of the boundary found by solving
        assert np.all((ours >= exact) & (ours < 1.12 * exact))
    else:
        np.testing.assert_allclose(ours, exact, rtol=1e-9)
    others = [float(AsymptoticSequence(other, alpha, side).errors(700)) for other in (350, 600, 820, 1400)]
    assert float(sequence.errors(700)) <= min(others) * (1.01 if one else 1)


@pytest.mark.parametrize("name", POPULATIONS)
def test_looking_after_every_unit_gives_no_more_false_alarms_than_alpha(name):
    values, treated = arms(np.random.default_rng(1), POPULATIONS[name])
    alarms = false_alarms(AsymptoticSequence(UNITS / 2, ALPHA), values, treated)
    assert alarms <= allowed(DRAWS)


def test_an_interval_of_a_fixed_size_looked_at_after_every_unit_does_give_more():
    values, treated = arms(np.random.default_rng(1), POPULATIONS["normal"])
    found = difference(*(mean_estimate(Moments.path(values, w)) for w in (treated, 1 - treated)))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(found.smallest >= 30, np.abs(found.value) / found.error, 0.0)
    assert (z > stats.norm.isf(ALPHA / 2)).any(axis=1).mean() > 0.3
    assert (z[:, -1] > stats.norm.isf(ALPHA / 2)).sum() <= allowed(DRAWS)  # which at its one size it does not


def test_stages_that_grow_by_what_was_seen_leave_the_level_as_it_is():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(DRAWS, UNITS))
    treated = (rng.random((DRAWS, UNITS)) < 0.05).astype(float)
    first = 1000
    early = difference(*(mean_estimate(Moments.path(values[:, :first], w[:, :first])) for w in (treated, 1 - treated)))
    promoted = np.asarray(early.value)[:, -1] > 0  # by the difference itself
    treated[promoted, first:] = rng.random((int(promoted.sum()), UNITS - first)) < 0.5
    assert false_alarms(AsymptoticSequence(1000, ALPHA), values, treated) <= allowed(DRAWS)


def returning_units(rng, requests):
    """Estimates after each request of means over units, most of which come back and then count by their new mean."""
    sums = np.zeros((2, 3, DRAWS, requests))  # by arm: units, their means, squares of these
    units: list[list[np.ndarray]] = []  # of each: effect, whether treated, requests, sum
    here = np.zeros((2, 3, DRAWS))
    for t in range(requests):
        if not units or rng.random() < 0.3:
            units.append([rng.normal(size=DRAWS), rng.random(DRAWS) < 0.5, np.zeros(DRAWS), np.zeros(DRAWS)])
        unit = units[rng.integers(len(units))]
        effect, treated, n, total = unit
        old = np.where(n > 0, total / np.maximum(n, 1), 0.0)
        unit[2], unit[3] = n + 1, total + effect + rng.normal(size=DRAWS)
        new = unit[3] / unit[2]
        for arm, mine in ((0, treated), (1, ~treated)):
            here[arm] += np.where(mine, [n == 0, new - old, new**2 - old**2], 0.0)
        sums[..., t] = here
    arms = []
    for n, total, squares in sums:
        mean = total / np.maximum(n, 1)
        arms.append(mean_estimate(Moments(n, mean, squares - n * mean**2)))
    return difference(*arms)


def test_units_that_come_back_and_count_by_their_new_mean_leave_the_level_as_it_is():
    low, high = AsymptoticSequence(400, ALPHA).ends(returning_units(np.random.default_rng(6), 2500))
    assert ((low > 0) | (high < 0)).any(axis=1).sum() <= allowed(DRAWS)


def test_ratios_and_adjusted_differences_keep_the_level_too():
    rng = np.random.default_rng(3)
    answers = rng.poisson(3, (DRAWS, 2000)) + 1.0
    liked = rng.binomial(answers.astype(int), rng.beta(2, 2, answers.shape)).astype(float)
    treated = (rng.random(answers.shape) < 0.5).astype(float)
    sides = [PairMoments.path(liked, answers, w) for w in (treated, 1 - treated)]
    past = answers + rng.normal(size=answers.shape)
    adjusted = adjusted_difference(*(PairMoments.path(answers, past, w) for w in (treated, 1 - treated)))
    for found in (difference(*map(ratio_estimate, sides)), adjusted):
        low, high = AsymptoticSequence(1000, ALPHA).ends(found)
        assert ((low > 0) | (high < 0)).any(axis=1).sum() <= allowed(DRAWS)


@pytest.mark.parametrize("share", [0.2, 0.7, 1.0])
def test_a_past_that_some_units_have_makes_intervals_shorter_and_keeps_the_level_at_all_looks(share):
    """Old users like more, and what they liked before says much of what they like now; new ones are there too."""
    rng = np.random.default_rng([8, int(10 * share)])
    size, truth = (DRAWS, 2000), 0.1
    treated = (rng.random(size) < 0.5).astype(float)
    old = (rng.random(size) < share).astype(float)
    taste = rng.gamma(2.0, size=size) - 2.0
    outcome = taste + 0.4 * old + truth * treated + 0.5 * rng.normal(size=size)
    past = 3.0 + 0.7 * taste + 0.4 * rng.normal(size=size)
    pairs = [PairMoments.path(outcome, past, w * old) for w in (treated, 1 - treated)]
    others = [Moments.path(outcome, w * (1 - old)) for w in (treated, 1 - treated)]
    found = adjusted_difference(pairs[0], pairs[1], (others[0], others[1]))
    sequence = AsymptoticSequence(1000, ALPHA)
    plain = difference(*(mean_estimate(Moments.path(outcome, w)) for w in (treated, 1 - treated)))
    low, high = sequence.ends(found)
    assert ((low > truth) | (high < truth)).any(axis=1).sum() <= allowed(DRAWS)
    ends = [sequence.ends(one) for one in (found, plain)]
    adjusted_width, plain_width = (np.mean((high - low)[:, -1]) for low, high in ends)
    assert adjusted_width < plain_width * (1 - 0.3 * share)
    np.testing.assert_allclose(np.asarray(found.value)[:, -1].mean(), truth, atol=0.02)


@pytest.mark.parametrize(("side", "direction"), [("lower", 1), ("upper", -1)])
def test_one_end_alone_keeps_the_level_and_finds_an_effect_sooner(side, direction):
    values, treated = arms(np.random.default_rng(4), POPULATIONS["normal"])
    one, both = AsymptoticSequence(UNITS / 2, ALPHA, side), AsymptoticSequence(UNITS / 2, ALPHA)
    assert false_alarms(one, values, treated) <= allowed(DRAWS)
    values = values + 0.15 * direction * treated
    moved = difference(*(mean_estimate(Moments.path(values, w)) for w in (treated, 1 - treated)))
    first = []
    for sequence in (one, both):
        low, high = sequence.ends(moved)
        shown = low > 0 if direction > 0 else high < 0
        assert shown.any(axis=1).mean() > 0.95
        first.append(np.where(shown.any(axis=1), shown.argmax(axis=1), UNITS).mean())
    assert first[0] < first[1]


def test_the_evidence_is_the_bayes_factor_of_the_mixture_and_fits_the_interval():
    estimate = Estimate(0.21, 0.05, 900.0, 400.0)
    sequence = AsymptoticSequence(1000, ALPHA)
    unit = 0.05 * 900**0.5  # spread of a unit
    prior = unit * sequence.rate**0.5
    exact = stats.norm.logpdf(0.21, 0, (0.05**2 + prior**2) ** 0.5) - stats.norm.logpdf(0.21, 0, 0.05)
    assert float(sequence.log_e_value(estimate)) == pytest.approx(float(exact))
    for end in sequence.ends(estimate):
        assert float(sequence.log_e_value(estimate, null=float(end))) == pytest.approx(np.log(1 / ALPHA))


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_one_sided_evidence_has_a_mean_of_one_at_most_where_there_is_nothing(side):
    z = np.random.default_rng(5).normal(size=200_000)
    estimate = Estimate(z, np.ones_like(z), np.full_like(z, 500.0), np.full_like(z, 500.0))
    evidence = np.exp(AsymptoticSequence(500, ALPHA, side).log_e_value(estimate))
    assert evidence.mean() == pytest.approx(1, abs=0.1)
    assert (evidence >= 20).mean() <= 0.05


def test_one_sided_evidence_speaks_for_its_own_side():
    more = Estimate(0.5, 0.1, 500.0, 250.0)
    assert float(AsymptoticSequence(500, ALPHA, "lower").log_e_value(more)) > np.log(20)
    assert float(AsymptoticSequence(500, ALPHA, "upper").log_e_value(more)) < 0
    assert float(AsymptoticSequence(500, ALPHA, "upper").log_e_value(more, null=1.0)) > np.log(20)


def test_nothing_is_said_before_the_start_or_without_any_spread():
    sequence = AsymptoticSequence(100, start=30)
    assert np.isnan(sequence.interval(difference(mean_estimate(Moments(50, 1.0, 5.0)), mean_estimate(Moments()))).value)
    for estimate in (mean_estimate(Moments(29, 0.5, 10.0)), mean_estimate(Moments(100, 0.5, 0.0))):
        interval = sequence.interval(estimate)
        assert (interval.low, interval.high) == (-np.inf, np.inf)
        assert float(sequence.log_e_value(estimate)) == 0


def test_the_fixed_size_has_the_power_that_it_says():
    n = fixed_size(0.2, 1.5, power=0.9) / 2
    assert stats.norm.sf(stats.norm.isf(0.025) - 0.2 / (1.5 * (2 / n) ** 0.5)) == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(
    "bad", [{"target": 0}, {"target": np.nan}, {"alpha": 0}, {"alpha": 1}, {"side": "left"}, {"start": 1}]
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(InputError):
        AsymptoticSequence(**{"target": 100, **bad})
