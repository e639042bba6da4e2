"""Folders of steerings as arms of a release."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trimtab.errors import InputError
from trimtab.interventions import Scope, Strength, strength_rows
from trimtab.operations.releases.release import Arm, Definition
from trimtab.steering.artifact import Artifact, read

MOST_FACTORS: Final = 4  # 16 arms; of more a fraction would have to do
ArtifactNow = Callable[[Arm], str | None]
"""The id of an arm's steering as it is on disk now; None if it is not there."""


def arm_of(folder: str | Path, strength: Strength | None = None, scope: Scope | None = None) -> tuple[Arm, Artifact]:
    """A steering's folder as an arm.

    Args:
        folder: every digest in it is verified.
        strength: a preset, a number, or numbers by attribute; by default the steering's own.
        scope: by default that of the first attribute whose own check names one, else `all`.

    Raises:
        InputError: no steering there, an unknown preset or attribute.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.operations import arm_of
        >>> folder = tt.Steering.from_vector(14, torch.ones(576), "warm").save("warm")
        >>> arm, _ = arm_of(folder, 0.5)
        >>> arm.name, arm.strength
        ('warm', {'warm': 0.5})
    """
    path = Path(folder).resolve()
    artifact = read(path)
    attributes = (artifact.reliability or {}).get("attributes", {})
    checks = attributes.values() if isinstance(attributes, Mapping) else ()
    checked: Any = next((c["scope"] for c in checks if isinstance(c, Mapping) and c.get("scope")), "all")
    arm = Arm(
        name=path.name,
        artifact=artifact.id,
        strength=strength_rows(artifact, strength)[0],
        scope=scope or checked,
        folder=str(path),
    )
    return arm, artifact


def artifact_on_disk(arm: Arm) -> str | None:
    """The id of an arm's steering where it lay when the release was made."""
    return read(Path(arm.folder)).id if Path(arm.folder).is_dir() else None


def check_artifacts(definition: Definition, artifact_now: ArtifactNow) -> None:
    """The steerings of a release are there, as they were when it was made.

    Raises:
        InputError: one is gone or was changed.
    """
    for arm in definition.steerings:
        found = artifact_now(arm)
        if found != arm.artifact:
            how = "is not there" if found is None else f"was changed: it is {found[:12]} now"
            raise InputError(
                f"the steering {arm.name} ({arm.artifact[:12]}) of release {definition.name!r} {how}; restore it, or "
                "make a release of the new one",
                code="other-settings",
                field="steering",
            )


def named_arms(given: Sequence[tuple[str | Path, Strength | None]], scope: Scope | None = None) -> dict[str, Arm]:
    """Several steerings, or presets of one, as the arms of a release that adapts.

    An arm is called by its preset, or by its folder where it has none.

    Args:
        given: folder and strength (a preset, a number, or numbers by attribute) of each.
        scope: of all; by default the checked one.

    Raises:
        InputError: as for `arm_of`; two arms of the same name, or that serve the same.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.operations import named_arms
        >>> folder = tt.Steering.from_vector(14, torch.ones(576), "warm").save("warm")
        >>> list(named_arms([(folder, 0.5)]))
        ['warm']
    """
    arms: dict[str, Arm] = {}
    for folder, strength in given:
        arm = arm_of(folder, strength, scope)[0]
        name = strength if isinstance(strength, str) else arm.name
        if name in arms:
            raise InputError(
                f"two arms are called {name!r}; give presets of different names", code="repeated-name", field="arms"
            )
        same = next((other for other, one in arms.items() if _serves(one) == _serves(arm)), None)
        if same is not None:
            raise InputError(f"the arms {same!r} and {name!r} serve the same; leave one out", field="arms")
        arms[name] = arm
    return arms


def factorial_arms(
    folder: str | Path, strength: Strength | None = None, scope: Scope | None = None
) -> tuple[tuple[str, ...], dict[str, Arm]]:
    """A steering with each of its attributes on or off: all combinations but that of none, which is control.

    Args:
        folder: of the steering.
        strength: at which an attribute is on; those at 0 are no factors.
        scope: by default the checked one.

    Returns:
        The factors, and the arms: `cell-01` has the first factor off and the second on.

    Raises:
        InputError: as for `arm_of`; fewer than two attributes that are on, or more than four.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.operations import factorial_arms
        >>> one = tt.Steering.from_vector(14, torch.ones(576), "warm").save("warm")
        >>> factorial_arms(one)
        Traceback (most recent call last):
        ...
        trimtab.errors.InputError: warm has 1 attributes that are on; a factorial release needs 2 to 4 ...
    """
    from trimtab.statistics.sequential import factorial_levels  # and scipy, which other commands do without

    whole = arm_of(folder, strength, scope)[0]
    factors = tuple(name for name, value in whole.strength.items() if value != 0)
    if not 2 <= len(factors) <= MOST_FACTORS:
        raise InputError(
            f"{whole.name} has {len(factors)} attributes that are on; a factorial release needs 2 to {MOST_FACTORS} "
            "(switch others off by a preset)", code="out-of-range", field="factorial",
        )  # fmt: skip
    arms = {}
    for levels in factorial_levels(len(factors))[1:]:
        on = {name for name, level in zip(factors, levels, strict=True) if level}
        served = {name: value if name in on else 0.0 for name, value in whole.strength.items()}
        arms["cell-" + "".join("01"[level] for level in levels)] = whole.model_copy(update={"strength": served})
    return factors, arms


def _serves(arm: Arm) -> tuple[Any, ...]:
    return arm.artifact, arm.scope, tuple(sorted(arm.strength.items()))
