"""Guardrails of a release with several arms: each arm against control, from visits that were drawn unevenly.

The difference is doubly robust (`policy_estimate`), so that it stays right while shares change by what is seen. Before
either arm holds some visits of other values than most have, bets on the first request of each unit speak, where the
server measures the outcome within bounds that are not too wide for the margin; the two share the alpha in halves.
"""

from math import inf, log

import numpy as np

from trimtab.operations.experiments.bets import NARROW, Bets
from trimtab.operations.experiments.findings import Finding, rounded
from trimtab.operations.experiments.measuring import DIFFERING, START
from trimtab.operations.experiments.series import ArmUnits
from trimtab.operations.experiments.visits import Visited, Visits
from trimtab.operations.experiments.wanted import Measured, Wanted
from trimtab.operations.experiments.wording import meaning
from trimtab.operations.outcomes.values import Floats
from trimtab.operations.releases.plan import Guardrail, Plan
from trimtab.statistics import Interval
from trimtab.statistics.sequential import AsymptoticSequence, Draws, policy_estimate, state_of


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
        bounds = wanted.metric.bounds
        wide = inf if bounds is None else bounds[1] - bounds[0]
        final = wanted.metric.outcome not in (None, "edit_distance")
        bets = final and wide <= NARROW * wanted.margin
        self._alpha = wanted.alpha / 2 if bets else wanted.alpha
        self._bets = Bets(wanted, self._alpha) if bets else None

    def measured(self, seen: Visited) -> Measured:
        """As far as visits were read."""
        contrast = np.zeros(seen.draws.probability.shape[1])
        contrast[0], contrast[self.arm] = -1.0, 1.0
        draws = seen.draws.able(contrast)
        means = [_mean(draws, arm) for arm in (0, self.arm)]
        differs = all(_differing(draws, arm) >= DIFFERING for arm in (0, self.arm))
        if self._bets is not None and not differs:
            nothing = np.zeros(0)
            first = self.visits.firsts
            self._bets.take((ArmUnits(nothing, nothing, 0, first[0]), ArmUnits(nothing, nothing, 0, first[self.arm])))
            harm, better = (one - log(2) for one in self._bets.evidence)
            return Measured(means[0], means[1], self._bets.interval, harm, better, "betting", self._bets.smallest)
        return self._asymptotic(draws, contrast, means, differs)

    def _asymptotic(self, draws: Draws, contrast: Floats, means: list[float | None], differs: bool) -> Measured:
        wanted, found = self.wanted, policy_estimate(draws, contrast)
        smallest = int(found.smallest)
        if not differs:
            unknown = Interval(float(found.value), -inf, inf)
            return Measured(means[0], means[1], unknown, 0.0, 0.0, "asymptotic", smallest, differs=False)
        of = {s: AsymptoticSequence(wanted.decide_by, self._alpha, s, START) for s in (wanted.harm, wanted.good)}
        ends = of["lower"].interval(found).low, of["upper"].interval(found).high
        shared = log(2) if self._bets is not None else 0.0
        harm = float(of[wanted.harm].log_e_value(found, wanted.beyond)) - shared
        better = float(of[wanted.good].log_e_value(found, 0.0)) - shared
        interval = Interval(float(found.value), *ends)
        return Measured(means[0], means[1], interval, harm, better, "asymptotic", smallest)


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
    metric, margin, arms = measure.wanted.metric, rail.margin or 0.0, (0, measure.arm)
    state = state_of(found.interval, margin=margin, more_is_better=metric.direction == "higher")
    harm = state == "worse" and together >= log(1 / plan.alpha) - 1e-9
    counts = seen.draws.counts
    return Finding(
        metric=metric.name, role="guardrail", direction=metric.direction, control=rounded(found.control),
        treatment=rounded(found.treatment), units=(int(counts[0]), int(counts[measure.arm])),
        requests=(seen.requests[arms[0]], seen.requests[arms[1]]), difference=rounded(found.interval.value),
        low=rounded(found.interval.low), high=rounded(found.interval.high), effect=0.0, margin=margin, state=state,
        harm=harm, log_e_harm=rounded(found.log_e_harm) or 0.0, log_e_harm_adjusted=rounded(together) or 0.0,
        log_e_better=rounded(found.log_e_better) or 0.0, method=found.method, action=rail.action or plan.on_harm,
        left_out=dict(measure.visits.left_out),
        meaning=meaning(state, found, effect=0.0, margin=margin, harm=harm, of=of), arm=measure.name,
    )  # fmt: skip


def _mean(draws: Draws, arm: int) -> float | None:
    policy = np.zeros(draws.probability.shape[1])
    policy[arm] = 1.0
    value = float(policy_estimate(draws, policy).value)
    return value if np.isfinite(value) else None


def _differing(draws: Draws, arm: int) -> int:
    """Visits of an arm with another value than the most frequent one."""
    values = draws.value[draws.arm == arm]
    if not len(values):
        return 0
    return len(values) - int(np.unique(np.round(values, 9), return_counts=True)[1].max())
