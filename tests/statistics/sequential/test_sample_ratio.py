"""The sample-ratio test against scipy's Dirichlet-multinomial, and its level over stages."""

import numpy as np
import pytest
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import ShareCounts, log_sample_ratio, log_share_ratio


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.05, 0.05)])
def test_the_evidence_is_the_ratio_of_the_two_likelihoods(shares):
    counts = np.random.default_rng(0).multinomial(700, shares)
    mixed = stats.dirichlet_multinomial.logpmf(counts, 1000 * np.array(shares), 700)
    expected = mixed - stats.multinomial.logpmf(counts, 700, shares)
    assert float(log_share_ratio(counts, shares)) == pytest.approx(float(expected))


def test_looking_after_every_unit_gives_no_more_false_alarms_than_alpha():
    treated = np.cumsum(np.random.default_rng(1).random((1000, 3000)) < 0.05, axis=1)
    counts = np.stack([np.arange(1, 3001) - treated, treated], axis=-1)
    alarms = (log_share_ratio(counts, (0.95, 0.05)) >= np.log(100)).any(axis=1).sum()
    assert alarms <= stats.binom.ppf(0.999, 1000, 0.01)


def test_evidence_over_stages_has_a_mean_of_one_where_shares_are_right():
    rng = np.random.default_rng(2)
    draws = [
        [ShareCounts((1 - p, p), (200 - k, k)) for p, k in zip((0.05, 0.5), row, strict=True)]
        for row in rng.binomial(200, (0.05, 0.5), (4000, 2))
    ]
    evidence = np.exp([log_sample_ratio(stages, strength=100) for stages in draws])
    assert evidence.mean() == pytest.approx(1, abs=5 * evidence.std() / 4000**0.5)


def test_a_fault_that_comes_with_a_later_stage_is_found_as_if_there_had_been_no_other():
    fine = ShareCounts((0.5, 0.5), (50_000, 50_000))  # which speaks for the shares
    fault = ShareCounts((0.1, 0.9), (1200, 8800))
    alone = log_sample_ratio([fault])
    assert log_sample_ratio([fine, fault]) > alone - np.log(6)
    assert log_sample_ratio([fault, fine]) > 0


@pytest.mark.parametrize(
    ("counts", "shares"), [((1, 2), (0.5, 0.6)), ((1, 2), (1.0, 0.0)), ((1,), (0.5, 0.5)), ((-1, 2), (0.5, 0.5))]
)
def test_counts_and_shares_that_do_not_fit_are_refused(counts, shares):
    with pytest.raises(InputError):
        log_share_ratio(counts, shares)
