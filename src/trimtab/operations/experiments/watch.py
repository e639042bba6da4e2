"""Looks at all experiments of a store again and again, and does what they lead to.

Any number of watches may run: a decision names the version of the state that it is meant for, so that of two at once
one is made, and the other finds it made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from time import time
from typing import Any, Final

from trimtab.errors import TrimtabError
from trimtab.operations.experiments.experiment import Experiment
from trimtab.operations.experiments.findings import Decision, Look
from trimtab.operations.experiments.several import SeveralArms, experiment_of
from trimtab.operations.releases.release import Release
from trimtab.operations.releases.releases import Releases
from trimtab.operations.releases.transitions import ConflictError

BY: Final = "watch"
"""Who acts, in the audit."""


@dataclass(frozen=True)
class Watched:
    """A release that was looked at.

    Args:
        release: its name.
        look: what was found; None where it could not be looked at.
        done: the release after the decision that was made; None where none was made here.
        fault: why it could not be looked at, or a decision could not be made; None where nothing is wrong.

    Example:
        >>> from trimtab.operations.experiments import Watched
        >>> Watched("first", None, fault="the store does not answer").done is None
        True
    """

    release: str
    look: Look | None
    done: Release | None = None
    fault: str | None = None

    @property
    def decision(self) -> Decision | None:
        """That was made here."""
        return self.look.decision if self.done is not None and self.look is not None else None

    @property
    def event(self) -> dict[str, Any] | None:
        """The decision for webhooks and logs; None where none was made here.

        Other shares of an adaptive release are routine, which its history keeps; an arm that is excluded is an event.
        """
        if self.done is None or (decision := self.decision) is None:
            return None
        if decision.action == "adapt" and not decision.excluded:
            return None
        return event_of(self.done, decision.action, decision.why, decision.figures)


def event_of(done: Release, action: str, why: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """What was done to a release by itself, for webhooks and logs."""
    return {
        "event": f"release.{action}", "release": done.name, "model": done.definition.model, "state": done.state,
        "share": done.share, "version": done.version, "by": BY, "why": why, "figures": figures, "time": time(),
    } | ({} if done.epoch is None else {"epoch": done.epoch.model_dump(mode="json")})  # fmt: skip


class Watch:
    """Looks at the experiments of a store, and acts.

    Args:
        releases: of the store; looks up steerings before a stage is raised.
        model: only releases of this model; None for all.
        tell: is told of every release that was looked at; what it raises is not caught.

    Example:
        >>> from trimtab.operations import Arm, Definition, Exposure, ExposureLog, Releases, Store
        >>> from trimtab.operations.experiments import Watch
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="a", model="m", treatment=warm, stages=(50, 100), salt="s", guardrails=("errors",))
        >>> with Store("watched.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada"), releases.act("a", "start", by="ada")
        ...     ends = {"control": "stop", "treatment": "error"}
        ...     _ = ExposureLog(store).write([
        ...         Exposure(f"{arm}{i}", 0.0, "m", arm, unit=f"{arm}{i}", release="a", version=2, finish=ends[arm])
        ...         for arm in ends for i in range(100)])
        ...     [watched] = Watch(releases).once()
        >>> print(watched.done)
        release 'a' is paused at 50 % (version 3)
    """

    def __init__(
        self, releases: Releases, *, model: str | None = None, tell: Callable[[Watched], None] | None = None
    ) -> None:
        self._releases, self._model, self._tell = releases, model, tell
        self._experiments: dict[str, Experiment | SeveralArms] = {}
        self._lock = Lock()

    def look(self, name: str) -> Look:
        """How a release's experiment stands; reads only what is new since this watch looked last.

        Raises:
            InputError: there is no such release.
            TrimtabError: the store cannot be read.
        """
        with self._lock:
            if name not in self._experiments:
                self._experiments[name] = experiment_of(self._releases.store, name)
            experiment = self._experiments[name]
        return experiment.look()

    def once(self) -> list[Watched]:
        """Look at every release that runs, or is tried, and has something to be judged by; act where that follows.

        Returns:
            What became of each. A fault of one keeps no other from being looked at.

        Raises:
            TrimtabError: the store cannot be read.
        """
        found = [one for one in self._releases.all(self._model) if one.definition.plan is not None]
        with self._lock:
            over = self._experiments.keys() - {one.name for one in found if one.is_open}
            for name in over:
                del self._experiments[name]
        watched = [self._watched(one.name) for one in found if one.state in ("running", "dry-run")]
        if self._tell is not None:
            for one in watched:
                self._tell(one)
        return watched

    def _watched(self, name: str) -> Watched:
        look: Look | None = None
        try:
            look = self.look(name)
            return Watched(name, look, self._acted(look))
        except ConflictError:  # somebody else was faster: the next look sees what they did
            return Watched(name, look)
        except TrimtabError as error:
            return Watched(name, look, fault=str(error))

    def _acted(self, look: Look) -> Release | None:
        decision = look.decision
        if decision is None:
            return None
        if decision.action == "adapt":
            return self._releases.adapt(
                look.release, decision.shares, decision.excluded, by=BY, why=decision.why, expected=look.version,
                figures=decision.figures,
            )  # fmt: skip
        return self._releases.act(
            look.release, decision.action, by=BY, why=decision.why, expected=look.version, to=decision.to,
            figures=decision.figures,
        )  # fmt: skip
