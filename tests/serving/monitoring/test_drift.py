"""Live figures are held against the first ones and against the check's, one value a unit."""

import numpy as np
from scipy.stats import ks_2samp
from tests.serving.monitoring.checks import checked, scores_of

from trimtab.interventions import AnswerScore, RequestSteering
from trimtab.serving.monitoring import Observations, Setup
from trimtab.serving.monitoring.canary import compared
from trimtab.serving.monitoring.observations import Looked

WARM = Setup("warm", RequestSteering("5f2c", {"warm": 1.0}))
KIND = Setup("kind", RequestSteering("5f2c", {"kind": 1.0}))


def told(seen: Observations, setup: Setup, sizes: np.ndarray, units: str = "u", at_once: int = 1) -> list[str]:
    """The alarms of answers of further users; so many of them come between two tests."""
    kinds: list[str] = []
    for i, size in enumerate(sizes.tolist()):
        seen.add_answer(setup, f"{units}{i}", {"warm": 0.5 + size / 10}, size)
        if (i + 1) % at_once == 0:
            kinds += [alarm.kind for alarm in seen.settle()]
    return kinds + [alarm.kind for alarm in seen.settle()]


def test_nothing_is_said_while_nothing_moves_and_something_once_it_does() -> None:
    rng = np.random.default_rng(0)
    seen = Observations()
    assert told(seen, WARM, rng.normal(1, 0.1, 2000)) == []
    assert told(seen, WARM, rng.normal(1.1, 0.1, 500), "later") == [
        "drift",
        "drift",
    ]  # of edits and of gates, once each
    (edits, gates) = seen.drift.record(WARM.key)
    assert (edits["figure"], edits["reference"], edits["n_reference"]) == ("edit size", "first answers", 200)
    assert gates["figure"] == "gate of warm"
    assert edits["alarm"]
    assert edits["p_value"] < 0.05
    assert seen.alarms[0].figures["steering"] == "warm"
    assert seen.raised["drift"] == 2


def test_answers_that_are_tested_together_come_to_what_they_come_to_one_by_one() -> None:
    sizes = np.random.default_rng(7).normal(np.repeat([1.0, 1.05], 300), 0.1)
    one, many = Observations(first=50), Observations(first=50)
    assert told(one, WARM, sizes) == told(many, WARM, sizes, at_once=70) == ["drift", "drift"]
    for single, batch in zip(one.drift.record(WARM.key), many.drift.record(WARM.key), strict=True):
        assert {k: v for k, v in single.items() if k != "p_value"} == {k: v for k, v in batch.items() if k != "p_value"}
        assert np.isclose(single["p_value"], batch["p_value"], rtol=1e-9)


def test_false_alarms_of_all_figures_together_are_as_rare_as_stated() -> None:
    rng, n = np.random.default_rng(1), 40
    alarms = sum(bool(told(Observations(alpha=0.1, first=50), WARM, rng.normal(1, 0.1, 300))) for _ in range(n))
    assert alarms / n < 0.1 + 2 * (0.1 * 0.9 / n) ** 0.5


def test_a_unit_that_comes_again_counts_once() -> None:
    seen = Observations(first=50)
    for _ in range(3):
        assert told(seen, WARM, np.random.default_rng(4).permutation(np.linspace(0.9, 1.1, 100))) == []
    assert [row["n_reference"] + row["n"] for row in seen.drift.record(WARM.key)] == [100, 100]
    for _ in range(7):
        seen.add_answer(WARM, None, {}, 1.0)  # whose unit nobody knows, so that each is one
    seen.settle()
    assert [row["n"] for row in seen.drift.record(WARM.key)] == [57, 50]


def test_looks_at_what_is_no_longer_live_are_forgotten_and_their_return_is_told_again() -> None:
    effects = np.random.default_rng(5).normal(0.3, 0.1, 40)
    seen, wrong = Observations(), compared(checked(effects), scores_of(-effects))
    assert [alarm.kind for alarm in seen.add_canary(Looked("kind", KIND, wrong))] == ["canary"]
    assert seen.add_canary(Looked("kind", KIND, wrong)) == []  # the same again
    seen.add_canary(Looked("other", KIND, wrong))
    seen.forget("kind", {WARM.key})
    assert [row["check"] for row in seen.record["canaries"]] == ["other"]
    assert [alarm.kind for alarm in seen.add_canary(Looked("kind", KIND, wrong))] == ["canary"]


def test_answers_unlike_the_checks_texts_are_told_apart_from_drift() -> None:
    rng = np.random.default_rng(2)
    effects, texts = rng.normal(0.3, 0.1, 100), rng.normal(50, 40, 100)
    seen = Observations()
    run = compared(checked(effects), scores_of(effects, kappa=texts))
    assert seen.add_canary(Looked("kind", KIND, run)) == []
    reference = run.projections["kind"]["1"]
    live = rng.normal(300, 10, 300)
    for i, value in enumerate(live.tolist()):
        assert seen.add_shadow(KIND, str(i), AnswerScore(3, -9, -8, 0.1, projections={"kind": {"1": value}})) == []
    assert [alarm.kind for alarm in seen.settle()] == ["unlike-check"]
    assert ks_2samp(reference, live).pvalue < 1e-6
    check, first = sorted(seen.drift.record(KIND.key), key=lambda row: str(row["reference"]))
    assert (check["reference"], check["n_reference"], check["alarm"]) == ("check", 100, True)
    assert check["stability_index"] > 0.25
    assert (first["reference"], first["alarm"]) == ("first answers", False)
    again = compared(checked(effects), scores_of(effects, kappa=texts + 500))
    seen.add_canary(Looked("kind", KIND, again))  # a later look leaves the reference as it is
    assert len(seen.drift.record(KIND.key)) == 2
