"""The bodies that whoever is on duty asks for: metrics over time, feedback, audit, the emergency off."""

from typing import Annotated, Literal

from pydantic import Field

from trimtab.serving.protocol.answers import Answered
from trimtab.serving.protocol.releases import Why
from trimtab.serving.protocol.requests import Asked


class PointCard(Answered):
    """A metric as it stood at a moment.

    Args:
        time: of the last answer that counts, seconds since 1970, UTC.
        units: of control and treatment with a value.
        control, treatment: of either arm.
        difference, low, high: treatment minus control and its interval, valid at all moments together; null where
            nothing is known.
    """

    time: float
    units: tuple[int, int]
    control: float | None
    treatment: float | None
    difference: float | None
    low: float | None
    high: float | None


class ArmPointCard(Answered):
    """One of several arms as it stood at a moment.

    Args:
        visits: with a value.
        mean, low, high: what it would have given on all visits, with an interval valid at all moments together; null
            where nothing is known.
    """

    visits: int
    mean: float | None
    low: float | None
    high: float | None


class PointOfArms(Answered):
    """A metric of several arms as it stood at a moment.

    Args:
        time: of the last answer that counts, seconds since 1970, UTC.
        arms: by name.
    """

    time: float
    arms: dict[str, ArmPointCard]


class MetricOverTime(Answered):
    """The answer of `GET /v1/releases/NAME/series`.

    Args:
        release: its name.
        metric: whose course it is.
        description: of the metric, as it was defined.
        outcome: built in, of which it is; null for feedback and ratios.
        kind: mean, ratio or quantile.
        direction: whether `higher` or `lower` is better.
        dry_run: whether all arms were answered alike.
        data: of treatment and control, the oldest first; empty where there are several arms.
        arms: of several arms, the oldest first; empty where there are two.
    """

    object: Literal["series"] = "series"
    release: str
    metric: str
    description: str
    outcome: str | None
    kind: str
    direction: Literal["higher", "lower"]
    dry_run: bool
    data: list[PointCard]
    arms: list[PointOfArms] = Field(default=[])


class FeedbackCountCard(Answered):
    """Feedback that says the same, of one arm.

    Args:
        metric, source: of which it is, and whose.
        label: what it says; null for scores.
        arm: of the answers.
        dry_run: whether they were answered in a dry run.
        requests: with this feedback.
        mean: of scores.
        by: whose they are, where a classifier (with its AUROC) or a judge gave them; else empty.
    """

    metric: str
    source: str
    label: str | None
    arm: str
    dry_run: bool
    requests: int
    mean: float | None
    by: str


class FeedbackCounts(Answered):
    """The answer of `GET /v1/releases/NAME/feedback`."""

    object: Literal["list"] = "list"
    data: list[FeedbackCountCard]


class AuditEntry(Answered):
    """An entry of the audit, without the states before and after; `time` is ISO 8601, UTC."""

    number: int
    time: str
    who: str
    what: str
    subject: str
    why: str


class AuditTail(Answered):
    """The answer of `GET /v1/audit`, the newest first."""

    object: Literal["list"] = "list"
    data: list[AuditEntry]


class OffCard(Answered):
    """The answer of `GET` and `POST /v1/off`.

    Args:
        off: whether all steering is off on this server's machine.
        reason: what keeps it off; null if it is not.
        paused: releases that this call paused.
        fault: why releases could not be paused, or the audit not written; null if nothing is wrong. The switch is as
            asked all the same.
    """

    object: Literal["off"] = "off"
    off: bool
    reason: str | None
    paused: list[str] = Field(default=[])
    fault: str | None = None


class Switch(Asked):
    """The body of `POST /v1/off`.

    Args:
        off: true switches all steering off and pauses what runs; false ends that, and leaves paused what was paused.
        why: for the audit.
    """

    off: Annotated[bool, Field(strict=True)]
    why: Why = ""
