"""Estimates from arms that were drawn by changing probabilities: against loops, and against simulated truths."""

import numpy as np
import pytest
from numpy.random import default_rng

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats
from trimtab.statistics.sequential import (
    POLICY_METHODS,
    AsymptoticSequence,
    Draws,
    Moments,
    PolicySums,
    difference,
    mean_estimate,
    policy_estimate,
)

MEANS = np.array([0.3, 0.5, 0.6])


def greedy(seed: int, n: int, floor: float = 0.1) -> Draws:
    """Arms drawn mostly by who leads so far: what makes plain means wrong."""
    rng = default_rng(seed)
    total, count = np.zeros(3), np.zeros(3)
    value, arm, probability = np.empty(n), np.empty(n, dtype=np.int64), np.empty((n, 3))
    for t in range(n):
        p = np.full(3, floor)
        p[np.argmax(np.where(count > 0, total / np.maximum(count, 1), 1.0))] += 1 - 3 * floor
        arm[t] = k = rng.choice(3, p=p)
        value[t], probability[t] = rng.random() < MEANS[k], p
        total[k], count[k] = total[k] + value[t], count[k] + 1
    return Draws(value, arm, probability)


def by_hand(draws: Draws, policy: Floats, method: str) -> tuple[float, float]:
    """Value and standard error, visit by visit."""
    n, scores, ratios = len(draws.value), [], []
    for t in range(n):
        y, a = draws.value[t], draws.arm[t]
        ratios.append(policy[a] / draws.probability[t, a])
        if method == "doubly-robust":
            guess = []
            for k in range(3):
                mine = [draws.value[s] for s in range(t) if draws.arm[s] == k]
                guess.append(np.mean(mine) if mine else np.mean(draws.value[:t]) if t else 0.0)
            scores.append(sum(p * g for p, g in zip(policy, guess, strict=True)) + ratios[-1] * (y - guess[a]))
        else:
            scores.append(ratios[-1] * y)
    if method == "self-normalised":
        value = sum(scores) / sum(ratios)
        left = [r * (y - value) * n / sum(ratios) for r, y in zip(ratios, draws.value, strict=True)]
        return value, float(np.sqrt(np.sum(np.square(left))) / n)
    return float(np.mean(scores)), float(np.std(scores) / np.sqrt(n))


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_an_estimate_is_what_a_loop_over_the_visits_finds(method: str) -> None:
    draws, policy = greedy(1, 60), np.array([0.2, 0.0, 0.8])
    found = policy_estimate(draws, policy, method)  # type: ignore[arg-type]
    assert (float(found.value), float(found.error)) == pytest.approx(by_hand(draws, policy, method))


@pytest.mark.parametrize("policy", [(0.2, 0.0, 0.8), (1.0, 0.0, 0.0), (-1.0, 1.0, 0.0)])
@pytest.mark.parametrize("cuts", [(0,), (60,), (1, 2, 30), tuple(range(60))])
def test_sums_of_batches_are_what_a_loop_over_all_visits_finds(
    policy: tuple[float, ...], cuts: tuple[int, ...]
) -> None:
    draws, sums = greedy(1, 60), PolicySums.begun(policy)
    for first, last in zip((0, *cuts), (*cuts, 60), strict=True):
        part = slice(first, last)
        sums = sums.add(Draws(draws.value[part], draws.arm[part], draws.probability[part]))
    found, whole = sums.estimate, policy_estimate(draws, policy)
    assert (float(found.value), float(found.error)) == pytest.approx(by_hand(draws, np.array(policy), "doubly-robust"))
    assert (float(found.units), float(found.smallest)) == pytest.approx((float(whole.units), float(whole.smallest)))


def test_arms_drawn_evenly_give_the_difference_of_an_ordinary_experiment() -> None:
    rng = default_rng(2)
    arm = rng.integers(0, 2, 20_000)
    value = rng.normal(arm * 0.2, 1.0)
    found = policy_estimate(Draws(value, arm, np.full((20_000, 2), 0.5)), (-1, 1))
    usual = difference(*(
        mean_estimate(Moments(float((arm == k).sum()), float(value[arm == k].mean()),
                              float(((value[arm == k] - value[arm == k].mean()) ** 2).sum()))) for k in (1, 0)
    ))  # fmt: skip
    assert float(found.value) == pytest.approx(float(usual.value), abs=0.002)
    assert float(found.error) == pytest.approx(float(usual.error), rel=0.01)
    assert float(found.units) == pytest.approx(float(usual.units), rel=0.02)


@pytest.mark.parametrize("method", POLICY_METHODS)
@pytest.mark.parametrize("policy", [(0.0, 1.0, 0.0), (1 / 3, 1 / 3, 1 / 3)])
def test_the_truth_stays_within_the_interval_at_all_looks_although_a_bandit_drew(
    method: str, policy: tuple[float, ...]
) -> None:
    truth, left_out, looks = float(np.array(policy) @ MEANS), 0, range(100, 601, 100)
    sequence = AsymptoticSequence(300, alpha=0.1)
    for seed in range(60):
        draws = greedy(seed, 600)
        ends = [
            sequence.ends(policy_estimate(Draws(draws.value[:n], draws.arm[:n], draws.probability[:n]), policy, method))  # type: ignore[arg-type]
            for n in looks
        ]
        left_out += any(not low <= truth <= high for low, high in ends)
    assert left_out <= 12  # 6 of 60 and 2.6 errors


def test_the_plain_mean_of_an_arm_that_a_bandit_drew_is_too_low_and_the_estimate_is_not() -> None:
    plain, weighted = [], []
    for seed in range(150):
        draws = greedy(1000 + seed, 40)
        mine = draws.value[draws.arm == 1]
        plain.append(mine.mean() if len(mine) else np.nan)
        weighted.append(float(policy_estimate(draws, (0, 1, 0), "inverse-propensity").value))
    assert np.nanmean(plain) < MEANS[1] - 0.02
    assert np.mean(weighted) == pytest.approx(MEANS[1], abs=4 * np.std(weighted) / np.sqrt(150))


def test_the_doubly_robust_estimate_is_right_for_the_visits_that_were_though_outcomes_drift() -> None:
    rng, found, truths = default_rng(3), [], []
    for _ in range(200):
        mean = np.stack([np.linspace(0.2, 0.8, 400), np.full(400, 0.5)], axis=1)  # arm 0 rises
        p = np.stack([np.linspace(0.9, 0.1, 400), np.linspace(0.1, 0.9, 400)], axis=1)  # and is drawn ever less
        arm = (rng.random(400) > p[:, 0]).astype(np.int64)
        value = (rng.random(400) < mean[np.arange(400), arm]).astype(np.float64)
        found.append(float(policy_estimate(Draws(value, arm, p), (1, 0)).value))
        truths.append(0.5)
    assert np.mean(found) == pytest.approx(np.mean(truths), abs=4 * np.std(found) / np.sqrt(200))


def test_visits_at_which_a_policy_could_not_be_followed_are_left_out() -> None:
    p = np.array([[0.5, 0.5]] * 50 + [[1.0, 0.0]] * 50)
    arm = np.array([0, 1] * 25 + [0] * 50)
    draws = Draws(np.where(arm == 1, 1.0, 0.0), arm, p)
    assert len(draws.able(np.array([0.0, 1.0])).value) == 50
    assert float(policy_estimate(draws, (0, 1)).value) == pytest.approx(1.0, abs=0.05)
    assert np.isnan(policy_estimate(Draws(draws.value[50:], arm[50:], p[50:]), (0, 1)).value)


@pytest.mark.parametrize(("policy", "method"), [
    ((1,), "doubly-robust"), ((0, 0), "doubly-robust"), ((1, -1), "self-normalised"), ((1, 0), "guess"),
    ((float("nan"), 1), "doubly-robust"),
])  # fmt: skip
def test_a_policy_that_is_none_is_refused(policy: tuple[float, ...], method: str) -> None:
    draws = Draws(np.ones(2), np.array([0, 1]), np.full((2, 2), 0.5))
    with pytest.raises(InputError):
        policy_estimate(draws, policy, method)  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "arm", "p"), [
    ([1.0], [0], [[0.0, 1.0]]), ([np.nan], [0], [[0.5, 0.5]]), ([1.0], [2], [[0.5, 0.5]]), ([1.0, 2.0], [0], [[0.5]]),
])  # fmt: skip
def test_draws_that_cannot_have_been_are_refused(value: list[float], arm: list[int], p: list[list[float]]) -> None:
    with pytest.raises(InputError):
        Draws(np.array(value), np.array(arm), np.array(p))
