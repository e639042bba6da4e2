"""How a judge is shown texts: as data that cannot pass for instructions.

Each text stands between lines with a token that it cannot contain, since the token is a hash of all of them; it is cut,
and what could end a turn is changed. What it says at the end of its answer is read here too.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_CUT = "[…]"
# What could end a turn once a server has put a conversation into a model's template: <|im_end|>, </s>, [/INST].
_ANGLES = str.maketrans({"<": "‹", ">": "›"})
_BRACKETS = re.compile(r"\[(/?[A-Z_]+)\]")


@dataclass(frozen=True)
class Block:
    """A text under its name.

    Args:
        name: such as `TEXT A`.
        text: anything.
        tail: whether a text that is too long keeps its end rather than its beginning.
    """

    name: str
    text: str
    tail: bool = False


def token_for(seed: int, *texts: str) -> str:
    """The token of a question: no text can be written to contain it, even by someone who knows the seed."""
    return hashlib.sha256(json.dumps([seed, *texts]).encode()).hexdigest()[:24]


def fenced(blocks: Sequence[Block], token: str, longest: int) -> str:
    """The texts between lines with the token.

    Args:
        blocks: in the order they are shown in.
        token: see `token_for`.
        longest: characters of a text that are shown.
    """
    parts = (f"{token} {b.name} BEGINS\n{_data(b, longest)}\n{token} {b.name} ENDS" for b in blocks)
    return "\n\n".join(parts)


def _data(block: Block, longest: int) -> str:
    """The beginning (or tail) of a text, without control characters or anything that may end a turn."""
    text = block.text
    if len(text) > longest:
        text = _CUT + text[-longest:] if block.tail else text[:longest] + _CUT
    kept = "".join(c if c in "\r\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in text)
    return _BRACKETS.sub(r"(\1)", kept.translate(_ANGLES))


def last_line(answer: str) -> str:
    """The last line of a judge's answer that holds a letter or digit, without case or width; empty without one."""
    lines = [line for line in answer.splitlines() if any(c.isalnum() for c in line)]
    return unicodedata.normalize("NFKC", lines[-1]).casefold() if lines else ""
