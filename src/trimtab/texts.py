"""Texts: turns of a chat, what is put to a model, and what texts and names may hold."""

import re
import unicodedata
from dataclasses import dataclass

from trimtab.errors import InputError

NAME_BYTES = 100  # in UTF-8; the name is also the name of a report's folder

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # control characters, half surrogate pairs, line and paragraph separators


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True)
class Rendered:
    """One text for the model.

    Args:
        context: instruction and shots, each ending in a blank line; may be empty.
        prompt: the example's prompt; empty for a bare statement.
        answer: what follows the prompt, or as much of it as both sides share.
        messages: the prompt as chat turns, for models used with their chat template.
        bare: the answer is a statement whose first third serves as its prompt.
    """

    context: str
    prompt: str
    answer: str
    messages: tuple[Message, ...] = ()
    bare: bool = False


def checked_text(value: object, where: str, name: str) -> str:
    """`value` as text that every tokenizer takes.

    Args:
        value: what stands in the field.
        where: the row or object, for the error.
        name: the field, for the error.

    Raises:
        InputError: not a string, a NUL byte, half a surrogate pair.
    """
    if not isinstance(value, str):
        raise InputError(f"{where}: the field {name!r} must be a string, not {type(value).__name__}")
    if "\0" in value:
        raise InputError(f"{where}: the field {name!r} holds a NUL byte; remove it")
    if _HALF_PAIR.search(value):
        raise InputError(f"{where}: the field {name!r} holds half a surrogate pair, which is no text; mend it")
    return value


def name_fault(name: str) -> str:
    """Why this cannot be the name of a behavior, which is also a folder's; empty if it can."""
    if not name.strip():
        return "is empty"
    if name in (".", ".."):
        return "stands for a folder that is already there"
    wrong = sorted({letter for letter in name if _unfit(letter)})
    if wrong:
        return f"holds {', '.join(map(ascii, wrong[:5]))}, which cannot stand in the name of a folder"
    size = len(name.encode())
    return f"has {size} bytes in UTF-8, more than {NAME_BYTES}" if size > NAME_BYTES else ""


def fit_name(text: str) -> str:
    """A name made of the name of a file or dataset: what may not stand in it becomes `_`, and the rest is cut."""
    letters = "".join("_" if _unfit(letter) else letter for letter in text)
    name = letters.encode()[:NAME_BYTES].decode(errors="ignore").strip()
    return name if name.strip(".") else "_" * max(1, len(name))


def shown(text: str, most: int | None = None) -> str:
    """The text for messages: what no terminal should be sent is escaped, and it is cut to `most` letters."""
    whole = text
    if not text.isprintable():
        whole = "".join(
            letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _HIDDEN else letter
            for letter in text
        )
    return whole if most is None or len(whole) <= most else whole[: most - 1] + "…"


def _unfit(letter: str) -> bool:
    return letter in "/\\" or unicodedata.category(letter) in _HIDDEN
