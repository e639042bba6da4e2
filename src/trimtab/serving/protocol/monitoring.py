"""The body of `/v1/monitoring`."""

from typing import Any, Literal

from trimtab.serving.protocol.answers import Answered


class Ends(Answered):
    """A figure with its interval; None where there is none yet."""

    value: float | None
    low: float | None
    high: float | None


class CanaryCard(Answered):
    """A look of a canary; docs/monitoring.md tells the fields."""

    verdict: Literal["as checked", "worse than checked", "inconclusive"]
    reason: str
    effect: Ends
    anti_steerable: Ends
    change: Ends
    anti_change: Ends
    margin: float
    anti_margin: float
    base_change: float
    known_risk: int
    still: int
    new_risk: list[str]
    n: int
    acts: Ends | None
    acts_then: Ends | None


class SetupCard(Answered):
    """A steering as requests get it.

    Args:
        steering: name of its folder.
        artifact: its id.
        strength, scope: as it is applied.
        releases: whose arms it is.
    """

    steering: str
    artifact: str
    strength: dict[str, float]
    scope: str
    releases: list[str]


class LookCard(SetupCard):
    """The last look of a canary at a steering.

    Args:
        check: name of the check's folder.
        time: seconds since 1970, UTC.
        fault: why it failed; null if it did not.
        run: what it came to.
    """

    check: str
    time: float
    fault: str | None
    run: CanaryCard | None


class ShadowCard(Answered):
    """Figures of scored answers; docs/monitoring.md tells the fields."""

    n: int
    kl: Ends
    random_kl: Ends
    excess: Ends
    gain: Ends
    random_gain: Ends


class DriftCard(Answered):
    """A live figure against a reference; docs/monitoring.md tells the fields."""

    figure: str
    reference: Literal["first answers", "check"]
    n_reference: int
    n: int
    alarm: bool
    p_value: float | None
    stability_index: float | None


class WatchedCard(SetupCard):
    """What was seen of a steering's answers."""

    shadow: ShadowCard | None
    drift: list[DriftCard]


class AlarmCard(Answered):
    """An alarm."""

    kind: Literal["canary", "shadow", "drift", "unlike-check"]
    reason: str
    figures: dict[str, Any]
    time: float


class MonitoringCard(Answered):
    """The answer of `GET /v1/monitoring`.

    Args:
        canaries: last looks.
        steerings: those that answered since the server started.
        dropped: answers that are in no figure, by why.
        alarms: the last 100.
    """

    canaries: list[LookCard]
    steerings: list[WatchedCard]
    dropped: dict[str, int]
    alarms: list[AlarmCard]
