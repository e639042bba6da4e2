"""What the visits so far say of which arm is best, and the shares that follow: Thompson sampling with a floor.

Old visits count less: half after the half-life, by the time of the request and not of the feedback, counted back from
the newest visits with a value, so that it is a function of the store alone. The median of these is taken, and no visit
counts more than one now: a clock that jumps once is not believed for good. Outcomes that are 0 or 1 make a Beta; all
others a normal whose spread is taken as known: that of the visits around their arm's mean, once there are 30 of two
arms, before that half of the bounds' width or the scale that the release states. The prior, worth one visit, is at the
mean of all visits from then on: at the middle of the bounds it would draw the arm with fewer visits further.
"""

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np

from trimtab.operations.experiments.visits import Visited
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.values import Floats
from trimtab.operations.releases.adapting import CONTROL, Adapt
from trimtab.operations.releases.release import Definition
from trimtab.statistics.sequential import Belief, best_arm, beta_belief, normal_belief, with_floor

_DAY: Final = 86_400.0
_START: Final = 30
_YES_NO: Final = ("errors", "cancelled", "refusal", "degenerate", "requests")
_DIGITS: Final = 6  # of shares
_NEWEST: Final = 9  # visits whose time is now
_SPREAD: Final = 1e-9  # of the scale: less is rounding


def learned(definition: Definition, metric: Metric, seen: Visited, excluded: Collection[str] = ()) -> dict[str, float]:
    """Chance of each arm to be the best among those that are not excluded, whose chance is 0.

    Args:
        definition: of the release.
        metric: by which it is judged.
        seen: visits with a value.
        excluded: names of arms.
    """
    names = (CONTROL, *definition.arms)
    beliefs = believed(definition, metric, seen)
    active = [name for name in names if name not in excluded]
    chances = best_arm([beliefs[name] for name in active], more_is_better=metric.direction == "higher")
    return dict.fromkeys(names, 0.0) | dict(zip(active, map(float, chances), strict=True))


def believed(definition: Definition, metric: Metric, seen: Visited) -> dict[str, Belief]:
    """What is believed of each arm's mean."""
    adapt = definition.adapt or Adapt(half_life_days=None)
    weights = _weights(seen.time, adapt.half_life_days)
    found = {}
    for place, name in enumerate((CONTROL, *definition.arms)):
        mine = seen.draws.arm == place
        values = seen.draws.value[mine]
        if _is_yes_no(metric):
            found[name] = beta_belief(values, weights[mine])
        else:
            center, scale = _prior(metric, adapt, seen)
            found[name] = normal_belief(values, weights[mine], center=center, scale=scale)
    return found


def next_shares(best: Mapping[str, float], excluded: Collection[str], floor: float) -> dict[str, float]:
    """Shares of the next epoch, to six digits; what rounding leaves goes to the largest.

    Args:
        best: chance of each arm to be the best.
        excluded: arms that get nothing.
        floor: of all others.
    """
    active = [name for name in best if name not in excluded]
    chances = np.array([best[name] for name in active])
    chances = chances / chances.sum() if chances.sum() > 0 else np.full(len(active), 1 / len(active))
    rounded = [round(float(share), _DIGITS) for share in with_floor(chances, floor if len(active) > 1 else 0.0)]
    largest = int(np.argmax(rounded))
    rounded[largest] = round(1.0 - (sum(rounded) - rounded[largest]), _DIGITS)
    return dict.fromkeys(best, 0.0) | dict(zip(active, rounded, strict=True))


def _weights(time: Floats, half_life_days: float | None) -> Floats:
    if half_life_days is None or not len(time):
        return np.ones(len(time))
    age = np.maximum(np.median(time[-_NEWEST:]) - time, 0.0)
    return np.asarray(0.5 ** (age / (half_life_days * _DAY)))


def _is_yes_no(metric: Metric) -> bool:
    labels = bool(metric.labels) and set(metric.labels.values()) <= {0.0, 1.0}
    return labels or metric.outcome in _YES_NO


def _prior(metric: Metric, adapt: Adapt, seen: Visited) -> tuple[float, float]:
    """Prior mean, and the spread of a visit."""
    draws, counts = seen.draws, seen.draws.counts
    if metric.bounds is not None:
        center, scale = sum(metric.bounds) / 2, (metric.bounds[1] - metric.bounds[0]) / 2
    else:
        center, scale = float(draws.value.mean()) if len(draws.value) else 0.0, adapt.scale or 1.0
    if (counts >= _START).sum() >= 2:
        means = np.bincount(draws.arm, draws.value, len(counts)) / np.maximum(counts, 1)
        spread = float(np.sqrt(((draws.value - means[draws.arm]) ** 2).mean()))
        center, scale = float(draws.value.mean()), spread if spread > _SPREAD * scale else scale
    return center, scale
