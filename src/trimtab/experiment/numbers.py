"""Checks of numbers that a caller gives; the error names the argument."""

from collections.abc import Callable
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from trimtab.errors import InputError


def plain(value: Any) -> Any:
    """A numpy number as a Python one, for keys and records; anything else unchanged."""
    return value.item() if isinstance(value, np.generic) else value


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python or numpy; True and False do not count."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def above_0(name: str, value: object, advice: str = "") -> None:
    """Check that it is a finite number above 0.

    Raises:
        InputError: it is not.
    """
    _check_arguments(name, value, lambda x: x > 0, f"must be above 0{advice}")


def not_below_0(name: str, value: object) -> None:
    """Check that it is a finite number, 0 or more.

    Raises:
        InputError: it is not.
    """
    _check_arguments(name, value, lambda x: x >= 0, "must be 0 or more")


def between_0_and_1(name: str, value: object) -> None:
    """Check that it is a number above 0 and below 1.

    Raises:
        InputError: it is not.
    """
    _check_arguments(name, value, lambda x: 0 < x < 1, "must lie between 0 and 1")


def _check_arguments(name: str, value: object, fits: Callable[[float], bool], otherwise: str) -> None:
    field = name.replace(" ", "_")
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(
            f"{name} {value!r} is a {type(value).__name__}; it must be a number, and {otherwise}",
            code="wrong-type",
            field=field,
        )
    if not (isfinite(value) and fits(float(value))):
        raise InputError(f"{name} {value} {otherwise}", code="out-of-range", field=field)
