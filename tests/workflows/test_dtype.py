"""How far bfloat16 blocks move the figures that a verdict rests on, measured against float32."""

import numpy as np
import pytest

import trimtab as tt
from trimtab.behaviors import PromptType, split
from trimtab.experiment.instrument import Instrument, Treatment
from trimtab.models import steer
from trimtab.statistics import directional_agreement, projection, separability
from trimtab.steering import mean_difference

SITE = tt.Site(14)


def figures(model: tt.Model) -> dict[str, float]:
    """Agreement, d′, mean effect and its spread over examples, of a small sentiment check."""
    behavior = tt.Behavior.builtin("sentiment")
    parts = split(behavior, train=40, evaluation=32)
    instrument = Instrument(model, behavior, chat_template=False, read="mean")
    captured = instrument.activations(parts.train.examples, (), PromptType.PREFILLED, [SITE])
    plus, minus = captured.activations[SITE].chunk(2)
    steering = mean_difference(plus, minus, SITE)
    base, steered = instrument.propensities(parts.eval.examples, [Treatment(), Treatment((steer(steering, 1.0),))])
    effect = steered.m - base.m
    p, m = plus.double().numpy(), minus.double().numpy()
    return {
        "agreement": directional_agreement(p - m),
        "separability": separability(*(projection(side, p.mean(axis=0), m.mean(axis=0)) for side in (p, m))),
        "effect": float(effect.mean()),
        "anti-steerable": float((effect < 0).mean()),
        "sd": float(np.std(effect, ddof=1)),
    }


@pytest.mark.embedded
def test_bfloat16_blocks_move_no_figure_by_more_than_its_noise(embedded: tt.Model) -> None:
    exact, low = figures(embedded), figures(tt.load("smollm2", dtype="bfloat16"))
    assert exact["effect"] > 0.3
    assert abs(low["agreement"] - exact["agreement"]) <= 0.005
    assert abs(low["separability"] - exact["separability"]) <= 0.02 * exact["separability"]
    assert abs(low["effect"] - exact["effect"]) <= 0.02  # nats per token
    assert abs(low["sd"] - exact["sd"]) <= 0.02
    assert low["anti-steerable"] == exact["anti-steerable"]
