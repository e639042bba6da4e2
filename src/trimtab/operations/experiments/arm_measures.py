"""Guardrails of a release with several arms: each arm against control, from visits that were drawn unevenly.

The difference is doubly robust (`PolicySums`), so that it stays right while shares change by what is seen. Before
either arm holds some visits of other values than most have, bets on the first request of each unit speak, where the
server measures the outcome within bounds that are not too wide for the margin; the two share the alpha in halves.
"""

from collections import Counter

import numpy as np

from trimtab.operations.experiments.concluding import concluded
from trimtab.operations.experiments.findings import Finding
from trimtab.operations.experiments.measuring import DIFFERING, asymptotic, bets_on, betted, differing
from trimtab.operations.experiments.visits import Visited, Visits
from trimtab.operations.experiments.wanted import Measured, Wanted
from trimtab.operations.outcomes.values import Floats
from trimtab.operations.releases.plan import Guardrail, Plan
from trimtab.statistics.sequential import Estimate, PolicySums


class ArmMeasure:
    """One guardrail of one arm, measured at every look.

    Args:
        visits: of the metric.
        wanted: see `Wanted`.
        arm: its place among the arms, from 1.
        name: of the arm.
    """

    def __init__(self, visits: Visits, wanted: Wanted, arm: int, name: str) -> None:
        self.visits, self.wanted, self.arm, self.name = visits, wanted, arm, name
        self._bets, self._alpha = bets_on(wanted)
        each = np.eye(len(visits.firsts))
        self._contrast = each[arm] - each[0]
        self._settled = [PolicySums.begun(policy) for policy in (each[0], each[arm], self._contrast)]
        self._varieties = {0: _Variety(), arm: _Variety()}

    def take(self, seen: Visited) -> None:
        """Visits that are settled."""
        draws = seen.draws.able(self._contrast)
        self._settled = [sums.add(draws) for sums in self._settled]
        for arm, variety in self._varieties.items():
            variety.take(draws.value[draws.arm == arm])

    def measured(self, seen: Visited) -> Measured:
        """As far as visits were read.

        Args:
            seen: those that are not settled.
        """
        draws = seen.draws.able(self._contrast)
        control, treatment, contrast = (sums.add(draws).estimate for sums in self._settled)
        means = _value(control), _value(treatment)
        differs = all(
            variety.differing(draws.value[draws.arm == arm]) >= DIFFERING for arm, variety in self._varieties.items()
        )
        if self._bets is not None and not differs:
            return betted(self._bets, (self.visits.firsts[0], self.visits.firsts[self.arm]), means)
        return asymptotic(contrast, self.wanted, self._alpha, means, differs=differs, shared=self._bets is not None)


def finding_of(
    measure: ArmMeasure, rail: Guardrail, seen: Visited, found: Measured, plan: Plan, together: float, of: int
) -> Finding:
    """The record of a guardrail of an arm.

    Args:
        measure: see `ArmMeasure`.
        rail: the guardrail, with its margin and action.
        seen: visits.
        found: what was measured.
        plan: of the release.
        together: evidence among all guardrails and arms.
        of: how many they are.
    """
    counts = seen.counts
    return concluded(
        "guardrail", rail, measure.wanted.metric, found, plan, together, of,
        units=(int(counts[0]), int(counts[measure.arm])), requests=(seen.requests[0], seen.requests[measure.arm]),
        left_out=dict(measure.visits.left_out), arm=measure.name,
    )  # fmt: skip


class _Variety:
    """The settled values of an arm, until enough of them are others than the most frequent one; then it is enough."""

    def __init__(self) -> None:
        self._counts: Counter[float] | None = Counter()

    def take(self, values: Floats) -> None:
        if self._counts is not None:
            self._counts.update(np.round(values, 9).tolist())
            if self._counts.total() - max(self._counts.values(), default=0) >= DIFFERING:
                self._counts = None

    def differing(self, more: Floats) -> int:
        """How many values are others than the most frequent one, `DIFFERING` standing for as many and more."""
        if self._counts is None:
            return DIFFERING
        return differing(np.concatenate([np.repeat(list(self._counts), list(self._counts.values())), more]))


def _value(found: Estimate) -> float | None:
    return float(found.value) if np.isfinite(found.value) else None
