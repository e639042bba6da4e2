"""Abstention for `fit`: prompts that the steering would push the wrong way too often are left alone, with a promise.

What is at risk is learned from the training examples, each under a steering that was learned without it; a threshold is
tested on the same examples, each with a risk that was learned without it. Neither the dev examples, which site and
strength were chosen on, nor the evaluation examples are looked at. Sources: see `trimtab.statistics.selective`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

import numpy as np

from trimtab.behaviors import Part, Splits
from trimtab.decimals import bracketed
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Floats
from trimtab.interventions import Condition, Site
from trimtab.measurements.risk import Outcomes, fit_risk, outcomes
from trimtab.phrases import Phrase
from trimtab.results.figures import Estimate, estimate
from trimtab.results.fit import Abstention, AbstentionPoint
from trimtab.statistics.contrast import Contrast, Flags
from trimtab.statistics.inputs import folds_by_cluster
from trimtab.statistics.selective import (
    each_level,
    least_promise,
    promised,
    risk_auroc,
    thresholds_by_coverage,
    upper_share,
)
from trimtab.steering import Steering

LEVEL: Final = 0.95  # one-sided confidence of the promise
FOLDS: Final = 4  # steerings that are learned to see what a steering does to examples it has not seen
SITES: Final = 4  # blocks that prompts may be read at

Learn = Callable[[Mapping[str, Experiment]], Steering]


@dataclass(frozen=True)
class Abstaining:
    """A condition on prompts, None where the promise is kept without any, and what is known of it."""

    condition: Condition | None
    record: Abstention

    @property
    def note(self) -> Phrase:
        """The figures in a sentence."""
        r = self.record
        acts, wrong, without = (i.interval for i in (r.acts, r.wrong, r.wrong_everywhere))
        assert acts is not None
        assert wrong is not None
        assert without is not None
        if self.condition is None:
            return Phrase(
                "{share} of {n} held-out questions are pushed the wrong way: none is left alone",
                share=bracketed(without, ".0%"), n=r.n,
            )  # fmt: skip
        return Phrase(
            "acts on {acts} of {n} held-out questions, where {wrong} are pushed the wrong way; without leaving any "
            "alone it is {without}",
            acts=bracketed(acts, ".0%"), n=r.n, wrong=bracketed(wrong, ".0%"), without=bracketed(without, ".0%"),
        )  # fmt: skip


def abstaining(
    experiments: Mapping[str, Experiment], name: str, steering: Steering, learn: Learn, most: float
) -> Abstaining:
    """The condition that keeps a promise, for one attribute.

    Args:
        experiments: of all behaviors, by attribute.
        name: the attribute's.
        steering: with this attribute alone on, at its default strength.
        learn: makes the same steering from other training examples.
        most: the share of the examples acted on that may be pushed the wrong way.

    Raises:
        InputError: too few examples, or no threshold keeps the promise; names what can be promised.
    """
    seen = held_out(experiments, name, steering, learn)
    everywhere = upper_bound(seen.effect, each_level(LEVEL))
    if everywhere <= most:
        return Abstaining(None, _record(None, seen, np.zeros(len(seen.wrong)), np.inf, most))
    if not 0 < seen.wrong.sum() < len(seen.wrong):
        raise _not_shown(name, seen, most, everywhere)
    risk, scores = fit_risk(seen, experiments[name].seed)

    def upper(threshold: float, level: float) -> float:
        return upper_bound(seen.acting(scores, threshold), level)

    every = thresholds_by_coverage(scores)
    threshold = promised(every, upper, most, LEVEL)
    if threshold is None:
        raise _not_shown(name, seen, most, least_promise(every, upper, LEVEL))
    return Abstaining(risk.condition(threshold), _record(risk.site, seen, scores, threshold, most))


def _not_shown(name: str, seen: Outcomes, most: float, least: float) -> InputError:
    return InputError(
        Phrase(
            "attribute {name}: {n} independent training examples do not show, with {level} confidence, that at most "
            "{most} of those acted on would be pushed the wrong way, however many are left alone; what they could "
            "show is {least}. Ask for that, give more examples, or leave it out",
            name=repr(name),
            n=seen.effect.n_clusters,
            level=f"{LEVEL:.0%}",
            most=f"{most:.0%}",
            least=f"{min(ceil(100 * least), 100)}%",
        ),
        code="out-of-range",
        field="backfire",
    )


def held_out(experiments: Mapping[str, Experiment], name: str, steering: Steering, learn: Learn) -> Outcomes:
    """What the steering does to training examples when it is learned without them.

    Args:
        experiments, name, steering, learn: as `abstaining` takes them.
    """
    sites = candidate_sites(experiments[name])
    held = _left_out(experiments, name, steering, learn)
    return Outcomes.together([outcomes(at, alone, "dev", sites) for at, alone in held])


def upper_bound(effect: Contrast, level: float) -> float:
    """Upper bound of the share that is pushed the wrong way where the steering acts; 1 where it hardly acts.

    The larger of two for natural pairs: exact over clusters, one of which counts as wrong if any of its examples is,
    and that of `share_interval` over examples, since large clusters may be the wrong ones. Of texts that are paired at
    random, that of `two_sample_share`.
    """
    if effect.n_acting < 2:
        return 1.0
    over_examples = effect.below_zero(2 * level - 1).high
    if effect.pairing == "random":
        return over_examples
    return max(upper_share(effect.n_below_zero, effect.n_acting, level), over_examples)


def candidate_sites(on: Experiment) -> list[Site]:
    """Blocks that prompts may be read at, evenly spread inside the model."""
    blocks = np.linspace(0, on.model.n_blocks - 1, SITES + 2)[1:-1].round().astype(int)
    return [Site(block) for block in dict.fromkeys(blocks.tolist())]


def _left_out(
    experiments: Mapping[str, Experiment], name: str, steering: Steering, learn: Learn
) -> list[tuple[Experiment, Steering]]:
    """For each fold of the training examples an experiment with these as dev, and a steering of the others."""
    found = []
    for k in range(FOLDS):
        folds = {other: _fold(on, k) for other, on in experiments.items()}
        learned = learn(folds)
        found.append((folds[name], learned.changed(attributes=steering.attributes)))
    return found


def _fold(on: Experiment, k: int) -> Experiment:
    """One fold of the training clusters as dev, the others as train; its steps are kept apart."""
    train, s = on.splits.train, on.splits
    if (n := len(set(train.clusters))) < 2 * FOLDS:
        raise InputError(
            Phrase("{n} independent training examples are too few to see which are pushed the wrong way", n=n),
            code="too-few-examples",
            field="backfire",
        )
    held = folds_by_cluster(train.clusters, FOLDS, on.seed) == k

    def some(which: Flags) -> Part:
        kept = np.flatnonzero(which)
        return Part(tuple(train.examples[i] for i in kept), tuple(train.clusters[i] for i in kept))

    splits = Splits(s.shots, some(~held), some(held), s.eval, s.replication, s.notes)
    return replace(on, splits=splits, ledger=on.ledger.inside(f"fold {k}"))


def _record(site: Site | None, seen: Outcomes, scores: Floats, threshold: float, most: float) -> Abstention:
    at, n = seen.acting(scores, threshold), seen.effect.n_clusters
    acts, within = at.acts(), at.mean_acting()
    assert acts is not None
    assert within is not None
    auroc = Estimate(reason=Phrase("nothing needs to be told apart"))
    if site is not None:
        auroc = how_well(scores, seen)
    return Abstention(
        site=None if site is None else str(site), most=most, level=LEVEL, n=n,
        acts=estimate(acts, n), wrong=estimate(at.below_zero(), at.n_acting),
        wrong_everywhere=estimate(seen.effect.below_zero(), n),
        effect=estimate(within, at.n_acting), effect_everywhere=estimate(seen.effect.mean(), n),
        auroc=auroc, curve=() if site is None else tuple(_points(seen, scores)),
    )  # fmt: skip


def how_well(scores: Floats, seen: Outcomes) -> Estimate:
    """AUROC of a risk, `[m]` of the prompts; not measured where too few go wrong, or too few do not."""
    try:
        return estimate(risk_auroc(scores, seen.wrong, seen.clusters), seen.effect.n_clusters)
    except InputError as error:
        return Estimate(reason=error.message)


def _points(seen: Outcomes, scores: Floats) -> Iterator[AbstentionPoint]:
    """Other thresholds."""
    for threshold in thresholds_by_coverage(scores):
        at = seen.acting(scores, float(threshold))
        acts = at.acts()
        assert acts is not None
        if at.n_acting > 1:
            yield AbstentionPoint(acts=acts.value, wrong=estimate(at.below_zero(), at.n_acting))
