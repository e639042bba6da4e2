"""Anchors: answers that people have rated, by which a judge that has moved is told from a system that has."""

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

from trimtab.errors import InputError

_ANCHORS: Final = 20  # at least


@dataclass(frozen=True)
class Anchor:
    """An answer that people have rated.

    Args:
        prompt: may be empty.
        answer: to it.
        score: by people, from 0 to 1.
    """

    prompt: str
    answer: str
    score: float


def read_anchors(file: Path) -> tuple[Anchor, ...]:
    """Anchors of a JSONL file: `prompt` (may be left out), `answer`, and `score` by people, from 0 to 1.

    Raises:
        InputError: it cannot be read, a row is none, or there are fewer than 20.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", code="unreadable-file", field="judge_anchors") from None
    found = [_anchor(f"{file}:{i}", line) for i, line in enumerate(lines, 1) if line.strip()]
    if len(found) < _ANCHORS:
        raise InputError(
            f"{file} has {len(found)} anchors; give at least {_ANCHORS} answers that people have rated",
            code="too-few-examples",
            field="judge_anchors",
        )
    return tuple(found)


def _anchor(place: str, line: str) -> Anchor:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    wanted = "prompt, answer and score (from 0 to 1)"
    if not isinstance(row, dict) or not {"answer", "score"} <= row.keys() <= {"prompt", "answer", "score"}:
        raise InputError(f"{place}: give one object with {wanted}", field="judge_anchors")
    prompt, answer, score = row.get("prompt", ""), row["answer"], row["score"]
    fits = isinstance(score, int | float) and not isinstance(score, bool) and isfinite(score) and 0 <= score <= 1
    if not (isinstance(prompt, str) and isinstance(answer, str) and answer.strip() and fits):
        raise InputError(f"{place}: prompt and answer are texts, score is a number from 0 to 1", field="judge_anchors")
    return Anchor(prompt, answer, float(score))
