"""What the answers' lengths explain: how well they predict the side, and the effect on answers of equal length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import Floats
from trimtab.measurements.effects import Steered
from trimtab.phrases import Phrase
from trimtab.results.figures import Estimate, estimate
from trimtab.statistics import length_matched


@dataclass(frozen=True, eq=False)
class Lengths:
    """Lengths of the answers, in tokens.

    Args:
        auroc: how well they predict the side, in training rows and those of the part together.
        evaluation: those of the part's rows, `[n]` a side; empty for labels.
    """

    auroc: Estimate
    evaluation: tuple[Floats, ...]

    def matched(self, steered: Steered) -> Estimate:
        """The effect on examples whose two answers are about equally long."""
        if not self.evaluation:
            return Estimate(reason=self.auroc.reason)
        return length_matched_effect(steered, self.evaluation)


def lengths(on: Experiment, part: Split = "eval") -> Lengths:
    """Of the rows of training and of a part."""
    if on.behavior.answer_kind == "choice":
        return Lengths(Estimate(reason=Phrase("the answers are labels")), ())
    train, evaluation = on.splits.train, on.part(part)
    rows = on.instrument.bare((*train.examples, *evaluation.examples))
    sides = [np.array([len(r.ids) - r.prompt_len for r in side], dtype=float) for side in rows]
    clusters = (*train.clusters, *evaluation.clusters)
    shorter = replace(on.contrast_of(evaluation), clusters=clusters, arbitrary=True)(*sides).below_zero()
    auroc = Estimate(value=1 - shorter.value, low=1 - shorter.high, high=1 - shorter.low, n=len(clusters))
    return Lengths(auroc, tuple(side[len(train) :] for side in sides))


def length_matched_effect(steered: Steered, lengths: Sequence[Floats]) -> Estimate:
    """The effect on examples whose two answers are about equally long."""
    effect = steered.effect
    try:
        chosen = length_matched(*lengths, pairing=effect.pairing, seed=effect.seed)
        clusters = np.array(effect.clusters)
        same = replace(
            effect,
            positive=effect.positive[chosen.positive],
            negative=effect.negative[chosen.negative],
            clusters=tuple(clusters[chosen.positive]),
        )
        return estimate(same.mean(), same.n_clusters)
    except InputError as error:
        return Estimate(reason=error.message)
