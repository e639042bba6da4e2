"""Activations of the prompts of a part, as conditions on prompts read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import SIDES, Floats
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.models import Encoded
from trimtab.models.capture import capture
from trimtab.models.conditions import prompt_alone
from trimtab.storage.steps import Arrays

AnyPart = Split | Literal["train"]


@dataclass(frozen=True)
class PromptActivations(Step):
    """Mean activations of the prompts of both evaluation texts, each different prompt read once.

    Args:
        part: whose prompts.
        sites: where to read.
        rows: only the first so many examples.
    """

    part: AnyPart
    sites: tuple[Site, ...]
    rows: int

    @property
    def title(self) -> str:
        return "prompts"

    def cost(self, on: Experiment) -> float:
        return on.reading_cost(self._prompts(on)[0], self.sites)

    def compute(self, on: Experiment) -> Arrays:
        prompts, place = self._prompts(on)
        found = capture(on.model, prompts, self.sites, "mean").activations
        halves = np.split(np.array(place), 2)
        return {
            f"{site}{side}": found[site].cpu().numpy()[rows]
            for site in self.sites
            for side, rows in zip(SIDES, halves, strict=True)
        }

    def _prompts(self, on: Experiment) -> tuple[list[Encoded], list[int]]:
        """The different prompts, and which of them each text has, positive ones first."""
        plus, minus = on.instrument.bare(on.part(self.part).examples[: self.rows])
        every = [prompt_alone(row) for row in plus + minus]
        different = {tuple(row.ids): row for row in every}
        number = {ids: i for i, ids in enumerate(different)}
        return list(different.values()), [number[tuple(row.ids)] for row in every]


def has_prompts(on: Experiment) -> bool:
    """Whether each example has one prompt before both answers."""
    return on.behavior.pairing == "natural" and not on.behavior.bare


def prompt_activations(on: Experiment, part: AnyPart, sites: Sequence[Site]) -> dict[str, dict[Site, Floats]]:
    """By side and site `[n, d_model]` mean activations of the prompts of a part's examples."""
    read = on.run(PromptActivations(part, tuple(sites), len(on.part(part))))
    return {side: {site: read[f"{site}{side}"].astype(np.float64) for site in sites} for side in SIDES}
