"""Which tokens an edit acts on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from trimtab.errors import InputError
from trimtab.nearest import meant

Scope = Literal["all", "prompt", "last", "generated", "thinking", "answer"]
"""Every token; the prompt's tokens; its last token; the tokens whose *next* token is generated, or belongs to an
answer that is scored; those of them behind which a thinking part is open; the rest of them."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

Scopes = Scope | Sequence[Scope]
"""One scope for all rows, or one per row."""

_FAR: Final = 1 << 30
WINDOWS: Final[Mapping[Scope, tuple[int, int]]] = {
    "all": (-_FAR, _FAR),
    "prompt": (-_FAR, 0),
    "last": (-1, 0),
    "generated": (-1, _FAR),
    "thinking": (-1, _FAR),
    "answer": (-1, _FAR),
}
"""A scope is a window of positions relative to the prompt's length: low <= position - prompt_len < high."""

PARTS: Final[Mapping[Scope, bool]] = {"thinking": True, "answer": False}
"""Scopes for which, within their window, it counts whether a thinking part is open behind a token (`ThinkingMarks`)."""

POSITION_SCOPES: Final[tuple[Scope, ...]] = tuple(scope for scope in SCOPES if scope not in PARTS)
"""Scopes that positions alone decide; they work with every model."""


def checked_scopes(value: Any) -> tuple[Scope, ...]:
    """A scope, or a list of scopes, as a tuple.

    Raises:
        InputError: an unknown scope, or an empty list.

    Example:
        >>> from trimtab.interventions import checked_scopes
        >>> checked_scopes("last")
        ('last',)
    """
    if not isinstance(value, Sequence):
        raise InputError(f"unknown scope {value!r}; one of {', '.join(SCOPES)}, or a list of them")
    scopes = (value,) if isinstance(value, str) else tuple(value)
    for scope in scopes or ("",):
        if scope not in SCOPES:
            raise InputError(
                f"unknown scope {scope!r}; {meant(str(scope), SCOPES)}one of {', '.join(SCOPES)}",
                code="unknown-scope",
                field="scope",
            )
    return scopes
