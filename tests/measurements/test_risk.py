"""Which prompts are at risk: learned where there is something to learn, and the condition decides as the risk does."""

import numpy as np
import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.measurements.risk import Outcomes, Risk, fit_risk
from trimtab.models.conditions import met
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.selective import risk_auroc

RNG = np.random.default_rng(0)
N, WIDTH = 200, 12
CLUSTERS = tuple(f"#{k}" for k in range(N))


def prompts(n: int = N) -> np.ndarray:
    """Mean activations far from the origin, as real ones are, of any length."""
    return np.asarray((3.0 + RNG.normal(size=(n, WIDTH))) * RNG.uniform(1, 50, size=(n, 1)))


def natural(h: np.ndarray, wrong: np.ndarray) -> Outcomes:
    effect = Contrast(np.where(wrong, -1.0, 1.0), np.zeros(len(wrong)), CLUSTERS[: len(wrong)], "natural")
    noise = prompts(len(h))
    return Outcomes(effect, {Site(0): noise, Site(1): h}, {Site(0): noise, Site(1): h})


def test_what_the_activations_tell_is_learned_at_the_site_that_tells_it() -> None:
    h = prompts()
    along = (h / np.linalg.norm(h, axis=1, keepdims=True))[:, 0]
    wrong = along > np.quantile(along, 0.7)
    risk, scores = fit_risk(natural(h, wrong), seed=0)
    assert risk.site == Site(1)
    assert risk_auroc(scores, wrong).value > 0.9
    fresh = prompts()
    expected = (fresh / np.linalg.norm(fresh, axis=1, keepdims=True))[:, 0] > np.quantile(along, 0.7)
    assert risk_auroc(risk.of(fresh), expected).value > 0.9


def test_cross_fitted_scores_promise_nothing_of_noise() -> None:
    _, scores = fit_risk(natural(prompts(), RNG.random(N) < 0.3), seed=0)
    wrong = natural(prompts(), RNG.random(N) < 0.3).wrong
    found = risk_auroc(scores, wrong)
    assert found.low < 0.5 < found.high


def test_the_condition_acts_where_the_risk_lies_below_the_threshold() -> None:
    h = prompts()
    risk = Risk(Site(1), RNG.normal(size=WIDTH), -0.7)
    for threshold in np.quantile(risk.of(h), [0.1, 0.5, 0.9]):
        acts = met(risk.condition(float(threshold)), torch.from_numpy(h).float()).numpy()
        below = risk.of(h) < threshold
        near = np.abs(risk.of(h) - threshold) < 1e-5
        assert (acts == below)[~near].all()
        assert 0 < acts.sum() < N


def test_texts_paired_at_random_have_a_chance_each() -> None:
    up, down = RNG.normal(0.5, 1, N), RNG.normal(0, 1, N)
    h = prompts()
    seen = Outcomes(Contrast(up, down, CLUSTERS, "random"), {Site(1): h}, {Site(1): prompts()})
    assert seen.prompts[Site(1)].shape == (2 * N, WIDTH)
    assert seen.wrong[3] == pytest.approx(np.mean(up[3] < down))
    assert seen.wrong[N + 3] == pytest.approx(np.mean(up < down[3]))
    risk, scores = fit_risk(seen, seed=0)
    acting = seen.acting(scores, float(np.median(scores))).acting
    assert acting is not None
    assert np.concatenate(acting).tolist() == (scores < np.median(scores)).tolist()
    assert risk.site == Site(1)


def test_parts_are_joined_in_order() -> None:
    first, second = natural(prompts(30), RNG.random(30) < 0.5), natural(prompts(20), RNG.random(20) < 0.5)
    both = Outcomes.together([first, second])
    assert both.wrong.tolist() == [*first.wrong, *second.wrong]
    assert both.prompts[Site(1)][30:].tolist() == second.prompts[Site(1)].tolist()
    assert len(both.clusters) == 50


@pytest.mark.parametrize(("wrong", "word"), [(np.zeros(N, bool), "none of 200"), (np.ones(N, bool), "every one")])
def test_there_must_be_something_to_tell_apart(wrong: np.ndarray, word: str) -> None:
    with pytest.raises(InputError, match=word):
        fit_risk(natural(prompts(), wrong), seed=0)


def test_few_examples_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        fit_risk(natural(prompts(8), RNG.permutation([True] * 4 + [False] * 4)), seed=0)


def test_prompts_that_are_all_alike_tell_nothing() -> None:
    h = np.ones((N, WIDTH))
    seen = Outcomes(natural(h, RNG.random(N) < 0.5).effect, {Site(1): h}, {Site(1): h})
    with pytest.raises(InputError, match="all alike"):
        fit_risk(seen, seed=0)
