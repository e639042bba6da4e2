"""Shadow: which requests are scored, and what their figures say."""

import numpy as np
import pytest

from trimtab.interventions import AnswerScore, RequestSteering
from trimtab.serving.monitoring import Observations, Setup
from trimtab.serving.monitoring.shadow import RANDOM_DIRECTIONS, random_seed, shadowed

WARM = Setup("warm", RequestSteering("5f2c", {"warm": 1.0}))


def score(kl: float, random_kl: float = 0.01) -> AnswerScore:
    return AnswerScore(4, -8.0, -8.0 + 4 * kl, kl, -8.0, random_kl)


def test_the_share_holds_and_the_same_request_is_always_drawn_alike() -> None:
    ids = [f"req_{i}" for i in range(20_000)]
    drawn = [shadowed(id, 0.1) for id in ids]
    assert abs(np.mean(drawn) - 0.1) < 4 * (0.1 * 0.9 / len(ids)) ** 0.5
    assert drawn == [shadowed(id, 0.1) for id in ids]
    assert all(shadowed(id, 0.3) for id, one in zip(ids, drawn, strict=True) if one)  # nested
    assert not any(shadowed(id, 0.0) for id in ids)
    assert all(shadowed(id, 1.0) for id in ids)
    assert {random_seed(id) for id in ids} == set(range(RANDOM_DIRECTIONS))


def test_means_stand_beside_the_floor_with_intervals() -> None:
    seen, rng = Observations(), np.random.default_rng(0)
    values = rng.gamma(2, 0.1, 400)
    for i, kl in enumerate(values.tolist()):
        assert seen.add_shadow(WARM, str(i), score(kl)) == []
        assert seen.add_shadow(WARM, str(i), score(99.0)) == []  # the same unit again
    record = seen.shadows[WARM.key].record
    assert record["n"] == 400
    assert record["kl"]["value"] == pytest.approx(values.mean())
    assert record["kl"]["low"] < 0.2 < record["kl"]["high"]
    assert record["random_kl"]["value"] == pytest.approx(0.01)
    assert record["excess"]["value"] == pytest.approx(values.mean() - 0.01)
    assert record["gain"]["value"] == pytest.approx(values.mean())
    assert record["random_gain"]["value"] == 0.0


def test_the_bound_raises_one_alarm_once_it_is_surely_passed() -> None:
    rng = np.random.default_rng(1)
    for mean, alarms in ((0.1, 0), (0.3, 1)):
        seen = Observations(max_kl=0.15)
        found = [
            alarm
            for i, kl in enumerate((mean * rng.gamma(4, 0.25, 500)).tolist())
            for alarm in seen.add_shadow(WARM, str(i), score(kl))
        ]
        assert [alarm.kind for alarm in found] == ["shadow"] * alarms
    assert found[0].figures["kl"]["low"] > 0.15


def test_scores_without_a_floor_or_a_divergence_are_kept_all_the_same() -> None:
    seen = Observations(max_kl=0.1)
    seen.add_shadow(WARM, "a", AnswerScore(1, -2.0, -1.0))
    record = seen.shadows[WARM.key].record
    assert record["gain"]["value"] == 1.0
    assert record["kl"] == {"value": None, "low": None, "high": None}
