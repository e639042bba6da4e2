"""What the figures of a metric come to: its state, whether that is harm, and the record of both."""

from collections.abc import Mapping
from math import log
from typing import Final

from trimtab.operations.experiments.findings import Finding, Role, rounded
from trimtab.operations.experiments.wanted import Measured
from trimtab.operations.experiments.wording import meaning
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.releases.plan import Guardrail, Plan
from trimtab.statistics.sequential import state_of

_EPSILON: Final = 1e-9


def concluded(
    role: Role, rail: Guardrail, metric: Metric, found: Measured, plan: Plan, together: float, of: int, *,
    units: tuple[int, int], requests: tuple[int, int], left_out: Mapping[str, int], arm: str = "treatment",
) -> Finding:  # fmt: skip
    """The record of a metric.

    Args:
        role: whether the release is judged by it.
        rail: its margin and action.
        metric: as the release froze it.
        found: what was measured.
        plan: of the release.
        together: evidence of harm among all that is compared.
        of: how many are compared.
        units, requests: of control and of the arm, with a value.
        left_out: values that were not counted, by reason.
        arm: that is compared with control.
    """
    effect = (plan.effect or 0.0) if role == "primary" else 0.0
    margin = rail.margin or 0.0
    state = state_of(found.interval, effect=effect, margin=margin, more_is_better=metric.direction == "higher")
    harm = state == "worse" and together >= log(1 / plan.alpha) - _EPSILON
    return Finding(
        metric=metric.name, role=role, direction=metric.direction, control=rounded(found.control),
        treatment=rounded(found.treatment), units=units, requests=requests, difference=rounded(found.interval.value),
        low=rounded(found.interval.low), high=rounded(found.interval.high), effect=effect, margin=margin, state=state,
        harm=harm, log_e_harm=rounded(found.log_e_harm) or 0.0, log_e_harm_adjusted=rounded(together) or 0.0,
        log_e_better=rounded(found.log_e_better) or 0.0, method=found.method, action=rail.action or plan.on_harm,
        left_out=dict(left_out), meaning=meaning(state, found, effect=effect, margin=margin, harm=harm, of=of), arm=arm,
        variance_removed=rounded(found.removed),
    )  # fmt: skip
