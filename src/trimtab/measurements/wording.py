"""What of an effect the wording alone explains: words of one side, the same words in random order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from trimtab.behaviors import Example, PromptType
from trimtab.behaviors.wording import telling_words, without_words
from trimtab.experiment.stages import Stages
from trimtab.experiment.summary import ContrastMaker, Steered, estimate
from trimtab.results.figures import Estimate
from trimtab.results.report import Wording
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays

_SHUFFLED_ROWS = 100  # evaluation examples that the vector of shuffled words is tried on
_SIDES = ("positive", "negative")


def wording(stages: Stages, steering: Steering, steered: Steered, label: str, trained: bool) -> Wording:
    """What the words of the answers do by themselves.

    Args:
        stages: of the behavior, at the checked strength.
        steering: what is checked.
        steered: what it does to the evaluation examples.
        label: its name in the ledger.
        trained: whether it was trained on the training examples, at one site.
    """
    if stages.behavior.answer_kind == "choice":
        return Wording(reason="the answers are labels")
    telling = telling_words(stages.splits.train.examples)
    none = Estimate(reason="no word or mark tells most answers of the two sides apart")
    finished = Estimate(reason="the steering came finished")
    return Wording(
        words=telling,
        without=_without(stages, steering, label, list(telling)) if telling else none,
        shuffled=_shuffled(stages, steering, steered, label) if trained else finished,
    )


def _without(stages: Stages, steering: Steering, label: str, words: Sequence[str]) -> Estimate:
    """The effect on evaluation answers without these words."""
    part = stages.splits.eval
    left = [(unit, without_words(e, words)) for unit, e in zip(part.units, part.examples, strict=True)]
    rows = [(unit, e) for unit, e in left if e is not None]
    fits = stages.instrument.scorable([e for _, e in rows]) if rows else []
    rows = [row for row, fit in zip(rows, fits, strict=True) if fit]
    if len({unit for unit, _ in rows}) < 2:
        return Estimate(reason="too few answers are left without these words")
    units, examples = zip(*rows, strict=True)

    def compute() -> Arrays:
        treatments = [stages.treatment((None, 0.0)), stages.treatment((steering, 1.0))]
        base, after = stages.instrument.propensities(examples, treatments)
        return {side: getattr(after, side) - getattr(base, side) for side in _SIDES}

    cost = 2 * stages.score_cost(examples)
    kept = stages.step("wording", f"without {list(words)} {label}", compute, cost)
    maker = ContrastMaker(units, stages.behavior.pairing == "random", stages.seed)
    change = maker(*(kept[side].astype(np.float64) for side in _SIDES))
    return estimate(change.mean(), change.n_units)


def _shuffled(stages: Stages, steering: Steering, steered: Steered, label: str) -> Estimate:
    """The effect of a vector, as long as the steering's, of the same answers with their words in random order."""
    (site,) = steering.edits
    if not any(" " in e.positive.strip() for e in stages.splits.train.examples):
        return Estimate(reason="the answers are not made of words parted by spaces")
    rng = np.random.default_rng(stages.seed)
    mixed = [_mixed(e, rng) for e in stages.splits.train.examples]

    def read() -> Arrays:
        captured = stages.instrument.activations(mixed, (), PromptType.PREFILLED, [site])
        plus, minus = np.split(captured.activations[site].cpu().numpy(), 2)
        return {"+": plus, "-": minus}

    cost = stages.capture_cost(PromptType.PREFILLED, [site])
    kept = stages.step("wording", f"words in random order {site}", read, cost)
    vector = kept["+"].astype(np.float64).mean(axis=0) - kept["-"].astype(np.float64).mean(axis=0)
    own = steering.vector(site)
    length = float(np.linalg.norm(vector))
    if length == 0:
        return Estimate(reason="the words of the two sides are the same")
    same = Steering.from_vector(site, torch.from_numpy(vector).to(own) * (own.norm() / length))
    n = min(_SHUFFLED_ROWS, len(stages.splits.eval))
    (after,) = stages.sweep("eval", {f"{label} of shuffled words": (same, 1.0)}, n).values()
    change = steered.contrast_of.first(n).change(steered.base[slice(n)], after)
    return estimate(change.mean(), change.n_units)


def _mixed(e: Example, rng: np.random.Generator) -> Example:
    """The example with the words of both answers in random order."""
    return replace(e, positive=_dealt(e.positive, rng), negative=_dealt(e.negative, rng))


def _dealt(text: str, rng: np.random.Generator) -> str:
    pieces = text.split()
    front = text[: len(text) - len(text.lstrip())]
    return front + " ".join(pieces[i] for i in rng.permutation(len(pieces)))
