"""Several directions where one does not hold: examples in groups by their prompts, a direction each, and a router."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import ClassVar

import numpy as np
import torch

from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.interventions import Condition, Site
from trimtab.phrases import Phrase, with_and
from trimtab.statistics.groups import best_grouped, shrunk_means
from trimtab.statistics.inputs import Floats
from trimtab.steering.edits import Additive
from trimtab.steering.methods.base import Learned, Material, Materials, Method, PromptedSides
from trimtab.steering.methods.sides import SAME
from trimtab.steering.steering import Steering

_SHOWN = 2  # prompts of a group that are named


@dataclass(frozen=True)
class Mixture(Method):
    """Adds one of several vectors, that of the group of examples that a prompt is like; or one vector, if that does.

    The training examples fall into two to four groups by what their prompts are about; how many, their differences say
    (`best_grouped`). Each group has its mean difference, pulled toward that of all by as much as it is noise
    (`shrunk_means`). Each is an attribute with conditions on the prompt: which of two centres is nearer is one bound on
    one cosine. One vector for all is the rival, at each of the same blocks: groups are taken only where dev shows that
    they do more.
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
        """One vector and several at each block; which of these is left to dev."""
        attempts = []
        for own in materials.prompted(self, self.blocks):
            attempts.append((f"one vector at site {own.site}", partial(self.one, own, materials)))
            attempts.append((f"groups at site {own.site}", partial(self.several, own, materials)))
        return materials.those_that_work(attempts)

    def one(self, own: PromptedSides, materials: Materials) -> Learned:
        """One vector for all prompts, the mean difference.

        Raises:
            InputError: the sides have the same mean.
        """
        if own.sides.same_mean:
            raise InputError(SAME, code="no-direction", field="data")
        return self._learned(own, materials, own.sides.mean_difference[None], rival=True)

    def several(self, own: PromptedSides, materials: Materials) -> Learned:
        """One of several vectors for each prompt.

        Raises:
            InputError: no two groups of prompts, or groups whose directions differ by no more than chance.
        """
        prompts = own.prompts.double().cpu().numpy()
        differences = own.sides.differences(materials.seed).cpu().numpy()
        groups, _ = best_grouped(prompts, differences, own.clusters, seed=materials.seed)
        found = shrunk_means(differences, groups.label, own.clusters)
        if not found.weights.all():
            raise InputError(
                f"the directions of the {groups.k} groups differ by no more than chance would have it",
                code="no-direction",
                field="data",
            )
        vectors = torch.from_numpy(found.shrunk)
        learned = self._learned(own, materials, vectors)
        names = list(learned.steering.attributes)
        conditions = dict(zip(names, nearest_of(own.prompts_site, groups.centres), strict=True))
        notes = []
        for j, name in enumerate(names):
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


def nearest_of(site: Site, centres: Floats) -> list[tuple[Condition, ...]]:
    """Conditions that part all prompts among centres: those of a centre are met by prompts that lie nearest to it.

    Prompts count at length 1. ‖u − a‖ < ‖u − b‖ is 2 u · (a − b) > ‖a‖² − ‖b‖², a bound on the cosine of u with a − b,
    of which the one centre takes what is above and the other what is below. So no prompt is of two centres. One that
    lies as near to another centre as to the nearest, to the last digit, is of none.

    Args:
        site: where prompts are read.
        centres: `[k, d_model]` means of rows of length 1.

    Returns:
        by centre k − 1 conditions, all of which its prompts meet.
    """
    found: list[list[Condition]] = [[] for _ in centres]
    for i, j in combinations(range(len(centres)), 2):
        first, second = centres[i], centres[j]
        axis = first - second
        bound = float((first @ first - second @ second) / (2 * np.linalg.norm(axis)))
        found[i].append(Condition(site, axis, bound, above=True))
        found[j].append(Condition(site, axis, bound, above=False))
    return [tuple(own) for own in found]
