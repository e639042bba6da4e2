"""What a server has seen of its steerings, and the alarms that this raised since it started."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, Literal

from trimtab.interventions import AnswerScore
from trimtab.operations import SteeredAnswer
from trimtab.serving.monitoring.canary import CanaryRun, level_of
from trimtab.serving.monitoring.drift import FIRST, Drift, Stream, Units
from trimtab.serving.monitoring.setups import Setup
from trimtab.serving.monitoring.shadow import Shadow
from trimtab.statistics.sequential import DriftTest

AlarmKind = Literal["canary", "shadow", "drift", "unlike-check"]
"""A canary is worse than checked; the divergence on live answers is beyond its bound; live figures have moved since the
first answers; live answers are unlike the texts of the check."""

Identity = tuple[str, tuple[str, ...]]
"""Of a setup: its key, and the releases."""

Told = tuple[str, str, str]
"""What a release was paused for: the check of a canary, empty for a shadow; the key of the setup; the release."""

OnAlarm = Callable[[AlarmKind, str, Mapping[str, Any]], None]
"""Is told the kind, the reason in words, and figures with the steering they are about."""

ALPHA: Final = 0.05
FOLLOWED: Final = 64
"""Steerings that are followed because requests name them, each strength and scope by itself; those of releases and
canaries are followed in any case."""
_KEPT: Final = 100  # alarms
_REFERENCE: Final = 20  # values that a drift test needs


@dataclass(frozen=True)
class Alarm:
    """Something that somebody should look at.

    Args:
        kind: see `AlarmKind`.
        reason: in words.
        figures: behind it, with `steering`, `artifact`, `strength`, `scope` and `releases`.
        time: seconds since 1970, UTC.
    """

    kind: AlarmKind
    reason: str
    figures: Mapping[str, Any]
    time: float = field(default_factory=lambda: datetime.now(UTC).timestamp())

    @property
    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": self.kind, "reason": self.reason, "figures": dict(self.figures), "time": self.time}


@dataclass(frozen=True)
class Looked:
    """A look of a canary.

    Args:
        check: name of the check's folder.
        setup: what was looked at.
        run: what it came to; None where it failed.
        fault: why it failed.
        time: seconds since 1970, UTC.
    """

    check: str
    setup: Setup
    run: CanaryRun | None
    fault: str | None = None
    time: float = field(default_factory=lambda: datetime.now(UTC).timestamp())

    @property
    def record(self) -> dict[str, Any]:
        """As plain values."""
        run = None if self.run is None else self.run.record
        return {"check": self.check, **self.setup.record, "time": self.time, "fault": self.fault, "run": run}


class Observations:
    """Figures and alarms; belongs to one event loop. What is to outlive the server is in the store (`read_back`).

    Args:
        alpha: chance of any false alarm of each kind.
        max_kl: bound on the mean divergence of live answers, nats per token; None for none.
        first: units that make the reference of first answers.

    Attributes:
        alarms: the last 100; each kind is told once for a steering and figure, those of a canary and a shadow once for
            each release, a canary's again after a look that was not worse.
        dropped: answers that are in no figure, by why.
    """

    def __init__(self, alpha: float = ALPHA, max_kl: float | None = None, first: int = FIRST) -> None:
        self.alpha, self._max_kl = alpha, max_kl
        self.alarms: deque[Alarm] = deque(maxlen=_KEPT)
        self.raised: dict[AlarmKind, int] = {"canary": 0, "shadow": 0, "drift": 0, "unlike-check": 0}
        self.canaries: dict[tuple[str, str], Looked] = {}
        self.setups: dict[str, Setup] = {}
        self.shadows: dict[str, Shadow] = {}
        self.drift = Drift(alpha, first)
        self.dropped: dict[str, int] = {}
        self._units = Units()
        self._levels: dict[tuple[str, str], float] = {}
        self._too_far_told: set[Identity] = set()
        self._told_before: set[Told] = set()

    def level(self, check: str, setup: Setup) -> float:
        """Confidence of a canary's intervals: the same at every look at a steering."""
        key = check, setup.key
        if key not in self._levels:
            self._levels[key] = level_of(len(self._levels) + 1, self.alpha)
        return self._levels[key]

    def add_canary(self, looked: Looked) -> list[Alarm]:
        """A look; the alarm that it raises."""
        key = looked.check, looked.setup.key
        before, self.canaries[key] = self.canaries.get(key), looked
        self.setups.setdefault(looked.setup.key, looked.setup)
        run = looked.run
        if run is None:
            return []
        for attribute, by_site in run.projections.items():
            for site, values in by_site.items():
                if len(values) >= _REFERENCE and all(map(isfinite, values)):
                    self.drift.refer(looked.setup.key, _kappa(attribute, site), list(values))
        if before is None:  # since the server started
            told = {(looked.check, looked.setup.key, release) for release in looked.setup.releases}
            was = bool(told) and told <= self._told_before
        else:
            was = (
                before.run is not None
                and before.run.verdict == "worse than checked"
                and set(looked.setup.releases) <= set(before.setup.releases)
            )
        if run.verdict != "worse than checked" or was:
            return []
        return [
            self._raise(
                "canary", f"worse than checked: {run.reason}", looked.setup, {"check": looked.check, **run.record}
            )
        ]

    def forget(self, check: str, live: Collection[str]) -> None:
        """Drop a canary's looks at what is not live any more.

        Args:
            check: name of its folder.
            live: keys of the setups that are.
        """
        self.canaries = {key: one for key, one in self.canaries.items() if key[0] != check or key[1] in live}

    def add_answer(self, setup: Setup, unit: str | None, gates: Mapping[str, float], edit_size: float) -> None:
        """What the edits did to an answer."""
        if not self._followed(setup) or not self._units.new(f"edits {setup.key}", unit):
            return
        self._figures(setup, _edits(gates, edit_size), self.drift.add)

    def add_shadow(self, setup: Setup, unit: str | None, score: AnswerScore) -> list[Alarm]:
        """The scores of an answer; the alarm that a divergence beyond its bound raises."""
        if not self._followed(setup):
            return []
        shadow = self.shadows.setdefault(setup.key, Shadow())
        was, new = self._too_far(shadow), self._units.new(f"scores {setup.key}", unit)
        if new:
            shadow.add(score)
        alarms = []
        if self._too_far(shadow) and not (was and setup.identity in self._too_far_told):
            self._too_far_told.add(setup.identity)
            reason = f"the mean divergence of live answers is above {self._max_kl:g} nats per token"
            alarms.append(self._raise("shadow", reason, setup, shadow.record))
        if new:
            self._figures(setup, _kappas(score), self.drift.add)
        return alarms

    def read_back(self, answers: Iterable[tuple[Setup, SteeredAnswer]], told: Collection[Told]) -> None:
        """Take in what was seen before the server started; nobody is told of what it raises.

        Args:
            answers: with the setup of each, in their order.
            told: what releases were paused for and resumed since: it is not told again.
        """
        for setup, one in answers:
            if not self._followed(setup):
                continue
            if one.edit_size is not None and self._units.new(f"edits {setup.key}", one.unit):
                self._figures(setup, _edits(one.gates, one.edit_size), self.drift.read_back)
            if one.score is not None and self._units.new(f"scores {setup.key}", one.unit):
                self.shadows.setdefault(setup.key, Shadow()).add(one.score)
                self._figures(setup, _kappas(one.score), self.drift.read_back)
        self.drift.settle()
        self._told_before = set(told)
        for setup in self.setups.values():
            if {("", setup.key, release) for release in setup.releases} <= self._told_before:
                self._too_far_told.add(setup.identity)

    def settle(self) -> list[Alarm]:
        """Test the figures that came since the last time; alarms of drift that this raises."""
        return [self._drifted(self.setups[what], figure, stream) for what, figure, stream in self.drift.settle()]

    def drop(self, why: str) -> None:
        """Count an answer that is not scored."""
        self.dropped[why] = self.dropped.get(why, 0) + 1

    @property
    def record(self) -> dict[str, Any]:
        """As plain values, for `GET /v1/monitoring`."""
        seen = [
            {**setup.record, "shadow": None if (s := self.shadows.get(key)) is None else s.record,
             "drift": self.drift.record(key)}
            for key, setup in self.setups.items()
        ]  # fmt: skip
        return {
            "canaries": [looked.record for looked in self.canaries.values()],
            "steerings": seen,
            "dropped": dict(self.dropped),
            "alarms": [alarm.record for alarm in self.alarms],
        }

    def _followed(self, setup: Setup) -> bool:
        """Whether a steering has figures: whoever asks for ever new strengths must not fill memory with them."""
        if setup.key not in self.setups:
            if not setup.releases and len(self.setups) >= FOLLOWED:
                self.drop("too many strengths")
                return False
            self.setups[setup.key] = setup
        return True

    def _too_far(self, shadow: Shadow) -> bool:
        return self._max_kl is not None and shadow.kl_interval(self.alpha).low > self._max_kl

    def _figures(self, setup: Setup, figures: Mapping[str, float], add: Callable[[str, str, float], None]) -> None:
        for figure, value in figures.items():
            if isfinite(value):
                add(setup.key, figure, value)

    def _drifted(self, setup: Setup, figure: str, stream: Stream) -> Alarm:
        assert isinstance(stream.test, DriftTest)
        told = {"figure": figure, **stream.record}
        if stream.reference == "check":
            reason = f"the {figure} of live answers is unlike that of the check's texts"
            return self._raise("unlike-check", reason, setup, told)
        return self._raise("drift", f"the {figure} of live answers has moved since the first ones", setup, told)

    def _raise(self, kind: AlarmKind, reason: str, setup: Setup, figures: Mapping[str, Any]) -> Alarm:
        alarm = Alarm(kind, reason, {**setup.record, **figures})
        self.alarms.append(alarm)
        self.raised[kind] += 1
        return alarm


def _edits(gates: Mapping[str, float], edit_size: float) -> dict[str, float]:
    return {"edit size": edit_size, **{f"gate of {name}": value for name, value in gates.items()}}


def _kappas(score: AnswerScore) -> dict[str, float]:
    return {
        _kappa(attribute, site): value
        for attribute, by_site in score.projections.items()
        for site, value in by_site.items()
    }


def _kappa(attribute: str, site: str) -> str:
    return f"κ of {attribute} at {site}"
