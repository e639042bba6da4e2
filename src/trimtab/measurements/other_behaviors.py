"""What steering does to other behaviors: refusals of harmless requests, and behaviors of the caller's choice."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.behaviors import Behavior, Example, Probe
from trimtab.errors import InputError
from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import SIDES, Instrument, Treatment
from trimtab.experiment.steps import Step
from trimtab.phrases import Phrase
from trimtab.results.consequences import OtherEffect
from trimtab.results.figures import Estimate, estimate
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays

OTHER_ROWS = 60  # examples of another behavior that was given


@dataclass(frozen=True)
class OtherPropensities(Step):
    """Propensities of another behavior's examples, without and with a steering.

    Args:
        behavior: the other one.
        rows: at most so many of its examples, evenly spread.
        steering: at a strength.
        strength: of it.
    """

    behavior: Behavior
    rows: int
    steering: Steering
    strength: float

    @property
    def title(self) -> str:
        return self.behavior.name

    def instrument(self, on: Experiment) -> Instrument:
        """The instrument of the other behavior."""
        return Instrument(on.model, self.behavior, on.instrument.chat_template, "mean")

    def examples(self, on: Experiment) -> list[Example]:
        """Those that are scored.

        Raises:
            InputError: they cannot be put to the model.
        """
        instrument, every = self.instrument(on), self.behavior.examples
        prompt_prefix = on.treatment((self.steering, self.strength)).prompt_prefix
        short = [e for e, ok in zip(every, instrument.fitting(every, prompt_prefix), strict=True) if ok]
        fits = instrument.scorable(short)
        stride = max(1, len(every) // self.rows)
        return [e for e, ok in zip(short, fits, strict=True) if ok][::stride][: self.rows]

    def cost(self, on: Experiment) -> float:
        return sum(len(row.ids) for side in self.instrument(on).bare(self.examples(on)) for row in side) * 2.0

    def compute(self, on: Experiment) -> Arrays:
        treatments = [Treatment(), on.treatment((self.steering, self.strength))]
        base, steered = self.instrument(on).propensities(self.examples(on), treatments)
        return {f"{side}{i}": getattr(p, side) for i, p in enumerate((base, steered)) for side in SIDES}

    def effect(self, on: Experiment) -> Estimate:
        """The mean change of the propensity."""
        try:
            n = len(self.examples(on))
        except InputError as error:
            return Estimate(reason=error.message)
        if n < 2:
            return Estimate(reason=Phrase("fewer than 2 rows can be scored"))
        kept = on.run(self)
        maker = ContrastMaker(tuple(map(str, range(n))), self.behavior.pairing == "random", on.seed)
        change = maker(*(kept[f"{side}1"] - kept[f"{side}0"] for side in SIDES))
        return estimate(change.mean(), change.n_clusters)


def over_refusal(on: Experiment, steering: Steering) -> OtherPropensities:
    """log P(answer) − log P(refusal), nats per token, on harmless requests that look sensitive."""
    probe = Probe.builtin("over-refusal")
    rows = on.effort.over_refusal or len(probe.examples)
    return OtherPropensities(Behavior(probe.name, list(probe.examples)), rows, steering, on.strength)


def others(on: Experiment, steering: Steering, behaviors: Sequence[Behavior]) -> list[OtherPropensities]:
    """Of every other behavior than the experiment's own."""
    return [
        OtherPropensities(b, OTHER_ROWS, steering, on.strength) for b in behaviors if b.digest != on.behavior.digest
    ]


def other_effects(on: Experiment, steering: Steering, behaviors: Sequence[Behavior]) -> tuple[OtherEffect, ...]:
    """Effect on every other behavior's propensity."""
    return tuple(
        OtherEffect(behavior=step.behavior.name, unit=step.instrument(on).unit, effect=step.effect(on))
        for step in others(on, steering, behaviors)
    )
