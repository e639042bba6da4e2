"""Training examples in groups by what their prompts are about, and what the one vector does in each."""

from collections.abc import Callable
from typing import Final

import numpy as np

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import Floats
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.coherence import in_short
from trimtab.measurements.effects import Steered
from trimtab.measurements.geometry import Geometry
from trimtab.measurements.prompts import PromptActivations, has_prompts, prompt_activations
from trimtab.phrases import Phrase
from trimtab.results.consequences import Direction, ExampleGroup, Grouping
from trimtab.results.figures import Estimate, estimate
from trimtab.statistics import Interval
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.groups import MIN_CLUSTERS, best_grouped

_SHOWN: Final = 3  # prompts of each group
_NO_PROMPTS: Final = Phrase("the examples have no prompts that could tell groups apart")


def with_groups(
    found: Direction, on: Experiment, geometry: Geometry, own: Steered, part: Split, site: Site
) -> Direction:
    """The tests of a direction, with the examples in groups by their prompts.

    Of 2, 3 and 4 groups those are taken that `trimtab.statistics.groups.best_grouped` takes.

    Args:
        found: the other tests.
        on: the behavior's experiment.
        geometry: training activations of the vector.
        own: what the vector does to a part's examples.
        part: which.
        site: where it steers; prompts are read at the same block.
    """
    if not on.effort.besides:
        return found.model_copy(update={"grouping": Grouping(reason=on.effort.reason)})
    return found.model_copy(update={"grouping": _grouping(on, geometry, own, part, Site(site.block))})


def group_steps(on: Experiment, site: Site) -> list[Step]:
    """Of `with_groups` on the evaluation examples."""
    if not on.effort.besides or not has_prompts(on):
        return []
    sites = (Site(site.block),)
    return [
        PromptActivations("train", sites, len(on.splits.train)),
        PromptActivations("eval", sites, len(on.splits.eval)),
    ]


def _grouping(on: Experiment, geometry: Geometry, own: Steered, part: Split, site: Site) -> Grouping:
    if not has_prompts(on):
        return Grouping(reason=_NO_PROMPTS)
    contexts = prompt_activations(on, "train", [site])["positive"][site][list(geometry.examples)]
    here = prompt_activations(on, part, [site])["positive"][site]
    clusters, differences = np.array(geometry.clusters), geometry.differences
    try:
        groups, test = best_grouped(contexts, differences, clusters, seed=on.seed)
    except InputError:  # too few, or all alike
        return Grouping(
            reason=Phrase("the prompts make no two groups of at least {n} independent examples", n=MIN_CLUSTERS)
        )
    of = groups.of(here)
    examples = [on.splits.train.examples[i] for i in geometry.examples]
    found = []
    for j in range(groups.k):
        member, effect = groups.label == j, own.effect.among(of == j)
        shown = groups.nearest(contexts, j, _SHOWN, clusters)
        found.append(
            ExampleGroup(
                share=float(member.mean()),
                n_train=int(member.sum()),
                cosine=_cosine(differences[member].mean(axis=0), geometry.vector),
                effect=_among(effect, effect.mean),
                anti_steerable=_among(effect, effect.below_zero),
                prompts=tuple(in_short(examples[i].prompt) for i in shown),
            )
        )
    return Grouping(groups=tuple(found), p_value=test.p_value)


def _among(effect: Contrast, measure: Callable[[], Interval]) -> Estimate:
    """A figure of the examples of a group; none where they are fewer than two."""
    if effect.n_clusters < 2:
        return Estimate(reason=Phrase("fewer than two evaluation examples are like these"))
    return estimate(measure(), effect.n_clusters)


def _cosine(a: Floats, b: Floats) -> float:
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
