"""Geometry of unpaired lists whose shorter one is used again."""

from dataclasses import replace

import numpy as np
import pytest

from trimtab.measurements.geometry import Geometry
from trimtab.statistics import rematched_agreement
from trimtab.statistics.contrast import Contrast


def unequal(rng: np.random.Generator, n: int = 60, m: int = 20) -> Geometry:
    """`n` positive texts beside `m` negative ones, each of which stands in n / m rows."""
    rows = np.arange(n) % m
    positive, negative = rng.standard_normal((n, 8)) + 1.0, rng.standard_normal((m, 8))[rows]
    texts = tuple(f"p{k}" for k in range(n)), tuple(f"n{k}" for k in rows)
    return Geometry(positive, negative, tuple(f"#{k}" for k in rows), arbitrary=True, n_massive=0, texts=texts)


def test_agreement_of_unequal_lists_takes_each_text_once():
    geometry = unequal(np.random.default_rng(0))
    once = rematched_agreement(geometry.positive, geometry.negative[:20], seed=3)[0]
    assert geometry.agreement(seed=3).value == pytest.approx(once, abs=1e-12)
    with_repeats = replace(geometry, texts=None).agreement(seed=3).value
    assert with_repeats > once  # two differences that share a negative text agree for that reason alone


def test_left_out_projections_of_unequal_lists_hold_each_text_once():
    geometry = unequal(np.random.default_rng(1))
    projections, clusters = geometry.left_out_projections()
    assert (len(projections), clusters) == (80, (*geometry.clusters, *geometry.clusters[:20]))
    vector = geometry.differences[[c != "#4" for c in geometry.clusters]].mean(axis=0)
    middle = (geometry.positive.mean(axis=0) + geometry.negative.mean(axis=0)) / 2
    expected = (middle - geometry.negative[4]) @ vector / np.linalg.norm(vector)
    assert projections[60 + 4] == pytest.approx(expected)


def test_rows_that_are_left_out_take_their_texts_with_them():
    geometry = unequal(np.random.default_rng(2))
    left_out = np.arange(60) < 20  # the first row of every negative text
    left = geometry.without(left_out)
    assert left.texts is not None
    assert left.texts[1] == tuple(f"n{k % 20}" for k in range(20, 60))
    assert left.distinct == (list(range(40)), list(range(20)))


def test_intervals_of_unequal_lists_cover_as_they_say():
    rng, covered, draws = np.random.default_rng(5), 0, 300
    for draw in range(draws):
        rows = np.arange(80) % 30
        positive, negative = rng.exponential(1.0, 80), rng.standard_normal(30)[rows]
        clusters = tuple(f"#{k}" for k in rows)
        interval = Contrast(positive, negative, clusters, "random", seed=draw).mean()
        covered += interval.low <= 1.0 <= interval.high
    assert 0.91 <= covered / draws <= 0.985  # 95 % within three standard errors
