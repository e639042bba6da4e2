"""Which prompts an attribute shall act on, found from prompts of both kinds."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Condition, Site
from trimtab.models.conditions import cosines, met
from trimtab.steering.methods.sides import Sides


def fit_condition(train: Mapping[Site, Sides], dev: Mapping[Site, Sides]) -> Condition:
    """The site, direction and threshold that tell prompts of two kinds apart best.

    At each site the direction is the mean difference of the training prompts, and the threshold lies between two of
    their cosines where balanced accuracy is highest; the site is the one with the highest balanced accuracy on dev, the
    lowest of equals. After CAST (Lee et al. 2409.05907), which searches layers and thresholds for F1 with the first
    principal component; balanced accuracy does not depend on how many prompts of each kind were given.

    Args:
        train: mean activations of prompts by site; the positive side shall be acted on.
        dev: of other prompts, at the same sites.

    Raises:
        InputError: no sites; sides with the same mean at every site.
    """
    if not train or set(train) != set(dev):
        raise InputError(
            "a condition is fitted to prompts at the same sites, at least one", code="missing-value", field="sites"
        )
    best: tuple[float, Condition] | None = None
    for site in sorted(train):
        sides = train[site]
        if sides.same_mean:
            continue
        axis = sides.mean_difference.float()
        result = Condition(site, axis, 0.0)
        result = Condition(site, axis, _threshold(cosines(result, sides.positive), cosines(result, sides.negative)))
        score = balanced_accuracy(result, dev[site])
        if best is None or score > best[0]:
            best = score, result
    if best is None:
        raise InputError(
            "the prompts of both kinds have the same mean activation everywhere", code="no-direction", field="condition"
        )
    return best[1]


def balanced_accuracy(condition: Condition, sides: Sides) -> float:
    """Mean of the shares of both kinds of prompts on which the condition decides rightly."""
    right = met(condition, sides.positive).double().mean(), (~met(condition, sides.negative)).double().mean()
    return float(sum(right)) / 2


def _threshold(positive: Tensor, negative: Tensor) -> float:
    """Between two neighbours of the pooled cosines, where balanced accuracy is highest; the middle one of equals."""
    pooled = torch.cat([positive, negative]).sort().values.double()
    between = (pooled[1:] + pooled[:-1]) / 2
    above = (positive[None] > between[:, None]).double().mean(dim=1)
    below = (negative[None] <= between[:, None]).double().mean(dim=1)
    score = above + below
    best = (score >= score.max() - 1e-12).nonzero()[:, 0]
    return float(between[best[len(best) // 2]].clamp(-1, 1))
