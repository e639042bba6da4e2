"""What is live: the steerings that requests get, each at its strengths and in its scope."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from trimtab.interventions import RequestSteering
from trimtab.serving.monitoring.checked import Checked
from trimtab.serving.registry import Registry

if TYPE_CHECKING:
    from trimtab.serving.live import Operations


@dataclass(frozen=True)
class Setup:
    """A steering as requests get it.

    Args:
        name: of its folder.
        steering: with strengths and scope.
        releases: whose arms it is; empty for what requests name.
    """

    name: str
    steering: RequestSteering
    releases: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same artifact, strengths and scope."""
        return key_of(self.steering)

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """What an alarm is about: the same finding in another release is another one."""
        return self.key, self.releases

    @property
    def record(self) -> dict[str, Any]:
        """As plain values."""
        one = self.steering
        return {
            "steering": self.name, "artifact": one.artifact, "strength": dict(one.strength), "scope": one.scope,
            "releases": list(self.releases),
        }  # fmt: skip


def key_of(steering: RequestSteering) -> str:
    """The same for the same artifact, strengths and scope."""
    strength = ",".join(f"{name}={value!r}" for name, value in sorted(steering.strength.items()))
    return sha256(f"{steering.artifact} {steering.scope} {strength}".encode()).hexdigest()[:16]


def live_setups(registry: Registry, operations: "Operations | None") -> list[Setup]:
    """All that requests may get: arms of releases first, then what they name themselves, at the usual strengths."""
    found: dict[str, Setup] = {}
    for setup in (*_arms(operations), *_named(registry)):
        known = found.get(setup.key)
        releases = (*known.releases, *setup.releases) if known else setup.releases
        found[setup.key] = Setup(known.name if known else setup.name, setup.steering, tuple(dict.fromkeys(releases)))
    return list(found.values())


def to_look_at(checked: Checked, registry: Registry, operations: "Operations | None") -> list[Setup]:
    """The checked steering as requests name it, and every arm of a release that shares an attribute with it."""
    return [
        setup
        for setup in live_setups(registry, operations)
        if (setup.releases and checked.attributes.keys() & setup.steering.strength.keys())
        or setup.steering.artifact == checked.artifact
    ]


def _arms(operations: "Operations | None") -> Iterator[Setup]:
    if operations is None:
        return
    for release in operations.view.releases:
        for arm in release.definition.steerings:
            steering = RequestSteering(arm.artifact, dict(arm.strength), arm.scope)
            yield Setup(arm.name, steering, (release.name,))


def _named(registry: Registry) -> Sequence[Setup]:
    return [
        Setup(one.name, RequestSteering(one.id, dict(one.attributes), one.scope)) for one in registry.enabled.values()
    ]
