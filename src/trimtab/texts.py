"""Texts: turns of a chat, what a model is given, and what texts and names may contain."""

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
    """`value` as text that every tokenizer accepts.

    Args:
        value: the field's content.
        where: the row or object, for the error.
        name: the field, for the error.

    Raises:
        InputError: not a string, or contains a NUL byte or half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise InputError(f"{where}: the field {name!r} must be a string, not {type(value).__name__}")
    if "\0" in value:
        raise InputError(f"{where}: the field {name!r} contains a NUL byte; remove it")
    if _HALF_PAIR.search(value):
        raise InputError(f"{where}: the field {name!r} contains half of a surrogate pair; replace it")
    return value


def name_fault(name: str) -> str:
    """Why this cannot be the name of a behavior, which is also a folder's; empty if it can."""
    if not name.strip():
        return "is empty"
    if name in (".", ".."):
        return "always means an existing folder"
    invalid = sorted({letter for letter in name if _unfit(letter)})
    if invalid:
        return f"contains {', '.join(map(ascii, invalid[:5]))}, which a folder's name cannot contain"
    size = len(name.encode())
    return f"has {size} bytes in UTF-8, more than {NAME_BYTES}" if size > NAME_BYTES else ""


def fit_name(text: str) -> str:
    """A name made from that of a file or dataset: characters it cannot contain become `_`, and it is cut to fit."""
    letters = "".join("_" if _unfit(letter) else letter for letter in text)
    name = letters.encode()[:NAME_BYTES].decode(errors="ignore").strip()
    return name if name.strip(".") else "_" * max(1, len(name))


def shown(text: str, max_length: int | None = None) -> str:
    """The text for messages: with control characters escaped, and cut to `max_length` characters."""
    printable = text
    if not text.isprintable():
        printable = "".join(
            letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _HIDDEN else letter
            for letter in text
        )
    return printable if max_length is None or len(printable) <= max_length else printable[: max_length - 1] + "…"


def _unfit(letter: str) -> bool:
    return letter in "/\\" or unicodedata.category(letter) in _HIDDEN


def in_markdown(words: str) -> str:
    """Text escaped for Markdown and HTML, on one line.

    Example:
        >>> from trimtab.texts import in_markdown
        >>> in_markdown("a <b> & c_d")
        'a \\\\<b\\\\> &amp; c\\\\_d'
    """
    plain = " ".join(words.split())
    return "".join(f"\\{c}" if c in "\\`*_[]|#<>" else "&amp;" if c == "&" else c for c in plain)
