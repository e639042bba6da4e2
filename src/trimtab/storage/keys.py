"""Whether kept work may be used: it was made with the same settings, or the error names what differs."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from trimtab.errors import InputError

_MAX_LETTERS = 60  # characters of a value in a message


def name_of(*key: Any, length: int = 16) -> str:
    """A name for a file or folder that differs for each key: hexadecimal digits of the key's hash. JSON can hold a key.

    A string alone is taken as it is.
    """
    text = key[0] if len(key) == 1 and isinstance(key[0], str) else json.dumps(key)
    return sha256(text.encode()).hexdigest()[:length]


def check_same_settings(what: str, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Check that kept work was made with the settings of now.

    Args:
        what: begins the message, such as "the checkpoint out is of a training".
        kept: its settings, by names for messages.
        asked: the settings of now.

    Raises:
        InputError: they differ; the message names all differences.
    """
    different = [name for name, value in asked.items() if kept.get(name) != value]
    if different:
        differences = [f"another {name} ({_short(kept.get(name))}, not {_short(asked[name])})" for name in different]
        raise InputError(
            f"{what} with {' and '.join(differences)}; give the same settings or another place, or remove it",
            code="other-settings",
            field=different[0],
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 1]}…"
