"""Which name was likely meant by one that is not known, for messages."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_ALIKE: Final = 0.7  # share of letters in common, from which on a slip of the fingers is likely


def meant(name: str, known: Iterable[str]) -> str:
    """A question to put in front of what there is; empty where nothing is near.

    Args:
        name: that is not known.
        known: those there are.

    Example:
        >>> from trimtab.nearest import meant
        >>> meant("sentimant", ["honesty", "sentiment"])
        "did you mean 'sentiment'? "
        >>> meant("weather", ["honesty", "sentiment"])
        ''
    """
    by_lower = {one.lower(): str(one) for one in known}
    near = get_close_matches(name.lower(), by_lower, 1, _ALIKE)
    return f"did you mean {by_lower[near[0]]!r}? " if near else ""
