"""Sums without rounding, against fractions."""

from fractions import Fraction
from math import fsum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.statistics.exact import products, summed
from trimtab.statistics.sequential import PairSums

FLOATS = st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-9)
PAIRS = st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=12)


@given(st.lists(FLOATS), st.lists(FLOATS))
def test_a_sum_that_is_continued_is_the_sum_of_all(first: list[float], second: list[float]) -> None:
    parts = summed(summed((), first), second)
    assert sum(map(Fraction, parts)) == sum(map(Fraction, [*first, *second]))
    assert (parts[0] if parts else 0.0) == fsum([*first, *second])


@given(PAIRS)
def test_products_lose_nothing(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    exact = sum(Fraction(x) * Fraction(y) for x, y in pairs)
    assert sum(map(Fraction, products(a, b).tolist())) == exact


@given(PAIRS, st.lists(st.tuples(FLOATS, FLOATS), max_size=12), st.randoms())
def test_units_that_came_and_went_leave_nothing_behind(stay, go, random) -> None:
    sums, order = PairSums(), [*((1, pair) for pair in stay + go), *((-1, pair) for pair in go)]
    come = order[: len(stay + go)]
    random.shuffle(come)
    for sign, (y, x) in come + order[len(stay + go) :]:
        (sums.add if sign > 0 else sums.remove)(np.array([y]), np.array([x]))
    at_once = PairSums()
    at_once.add(*np.array(stay).T)
    assert numbers(sums) == numbers(at_once)
    y, x = ([Fraction(pair[i]) for pair in stay] for i in (0, 1))
    n = len(stay)
    assert numbers(sums) == [
        n, float(sum(y) / n), float(sum(v * v for v in y) - sum(y) ** 2 / n), float(sum(x) / n),
        float(sum(v * v for v in x) - sum(x) ** 2 / n),
        float(sum(a * b for a, b in zip(y, x, strict=True)) - sum(y) * sum(x) / n),
    ]  # fmt: skip


def numbers(sums: PairSums) -> list[float]:
    m = sums.moments
    return [float(v) for v in (m.y.n, m.y.mean, m.y.m2, m.x.mean, m.x.m2, m.cross)]


def test_nothing_is_no_unit() -> None:
    sums = PairSums()
    sums.add(np.zeros(0), np.zeros(0))
    assert (sums.n, numbers(sums)) == (0, [0.0] * 6)
    sums.add(np.array([0.1, 0.1]), np.array([1e5, 3e5]))
    assert sums.moments.y.m2 == pytest.approx(0.0, abs=0.0)  # which the squares of 0.1, rounded, do not give
