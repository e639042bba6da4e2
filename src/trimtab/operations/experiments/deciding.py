"""What the figures of a look lead to, by the plan of the release."""

from typing import Any, Final

from trimtab.operations.experiments.findings import Decision, Finding, SampleRatio
from trimtab.operations.releases.plan import OnHarm, Plan
from trimtab.operations.releases.release import Release

_GOOD: Final = ("better", "no harm shown")
_MOST: Final = 1900  # characters of a reason; the audit takes 2,000


def decided(
    release: Release, plan: Plan, findings: tuple[Finding, ...], ratio: SampleRatio, stage_units: tuple[int, int]
) -> Decision | None:
    """Pause, roll back, promote, or nothing. Only a release that runs is decided about.

    Args:
        release: as it was before the figures were read.
        plan: of the release.
        findings: of its metrics.
        ratio: of its arms.
        stage_units: of control and treatment in this stage.
    """
    if release.state != "running":
        return None
    harms = [one for one in findings if one.harm]
    if harms or ratio.mismatch:
        actions = {one.action for one in harms} | ({plan.on_harm} if ratio.mismatch else set())
        reasons = [f"{one.metric}: {one.meaning}" for one in harms]
        why = " ".join([ratio.meaning, *reasons] if ratio.mismatch else reasons)
        action: OnHarm = "rollback" if "rollback" in actions else "pause"
        return Decision(action, _cut(why), _figures(findings, ratio, stage_units))
    return _promotion(release, plan, findings, ratio, stage_units)


def _promotion(
    release: Release, plan: Plan, findings: tuple[Finding, ...], ratio: SampleRatio, stage_units: tuple[int, int]
) -> Decision | None:
    """The next stage, where everything is known to be no worse; 100 % is left to people where it needs two of them."""
    later = [stage for stage in release.definition.stages if stage > release.share]
    if not plan.auto_promote or not later or min(stage_units) < plan.min_units:
        return None
    if later[0] == 100 and release.definition.four_eyes:
        return None
    if not all(one.state in _GOOD for one in findings):
        return None
    said = ", ".join(f"{one.metric} {one.state}" for one in findings)
    why = f"{said}, with {stage_units[0]:,} and {stage_units[1]:,} units at {release.share:g} %"
    return Decision("promote", _cut(why), _figures(findings, ratio, stage_units), later[0])


def _figures(findings: tuple[Finding, ...], ratio: SampleRatio, stage_units: tuple[int, int]) -> dict[str, Any]:
    names = (
        "control", "treatment", "units", "requests", "difference", "low", "high", "margin", "state", "harm",
        "log_e_harm", "log_e_harm_adjusted", "method", "variance_removed",
    )  # fmt: skip
    metrics = {one.metric: {name: _plain(getattr(one, name)) for name in names} for one in findings}
    shares = {"stages": [list(stage) for stage in ratio.stages], "log_e": ratio.log_e, "mismatch": ratio.mismatch}
    return {"metrics": metrics, "sample_ratio": shares, "stage_units": list(stage_units)}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"
