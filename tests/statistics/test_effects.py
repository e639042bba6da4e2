"""Effects, shares and slopes against numpy, scipy and loops over all pairs."""

import numpy as np
import pytest
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics import (
    anti_steerable,
    anti_steerable_unpaired,
    auroc,
    length_auroc,
    length_matched,
    odd_even,
    steerability,
    steering_effect,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_steering_effect_is_steered_minus_base_per_example():
    np.testing.assert_allclose(steering_effect([1.0, 2], [1.5, -1]), [0.5, -3])


def test_odd_and_even_parts_recover_a_quadratic_response():
    base, a, b = rng(1).normal(size=(3, 10))
    odd, even = odd_even(base, base + a + b, base - a + b)
    np.testing.assert_allclose(odd, a, atol=1e-12)
    np.testing.assert_allclose(even, b, atol=1e-12)


def test_odd_plus_even_is_the_effect():
    base, plus, minus = rng(2).normal(size=(3, 10))
    odd, even = odd_even(base, plus, minus)
    np.testing.assert_allclose(odd + even, steering_effect(base, plus), atol=1e-12)


def test_anti_steerable_counts_every_negative_effect_and_reports_the_undecided_beside_it():
    shares = anti_steerable(np.array([-1.0, -0.01, 0.0, 0.01, 0.5, 2, -0.1, 3]), noise=0.1)
    assert shares.anti == 3 / 8  # the paper's definition
    assert shares.undecided == 4 / 8  # |effect| <= noise, both signs
    assert shares.anti_beyond_noise == 1 / 8
    assert shares.steerable == 3 / 8
    assert shares.anti_beyond_noise + shares.undecided + shares.steerable == 1


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_unpaired_shares_equal_the_loop_over_all_pairs_with_ties_half(noise):
    pos, neg = rng(5).integers(-3, 5, 31) * 1.0, rng(6).integers(-4, 3, 23) * 1.0
    differences = [p - q for p in pos for q in neg]
    n = len(differences)
    got = anti_steerable_unpaired(pos, neg, noise)
    assert got.anti == pytest.approx(sum((d < 0) + 0.5 * (d == 0) for d in differences) / n)
    assert got.undecided == pytest.approx(sum(abs(d) <= noise for d in differences) / n)
    assert got.anti_beyond_noise == pytest.approx(sum(d < -noise for d in differences) / n)
    assert got.steerable == pytest.approx(sum(d > noise for d in differences) / n)


def test_unpaired_share_is_scipys_mann_whitney_u_over_the_number_of_pairs():
    pos, neg = rng(7).normal(0.5, 1, 40), rng(8).normal(size=30)
    u = stats.mannwhitneyu(neg, pos).statistic
    assert anti_steerable_unpaired(pos, neg, 0.0).anti == pytest.approx(u / 1200)


def test_steerability_equals_numpy_polyfit_and_scipy_spearman_row_by_row():
    strengths = np.linspace(-1.5, 1.5, 7)
    m = rng(9).normal(size=(12, 7)) + rng(10).normal(size=(12, 1)) * strengths
    m[3] = np.round(m[3])  # ties
    got = steerability(strengths, m)
    for i, row in enumerate(m):
        slope, intercept = np.polyfit(strengths, row, 1)
        fit = stats.linregress(strengths, row)
        residual = row - (slope * strengths + intercept)
        assert got.slope[i] == pytest.approx(slope)
        assert got.intercept[i] == pytest.approx(intercept)
        assert got.r_squared[i] == pytest.approx(fit.rvalue**2)
        assert got.residual_rms[i] == pytest.approx(np.sqrt(np.mean(residual**2)))
        assert got.spearman[i] == pytest.approx(stats.spearmanr(strengths, row).statistic)


def test_steerability_of_a_constant_propensity_is_zero_and_its_linearity_not_measured():
    got = steerability([-1.0, 0, 1], np.full((1, 3), 0.1))
    assert got.slope[0] == 0
    assert np.isnan(got.r_squared[0])
    assert np.isnan(got.spearman[0])


def test_length_auroc_is_the_auroc_of_the_lengths():
    assert length_auroc([3, 4, 5], [1, 4]) == pytest.approx(auroc([3.0, 4, 5], [1.0, 4]))


def test_length_matching_keeps_natural_pairs_within_ten_percent_or_one_token():
    got = length_matched([10, 10, 20, 3, 100, 110], [11, 12, 18, 5, 110, 100], pairing="natural")
    np.testing.assert_array_equal(got.positive, [0, 2, 4, 5])
    np.testing.assert_array_equal(got.negative, got.positive)


def test_length_matching_of_unpaired_texts_balances_the_lengths_and_repeats_no_text():
    long, short = rng(11).poisson(30, 300) + 1, rng(12).poisson(20, 250) + 1
    got = length_matched(long, short, pairing="random", seed=0)
    assert got.auroc_before > 0.9
    assert got.auroc_after == pytest.approx(0.5, abs=0.06)
    assert got.auroc_after == pytest.approx(auroc(long[got.positive], short[got.negative]))
    assert len(got.positive) == len(got.negative) > 40
    assert len(set(got.positive)) == len(got.positive)
    assert len(set(got.negative)) == len(got.negative)
    np.testing.assert_array_equal(got.positive, length_matched(long, short, pairing="random", seed=0).positive)


def test_length_matching_removes_an_effect_that_is_length_alone():
    long, short = rng(13).poisson(30, 400) + 1, rng(14).poisson(24, 400) + 1
    by_length = 0.1 * long, 0.1 * short
    got = length_matched(long, short, pairing="random", seed=0)
    assert by_length[0].mean() - by_length[1].mean() > 0.5
    assert abs(by_length[0][got.positive].mean() - by_length[1][got.negative].mean()) < 0.05


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: steering_effect([1.0, 2], [1.0]), "same length"),
        (lambda: steering_effect([np.inf], [1.0]), "row 0"),
        (lambda: anti_steerable([], 0.0), "at least 1"),
        (lambda: anti_steerable([1.0], -0.1), "noise"),
        (lambda: anti_steerable_unpaired([1.0], [1.0], np.nan), "noise"),
        (lambda: steerability([1.0, 1, 1], np.ones((2, 3))), "distinct"),
        (lambda: steerability([-1.0, 0, 1], np.ones((2, 4))), "shape"),
        (lambda: length_matched([0, 1], [1, 1], pairing="natural"), "length"),
        (lambda: length_matched([1, 1], [1], pairing="natural"), "same length"),
        (lambda: length_matched([1, 1], [90, 90], pairing="natural"), "no pair"),
        (lambda: length_matched([1, 1], [90, 90], pairing="random"), "no pair"),
    ],
)
def test_bad_input_is_an_input_error_that_says_what(call, word):
    with pytest.raises(InputError, match=word):
        call()
