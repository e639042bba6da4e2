"""What a request follows: the release that decides for it, the steering that it names itself, or neither."""

from dataclasses import dataclass, replace
from typing import Any

from trimtab.errors import InputError
from trimtab.interventions import Capabilities
from trimtab.operations import Arm, Assignment, Release
from trimtab.operations.exposures.exposure import ArmTaken
from trimtab.serving.protocol.requests import AskedSteering
from trimtab.serving.registry import Registry
from trimtab.serving.resolution import Resolved, resolve

OFF = "all steering is switched off: the answer is unsteered"


@dataclass(frozen=True)
class Following:
    """What decided for a request.

    Args:
        arm: see `ArmTaken`.
        unit: id of the request's unit, as the request says it.
        assignment: by a release; None where none decided.
        resolved: the steering to apply; None for none.
        fault: why the model is left as it is although a steering was meant, for the log; None if nothing is wrong.
        departure: the same for whoever asked, without names of files.
    """

    arm: ArmTaken
    unit: str | None = None
    assignment: Assignment | None = None
    resolved: Resolved | None = None
    fault: str | None = None
    departure: str | None = None

    @property
    def applied(self) -> dict[str, Any]:
        """For the field `trimtab` of an answer."""
        given = self.assignment
        if given is None:
            return {"arm": self.arm}
        said = {"arm": self.arm, "release": given.release, "version": given.version, "dry_run": given.dry_run}
        return said if given.propensity is None else said | {"propensity": given.propensity}

    def unsteered(self, fault: str) -> "Following":
        """The same where the steering turned out not to work."""
        release = self.assignment.release if self.assignment is not None else None
        said = f"release {release!r} cannot be followed by this server: the answer is unsteered"
        return replace(self, resolved=None, fault=fault, departure=said)

    @property
    def notes(self) -> dict[str, Any]:
        """For the log."""
        return self.applied | ({} if self.fault is None else {"unsteered_since": self.fault})


def misfit(release: Release, able: Capabilities) -> str | None:
    """How what this server runs differs from what a release is for; None if it does not."""
    wanted = release.definition
    if wanted.digest is not None and able.model is not None and able.model.digest != wanted.digest:
        return f"it is for other weights ({wanted.digest[:12]}) than this server has ({able.model.digest[:12]})"
    if wanted.dtype is not None and able.dtype and able.dtype != wanted.dtype:
        return f"it is for {wanted.dtype}, and this server runs {able.dtype}"
    return None


def resolved_arm(arm: Arm, registry: Registry, able: Capabilities, *, chat: bool, mismatch: bool) -> Resolved:
    """An arm's steering as this server has it.

    Args:
        arm: of a release.
        registry: what this server has.
        able: what its engine can do.
        chat: whether the prompt goes through the chat template.
        mismatch: whether other weights of the same shapes may be steered.

    Raises:
        InputError: it has no steering of this id that is on, or one that it cannot apply.
    """
    names = [name for name, one in registry.enabled.items() if one.id == arm.artifact]
    if not names:
        has = next((one.id[:12] for name, one in registry.enabled.items() if name == arm.name), None)
        instead = f"; its {arm.name} is {has}" if has else ""
        raise InputError(
            f"this server has no steering {arm.name} ({arm.artifact[:12]}) that is on{instead}",
            code="unknown-choice",
            field="steering",
        )
    asked = AskedSteering(strength=dict(arm.strength), scope=arm.scope)
    name = arm.name if arm.name in names else names[0]
    return resolve(registry, name, asked, able, chat=chat, mismatch=mismatch)
