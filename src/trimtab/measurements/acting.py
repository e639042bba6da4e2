"""Which examples a steering with conditions acts on; the others it leaves exactly as they are."""

from dataclasses import dataclass

import numpy as np

from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import SIDES
from trimtab.experiment.steps import Step
from trimtab.models import Encoded
from trimtab.models.conditions import acts, prompt_alone
from trimtab.statistics.contrast import Flags
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays


@dataclass(frozen=True)
class ActsOn(Step):
    """Which examples of a part meet the conditions of a steering, by the prompts of both evaluation texts.

    Args:
        steering: at its default strengths; an attribute at 0 does not act.
        part: whose examples.
        rows: only the first so many.
    """

    steering: Steering
    part: Split
    rows: int

    @property
    def title(self) -> str:
        return "conditions"

    def cost(self, on: Experiment) -> float:
        prompts = [prompt_alone(row) for row in self._texts(on)]
        return on.reading_cost(prompts, [c.site for several in self.steering.conditions.values() for c in several])

    def compute(self, on: Experiment) -> Arrays:
        treatment = on.treatment((self.steering, 1.0))
        (steer,) = treatment.steers
        found = acts(on.model, self._texts(on, treatment.prompt_prefix), steer).numpy()
        return {"positive": found[: self.rows], "negative": found[self.rows :]}

    def _texts(self, on: Experiment, context: str = "") -> list[Encoded]:
        plus, minus = on.instrument.bare(on.part(self.part).examples[: self.rows], context)
        return plus + minus


def acting(on: Experiment, steering: Steering, part: Split, rows: int) -> tuple[Flags, Flags] | None:
    """`[rows]` of either side, whether the steering acts there; None where it has no conditions.

    Args:
        on: the behavior's experiment.
        steering: whose conditions are asked.
        part: whose examples.
        rows: the first so many.
    """
    if not steering.conditions:
        return None
    kept = on.run(ActsOn(steering, part, rows))
    plus, minus = (kept[side].astype(np.bool_) for side in SIDES)
    return plus, minus
