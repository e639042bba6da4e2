"""Fitting a condition: which prompts an attribute acts on, learned from prompts of both kinds."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Condition, Site
from trimtab.models.conditions import cosines, met
from trimtab.steering.methods.sides import Sides


def fit_condition(train: Mapping[Site, Sides], dev: Mapping[Site, Sides]) -> Condition:
    """The site, direction and threshold that best separate two kinds of prompts.

    At each site the direction is the mean difference of the training prompts, and the threshold lies between two of
    their cosines where balanced accuracy is highest; the site is the one with the highest balanced accuracy on dev, and
    the lowest among ties. After CAST (Lee et al. 2409.05907), which searches layers and thresholds for F1 with the
    first principal component; balanced accuracy does not depend on the number of prompts of each kind.

    Args:
        train: mean activations of prompts by site; the attribute should act on the positive side.
        dev: mean activations of other prompts, at the same sites.

    Raises:
        InputError: no sites, different sites, or the same mean of both kinds at every site.
    """
    if not train or set(train) != set(dev):
        raise InputError(
            "train and dev need activations at the same sites, and at least one site",
            code="missing-value",
            field="train",
        )
    best: tuple[float, Condition] | None = None
    for site in sorted(train):
        sides = train[site]
        if sides.same_mean:
            continue
        axis = sides.mean_difference.float()
        draft = Condition(site, axis, 0.0)
        threshold = _threshold(cosines(draft, sides.positive), cosines(draft, sides.negative))
        condition = Condition(site, axis, threshold)
        score = balanced_accuracy(condition, dev[site])
        if best is None or score > best[0]:
            best = score, condition
    if best is None:
        raise InputError(
            "the prompts of both kinds have the same mean activation everywhere", code="no-direction", field="condition"
        )
    return best[1]


def balanced_accuracy(condition: Condition, sides: Sides) -> float:
    """Mean over both kinds of the share of prompts that the condition classifies correctly."""
    right = met(condition, sides.positive).double().mean(), (~met(condition, sides.negative)).double().mean()
    return float(sum(right)) / 2


def _threshold(positive: Tensor, negative: Tensor) -> float:
    """Between two neighbours of the pooled cosines, where balanced accuracy is highest; the middle one among ties."""
    pooled = torch.cat([positive, negative]).sort().values.double()
    between = (pooled[1:] + pooled[:-1]) / 2
    above = (positive[None] > between[:, None]).double().mean(dim=1)
    below = (negative[None] <= between[:, None]).double().mean(dim=1)
    score = above + below
    best = (score >= score.max() - 1e-12).nonzero()[:, 0]
    return float(between[best[len(best) // 2]].clamp(-1, 1))
