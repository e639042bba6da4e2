"""Measurements at several strengths or sites: one whose figures are not finite does not end the others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from trimtab.errors import NotFiniteError
from trimtab.phrases import Phrase, with_commas

Key = TypeVar("Key")
Value = TypeVar("Value")


def those_finite(
    keys: Sequence[Key], measure: Callable[[Sequence[Key]], Mapping[Key, Value]]
) -> tuple[dict[Key, Value], dict[Key, Phrase]]:
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
    lost: dict[Key, Phrase] = {}
    for key in keys:
        try:
            values |= measure([key])
        except NotFiniteError as error:
            lost[key], last = error.message, error
    if not values:
        raise last
    return values, lost


def left_out(
    lost: Mapping[float, Phrase], of: Phrase, what: Literal["strength", "factor"] = "strength"
) -> list[Phrase]:
    """A note on what was left out, if anything: `strength 3 left out of the choice on dev: …`."""
    if not lost:
        return []
    which, why = with_commas([f"{key:g}" for key in lost]), next(iter(lost.values()))
    if what == "factor":
        return [Phrase("factor {factors} left out of {of}: {why}", factors=which, of=of, why=why)]
    return [Phrase("strength {strengths} left out of {of}: {why}", strengths=which, of=of, why=why)]
