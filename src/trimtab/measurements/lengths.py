"""What the answers' lengths could explain: how well they tell the sides apart, and the effect where they do not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trimtab.errors import InputError
from trimtab.experiment.instrument import Floats
from trimtab.experiment.stages import Stages
from trimtab.experiment.summary import Steered, estimate
from trimtab.results.figures import Estimate
from trimtab.statistics import length_matched


@dataclass(frozen=True, eq=False)
class Lengths:
    """Lengths of the answers, in tokens.

    Args:
        auroc: how well they tell the sides apart, in training and evaluation rows together.
        evaluation: those of the evaluation rows, `[n]` a side; empty for labels.
    """

    auroc: Estimate
    evaluation: tuple[Floats, ...]

    def matched(self, steered: Steered) -> Estimate:
        """The effect on examples whose two answers are about equally long."""
        if not self.evaluation:
            return Estimate(reason=self.auroc.reason)
        return length_matched_effect(steered, self.evaluation)


def lengths(stages: Stages) -> Lengths:
    """Of the training and the evaluation rows."""
    if stages.behavior.answer_kind == "choice":
        return Lengths(Estimate(reason="the answers are labels"), ())
    train, evaluation = stages.splits.train, stages.splits.eval
    rows = stages.instrument.bare((*train.examples, *evaluation.examples))
    found = [np.array([len(r.ids) - r.prompt_len for r in side], dtype=float) for side in rows]
    units = (*train.units, *evaluation.units)
    shorter = replace(stages.contrast_of(evaluation), units=units, arbitrary=True)(*found).below_zero()
    auroc = Estimate(value=1 - shorter.value, low=1 - shorter.high, high=1 - shorter.low, n=len(units))
    return Lengths(auroc, tuple(side[len(train) :] for side in found))


def length_matched_effect(steered: Steered, lengths: Sequence[Floats]) -> Estimate:
    """The effect on examples whose two answers are about equally long."""
    effect = steered.effect
    try:
        chosen = length_matched(*lengths, pairing=effect.pairing, seed=effect.seed)
        units = np.array(effect.units)
        same = replace(
            effect,
            positive=effect.positive[chosen.positive],
            negative=effect.negative[chosen.negative],
            units=tuple(units[chosen.positive]),
        )
        return estimate(same.mean(), same.n_units)
    except InputError as error:
        return Estimate(reason=str(error))
