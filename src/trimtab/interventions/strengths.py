"""How strengths are given: by number, by name, by preset, or row by row; resolved to a number for each attribute."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any, Protocol

from trimtab.errors import InputError
from trimtab.nearest import meant

Strength = float | str | Mapping[str, float]
"""A number for every attribute, the name of a preset, or `{attribute: number}`."""

Strengths = Strength | Sequence[Strength] | None
"""One strength for all rows, or one per row; None for the defaults."""


class Attributes(Protocol):
    """What strengths are given to: a steering, or the artifact of one.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> tt.Steering.from_vector(14, torch.ones(576), "warm").attributes
        {'warm': 1.0}
    """

    @property
    def attributes(self) -> Mapping[str, float]:
        """Default strength by attribute name, in the order of the strength columns."""
        ...

    @property
    def presets(self) -> Mapping[str, Mapping[str, float]]:
        """Named sets of strengths by attribute."""
        ...


def strength_rows(steering: Attributes, strength: Strengths = None) -> list[dict[str, float]]:
    """Strength by attribute, one mapping per row; a single mapping if all rows are alike.

    Args:
        steering: whose attributes and presets are meant.
        strength: None for the attributes' defaults; a number for every attribute; the name of a preset;
            `{name: number}` with defaults for the names left out; or a list of these, one per row.

    Raises:
        InputError: an unknown attribute or preset, something that is not a number, an empty list.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.interventions import strength_rows
        >>> steering = tt.Steering.from_vector(14, torch.ones(576), "warm")
        >>> strength_rows(steering, [None, 2, {"warm": -1}])
        [{'warm': 1.0}, {'warm': 2.0}, {'warm': -1.0}]
    """
    per_row = strength if isinstance(strength, Sequence) and not isinstance(strength, str) else [strength]
    if not per_row:
        raise InputError("an empty list of strengths")
    return [_row(steering, one) for one in per_row]


def _row(steering: Attributes, strength: Any) -> dict[str, float]:
    defaults = steering.attributes
    if strength is None:
        return dict(defaults)
    if isinstance(strength, str):
        if strength not in steering.presets:
            known = ", ".join(steering.presets) or "none"
            raise InputError(
                f"strength {strength!r} is neither a number nor a preset of this steering; "
                f"{meant(strength, steering.presets)}it has {known}"
            )
        strength = steering.presets[strength]
    if isinstance(strength, Mapping):
        unknown = sorted(set(strength) - set(defaults))
        if unknown:
            near = meant(unknown[0], defaults)
            raise InputError(f"unknown attribute {', '.join(unknown)}; {near}this steering has {', '.join(defaults)}")
        return {name: _number(strength.get(name, value)) for name, value in defaults.items()}
    return dict.fromkeys(defaults, _number(strength))


def _number(value: Any) -> float:
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):  # a whole number beyond all floats
            return float(value)
    raise InputError(f"strength {value!r} is not a number that a float holds")
