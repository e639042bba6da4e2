import numpy as np
import pytest
import torch

import trimtab as tt
from trimtab.evaluation.tasks import BehaviorTask, Treatment, run
from trimtab.experiment.instrument import Instrument

CHOICES = [tt.Example(f"Is {k} even?\n (A) Yes\n (B) No\nAnswer:", " (A)", " (B)") for k in range(4)]
TEXTS = [tt.Example(f"Greet guest {k}.", " Welcome, do come in.", " Go away.") for k in range(4)]
BARE = [tt.Example("", f"I like {k} cups of warm tea.", f"I hate {k} cups of warm tea.") for k in range(4)]


@pytest.mark.parametrize("examples", [CHOICES, TEXTS, BARE], ids=["labels", "texts", "statements"])
def test_propensities_and_effects_are_those_of_a_check(tiny, examples) -> None:
    behavior = tt.Behavior("mine", examples)
    task = BehaviorTask(behavior)
    instrument = Instrument(tiny, behavior, False, "mean")
    base = run(task, tiny)
    np.testing.assert_allclose(base.values("propensity")[0], instrument.propensity(examples).m, atol=1e-5)
    steering = tt.Steering.from_vector(1, torch.linspace(-1, 1, tiny.d_model))
    steered = run(task, tiny, Treatment(steering, 2.0))
    with tiny.steered(steering, 2.0):
        expected = instrument.propensity(examples).m
    np.testing.assert_allclose(steered.values("propensity")[0], expected, atol=1e-5)
    assert not np.allclose(steered.values("propensity")[0], base.values("propensity")[0])
    right = base.values("propensity")[0] > 0
    np.testing.assert_array_equal(base.values("accuracy")[0], right)


def test_pairs_that_mean_nothing_have_no_accuracy(tiny) -> None:
    task = BehaviorTask(tt.Behavior("mine", TEXTS, pairing="random"))
    assert [f.name for f in task.figures] == ["propensity"]
    assert {row.figure for row in run(task, tiny).rows} == {"propensity"}


def test_a_built_in_behavior_or_a_file_is_read(write) -> None:
    assert len(BehaviorTask.load("sentiment").units) == 260
    file = write("tea.jsonl", [{"prompt": "Tea?", "positive": " Gladly.", "negative": " Never.", "group": "a"}])
    assert [u.cluster for u in BehaviorTask.load(file).units] == ["a"]
