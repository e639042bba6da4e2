"""What monitoring knew before the server started, read back from the store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimtab.interventions import RequestSteering
from trimtab.operations import SteeredAnswer, SteeredAnswers
from trimtab.operations.experiments.watch import BY
from trimtab.serving.monitoring.observations import Told
from trimtab.serving.monitoring.setups import Setup, key_of, live_setups
from trimtab.serving.registry import Registry

if TYPE_CHECKING:
    from trimtab.serving.live import Operations


def answers_before(operations: "Operations", registry: Registry, since: float) -> list[tuple[Setup, SteeredAnswer]]:
    """The answers under what is live now: arms of releases, and steerings as requests get them by name.

    Args:
        operations: of the server.
        registry: the steerings.
        since: only requests that came from then on, seconds since 1970.

    Raises:
        TrimtabError: the store cannot be read.
    """
    live = live_setups(registry, operations)
    by_key, artifacts = {one.key: one for one in live}, {one.steering.artifact for one in live}
    found = []
    for answer in SteeredAnswers(operations.store).read(operations.model, artifacts, since):
        steering = RequestSteering(answer.artifact, dict(answer.strength), answer.scope)
        if (setup := by_key.get(key_of(steering))) is not None:
            found.append((setup, answer))
    return found


def told_before(operations: "Operations") -> set[Told]:
    """The alarms that live releases were paused for, and resumed from by somebody who had seen them.

    Raises:
        TrimtabError: the store cannot be read.
    """
    found: set[Told] = set()
    for release in operations.view.releases:
        for step in operations.releases.history(release.name):
            figures = (step.entry.after or {}).get("figures")
            if step.entry.who == BY and step.entry.what == "release.pause" and figures and "artifact" in figures:
                found.add((figures.get("check", ""), key_of(_steering(figures)), release.name))
    return found


def _steering(figures: Mapping[str, Any]) -> RequestSteering:
    return RequestSteering(figures["artifact"], dict(figures["strength"]), figures["scope"])
