"""What models ask of a steering, and how strengths are given: by number, name, preset or row."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Protocol

import torch

from trimtab.errors import InputError
from trimtab.models.facts import ModelFacts
from trimtab.models.plan import SCOPES, Edit, Scope, Steer
from trimtab.models.sites import Site

Strength = float | str | Mapping[str, float]
Strengths = Strength | Sequence[Strength] | None
Scopes = Scope | Sequence[Scope]


class Steerable(Protocol):
    """What `models` needs to know of a steering: its edits, and the names that strengths are given by."""

    @property
    def edits(self) -> Mapping[Site, Edit]: ...

    @property
    def attributes(self) -> Mapping[str, float]:
        """Default strength by attribute name, in the order of the strength columns."""
        ...

    @property
    def presets(self) -> Mapping[str, Mapping[str, float]]:
        """Strengths by attribute under a name of their own."""
        ...

    @property
    def made_for(self) -> ModelFacts | None:
        """The model whose activations it was made from; None where nobody said."""
        ...

    @property
    def allow_mismatch(self) -> bool:
        """Whether other weights of the same shapes will do."""
        ...


def steer(steering: Steerable, strength: Any = None, scope: Any = "all") -> Steer:
    """Put a steering to work at given strengths.

    Args:
        steering: edits with named attributes.
        strength: None for the attributes' defaults; a number for every attribute; the name of a preset;
            `{name: number}` with defaults for the names left out; or a list of these, one per row.
        scope: one for all rows, or a list, one per row.

    Raises:
        InputError: an unknown attribute, a strength that is not a finite number.
    """
    per_row = strength if isinstance(strength, Sequence) and not isinstance(strength, str) else [strength]
    if not per_row:
        raise InputError("an empty list of strengths")
    if not isinstance(scope, Sequence):
        raise InputError(f"unknown scope {scope!r}; one of {', '.join(SCOPES)}, or a list of them")
    table = torch.tensor([_row(steering, s) for s in per_row], dtype=torch.float32)
    return Steer(steering.edits, table, scope if isinstance(scope, str) else tuple(scope))  # type: ignore[arg-type]  # checked there


def _row(steering: Steerable, strength: Any) -> list[float]:
    defaults = steering.attributes
    if strength is None:
        return list(defaults.values())
    if isinstance(strength, str):
        if strength not in steering.presets:
            known = ", ".join(steering.presets) or "none"
            raise InputError(
                f"strength {strength!r} is neither a number nor a preset of this steering (it has {known})"
            )
        strength = steering.presets[strength]
    if isinstance(strength, Mapping):
        unknown = sorted(set(strength) - set(defaults))
        if unknown:
            raise InputError(f"unknown attribute {', '.join(unknown)}; this steering has {', '.join(defaults)}")
        return [_number(strength.get(name, value)) for name, value in defaults.items()]
    return [_number(strength)] * len(defaults)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"strength {value!r} is not a number")
    return float(value)
