"""How each of several arms does by the metric that a release is judged by, and its chance to be the best."""

from collections.abc import Mapping

import numpy as np

from trimtab.operations.experiments.findings import Standing, rounded
from trimtab.operations.experiments.learning import Settled, learned
from trimtab.operations.experiments.visits import Visited, Visits, newest
from trimtab.operations.releases.adapting import CONTROL
from trimtab.operations.releases.plan import Plan
from trimtab.operations.releases.release import Definition, Release
from trimtab.statistics.sequential import AsymptoticSequence, PolicySums


class Standings:
    """The arms of a release, brought up to date by visits.

    Args:
        definition: of the release.
        visits: of the metric; hands settled ones on.
        plan: of the release.
    """

    def __init__(self, definition: Definition, visits: Visits, plan: Plan) -> None:
        self._definition, self._metric = definition, visits.metric
        self._names = (CONTROL, *definition.arms)
        self._sequence = AsymptoticSequence(plan.decide_by, plan.alpha)
        self._sums = [PolicySums.begun(policy) for policy in np.eye(len(self._names))]
        self._settled = Settled.none(len(self._names))
        visits.takers.append(self._take)

    def of(self, release: Release, seen: Visited) -> tuple[Standing, ...]:
        """Each arm, in order.

        Args:
            release: as it is.
            seen: visits that are not settled.
        """
        epoch = release.epoch
        excluded: Mapping[str, str] = {} if epoch is None else epoch.excluded
        best = learned(self._definition, self._metric, seen, excluded, self._settled)
        found = []
        for place, name in enumerate(self._names):
            interval = self._sequence.interval(self._sums[place].add(seen.draws).estimate)
            share = epoch.shares[name] if epoch is not None and release.treated else float(name == CONTROL)
            found.append(Standing(
                name, share, int(seen.counts[place]), rounded(interval.value), rounded(interval.low),
                rounded(interval.high), rounded(best[name]) or 0.0, excluded.get(name),
            ))  # fmt: skip
        return tuple(found)

    def _take(self, seen: Visited) -> None:
        adapt = self._definition.adapt
        self._sums = [sums.add(seen.draws) for sums in self._sums]
        self._settled = self._settled.add(seen, newest(seen.time), None if adapt is None else adapt.half_life_days)
