"""Ranks against the mixture integrated numerically, and the level for values with ties."""

import numpy as np
import pytest
import ville
from scipy import integrate, stats

from trimtab.errors import InputError
from trimtab.statistics import Interval
from trimtab.statistics.sequential import QuantileStream, quantile_difference, quantile_ranks
from trimtab.statistics.sequential.asymptotic import mixture_rate


@pytest.mark.parametrize(("n", "q"), [(40, 0.5), (200, 0.9), (900, 0.25)])
def test_the_lower_rank_is_the_least_that_the_integrated_mixture_leaves(n, q):
    strength = 1 / mixture_rate(0.05, 300) - 1
    prior = stats.beta(strength * q, strength * (1 - q))

    def evidence(k):
        ratio = lambda p: prior.pdf(p) * np.exp(stats.binom.logpmf(k, n, p) - stats.binom.logpmf(k, n, q))  # noqa: E731
        return integrate.quad(ratio, 0, q, limit=500)[0] / prior.cdf(q)

    low = int(quantile_ranks(n, q, target=300)[0])
    assert evidence(low) < 40
    assert low == 0 or evidence(low - 1) >= 40


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_looking_after_every_value_leaves_the_quantile_out_no_more_often_than_alpha(q):
    values = np.random.default_rng(0).geometric(0.2, (400, 1500))  # many ties
    truth = stats.geom.ppf(q, 0.2)
    n = np.arange(1, 1501)
    low, high = quantile_ranks(n, q, target=500)
    at_most, below = np.cumsum(values <= truth, axis=1), np.cumsum(values < truth, axis=1)
    left_out = ((at_most < low) | (below >= high)).any(axis=1).sum()  # the truth lies before X(low), or behind X(high)
    assert left_out <= stats.binom.ppf(0.999, 400, 0.05)


def test_the_stream_shows_the_values_at_the_ranks_and_is_narrower_than_ville_s_for_tails():
    values = np.random.default_rng(1).lognormal(size=1000)
    stream = QuantileStream(0.95, target=1000)
    for value in values:
        stream.add(value)
    interval, ranks = stream.interval(), quantile_ranks(1000, 0.95, 1000)
    assert [interval.low, interval.high] == [float(np.sort(values)[int(rank) - 1]) for rank in ranks]
    assert interval.value == np.sort(values)[949]
    theirs = ville.QuantileCS(0.95, t_opt=1000, intersect=False).fit(values)
    assert interval.low > theirs.lower_[-1]
    assert interval.high < theirs.upper_[-1]


def test_little_data_gives_no_end():
    stream = QuantileStream(0.99, target=1000)
    with pytest.raises(InputError, match="no value"):
        stream.interval()
    stream.add(1.0)
    assert stream.interval() == Interval(1.0, -np.inf, np.inf)


def test_a_difference_lies_between_the_far_ends():
    assert quantile_difference(Interval(5, 4, 8), Interval(1, 0, 3)) == Interval(4, 1, 8)


@pytest.mark.parametrize("bad", [{"q": 0}, {"q": 1}, {"target": 0}, {"alpha": 2}, {"n": -1}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(InputError):
        quantile_ranks(**{"n": 10, "q": 0.5, "target": 100, **bad})
