"""How much of an effect the wording alone explains: words of one side, the same words in random order."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch

from trimtab.behaviors import Example, PromptType
from trimtab.behaviors.wording import telling_words, without_words
from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import SIDES, Treatment
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.activations import contexts
from trimtab.measurements.effects import Steered, sweep, sweep_steps
from trimtab.phrases import Phrase
from trimtab.results.figures import Estimate, estimate
from trimtab.results.report import Wording
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays


@dataclass(frozen=True)
class WithoutWords(Step):
    """What a steering does to a part's answers without some words.

    Args:
        part: whose examples.
        words: left out.
        steering: at a strength.
        strength: of it.
        n: examples of the part.
    """

    part: Split
    words: tuple[str, ...]
    steering: Steering
    strength: float
    n: int
    title = "wording"

    def rows(self, on: Experiment) -> list[tuple[str, Example]]:
        """Units and examples that are left and can be scored."""
        part = on.part(self.part)
        left = [
            (cluster, without_words(e, self.words)) for cluster, e in zip(part.clusters, part.examples, strict=True)
        ]
        rows = [(cluster, e) for cluster, e in left if e is not None]
        fits = on.instrument.scorable([e for _, e in rows]) if rows else []
        return [row for row, fit in zip(rows, fits, strict=True) if fit]

    def cost(self, on: Experiment) -> float:
        return 2 * on.score_cost([e for _, e in self.rows(on)])

    def compute(self, on: Experiment) -> Arrays:
        treatments = [Treatment(), on.treatment((self.steering, self.strength))]
        base, after = on.instrument.propensities([e for _, e in self.rows(on)], treatments)
        return {side: getattr(after, side) - getattr(base, side) for side in SIDES}


@dataclass(frozen=True)
class ShuffledWords(Step):
    """Activations of the training examples at a site with the words of both answers in random order.

    Examples that leave no tokens to read are left out: words may take fewer tokens in another order.
    """

    site: Site
    title = "wording"

    def cost(self, on: Experiment) -> float:
        return on.reading_cost(contexts(on, PromptType.PREFILLED), [self.site])

    def compute(self, on: Experiment) -> Arrays:
        rng = np.random.default_rng(on.seed)
        shuffled = [_shuffle(e, rng) for e in on.splits.train.examples]
        fits = on.instrument.readable(shuffled)
        left = [e for e, fit in zip(shuffled, fits, strict=True) if fit]
        if not left:
            return {side: np.zeros((0, on.model.anatomy.width(self.site)), dtype=np.float32) for side in ("+", "-")}
        captured = on.instrument.activations(left, (), PromptType.PREFILLED, [self.site])
        plus, minus = np.split(captured.activations[self.site].cpu().numpy(), 2)
        return {"+": plus, "-": minus}


def _without_step(on: Experiment, steering: Steering, part: Split, words: Collection[str]) -> WithoutWords | None:
    """The answers without the words that distinguish the sides; None where there are none."""
    return WithoutWords(part, tuple(words), steering, on.strength, len(on.part(part))) if words else None


def wording_steps(on: Experiment, steering: Steering, trained: bool) -> list[Step]:
    """Of `wording` on the evaluation examples, with a steering like the one to come."""
    if on.behavior.answer_kind == "choice":
        return []
    without = _without_step(on, steering, "eval", telling_words(on.splits.train.examples))
    steps: list[Step] = [without] if without else []
    if trained and on.effort.shuffled and _made_of_words(on):
        (site,) = steering.edits
        steps += [ShuffledWords(site), *sweep_steps(on, "eval", [(steering, on.strength)], on.effort.shuffled)]
    return steps


def _made_of_words(on: Experiment) -> bool:
    return any(" " in e.positive.strip() for e in on.splits.train.examples)


def wording(on: Experiment, steering: Steering, steered: Steered, trained: bool, part: Split = "eval") -> Wording:
    """What the words of the answers explain by themselves.

    Args:
        on: the behavior's experiment, at the checked strength.
        steering: what is checked.
        steered: what it does to the part's examples.
        trained: whether it was trained on the training examples, at one site.
        part: whose examples.
    """
    if on.behavior.answer_kind == "choice":
        return Wording(reason=Phrase("the answers are labels"))
    telling = telling_words(on.splits.train.examples)
    step = _without_step(on, steering, part, telling)
    none = Estimate(reason=Phrase("no word or mark distinguishes most answers of the two sides"))
    without = Estimate(reason=Phrase("the steering came finished") if not trained else on.effort.reason)
    return Wording(
        words=telling,
        without=_without(on, step) if step else none,
        shuffled=_shuffled(on, steering, steered, part) if trained and on.effort.shuffled else without,
    )


def _without(on: Experiment, step: WithoutWords) -> Estimate:
    """The effect on answers without these words."""
    rows = step.rows(on)
    if len({cluster for cluster, _ in rows}) < 2:
        return Estimate(reason=Phrase("too few answers are left without these words"))
    kept = on.run(step)
    maker = ContrastMaker(tuple(cluster for cluster, _ in rows), on.behavior.pairing == "random", on.seed, on.level)
    change = maker(*(kept[side].astype(np.float64) for side in SIDES))
    return estimate(change.mean(), change.n_clusters)


def _shuffled(on: Experiment, steering: Steering, steered: Steered, part: Split) -> Estimate:
    """The effect of a vector, as long as the steering's, of the same answers with their words in random order."""
    (site,) = steering.edits
    if not _made_of_words(on):
        return Estimate(reason=Phrase("the answers are not made of words separated by spaces"))
    kept = on.run(ShuffledWords(site))
    if not len(kept["+"]):
        return Estimate(reason=Phrase("with their words in random order the answers leave no tokens to read"))
    vector = kept["+"].astype(np.float64).mean(axis=0) - kept["-"].astype(np.float64).mean(axis=0)
    own = steering.vector(site)
    length = float(np.linalg.norm(vector))
    if length == 0:
        return Estimate(reason=Phrase("the words of the two sides are the same"))
    same = Steering.from_vector(site, torch.from_numpy(vector).to(own) * (own.norm() / length))
    n = min(on.effort.shuffled, len(on.part(part)))
    (after,) = sweep(on, part, [(same, on.strength)], n)
    change = steered.contrast_of.first(n).change(steered.base[slice(n)], after)
    return estimate(change.mean(), change.n_clusters)


def _shuffle(e: Example, rng: np.random.Generator) -> Example:
    """The example with the words of both answers in random order."""
    return replace(e, positive=_shuffle_text(e.positive, rng), negative=_shuffle_text(e.negative, rng))


def _shuffle_text(text: str, rng: np.random.Generator) -> str:
    pieces = text.split()
    front = text[: len(text) - len(text.lstrip())]
    return front + " ".join(pieces[i] for i in rng.permutation(len(pieces)))
