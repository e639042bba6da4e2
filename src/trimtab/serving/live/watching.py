"""Guardrails on a server: experiments are looked at in the background, and what follows is done, logged and told."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trimtab.clients.webhook import Webhook
from trimtab.errors import TrimtabError
from trimtab.operations import Arm, ConflictError, Release, Releases
from trimtab.operations.experiments import Look, Watch, Watched
from trimtab.operations.experiments.watch import BY, event_of
from trimtab.operations.releases.adapting import CONTROL

WATCH_EVERY: Final = 60.0  # seconds
_ACTED_ON: Final = ("canary", "shadow")


@dataclass(frozen=True)
class _Alarm:
    """An alarm about an arm of a release."""

    release: str
    why: str
    figures: Mapping[str, Any]

    def is_about(self, arm: Arm) -> bool:
        """Whether the arm is what the alarm found."""
        own = (arm.artifact, dict(arm.strength), arm.scope)
        return own == tuple(self.figures[name] for name in ("artifact", "strength", "scope"))


def _treated(release: Release) -> list[Arm]:
    """What somebody gets beside control; an arm that is out already needs no alarm."""
    return [arm for name, arm in release.served.items() if name != CONTROL]


class Watching:
    """The watch of one server.

    Args:
        releases: of its store.
        model: by which requests ask for its model.
        log: takes lines about what is done and what fails.
        webhook: is told of what is done; closed by `close`.
    """

    def __init__(self, releases: Releases, model: str, log: Any, webhook: Webhook | None = None) -> None:
        self.done: Counter[tuple[str, str]] = Counter()  # decisions made here, by release and action
        self.looks: dict[str, Look] = {}  # the last of each release that runs
        self._watch = Watch(releases, model=model)
        self._releases, self._log, self._webhook = releases, log, webhook
        self._faults: dict[str, str] = {}
        self._alarms: list[_Alarm] = []  # that could not be acted on yet

    def watch(self) -> None:
        """Look at everything once, and act on the alarms that could not be acted on before."""
        waiting, self._alarms = self._alarms, []
        for alarm in waiting:
            self._act_on(alarm)
        try:
            watched = self._watch.once()
        except TrimtabError as error:
            self._told("", str(error))
            return
        self._told("", None)
        for one in watched:
            self._told(one.release, one.fault)
            self._act(one)
        self.looks = {one.release: one.look for one in watched if one.look is not None}

    def alarmed(self, kind: str, reason: str, figures: Mapping[str, Any]) -> None:
        """Do what releases say of an alarm about their treatment.

        Args:
            kind: see `trimtab.serving.monitoring.observations.AlarmKind`; only a canary's and a shadow's are acted on.
            reason: in words.
            figures: behind it, with `artifact`, `strength`, `scope` and `releases`.
        """
        if kind in _ACTED_ON:
            for release in figures["releases"]:
                self._act_on(_Alarm(release, f"{kind}: {reason}", figures))

    def look(self, name: str) -> Look:
        """How a release's experiment stands now.

        Raises:
            InputError: there is no such release.
            TrimtabError: the store cannot be read.
        """
        return self._watch.look(name)

    def close(self) -> None:
        """Let go of the webhook."""
        if self._webhook is not None:
            self._webhook.close()

    def _act(self, one: Watched) -> None:
        if one.decision is None or one.done is None:
            return
        if (event := one.event) is not None:
            self._tell(one.decision.action, event)
        else:
            self.done[one.release, one.decision.action] += 1
            self._log.info("release_adapted", release=one.release, version=one.done.version, why=one.decision.why)

    def _tell(self, action: str, event: dict[str, Any]) -> None:
        """Count, log and send what was done."""
        release = event["release"]
        self.done[release, action] += 1
        write = self._log.info if action == "promote" else self._log.error
        write("release_decided", **{name: value for name, value in event.items() if name not in ("event", "time")},
              action=action)  # fmt: skip
        if self._webhook is not None:
            self._webhook.send(f"{release}-{event['version']}", event)

    def _act_on(self, alarm: "_Alarm") -> None:
        """Pause or roll back, or try again at the next watch where the store does not answer."""
        try:
            before = self._releases.get(alarm.release)
            action = before.definition.on_alarm
            if action == "nothing" or before.state != "running" or not any(map(alarm.is_about, _treated(before))):
                return
            done = self._releases.act(
                alarm.release, action, by=BY, why=alarm.why, expected=before.version, figures=alarm.figures
            )
        except ConflictError:  # somebody else was faster: whether it still runs is seen at the next watch
            self._alarms.append(alarm)
        except TrimtabError as error:
            self._alarms.append(alarm)
            self._told(alarm.release, str(error))
        else:
            self._tell(action, event_of(done, action, alarm.why, alarm.figures))

    def _told(self, release: str, fault: str | None) -> None:
        """Log a fault when it begins or changes, not at every look."""
        if fault is not None and self._faults.get(release) != fault:
            self._log.error("watch_failed", release=release or None, reason=fault)
        if fault is None:
            self._faults.pop(release, None)
        else:
            self._faults[release] = fault
