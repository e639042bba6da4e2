"""What the visits so far say of which arm is best, and the shares that follow: Thompson sampling with a floor.

Old visits count less: half after the half-life, by the time of the request and not of the feedback, counted back from
the newest visits with a value, so that it is a function of the store alone. The median of these is taken, and no visit
counts more than one now: a clock that jumps once is not believed for good. Outcomes that are 0 or 1 make a Beta; all
others a normal whose spread is taken as known: that of the visits around their arm's mean, once there are 30 of two
arms, before that half of the bounds' width or the scale that the release states. The prior, worth one visit, is at the
mean of all visits from then on: at the middle of the bounds it would draw the arm with fewer visits further.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab.operations.experiments.visits import Visited, newest
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.values import Floats
from trimtab.operations.releases.adapting import CONTROL, Adapt
from trimtab.operations.releases.release import Definition
from trimtab.statistics.sequential import Belief, Moments, best_arm, beta_belief, normal_belief, with_floor

_DAY: Final = 86_400.0
_START: Final = 30
_YES_NO: Final = ("errors", "cancelled", "refusal", "degenerate", "requests")
_DIGITS: Final = 6  # of shares
_DOUBLED: Final = 1000.0  # times, at most
_SPREAD: Final = 1e-9  # of the scale: less is rounding


@dataclass(frozen=True, eq=False)
class Settled:
    """Visits that will not change any more, in sums.

    Args:
        now: by which the weights are counted, seconds since 1970.
        weight, total: of the visits of each arm, and of their values by weight, `[k]`.
        arms: moments of their values, each counted once, `[k]`.
        ahead: time, arm and value of the visits that come after `now`, by clocks that were wrong; none is in `weight`.
    """

    now: float
    weight: Floats
    total: Floats
    arms: Moments
    ahead: Floats  # [m, 3]

    @staticmethod
    def none(k: int) -> "Settled":
        """Of k arms."""
        nothing = np.zeros(k)
        return Settled(0.0, nothing, nothing, Moments(nothing, nothing, nothing), np.zeros((0, 3)))

    def add(self, seen: Visited, now: float, half_life_days: float | None) -> "Settled":
        """With more visits, the weights counted by another time."""
        before = self.by(now, half_life_days)
        new = np.column_stack([seen.time, seen.draws.arm, seen.draws.value])
        rows = np.concatenate([before.ahead, new])
        passed = rows[rows[:, 0] <= now]
        arm, weight = passed[:, 1].astype(np.int64), _weights(passed[:, 0], now, half_life_days)
        k = len(before.weight)
        return Settled(
            now, before.weight + np.bincount(arm, weight, k), before.total + np.bincount(arm, weight * passed[:, 2], k),
            before.arms.merge(seen.draws.moments), rows[rows[:, 0] > now],
        )  # fmt: skip

    def by(self, now: float, half_life_days: float | None) -> "Settled":
        """The same, the weights counted by another time."""
        doubled = 0.0 if half_life_days is None else (self.now - now) / (half_life_days * _DAY)
        factor = 2.0 ** min(doubled, _DOUBLED)
        return Settled(now, self.weight * factor, self.total * factor, self.arms, self.ahead)


def learned(
    definition: Definition,
    metric: Metric,
    seen: Visited,
    excluded: Collection[str] = (),
    settled: Settled | None = None,
) -> dict[str, float]:
    """Chance of each arm to be the best among those that are not excluded, whose chance is 0.

    Args:
        definition: of the release.
        metric: by which it is judged.
        seen: visits with a value.
        excluded: names of arms.
        settled: visits of before, which are not in `seen`.
    """
    names = (CONTROL, *definition.arms)
    beliefs = believed(definition, metric, seen, settled or Settled.none(len(names)))
    active = [name for name in names if name not in excluded]
    chances = best_arm([beliefs[name] for name in active], more_is_better=metric.direction == "higher")
    return dict.fromkeys(names, 0.0) | dict(zip(active, map(float, chances), strict=True))


def believed(definition: Definition, metric: Metric, seen: Visited, settled: Settled) -> dict[str, Belief]:
    """What is believed of each arm's mean."""
    adapt = definition.adapt or Adapt(half_life_days=None)
    now = newest(seen.time) if len(seen.time) else settled.now
    before = settled.by(now, adapt.half_life_days)
    time = np.concatenate([before.ahead[:, 0], seen.time])
    arm = np.concatenate([before.ahead[:, 1], seen.draws.arm])
    value = np.concatenate([before.ahead[:, 2], seen.draws.value])
    weight = _weights(time, now, adapt.half_life_days)
    center, scale = _prior(metric, adapt, settled.arms.merge(seen.draws.moments))
    found = {}
    for place, name in enumerate((CONTROL, *definition.arms)):
        mine = arm == place
        old = float(before.weight[place])  # stands for all settled visits, at their mean
        mean = float(before.total[place]) / old if old > 0 else 0.0
        values = np.append(value[mine], min(max(mean, 0.0), 1.0) if _is_yes_no(metric) else mean)
        weights = np.append(weight[mine], old)
        if _is_yes_no(metric):
            found[name] = beta_belief(values, weights)
        else:
            found[name] = normal_belief(values, weights, center=center, scale=scale)
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


def _weights(time: Floats, now: float, half_life_days: float | None) -> Floats:
    if half_life_days is None:
        return np.ones(len(time))
    return np.asarray(0.5 ** (np.maximum(now - time, 0.0) / (half_life_days * _DAY)))


def _is_yes_no(metric: Metric) -> bool:
    labels = bool(metric.labels) and set(metric.labels.values()) <= {0.0, 1.0}
    return labels or metric.outcome in _YES_NO


def _prior(metric: Metric, adapt: Adapt, arms: Moments) -> tuple[float, float]:
    """Prior mean, and the spread of a visit, from the moments of the arms' values."""
    n = np.asarray(arms.n)
    visits = max(float(n.sum()), 1.0)
    mean = float((n * arms.mean).sum()) / visits
    if metric.bounds is not None:
        center, scale = sum(metric.bounds) / 2, (metric.bounds[1] - metric.bounds[0]) / 2
    else:
        center, scale = mean, adapt.scale or 1.0
    if (n >= _START).sum() >= 2:
        spread = float(np.sqrt(np.sum(arms.m2) / visits))
        center, scale = mean, spread if spread > _SPREAD * scale else scale
    return center, scale
