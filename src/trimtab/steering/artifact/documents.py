"""Strict reading and writing of JSON objects."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from trimtab.errors import InputError


def parsed(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object without repeated names, NaN or infinity.

    Args:
        content: UTF-8.
        name: of the file, for the error.

    Raises:
        InputError: anything else.
    """

    def finite(word: str) -> float:
        if not isfinite(float(word)):
            raise ValueError(f"{word} is not a finite number")
        return float(word)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            raise ValueError("an object repeats a name")
        return members

    try:
        value = json.loads(content.decode(), parse_constant=finite, parse_float=finite, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not valid JSON: {error}", code="damaged-file", field=name) from error
    if not isinstance(value, dict):
        raise InputError(f"{name} must contain a JSON object", code="damaged-file", field=name)
    return value


def document(value: Mapping[str, Any]) -> bytes:
    """A JSON object as the content of a file.

    Raises:
        TypeError, ValueError, RecursionError: it is not JSON, or contains a NaN or infinity.
    """
    return (json.dumps(dict(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
