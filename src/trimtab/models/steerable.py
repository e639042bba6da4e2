"""What models ask of a steering, and how strengths are given: by number, name, preset or row."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any, Protocol

import torch

from trimtab.errors import InputError
from trimtab.models.condition import Condition
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
    def conditions(self) -> Mapping[str, Condition]:
        """What a prompt must meet for an attribute to act, by its name; those left out always act."""
        ...

    @property
    def prompts(self) -> Mapping[str, tuple[str, str]]:
        """By attribute, what stands in front of the prompt while its strength is above 0, and while it is below."""
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
    if not isinstance(scope, Sequence):
        raise InputError(f"unknown scope {scope!r}; one of {', '.join(SCOPES)}, or a list of them")
    table = torch.tensor(_rows(steering, strength), dtype=torch.float32)
    conditions = tuple(steering.conditions.get(name) for name in steering.attributes) if steering.conditions else ()
    return Steer(steering.edits, table, scope if isinstance(scope, str) else tuple(scope), conditions)  # type: ignore[arg-type]  # checked there


def fronts(steering: Steerable, strength: Any = None) -> list[str]:
    """What stands in front of the prompts: one text for all rows, or one per row.

    Texts of several attributes follow each other in the attributes' order.

    Args:
        steering: with texts for some attributes.
        strength: as of `steer`.
    """
    if not steering.prompts:
        return [""]
    rows = [dict(zip(steering.attributes, row, strict=True)) for row in _rows(steering, strength)]
    return ["".join(texts[row[name] < 0] for name, texts in steering.prompts.items() if row[name]) for row in rows]


def _rows(steering: Steerable, strength: Any) -> list[list[float]]:
    per_row = strength if isinstance(strength, Sequence) and not isinstance(strength, str) else [strength]
    if not per_row:
        raise InputError("an empty list of strengths")
    return [_row(steering, s) for s in per_row]


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
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):  # a whole number beyond all floats
            return float(value)
    raise InputError(f"strength {value!r} is not a number that a float holds")
