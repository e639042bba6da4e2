"""Folders of steerings as arms of a release."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trimtab.interventions import Scope, Strength, strength_rows
from trimtab.operations.releases.release import Arm
from trimtab.steering.artifact import Artifact, read

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
