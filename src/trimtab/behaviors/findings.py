"""What lint reports, and how it names rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from trimtab.behaviors.behavior import Behavior, Side
from trimtab.phrases import Phrase

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
SIDES: tuple[Side, ...] = ("positive", "negative")

IN_WORDS: Mapping[Side, Phrase] = {"positive": Phrase("positive"), "negative": Phrase("negative")}
_N_SHOWN = 5  # rows named in a finding


@dataclass(frozen=True)
class Finding:
    """One thing that `lint` found.

    Args:
        code: a stable name, such as `length-words`.
        severity: `error` makes results meaningless, `warning` may bias them, `info` is good to know.
        message: what it is and what to do, in plain words.
        rows: where, the first few.
        n: how many rows or texts it concerns.
        value: the measure behind it, if there is one.

    Example:
        >>> import trimtab as tt
        >>> finding = tt.lint(tt.Behavior("polite", [tt.Example("Tea?", " Gladly.", " gladly.")]))[-1]
        >>> finding.code, finding.severity
        ('derived-instructions', 'info')
    """

    code: str
    severity: Severity
    message: Phrase
    rows: tuple[str, ...] = ()
    n: int = 0
    value: float | None = None


def sources(behavior: Behavior, rows: Iterable[int]) -> tuple[str, ...]:
    """The places of the first few of these rows."""
    first = sorted(set(rows))[:_N_SHOWN]
    return tuple(behavior.examples[i].source or f"example {i + 1}" for i in first)


def verbatim(text: str) -> str:
    """The text with single spaces, otherwise unchanged: case and punctuation may be the behavior."""
    return " ".join(text.split())
