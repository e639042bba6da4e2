"""Whether something kept may be used: it was made by all that is asked for now, or it is named what differs."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from trimtab.errors import InputError

_LONG = 60  # characters of a value in a message


def name_of(*key: Any, length: int = 16) -> str:
    """A name for a file or folder that is another for another key, which JSON can hold: so many hexadecimal digits.

    A string alone is taken as it is.
    """
    given = key[0] if len(key) == 1 and isinstance(key[0], str) else json.dumps(key)
    return sha256(given.encode()).hexdigest()[:length]


def check_same_settings(what: str, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to go on with what was made by something else.

    Args:
        what: was kept, such as "the checkpoint out is of a training".
        kept: what made it, by a name that a message can use.
        asked: what would make it now.

    Raises:
        InputError: they differ; the message names all that does.
    """
    different = [name for name, value in asked.items() if kept.get(name) != value]
    if different:
        given = [f"another {name} ({_short(kept.get(name))}, not {_short(asked[name])})" for name in different]
        raise InputError(
            f"{what} with {' and '.join(given)}; give the same settings or another place, or remove it",
            code="other-settings",
            field=different[0],
        )


def _short(value: Any) -> str:
    given = str(value)
    return given if len(given) <= _LONG else f"{given[: _LONG - 1]}…"
