"""Whether the checks of a steering are enough to release it, and fit what is to be served."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trimtab.errors import InputError
from trimtab.operations.releases.release import Arm, Evidence

if TYPE_CHECKING:
    from trimtab.results.report import Report

ENOUGH: Final = ("go", "caution")
MAX_AGE_DAYS: Final = 30.0
_CLOCKS: Final = timedelta(minutes=10)  # that two machines may differ by
_ROUNDING: Final = 1e-6


def gathered(
    arms: Sequence[Arm],
    checks: Sequence[str | Path],
    *,
    digest: str | None,
    dtype: str | None,
    chat_template: bool,
    max_age_days: float = MAX_AGE_DAYS,
    now: datetime | None = None,
) -> Evidence:
    """What the checks say of the arms, with all that is missing and all that differs.

    Args:
        arms: what is to be served; each needs a check.
        checks: folders of `trimtab check --steering`, or their `report.json`.
        digest: of the weights that are served; None if nobody knows, and the checks are not held against it.
        dtype: that is served; None for that of the checks.
        chat_template: whether prompts go through the chat template.
        max_age_days: older reports count as none; their age is that of the file.
        now: by which the age is taken.

    Raises:
        InputError: no report there, or one of another steering.
    """
    faults, differences, decisions, files = [], [], [], []
    checked: list[Arm] = []
    dtypes = set()
    for place in checks:
        file = _file(Path(place))
        report, able = _report(file, arms)
        arm = min(able, key=lambda one: len(list(_differences(report, one, dtype, chat_template))))
        checked.append(arm)
        dtypes.add(report.dtype)
        files.append(str(file))
        decisions.append(report.verdict.decision)
        faults += [f"{file}: {fault}" for fault in _faults(report, file, digest, max_age_days, now)]
        differences += [f"{file}: {one}" for one in _differences(report, arm, dtype, chat_template)]
    without = [_shown(arm) for arm in arms if arm not in checked]
    faults += [f"no check of {arm} is given" for arm in without] if checks else ["no check is given"]
    if dtype is None and len(dtypes) > 1:
        differences.append(f"checked in {' and '.join(sorted(dtypes))}, and only one of them can be served")
    return Evidence(
        checks=tuple(files),
        decisions=tuple(decisions),
        faults=tuple(faults),
        differences=tuple(differences),
        dtype=dtypes.pop() if len(dtypes) == 1 else None,
    )


def allowed(evidence: Evidence, unchecked: str | None, accepted: str | None) -> Evidence:
    """The evidence with the reasons why it is enough.

    Raises:
        InputError: it is not enough, or does not fit, and there is no reason to go on; a reason for nothing.
    """
    for reason, field in ((unchecked, "unchecked"), (accepted, "accepted")):
        if reason is not None and not reason.strip():
            raise InputError(f"{field}: the reason is empty", code="missing-value", field=field)
    if evidence.faults and unchecked is None:
        raise InputError(
            f"the evidence is not enough: {'; '.join(evidence.faults)}. Run trimtab check --steering, or say why it is "
            "released without",
            code="unfit-evidence",
            field="unchecked",
        )
    if evidence.differences and accepted is None:
        raise InputError(
            f"what was checked is not what would be served: {'; '.join(evidence.differences)}. Check what is served, "
            "or say why it does no harm",
            code="unfit-evidence",
            field="accepted",
        )
    return evidence.model_copy(
        update={
            "unchecked": unchecked if evidence.faults else None,
            "accepted": accepted if evidence.differences else None,
        }
    )


def _file(place: Path) -> Path:
    return place / "report.json" if place.is_dir() else place


def _report(file: Path, arms: Sequence[Arm]) -> "tuple[Report, list[Arm]]":
    """A report, and the arms that it can be of."""
    from trimtab.results.report_files import load

    try:
        report = load(file)
    except InputError as error:
        raise InputError(str(error), code=error.code, field="check") from error
    found = [arm for arm in arms if report.steering is not None and arm.artifact == report.steering.id]
    if found:
        return report, found
    of = "of contrast examples" if report.steering is None else f"of the steering {str(report.steering.id)[:12]}"
    wanted = " or ".join(f"{arm.name} ({arm.artifact[:12]})" for arm in arms)
    raise InputError(
        f"{file} is a check {of}, not of {wanted}; run trimtab check --steering with it",
        code="unfit-evidence",
        field="check",
    )


def _shown(arm: Arm) -> str:
    return f"{arm.name} at {', '.join(f'{name}={value:g}' for name, value in arm.strength.items())}"


def _faults(
    report: "Report", file: Path, digest: str | None, max_age_days: float, now: datetime | None
) -> Iterator[str]:
    if report.verdict.decision not in ENOUGH:
        yield f"its verdict is {report.verdict.decision}, and at least caution is needed"
    if digest is not None and report.model.digest != digest:
        yield f"it was made on other weights ({report.model.digest[:12]}, not {digest[:12]})"
    age = (now or datetime.now(UTC)) - datetime.fromtimestamp(file.stat().st_mtime, UTC)
    if age < -_CLOCKS:
        yield "its file is of the future; set the clock right"
    if age > timedelta(days=max_age_days):
        yield f"it is {age.days} days old, and at most {max_age_days:g} are allowed"


def _differences(report: "Report", arm: Arm, dtype: str | None, chat_template: bool) -> Iterator[str]:
    if report.chat_template != chat_template:
        with_ = ("without", "with")
        yield f"checked {with_[report.chat_template]} the chat template, served {with_[chat_template]} it"
    if report.scope != arm.scope:
        yield f"checked in scope {report.scope}, served in {arm.scope}"
    if dtype is not None and report.dtype != dtype:
        yield f"checked in {report.dtype}, served in {dtype}"
    assert report.steering is not None
    for name, default in report.steering.attributes.items():
        checked, served = report.verdict.strength * default, arm.strength.get(name, 0.0)
        if not isclose(checked, served, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            yield f"checked at strength {name}={checked:g}, served at {served:g}"
