"""Strengths by attribute on the command line, each said once."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from trimtab.errors import InputError
from trimtab.nearest import meant

if TYPE_CHECKING:
    from trimtab.steering import Steering

_MAX: Final = 3.4e38  # of float32, in which edits are computed


def strengths(steering: "Steering", words: list[str], off: list[str]) -> dict[str, float]:
    """Strength by attribute: defaults, then a preset or one number for all, then names, then what is off.

    Args:
        steering: whose attributes and presets are named.
        words: each a number, a preset or `name=number`.
        off: attributes to switch off.

    Raises:
        InputError: a word that is none of these, an unknown attribute, anything that is said twice or contradicts.
    """
    whole = [word for word in words if "=" not in word or word in steering.presets]
    if len(whole) > 1:
        raise InputError(f"--strength {whole[0]} and {whole[1]} are both for all attributes; give one of them")
    result = dict(steering.attributes)
    for word in whole:
        if word in steering.presets:
            result |= steering.presets[word]
        else:
            one = _number(word, f"--strength {word!r}: a number, name=number or a preset's name")
            result = dict.fromkeys(result, one)
    named = [_named(steering, word) for word in words if word not in whole]
    off = [_known(steering, name) for name in dict.fromkeys(off)]
    times = Counter([*(name for name, _ in named), *off])
    twice = [name for name, n in times.items() if n > 1]
    if twice:
        raise InputError(f"{twice[0]!r} is given two strengths; give one --strength, or --off")
    return result | dict(named) | dict.fromkeys(off, 0.0)


def _named(steering: "Steering", word: str) -> tuple[str, float]:
    name, _, value = word.rpartition("=")
    return _known(steering, name), _number(value, f"--strength {word!r}: write name=number")


def _known(steering: "Steering", name: str) -> str:
    if name not in steering.attributes:
        known = steering.attributes
        raise InputError(f"unknown attribute {name!r}; {meant(name, known)}this steering has {', '.join(known)}")
    return name


def _number(word: str, otherwise: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise InputError(otherwise) from None
    if not abs(value) <= _MAX:
        raise InputError(f"strength {word} is not a finite number in float32; give one that is")
    return value
