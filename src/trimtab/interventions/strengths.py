"""How strengths are given: by number, by name, by preset, row by row; and what comes of it for each attribute."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any, Protocol

from trimtab.errors import InputError

Strength = float | str | Mapping[str, float]
"""A number for every attribute, the name of a preset, or `{attribute: number}`."""

Strengths = Strength | Sequence[Strength] | None
"""One for all rows, or one per row; None for the defaults."""


class Attributes(Protocol):
    """What strengths are given to: a steering, or what its folder says of it."""

    @property
    def attributes(self) -> Mapping[str, float]:
        """Default strength by attribute name, in the order of the strength columns."""
        ...

    @property
    def presets(self) -> Mapping[str, Mapping[str, float]]:
        """Strengths by attribute under a name of their own."""
        ...


def strength_rows(steering: Attributes, strength: Strengths = None) -> list[dict[str, float]]:
    """Strength by attribute, a mapping for each row; one where all rows are alike.

    Args:
        steering: whose attributes and presets are meant.
        strength: None for the attributes' defaults; a number for every attribute; the name of a preset;
            `{name: number}` with defaults for the names left out; or a list of these, one per row.

    Raises:
        InputError: an unknown attribute or preset, something that is no number, an empty list.
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
                f"strength {strength!r} is neither a number nor a preset of this steering (it has {known})"
            )
        strength = steering.presets[strength]
    if isinstance(strength, Mapping):
        unknown = sorted(set(strength) - set(defaults))
        if unknown:
            raise InputError(f"unknown attribute {', '.join(unknown)}; this steering has {', '.join(defaults)}")
        return {name: _number(strength.get(name, value)) for name, value in defaults.items()}
    return dict.fromkeys(defaults, _number(strength))


def _number(value: Any) -> float:
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):  # a whole number beyond all floats
            return float(value)
    raise InputError(f"strength {value!r} is not a number that a float holds")
