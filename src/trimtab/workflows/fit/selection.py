"""Among several steerings of the same behaviors, the one that does best on dev."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.finite import left_out
from trimtab.measurements.divergence import SCREENING_ROWS, neutral_drifts, within
from trimtab.measurements.effects import effects_on_dev
from trimtab.phrases import Phrase
from trimtab.statistics import Interval, bootstrap_mean, simultaneous_level
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering

FACTORS = (3.0, 2.0, 1.5, 1.0, 0.75, 0.5, 0.25)
MAX_CANDIDATES = 64  # candidates


@dataclass(frozen=True)
class Scored:
    """A candidate's worth on dev.

    Args:
        settings: its hyperparameters and sites.
        factor: the largest of the factors tried whose divergence on neutral text stays below the bound; the smallest
            of them if none does.
        effect: by attribute, the mean effect on dev over its standard deviation, at this factor and with all
            attributes on.
    """

    settings: Mapping[str, Any]
    factor: float
    effect: Mapping[str, float]

    @property
    def score(self) -> float:
        """Mean over the attributes."""
        return float(np.mean(list(self.effect.values())))


def grid(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All combinations of hyperparameters of which some are lists of values to choose from.

    Raises:
        InputError: an empty list, or more than 64 combinations.
    """
    lists = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
    empty = [name for name, values in lists.items() if not values]
    if empty:
        raise InputError(f"{empty[0]}: an empty list of values to choose from", code="missing-value", field=empty[0])
    n = int(np.prod([len(values) for values in lists.values()]))
    if n > MAX_CANDIDATES:
        raise InputError(
            f"{n} combinations of hyperparameters; at most {MAX_CANDIDATES} are tried",
            code="out-of-range",
            field="options",
        )
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def scored(
    experiments: Mapping[str, Experiment], steering: Steering, settings: Mapping[str, Any], max_kl: float
) -> tuple[Scored, list[Phrase]]:
    """The worth of a candidate, by dev examples and texts alone.

    Args:
        experiments: of the behaviors, by attribute.
        steering: the candidate, with an attribute for each.
        settings: its hyperparameters and sites.
        max_kl: bound on the divergence on neutral text, nats per token.

    Returns:
        the worth, and notes on factors that give no finite figures.
    """
    first = next(iter(experiments.values()))
    drifts, lost = neutral_drifts(first, steering, FACTORS, SCREENING_ROWS, "dev")
    factor = max(within(drifts, max_kl, first.seed), default=min(drifts))
    effects = {}
    for name, s in experiments.items():
        (effect,) = effects_on_dev(s, [(steering, factor * s.strength)])
        effects[name] = effect.standardised or 0.0
    return Scored(dict(settings), factor, effects), left_out(lost, Phrase("the choice between candidates"), "factor")


@dataclass(frozen=True)
class Gain:
    """What a candidate does beyond a rival, example by example on dev, each at the strength that it was scored at.

    Args:
        index: of the candidate.
        more: by how much its effect is larger.
        fewer: which share of the examples it no longer pushes the wrong way, net.
    """

    index: int
    more: Interval
    fewer: Interval

    @property
    def certain(self) -> bool:
        """Whether it does more with the whole interval, or as much and pushes fewer the wrong way."""
        return self.more.low > 0 or (self.fewer.low > 0 and self.more.value >= 0)


def gains(on: Experiment, candidates: Sequence[Steering], rows: Sequence[Scored], rival: int) -> list[Gain]:
    """What each candidate with several attributes does beyond a rival; the intervals hold for all of them together.

    Args:
        on: the behavior's experiment.
        candidates: all of them, the rival included.
        rows: their worth.
        rival: its index.
    """

    def effect(i: int) -> Contrast:
        (found,) = effects_on_dev(on, [(candidates[i], rows[i].factor * on.strength)])
        return found

    plain = effect(rival)
    compared = [i for i, one in enumerate(candidates) if len(one.attributes) > 1]
    level, found = simultaneous_level(0.95, max(1, 2 * len(compared))), []
    for i in compared:
        own = effect(i)
        more = replace(own, positive=own.positive - plain.positive, negative=own.negative - plain.negative)
        fewer = (plain.rows < 0).astype(np.float64) - (own.rows < 0)
        clusters = np.array(own.clusters)
        found.append(Gain(i, more.mean(level), bootstrap_mean(fewer, clusters, seed=on.seed, level=level)))
    return found


def best(rows: Sequence[Scored]) -> int:
    """Index of the highest score; the first of equals."""
    return int(np.argmax([row.score for row in rows]))
