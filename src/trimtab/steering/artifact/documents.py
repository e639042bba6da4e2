"""JSON that is read with suspicion, and written so that it can be read."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from trimtab.errors import InputError


def parsed(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object without names that stand twice, NaN or infinity.

    Args:
        content: UTF-8.
        name: of the file, for the error.

    Raises:
        InputError: anything else.
    """

    def finite(word: str) -> float:
        if not isfinite(float(word)):
            raise ValueError(f"{word} is no finite number")
        return float(word)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) < len(pairs):
            raise ValueError("a name stands twice in one object")
        return held

    try:
        given = json.loads(content.decode(), parse_constant=finite, parse_float=finite, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is no JSON that can be read: {error}") from error
    if not isinstance(given, dict):
        raise InputError(f"{name} must hold a JSON object")
    return given


def document(given: Mapping[str, Any]) -> bytes:
    """A JSON object as a file holds it.

    Raises:
        TypeError, ValueError, RecursionError: it is no JSON, or holds a NaN or infinity.
    """
    return (json.dumps(dict(given), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
