"""Two directions where one does not hold: examples in groups by their prompts, a direction for each, and a router."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch

from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.interventions import Condition, Site
from trimtab.phrases import Phrase, with_and
from trimtab.statistics.groups import grouped, shrunk_means
from trimtab.statistics.inputs import Floats
from trimtab.steering.edits import Additive
from trimtab.steering.methods.base import Learned, Material, Materials, Method, PromptedSides
from trimtab.steering.methods.sides import SAME
from trimtab.steering.steering import Steering

_SHOWN = 2  # prompts of a group that are named


@dataclass(frozen=True)
class Mixture(Method):
    """Adds one of two vectors, the one of the group of examples that a prompt is like; or one vector, if that does.

    The training examples fall into two groups by what their prompts are about (`trimtab.statistics.groups`). Each has
    its mean difference, pulled toward that of all by as much as it is noise (`shrunk_means`). Each is an attribute with
    a condition on the prompt: which of the two centres is nearer is one bound on one cosine. One vector for all is the
    rival, at each of the same blocks: groups are taken only where dev shows that they do more.
    """

    name: ClassVar[str] = "mixture"
    source: ClassVar[str] = (
        "Ours. Groups by k-means (Lloyd 1982) on the prompts' mean activations at length 1; means pulled toward the "
        "common one by empirical Bayes (Morris 1983, JASA 78); the condition is CAST's cosine (2409.05907)."
    )
    material: ClassVar[Material] = "sides"
    routes: ClassVar[bool] = True
    blocks: int = 3
    """If no site is named: at how many blocks to try. The one whose mean difference does best, and others spread over
    the model."""

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise InputError(f"blocks {self.blocks!r} must be at least 1", code="out-of-range", field="options.blocks")

    def learn(self, materials: Materials) -> Sequence[Learned]:
        """One vector and two at each block; which of these is left to dev."""
        attempts = []
        for own in materials.prompted(self, self.blocks):
            attempts.append((f"one vector at site {own.site}", partial(self.one, own, materials)))
            attempts.append((f"two groups at site {own.site}", partial(self.two, own, materials)))
        return materials.those_that_work(attempts)

    def one(self, own: PromptedSides, materials: Materials) -> Learned:
        """One vector for all prompts, the mean difference.

        Raises:
            InputError: the sides have the same mean.
        """
        if own.sides.same_mean:
            raise InputError(SAME, code="no-direction", field="data")
        return self._learned(own, materials, own.sides.mean_difference[None], rival=True)

    def two(self, own: PromptedSides, materials: Materials) -> Learned:
        """One of two vectors for each prompt.

        Raises:
            InputError: no two groups of prompts, or groups whose directions differ by no more than chance.
        """
        prompts = own.prompts.double().cpu().numpy()
        groups = grouped(prompts, 2, own.clusters, seed=materials.seed)
        found = shrunk_means(own.sides.differences(materials.seed).cpu().numpy(), groups.label, own.clusters)
        if not found.weights.all():
            raise InputError(
                "the directions of the two groups differ by no more than chance would have it",
                code="no-direction",
                field="data",
            )
        vectors = torch.from_numpy(found.shrunk)
        learned = self._learned(own, materials, vectors)
        first, second = learned.steering.attributes
        at = own.prompts_site
        conditions = dict(zip((first, second), nearer_of_two(at, *groups.centres), strict=True))
        notes = []
        for j, name in enumerate((first, second)):
            near = groups.nearest(prompts, j, _SHOWN, own.clusters)
            shown = [Phrase("“{text}”", text=" ".join(own.texts[i].split())[:60]) for i in near]
            share = decimals(float((groups.label == j).mean()), ".0%")
            notes.append(Phrase("{name}: {share} of the training examples, such as {prompts}", name=name, share=share,
                                prompts=with_and(shown)))  # fmt: skip
        return replace(learned, steering=learned.steering.changed(conditions=conditions), notes=tuple(notes))

    def _learned(
        self, own: PromptedSides, materials: Materials, vectors: torch.Tensor, *, rival: bool = False
    ) -> Learned:
        """A steering with an attribute for each of the vectors `[k, d_model]`."""
        k = len(vectors)
        names = [own.name] if k == 1 else [f"{own.name}-{j}" for j in range(1, k + 1)]
        origin = self.origin(materials.seed, dict.fromkeys(names, materials.digests[own.name]))
        origin = replace(origin, hyperparameters={**origin.hyperparameters, "directions": k})
        edits = {own.site: Additive(vectors.float())}
        steering = Steering(edits, dict.fromkeys(names, 1.0), origin, made_for=materials.made_for)
        return Learned(steering, rival=rival)


def nearer_of_two(site: Site, first: Floats, second: Floats) -> tuple[Condition, Condition]:
    """Conditions that part all prompts between two centres: each is met by those at length 1 that lie nearer to it.

    ‖u − a‖ < ‖u − b‖ is 2 u · (a − b) > ‖a‖² − ‖b‖², a bound on the cosine of u with a − b.

    Args:
        site: where prompts are read.
        first, second: `[d_model]` centres, means of rows of length 1.
    """
    axis = first - second
    bound = float((first @ first - second @ second) / (2 * np.linalg.norm(axis)))
    return Condition(site, axis, bound, above=True), Condition(site, axis, bound, above=False)
