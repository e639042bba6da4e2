"""The numerical noise of effects: how much they change with the batch shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.behaviors import Example
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import Floats, Treatment
from trimtab.experiment.steps import Step
from trimtab.measurements.effects import PLAIN
from trimtab.results.report import Noise
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays

SMALL_BATCH = 3  # examples of the other batch shape


@dataclass(frozen=True)
class NoisyEffects(Step):
    """|Δ − Δ| of a part's first examples, scored together and in small batches."""

    steering: Steering
    strength: float
    part: Split = "eval"
    title = "numerical noise"

    def cost(self, on: Experiment) -> float:
        return 2 * on.passes([PLAIN, (self.steering, self.strength)]) * on.score_cost(self._examples(on))

    def compute(self, on: Experiment) -> Arrays:
        examples, treatment = self._examples(on), on.treatment((self.steering, self.strength))

        def change(some: Sequence[Example]) -> Floats:
            base, steered = on.instrument.propensities(some, [Treatment(), treatment])
            return steered.m - base.m

        batches = [examples[i : i + SMALL_BATCH] for i in range(0, len(examples), SMALL_BATCH)]
        together, apart = change(examples), np.concatenate([change(some) for some in batches])
        return {"change": np.abs(together - apart)}

    def _examples(self, on: Experiment) -> tuple[Example, ...]:
        return on.part(self.part).examples[: on.effort.noise]


def noise(on: Experiment, steering: Steering, part: Split = "eval") -> Noise:
    """Of the effects of a steering at the experiment's strength."""
    change = on.run(NoisyEffects(steering, on.strength, part))["change"]
    return Noise(value=float(np.quantile(change, 0.95)), maximum=float(change.max()), n=len(change))
