"""What somebody asks of a new release: that it tests, adapts, or finds effects, and nothing that contradicts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trimtab.errors import InputError
from trimtab.interventions import Scope, Strength
from trimtab.operations.releases.adapting import Adapt
from trimtab.operations.releases.arms import factorial_arms, named_arms

Served = tuple[str | Path, Strength | None]
"""Folder of a steering, and a preset, a number, or numbers by attribute; None for its own."""

STAGES: Final = (1.0, 5.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True)
class Wish:
    """What a release is to serve, and how.

    Args:
        treatment: of one that tests, or whose attributes a factorial one switches.
        arms: of one that adapts.
        adapt: how its shares change; None for the defaults, where there are arms.
        factorial: whether attributes are switched on and off.
        stages: of one that tests; None for the usual ones.

    Example:
        >>> from trimtab.operations import Wish
        >>> Wish(("warm", "gentle")).factorial
        False
    """

    treatment: Served | None = None
    arms: tuple[Served, ...] = ()
    adapt: Adapt | None = None
    factorial: bool = False
    stages: tuple[float, ...] | None = None


def wished(wish: Wish, scope: Scope | None = None) -> dict[str, Any]:
    """The arguments of `Releases.create` that say what is served.

    Raises:
        InputError: options of a test and of an adaptive or factorial release at once; too few arms.

    Example:
        >>> from trimtab.operations import Wish, wished
        >>> wished(Wish(("warm", "gentle"), stages=(50, 100)))
        {'treatment': 'warm', 'strength': 'gentle', 'stages': (50, 100)}
    """
    adapts = wish.adapt is not None or bool(wish.arms)
    if adapts and wish.factorial:
        raise InputError("a release either adapts or switches attributes on and off; leave out one", field="factorial")
    if (adapts or wish.factorial) and wish.stages is not None:
        raise InputError(
            "stages belong to a release that tests; one that adapts or is factorial draws all its arms from the start. "
            "Give it a slice of the traffic (traffic) to keep it small",
            field="stages",
        )
    if adapts:
        return _adaptive(wish, scope)
    if wish.treatment is None:
        raise InputError("say what is released: a treatment, or several arms", code="missing-value", field="treatment")
    folder, strength = wish.treatment
    if wish.factorial:
        factors, arms = factorial_arms(folder, strength, scope)
        return {"treatment": folder, "strength": strength, "arms": arms, "factors": factors, "stages": (100.0,)}
    return {"treatment": folder, "strength": strength, "stages": wish.stages or STAGES}


def _adaptive(wish: Wish, scope: Scope | None) -> dict[str, Any]:
    if wish.treatment is not None:
        raise InputError(
            "a release either tests a treatment or adapts among arms, never both; give the arms alone",
            field="treatment",
        )
    if not wish.arms:
        raise InputError(
            "an adaptive release needs arms: at least one, beside control", code="missing-value", field="arms"
        )
    arms = named_arms(wish.arms, scope)
    folder, strength = wish.arms[0]
    return {
        "treatment": folder, "strength": strength, "arms": arms, "adapt": wish.adapt or Adapt(), "stages": (100.0,),
    }  # fmt: skip
