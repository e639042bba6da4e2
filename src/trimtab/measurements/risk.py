"""Which prompts a steering will push the wrong way, as far as the unsteered model's activations of the prompt tell.

The risk is a logistic regression on the direction of a prompt's mean activation at one site. A bound on it is a bound
on the cosine with one vector, and so an ordinary condition: what is left alone is decided before the steered pass.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import SIDES, Floats
from trimtab.interventions import Condition, Site
from trimtab.measurements.effects import PLAIN, sweep
from trimtab.measurements.prompts import prompt_activations
from trimtab.phrases import Phrase
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.inputs import Ints, at_length_1, folds_by_cluster
from trimtab.steering import Steering

PENALTIES: Final = (1e-3, 1e-2, 1e-1)  # inverse strengths of the ridge penalty to choose from
FOLDS: Final = 5
ALIKE: Final = 1e-9  # standard deviation of a coordinate of directions, below which it is rounding


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a steering did to examples whose prompts were read before.

    Args:
        effect: Δ of every example.
        positive, negative: by site, `[n, d_model]` mean activations of the prompts of either answer.
    """

    effect: Contrast
    positive: Mapping[Site, Floats]
    negative: Mapping[Site, Floats]

    @property
    def prompts(self) -> Mapping[Site, Floats]:
        """By site `[m, d_model]`: one prompt an example, or of both texts where pairs are random."""
        if self.effect.pairing == "natural":
            return self.positive
        return {site: np.concatenate([h, self.negative[site]]) for site, h in self.positive.items()}

    @property
    def wrong(self) -> Floats:
        """`[m]`: whether each is pushed the wrong way; of texts paired at random the chance, over all pairs."""
        up, down = self.effect.positive, self.effect.negative
        if self.effect.pairing == "natural":
            return (up < down).astype(np.float64)
        below = (up[:, None] < down) + 0.5 * (up[:, None] == down)
        return np.concatenate([below.mean(axis=1), below.mean(axis=0)])

    @property
    def clusters(self) -> tuple[str, ...]:
        """`[m]`."""
        return self.effect.clusters if self.effect.pairing == "natural" else self.effect.clusters * 2

    def acting(self, risk: Floats, threshold: float) -> Contrast:
        """The effect of a steering that leaves prompts of a larger risk alone, `[m]` of the prompts."""
        below = risk < threshold
        both = (below, below) if self.effect.pairing == "natural" else tuple(np.split(below, 2))
        return replace(self.effect, acting=(both[0], both[1]))

    @staticmethod
    def together(some: Sequence["Outcomes"]) -> "Outcomes":
        """Of several lists of different examples, one after the other."""
        first = some[0].effect
        effect = replace(
            first,
            positive=np.concatenate([o.effect.positive for o in some]),
            negative=np.concatenate([o.effect.negative for o in some]),
            clusters=tuple(c for o in some for c in o.effect.clusters),
        )
        sides = [
            {site: np.concatenate([getattr(o, side)[site] for o in some]) for site in some[0].positive}
            for side in SIDES
        ]
        return Outcomes(effect, *sides)


def outcomes(on: Experiment, steering: Steering, part: Split, sites: Sequence[Site]) -> Outcomes:
    """What a steering at its default strengths does to the examples of a part, and their prompts' activations."""
    base, after = sweep(on, part, [PLAIN, (steering, 1.0)])
    read = prompt_activations(on, part, sites)
    return Outcomes(on.contrast_of(on.part(part)).change(base, after), read["positive"], read["negative"])


@dataclass(frozen=True, eq=False)
class Risk:
    """The log-odds that a prompt is pushed the wrong way: weights · h / ‖h‖ + intercept.

    Args:
        site: where the prompt is read.
        weights: `[d_model]`.
        intercept: log-odds.
    """

    site: Site
    weights: Floats
    intercept: float

    def of(self, h: Floats) -> Floats:
        """`[n, d_model]` mean activations of prompts to `[n]` log-odds."""
        return np.asarray(at_length_1(h) @ self.weights + self.intercept)

    def condition(self, threshold: float) -> Condition:
        """That leaves prompts of a risk above the threshold alone."""
        bound = (threshold - self.intercept) / float(np.linalg.norm(self.weights))
        return Condition(self.site, self.weights, float(np.clip(bound, -1.0, 1.0)), above=False)


def fit_risk(seen: Outcomes, seed: int) -> tuple[Risk, Floats]:
    """A risk, and what it says of each prompt when it has not seen its cluster, `[m]` log-odds.

    Site and penalty are those of the smallest cross-fitted log loss. They are chosen anew without each fold, so that
    what is said of its prompts owes them nothing.

    Args:
        seen: examples that the steering was not learned from.
        seed: of the folds.

    Raises:
        InputError: all go wrong or none does, there are fewer than two clusters a fold, or the prompts are all alike.
    """
    wrong, clusters = seen.wrong, seen.clusters
    if not 0 < wrong.sum() < len(wrong):
        raise InputError(
            Phrase("none of {n} examples is pushed the wrong way: there is no risk to learn", n=len(wrong))
            if not wrong.sum()
            else Phrase("every one of {n} examples is pushed the wrong way: there is no risk to learn", n=len(wrong)),
            code="unusable-examples",
            field="backfire",
        )
    if (n := len(set(clusters))) < 2 * FOLDS:
        raise InputError(
            Phrase("{n} independent examples are too few to learn which are pushed the wrong way", n=n),
            code="too-few-examples",
            field="backfire",
        )
    fold = folds_by_cluster(clusters, FOLDS, seed)
    prompts = {site: at_length_1(h) for site, h in sorted(seen.prompts.items())}
    scores = np.zeros(len(wrong))
    for k in range(FOLDS):
        out = fold == k
        site, penalty = _chosen({s: x[~out] for s, x in prompts.items()}, wrong[~out], fold[~out])
        weights, intercept = _logistic(prompts[site][~out], wrong[~out], penalty)
        scores[out] = prompts[site][out] @ weights + intercept
    site, penalty = _chosen(prompts, wrong, fold)
    weights, intercept = _logistic(prompts[site], wrong, penalty)
    if not weights.any():
        raise InputError(
            "the prompts are all alike inside the model: nothing tells which are pushed the wrong way",
            code="unusable-examples",
            field="backfire",
        )
    return Risk(site, weights, intercept), scores


def _chosen(prompts: Mapping[Site, Floats], wrong: Floats, fold: Ints) -> tuple[Site, float]:
    """The site and the penalty of the smallest log loss, each fold predicted from the others."""
    losses: dict[tuple[Site, float], float] = {}
    for site, x in prompts.items():
        for penalty in PENALTIES:
            scores = np.zeros(len(wrong))
            for k in np.unique(fold):
                weights, intercept = _logistic(x[fold != k], wrong[fold != k], penalty)
                scores[fold == k] = x[fold == k] @ weights + intercept
            losses[site, penalty] = float((np.logaddexp(0.0, scores) - wrong * scores).mean())
    return min(losses, key=lambda key: losses[key])


def _logistic(x: Floats, wrong: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights `[d_model]` and intercept on rows as they are, of a ridge regression on standardised ones."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    middle, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale < ALIKE] = np.inf  # what hardly varies has no weight
    z = (x - middle) / scale
    weight = np.concatenate([wrong, 1 - wrong])
    label, used = np.repeat([1, 0], len(x)), weight > 0
    if len(set(label[used].tolist())) < 2:  # a fold without one kind: its share, and nothing to tell apart
        share = float(np.clip(wrong.mean(), 0.5 / len(wrong), 1 - 0.5 / len(wrong)))
        return np.zeros(x.shape[1]), float(np.log(share / (1 - share)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = LogisticRegression(C=penalty, max_iter=500).fit(np.tile(z, (2, 1))[used], label[used], weight[used])
    weights = found.coef_[0] / scale
    return weights, float(found.intercept_[0] - middle @ weights)
