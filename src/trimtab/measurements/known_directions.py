"""Directions that are known before any pair of a behavior is looked at: of its instruction, and of other behaviors."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from trimtab.behaviors import Behavior, PromptType, builtin, builtin_names, not_measured
from trimtab.behaviors.controls import CONTROLS
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Floats, Instrument
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.activations import TrainingActivations, training
from trimtab.models import Encoded
from trimtab.storage.steps import Arrays

ROWS: Final = 100  # examples of a built-in behavior; their mean difference has a cosine of some 0.96 with that of all
NOTHING: Final = "null"  # the built-in behavior with no direction to it


@dataclass(frozen=True)
class BuiltInDirection(Step):
    """The mean difference of a built-in behavior's first examples at sites, read as the experiment's own examples are.

    Args:
        name: of the built-in behavior.
        sites: where to read.
        prompt_type: how its examples are put to the model.
    """

    name: str
    sites: tuple[Site, ...]
    prompt_type: PromptType
    title = "built-in behaviors"

    def cost(self, on: Experiment) -> float:
        return on.reading_cost(self._contexts(on), self.sites)

    def compute(self, on: Experiment) -> Arrays:
        instrument, some = self._instrument(on)
        captured = instrument.activations(some.examples, (), self.prompt_type, self.sites)
        halves = {site: np.split(captured.activations[site].double().cpu().numpy(), 2) for site in self.sites}
        return {str(site): plus.mean(axis=0) - minus.mean(axis=0) for site, (plus, minus) in halves.items()}

    def _instrument(self, on: Experiment) -> tuple[Instrument, Behavior]:
        whole = builtin(self.name)
        some = replace(whole, examples=whole.examples[:ROWS])
        return Instrument(on.model, some, on.instrument.chat_template, on.instrument.read), some

    def _contexts(self, on: Experiment) -> list[Encoded]:
        instrument, some = self._instrument(on)
        plus, minus = instrument.contexts(some.examples, (), self.prompt_type)
        return plus + minus


def built_in_directions(on: Experiment, sites: tuple[Site, ...]) -> dict[str, dict[Site, Floats]]:
    """By built-in behavior and site the direction `[d_model]`, without the behavior's own and the controls."""
    kept = {step.name: on.run(step) for step in built_in_steps(on, sites)}
    return {name: {site: arrays[str(site)] for site in sites} for name, arrays in kept.items()}


def built_in_steps(on: Experiment, sites: tuple[Site, ...]) -> list[BuiltInDirection]:
    """Of `built_in_directions`: a behavior that shares an example with the experiment's is the same by another name."""
    own = {(e.prompt, e.positive) for e in on.behavior.examples}
    names = [name for name in builtin_names() if name not in CONTROLS and name not in (NOTHING, on.behavior.name)]
    others = [name for name in names if own.isdisjoint((e.prompt, e.positive) for e in builtin(name).examples)]
    return [BuiltInDirection(name, sites, PromptType.PREFILLED) for name in others]


def instruction_step(on: Experiment, sites: tuple[Site, ...]) -> TrainingActivations:
    """Of `instruction_direction`."""
    return TrainingActivations(PromptType.INSTRUCTION, sites)


def instruction_direction(on: Experiment, sites: tuple[Site, ...]) -> dict[Site, Floats]:
    """By site what the behavior's instruction does against its opposite, in front of the training prompts, `[d_model]`.

    Raises:
        InputError: an instruction has no meaning for the behavior.
    """
    why = not_measured(on.behavior, PromptType.INSTRUCTION)
    if why is not None:
        raise InputError(
            f"behavior {on.behavior.name!r}: its instruction gives no direction: {why}",
            code="unusable-examples",
            field="shrink_toward",
        )
    return {site: found.vector for site, found in training(on, PromptType.INSTRUCTION, sites).items()}
