"""Activations of a behavior's examples at sites, and the vectors trained on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trimtab.behaviors import PromptType
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Floats
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.geometry import Geometry
from trimtab.models import Encoded
from trimtab.models.capture import MASSIVE, capture
from trimtab.steering import Steering, mean_difference
from trimtab.storage.steps import Arrays


@dataclass(frozen=True)
class TrainingActivations(Step):
    """Activations of the training examples' contexts at sites, under a prompt type.

    Args:
        prompt_type: how examples are put to the model.
        sites: where to read.
        last_tokens: as `Instrument.activations` takes it.
    """

    prompt_type: PromptType
    sites: tuple[Site, ...]
    last_tokens: int | None = None

    @property
    def title(self) -> str:
        return f"vector, {self.prompt_type}"

    def cost(self, on: Experiment) -> float:
        return on.reading_cost(contexts(on, self.prompt_type), self.sites)

    def compute(self, on: Experiment) -> Arrays:
        shots = on.splits.shots.examples
        examples = on.splits.train.examples
        captured = on.instrument.activations(examples, shots, self.prompt_type, self.sites, self.last_tokens)
        out: dict[str, NDArray[np.generic]] = {}
        for site in self.sites:
            out[f"{site}+"], out[f"{site}-"] = np.split(captured.activations[site].cpu().numpy(), 2)
            n_massive = captured.n_massive[site]
            if n_massive is not None:
                out[f"{site}massive"] = np.array(n_massive)
            else:  # one token of each text was read: its norm is compared with the median of the text
                large = captured.activations[site].norm(dim=1) > MASSIVE * captured.norms[site]
                out[f"{site}large"] = large.cpu().numpy().reshape(2, -1).any(axis=0)
        return out


def contexts(on: Experiment, prompt_type: PromptType) -> list[Encoded]:
    """Token rows of both contexts of every training example under a prompt type."""
    plus, minus = on.instrument.contexts(on.splits.train.examples, on.splits.shots.examples, prompt_type)
    return plus + minus


def training(
    on: Experiment, prompt_type: PromptType, sites: Sequence[Site], last_tokens: int | None = None
) -> Mapping[Site, Geometry]:
    """Activations of the training examples at the sites, under a prompt type; see `TrainingActivations`."""
    kept = on.run(TrainingActivations(prompt_type, tuple(sites), last_tokens))
    arbitrary = on.behavior.pairing == "random" and prompt_type.prefilled
    examples = on.splits.train.examples
    texts = (tuple(e.positive for e in examples), tuple(e.negative for e in examples)) if arbitrary else None
    return {
        site: Geometry(
            kept[f"{site}+"].astype(np.float64),
            kept[f"{site}-"].astype(np.float64),
            on.splits.train.clusters,
            arbitrary,
            int(kept.get(f"{site}massive", 0)),
            texts,
        ).without_massive(kept.get(f"{site}large"))
        for site in sites
    }


def vector_of(on: Experiment, geometry: Geometry, site: Site) -> Steering:
    """The mean-difference steering of training activations."""
    return mean_difference(
        torch.from_numpy(geometry.positive).float(),
        torch.from_numpy(geometry.negative).float(),
        site,
        on.behavior.name,
    )


@dataclass(frozen=True)
class EvaluationActivations(Step):
    """Activations of the evaluation examples' two contexts at a site."""

    prompt_type: PromptType
    site: Site
    title = "projections"

    def cost(self, on: Experiment) -> float:
        shots = on.splits.shots.examples
        plus, minus = on.instrument.contexts(on.splits.eval.examples, shots, self.prompt_type)
        return on.reading_cost(plus + minus, [self.site])

    def compute(self, on: Experiment) -> Arrays:
        examples, shots = on.splits.eval.examples, on.splits.shots.examples
        captured = on.instrument.activations(examples, shots, self.prompt_type, [self.site])
        plus, minus = np.split(captured.activations[self.site].cpu().numpy(), 2)
        return {"+": plus, "-": minus}


def evaluated(on: Experiment, prompt_type: PromptType, site: Site) -> tuple[Floats, Floats]:
    """`[n, d_model]` of the evaluation examples' positive and negative contexts at the site."""
    kept = on.run(EvaluationActivations(prompt_type, site))
    return kept["+"].astype(np.float64), kept["-"].astype(np.float64)


@dataclass(frozen=True)
class TypicalActivations(Step):
    """Last tokens of the dev examples' bare texts at a site, and the median norm of all their tokens."""

    site: Site
    title = "edit size"

    def cost(self, on: Experiment) -> float:
        return on.reading_cost(_bare_dev(on), [self.site])

    def compute(self, on: Experiment) -> Arrays:
        captured = capture(on.model, _bare_dev(on), [self.site], "last")
        norm = captured.norms[self.site].quantile(0.5)
        return {"h": captured.activations[self.site].cpu().numpy(), "norm": norm.cpu().numpy()}


def _bare_dev(on: Experiment) -> list[Encoded]:
    return [row for side in on.instrument.bare(on.splits.dev.examples) for row in side]


def typical(on: Experiment, site: Site) -> Floats:
    """`[n, d_model]` last tokens of the dev examples' bare texts at the site."""
    return on.run(TypicalActivations(site))["h"]


def median_norm(on: Experiment, site: Site) -> float:
    """Median norm of a token's activation at the site, over the dev examples' bare texts."""
    return float(on.run(TypicalActivations(site))["norm"])
