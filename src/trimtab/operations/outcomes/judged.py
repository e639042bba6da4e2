"""Answers with feedback and the texts that may be used: what contrast examples are made of."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Select, select

from trimtab.behaviors.chats import flatten
from trimtab.operations.exposures.texts import TextCipher
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.outcome import EDIT_DISTANCE
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURE_TEXTS, EXPOSURES, OUTCOME_TEXTS, OUTCOMES
from trimtab.texts import Message


@dataclass(frozen=True)
class Judged:
    """An answer whose user agreed that it may become an example.

    Args:
        prompt: as text.
        turns: of a chat; empty for a plain prompt.
        answer: as it was given.
        corrected: what it should have been; None if nobody said.
        value: of the metric; None if there is none.
        facts: where it comes from, for whoever reads the example later.
    """

    prompt: str
    turns: tuple[Message, ...]
    answer: str
    corrected: str | None
    value: float | None
    facts: dict[str, Any] = field(compare=False)


def judged(
    store: Store, cipher: TextCipher, release: str | None, metric: Metric | None, left_out: Counter[str]
) -> Iterator[Judged]:
    """The answers with feedback, in the order of their exposures.

    A request's last feedback decides whether its user agrees; the last correction and the last value of the metric
    count.

    Args:
        store: see `Store`.
        cipher: of its texts.
        release: only answers that this one decided for; None for all.
        metric: whose values are wanted; None for none.
        left_out: counts what cannot be used, by reason.

    Raises:
        InputError: the texts are encrypted by a key that was not given.
    """
    with store.reading() as connection:
        rows = connection.execute(_asked(release)).mappings().all()
    for _, group in groupby(rows, key=lambda row: row["request"]):
        feedback = list(group)
        given = [row for row in feedback if row["source"] == "user" or row["metric"] == EDIT_DISTANCE]
        if not given or not given[-1]["consent"]:
            left_out["without consent"] += 1
            continue
        one = _judged(feedback, cipher, metric)
        if isinstance(one, str):
            left_out[one] += 1
        else:
            yield one


def _asked(release: str | None) -> Select[Any]:
    """Feedback request by request, with the texts of both."""
    joined = OUTCOMES.join(EXPOSURES, EXPOSURES.c.request == OUTCOMES.c.request)
    joined = joined.outerjoin(EXPOSURE_TEXTS, EXPOSURE_TEXTS.c.request == OUTCOMES.c.request)
    joined = joined.outerjoin(OUTCOME_TEXTS, OUTCOME_TEXTS.c.number == OUTCOMES.c.number)
    wanted = select(
        OUTCOMES, EXPOSURES.c.time, EXPOSURES.c.release, EXPOSURES.c.version, EXPOSURES.c.arm, EXPOSURES.c.artifact,
        EXPOSURES.c.content.label("details"), EXPOSURE_TEXTS.c.encrypted, EXPOSURE_TEXTS.c.content.label("text"),
        OUTCOME_TEXTS.c.encrypted.label("words_encrypted"), OUTCOME_TEXTS.c.content.label("words"),
    ).select_from(joined)  # fmt: skip
    if release is not None:
        wanted = wanted.where(EXPOSURES.c.release == release)
    return wanted.order_by(EXPOSURES.c.number, OUTCOMES.c.number)


def _judged(feedback: list[Any], cipher: TextCipher, metric: Metric | None) -> Judged | str:
    """The answer, or why it cannot be used."""
    row = feedback[-1]
    if row["text"] is None:
        return "whose texts are not kept (any more)"
    if json.loads(row["details"]).get("answers", 1) > 1:
        return "with several answers to one request"
    prompt, answer = cipher.texts(bytes(row["text"]), encrypted=row["encrypted"])
    asked = _turns(prompt or "")
    if asked is None:
        return "whose prompt is no chat that ends with the user, and no single text"
    if not (answer or "").strip():
        return "with an empty answer"
    corrected = _last_correction(feedback, cipher)
    ours = [one for one in feedback if metric is not None and _counts(one, metric)]
    value = metric.value(ours[-1]["value"], ours[-1]["label"]) if metric is not None and ours else None
    names = ("request", "release", "version", "arm", "artifact")
    facts = {name: row[name] for name in names} | {
        "time": datetime.fromtimestamp(row["time"], UTC).isoformat(timespec="seconds"),
        "feedback_by": sorted({f"{_giver(one)}: {one['who']}" for one in feedback}),
    }
    return Judged(*asked, str(answer), corrected, value, facts)


def _giver(row: Any) -> str:
    return "user" if row["metric"] == EDIT_DISTANCE else str(row["source"])


def _counts(row: Any, metric: Metric) -> bool:
    ours = row["metric"] == metric.feedback and row["source"] == metric.source
    return ours and metric.value(row["value"], row["label"]) is not None


def _last_correction(feedback: list[Any], cipher: TextCipher) -> str | None:
    words = [one for one in feedback if one["metric"] == EDIT_DISTANCE and one["words"] is not None]
    if not words:
        return None
    return cipher.opened(bytes(words[-1]["words"]), encrypted=words[-1]["words_encrypted"]).get("corrected_text")


def _turns(prompt: str) -> tuple[str, tuple[Message, ...]] | None:
    """A prompt as text and turns, from what exposures keep of it: a text, or turns as JSON."""
    try:
        said = json.loads(prompt)
    except ValueError:
        said = None
    if not isinstance(said, list):
        return (prompt, ()) if prompt.strip() else None
    fields = {"role", "content"}
    if not said or not all(isinstance(turn, dict) and fields <= turn.keys() for turn in said):
        return None
    turns = tuple(Message(turn["role"], turn["content"]) for turn in said if isinstance(turn["content"], str))
    if len(turns) < len(said) or turns[-1].role != "user":
        return None
    return flatten(turns), turns
