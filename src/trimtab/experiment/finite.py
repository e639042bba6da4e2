"""Measurements at several strengths or sites: one whose figures are not finite does not end the others."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from trimtab.errors import NotFiniteError

Key = TypeVar("Key")
Value = TypeVar("Value")


def those_finite(
    keys: Sequence[Key], measure: Callable[[Sequence[Key]], Mapping[Key, Value]]
) -> tuple[dict[Key, Value], dict[Key, str]]:
    """Measure all at once; where a figure is NaN or infinite, each by itself.

    Args:
        keys: strengths or sites.
        measure: gives a value for each of the keys it is called with.

    Returns:
        values by key, and for those left out the reason.

    Raises:
        NotFiniteError: all of them would be left out.
    """
    try:
        return dict(measure(keys)), {}
    except NotFiniteError as error:
        if len(keys) < 2:
            raise
        last = error
    values: dict[Key, Value] = {}
    lost: dict[Key, str] = {}
    for key in keys:
        try:
            values |= measure([key])
        except NotFiniteError as error:
            lost[key], last = str(error), error
    if not values:
        raise last
    return values, lost


def left_out(what: str, lost: Mapping[float, str], of: str) -> list[str]:
    """A note on what was left out, if anything: `strength 3 left out of the choice: …`."""
    if not lost:
        return []
    return [f"{what} {', '.join(f'{key:g}' for key in lost)} left out of {of}: {next(iter(lost.values()))}"]
