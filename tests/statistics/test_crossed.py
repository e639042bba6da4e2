"""Means over rows that seeds and clusters cross: closed forms, simulated coverage, and Holm's rule."""

import numpy as np
import pytest
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics import crossed_mean, holm_adjusted


def crossed(rng: np.random.Generator, n_seeds: int, n_clusters: int, sd: tuple[float, float, float], share=1.0):
    """Rows with an effect of seed and of cluster around 0; a share of the cells occurs."""
    of_seed, of_cluster = rng.normal(0, sd[0], n_seeds), rng.normal(0, sd[1], n_clusters)
    s, c = (a.ravel() for a in np.meshgrid(np.arange(n_seeds), np.arange(n_clusters), indexing="ij"))
    keep = rng.random(len(s)) < share
    s, c = s[keep], c[keep]
    return of_seed[s] + of_cluster[c] + rng.normal(0, sd[2], len(s)), s, c


def test_with_one_seed_and_a_row_a_cluster_it_is_students_t():
    x = np.random.default_rng(0).normal(0.3, 1, 25)
    mean = crossed_mean(x, [0] * 25, np.arange(25))
    expected = stats.ttest_1samp(x, 0)
    low, high = expected.confidence_interval()
    assert (mean.interval.low, mean.interval.high, mean.p) == pytest.approx((low, high, expected.pvalue))


def test_repeating_every_row_under_a_second_name_narrows_nothing():
    x, s, c = crossed(np.random.default_rng(1), 1, 30, (0, 1, 0.5))
    once, twice = crossed_mean(x, s, c), crossed_mean([*x, *x], [*s, *s], [*c, *c])
    assert twice.interval.high - twice.interval.low == pytest.approx(once.interval.high - once.interval.low)


@pytest.mark.parametrize("sd", [(0.0, 1.0, 0.5), (0.3, 1.0, 0.5), (0.5, 0.2, 0.5), (0.0, 0.0, 1.0)])
def test_intervals_cover_the_mean_of_crossed_populations(sd):
    rng, hit, n = np.random.default_rng(2), 0, 600
    for _ in range(n):
        mean = crossed_mean(*crossed(rng, 5, 60, sd, share=0.5))
        hit += mean.interval.low <= 0 <= mean.interval.high
    assert hit / n >= 0.935  # at least what is promised, within the simulation's error; t with 4 degrees is wide


def test_tasks_count_equally_however_many_rows_they_have():
    x, group = np.array([1.0] * 10 + [0.0] * 90), np.array(["a"] * 10 + ["b"] * 90)
    rng = np.random.default_rng(3)
    x = x + rng.normal(0, 0.1, 100)
    mean = crossed_mean(x, [0] * 100, np.arange(100), group)
    assert mean.interval.value == pytest.approx((x[:10].mean() + x[10:].mean()) / 2)
    a, b = x[:10].var(ddof=1) / 10, x[10:].var(ddof=1) / 90
    half = stats.t.ppf(0.975, 99) * np.sqrt((a * 9 / 10 + b * 89 / 90) * 100 / 99) / 2
    assert mean.interval.high - mean.interval.value == pytest.approx(half)


def test_the_same_label_in_two_tasks_is_two_clusters():
    x, labels, tasks = [0.1, 0.2, 0.9, 0.7], ["1", "2", "1", "2"], ["a", "a", "b", "b"]
    assert crossed_mean(x, [0] * 4, labels, tasks).n_clusters == 4


def test_no_spread_is_certain_and_one_cluster_is_refused():
    assert crossed_mean([0.0, 0.0], [0, 0], ["a", "b"]).p == 1
    assert crossed_mean([1.0, 1.0], [0, 0], ["a", "b"]).p == 0
    with pytest.raises(InputError, match="all rows share one"):
        crossed_mean([1.0, 2.0], [0, 1], ["a", "a"])
    with pytest.raises(InputError, match="NaN"):
        crossed_mean([1.0, float("nan")], [0, 1], ["a", "b"])


def test_holm_is_the_step_down_rule():
    p = [0.04, 0.001, 0.2, 0.012]
    assert holm_adjusted(p) == pytest.approx([0.08, 0.004, 0.2, 0.036])
    assert holm_adjusted([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    with pytest.raises(InputError, match="outside"):
        holm_adjusted([1.2])
