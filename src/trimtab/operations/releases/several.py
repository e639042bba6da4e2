"""Which steps a release with several arms may take, and what they make of its shares."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import time

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.releases.adapting import CONTROL, Adapt, Epoch, check_metric, even, only
from trimtab.operations.releases.plan import Plan
from trimtab.operations.releases.release import Definition, Release, State
from trimtab.operations.releases.transitions import Action, ConflictError, check_allowed
from trimtab.texts import shown


def after_several(release: Release, action: Action, keep: str) -> tuple[State, float, Epoch | None]:
    """State, share of all arms but control, and epoch after a step.

    Args:
        release: as it is, with several arms.
        action: the step.
        keep: of `finish`: the arm that everybody gets from then on.

    Raises:
        ConflictError: its state does not allow the step; it has no stages; every arm is excluded.
        InputError: an arm that there is not, or that is excluded.
    """
    if action == "promote":
        raise ConflictError(
            f"{release}; it has no stages: finish it with one of its arms, and make a release that tests it",
            release=release,
        )
    check_allowed(release, action)
    definition, epoch = release.definition, release.epoch
    if action in ("start", "dry-run"):
        epoch = even(release.version + 1, definition.arms)
        return "running" if action == "start" else "dry-run", epoch.treated, epoch
    if epoch is None or action == "rollback":
        return "rolled-back", 0.0, epoch
    if action == "finish":
        return _finished(release, epoch, keep)
    if action == "resume" and not epoch.treated:
        raise ConflictError(f"{release}; every arm is excluded, so that nothing is left to resume", release=release)
    return "running" if action == "resume" else "paused", epoch.treated, epoch


def _finished(release: Release, epoch: Epoch, keep: str) -> tuple[State, float, Epoch]:
    arms = release.definition.arms
    if keep == CONTROL:
        return "finished", 0.0, only(release.version + 1, CONTROL, epoch)
    if keep not in arms:
        raise InputError(
            f"{release}; it has no arm {shown(keep, 40)!r} to keep; name control or one of {', '.join(arms)}",
            code="unknown-choice",
            field="keep",
        )
    if keep in epoch.excluded or release.state != "running":
        why = epoch.excluded.get(keep) or "it does not run"
        raise InputError(f"{release}; {keep!r} cannot be kept: {why}", field="keep")
    return "finished", 100.0, only(release.version + 1, keep, epoch)


def adapted(release: Release, shares: Mapping[str, float], excluded: Mapping[str, str]) -> Release:
    """The release in its next epoch.

    Raises:
        ConflictError: it does not run.
        InputError: it does not adapt; shares that do not fit its arms.
    """
    former = release.epoch
    if release.definition.adapt is None:
        raise InputError(f"{release}; it does not adapt, and its shares stay", field="shares")
    if release.state != "running" or former is None:
        raise ConflictError(f"{release}; shares are changed only while it runs", release=release)
    out = dict(former.excluded) | dict(excluded)
    if list(shares) != list(former.shares) or not shares[CONTROL] > 0 or any(shares.get(name, 1) for name in out):
        raise InputError(
            f"{release}; give a share for {', '.join(former.shares)}, above 0 for control and 0 for what is excluded",
            field="shares",
        )
    try:
        epoch = Epoch(number=release.version + 1, shares=dict(shares), excluded=out, asked_for=former.asked_for)
    except ValidationError as error:
        raise InputError(f"shares: {error.errors()[0]['msg']}", field="shares") from None
    return replace(release, version=release.version + 1, share=epoch.treated, time=time(), epoch=epoch)


def check_several(definition: Definition, plan: Plan | None, metrics: Sequence[Metric]) -> None:
    """A release with several arms has a metric that it can learn from, and nothing that belongs to a test.

    Raises:
        InputError: it has not.
    """
    if not definition.arms:
        return
    if definition.metric is None or plan is None:
        raise InputError(
            "an adaptive or factorial release needs a metric; name one", code="missing-value", field="metric"
        )
    if plan.auto_promote:
        raise InputError("a release with several arms has no stages to be promoted through", field="auto_promote")
    known = {one.name: one for one in metrics}
    for name in (definition.metric, *definition.guardrails):
        primary = name == definition.metric and definition.adapt is not None
        settings = definition.adapt if primary and definition.adapt is not None else Adapt(scale=1.0)
        check_metric(settings, known[name].bounds, known[name].kind, name)
