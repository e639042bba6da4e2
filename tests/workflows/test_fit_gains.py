"""What several directions do beyond one on dev: what is noise is not taken for a gain, what is a gain is."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import trimtab as tt
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Additive
from trimtab.workflows.fit import selection
from trimtab.workflows.fit.selection import Gain, Scored, gains

N = 60
ON = SimpleNamespace(strength=1.0, seed=0)
ONE = tt.Steering({0: Additive(torch.ones(1, 4))}, {"mood": 1.0})
TWO = tt.Steering({0: Additive(torch.ones(2, 4))}, {"mood-1": 1.0, "mood-2": 1.0})
ROWS = [Scored({}, 1.0, {"mood": 0.5})] * 4


def found(monkeypatch: pytest.MonkeyPatch, effects: list[np.ndarray]) -> list[Gain]:
    """Gains of three candidates over one vector, whose effects on the dev examples come first."""
    candidates = [ONE, TWO.changed(), TWO.changed(), TWO.changed()]
    clusters = tuple(map(str, range(N)))

    def on_dev(_: Any, variants: Any) -> list[Contrast]:
        own = next(i for i, one in enumerate(candidates) if one is variants[0][0])
        return [Contrast(effects[own], np.zeros(N), clusters, "natural")]

    monkeypatch.setattr(selection, "effects_on_dev", on_dev)
    return gains(ON, candidates, ROWS, 0)  # type: ignore[arg-type]


def test_noise_is_hardly_ever_taken_for_a_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    seeming = []
    for _ in range(60):
        shared = 0.1 + 0.5 * rng.standard_normal(N)
        effects = [shared + 0.3 * rng.standard_normal(N) for _ in range(4)]
        seeming.append(any(gain.certain for gain in found(monkeypatch, effects)))
    assert binomtest(sum(seeming), len(seeming), 0.05, alternative="greater").pvalue > 0.001


def test_gains_are_paired_differences_and_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    one = rng.standard_normal(N)
    two = [one + 0.5 + 0.1 * rng.standard_normal(N), np.abs(one) * 0.9 + 0.1, one - 0.2]
    first, second, third = found(monkeypatch, [one, *two])
    for gain, own in zip((first, second, third), two, strict=True):
        assert gain.more.value == pytest.approx((own - one).mean())
        assert gain.fewer.value == pytest.approx((one < 0).mean() - (own < 0).mean())
    assert first.certain
    assert second.certain
    assert second.fewer.low > 0
    assert not third.certain
