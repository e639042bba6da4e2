"""Guardrails of a release with several arms: each arm against control, from visits that were drawn unevenly.

The difference is doubly robust (`policy_estimate`), so that it stays right while shares change by what is seen. Before
either arm holds some visits of other values than most have, bets on the first request of each unit speak, where the
server measures the outcome within bounds that are not too wide for the margin; the two share the alpha in halves.
"""

import numpy as np

from trimtab.operations.experiments.concluding import concluded
from trimtab.operations.experiments.findings import Finding
from trimtab.operations.experiments.measuring import DIFFERING, asymptotic, bets_on, betted, differing
from trimtab.operations.experiments.series import ArmUnits
from trimtab.operations.experiments.visits import Visited, Visits
from trimtab.operations.experiments.wanted import Measured, Wanted
from trimtab.operations.releases.plan import Guardrail, Plan
from trimtab.statistics.sequential import Draws, policy_estimate


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

    def measured(self, seen: Visited) -> Measured:
        """As far as visits were read."""
        contrast = np.zeros(seen.draws.probability.shape[1])
        contrast[0], contrast[self.arm] = -1.0, 1.0
        draws = seen.draws.able(contrast)
        means = _mean(draws, 0), _mean(draws, self.arm)
        differs = all(differing(draws.value[draws.arm == arm]) >= DIFFERING for arm in (0, self.arm))
        if self._bets is not None and not differs:
            nothing, first = np.zeros(0), self.visits.firsts
            units = [ArmUnits(nothing, nothing, 0, first[arm]) for arm in (0, self.arm)]
            return betted(self._bets, (units[0], units[1]), means)
        found = policy_estimate(draws, contrast)
        return asymptotic(found, self.wanted, self._alpha, means, differs=differs, shared=self._bets is not None)


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
    counts = seen.draws.counts
    return concluded(
        "guardrail", rail, measure.wanted.metric, found, plan, together, of,
        units=(int(counts[0]), int(counts[measure.arm])), requests=(seen.requests[0], seen.requests[measure.arm]),
        left_out=dict(measure.visits.left_out), arm=measure.name,
    )  # fmt: skip


def _mean(draws: Draws, arm: int) -> float | None:
    policy = np.zeros(draws.probability.shape[1])
    policy[arm] = 1.0
    value = float(policy_estimate(draws, policy).value)
    return value if np.isfinite(value) else None
