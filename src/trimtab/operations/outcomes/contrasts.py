"""Feedback as contrast examples: the corrected text against the answer, and preferred against rejected answers."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trimtab.behaviors.behavior import Behavior, Example, Side
from trimtab.behaviors.findings import SIDES, verbatim
from trimtab.behaviors.joining import joined
from trimtab.behaviors.writing import write
from trimtab.errors import InputError
from trimtab.operations.audit import Change, record
from trimtab.operations.exposures.texts import TextCipher
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.judged import Judged, judged
from trimtab.operations.outcomes.masking import REGIONS, masked
from trimtab.operations.store.database import Store
from trimtab.texts import Message

Pair = tuple[Example, dict[str, Any]]


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Args:
        corrections: rows of a corrected text against the answer.
        preferences: rows of two answers to the same prompt.
        masked: personal data that was replaced, by its kind.
        left_out: answers with feedback, or rows, that could not be used, by reason.

    Example:
        >>> from trimtab.operations import Exported
        >>> Exported(2, 1, {"EMAIL": 1}, {}).corrections
        2
    """

    corrections: int
    preferences: int
    masked: Mapping[str, int]
    left_out: Mapping[str, int]


def export_contrasts(
    store: Store,
    file: str | Path,
    *,
    by: str,
    why: str = "",
    cipher: TextCipher | None = None,
    release: str | None = None,
    metric: Metric | None = None,
    name: str = "feedback",
    regions: Sequence[str] = REGIONS,
) -> Exported:
    """Write the contrast examples of a store's feedback, whole or not at all; recorded in the audit.

    Only texts whose users agreed are taken, personal data is masked, and each row says where it comes from. A text is
    never preferred in one row and rejected in another of the same prompt: corrections, which come first, hold. The
    order is that of the exposures, so that the same store gives the same file.

    Args:
        store: with texts.
        file: the target; replaced once all is written.
        by: who does it.
        why: in words.
        cipher: of the store's texts.
        release: only answers that this one decided for; None for all.
        metric: with feedback: of two answers to the same prompt the better by it is preferred, the best paired with the
            worst and so on inward; the same answer to several requests counts by its mean. None for corrections alone.
        name: of the behavior.
        regions: see `masked`.

    Raises:
        InputError: there is nothing to write, the metric is none of feedback, the file cannot be written, or the texts
            are encrypted by a key that was not given.
        TrimtabError: the store cannot be read or written.

    Example:
        >>> from trimtab.operations import Exposure, ExposureLog, Outcome, OutcomeLog, Store, export_contrasts
        >>> better = Outcome(request="r1", corrected_text="Hello, Ada!", consent=True)
        >>> with Store("said.db", create=True) as store:
        ...     said = dict(prompt="Greet Ada.", answer="What?")
        ...     _ = ExposureLog(store).write([Exposure("r1", 0.0, "m", "none", **said)])
        ...     _ = OutcomeLog(store, texts=True).write([better])
        ...     export_contrasts(store, "pairs.jsonl", by="ada").corrections
        1
    """
    if metric is not None and metric.feedback is None:
        raise InputError(f"metric {metric.name!r} is not one of feedback, so it prefers no answer", field="metric")
    left_out: Counter[str] = Counter()
    answers = list(judged(store, cipher or TextCipher(), release, metric, left_out))
    pairs = [*_corrections(answers), *(() if metric is None else _preferences(answers, metric))]
    kept, found = _masked(pairs, regions, left_out)
    if not kept:
        said = "; ".join(f"{n} {why}" for why, n in sorted(left_out.items())) or "no feedback with texts"
        raise InputError(f"there is nothing to export: {said}", code="too-few-examples", field="out")
    behavior = Behavior(name, [example for example, _ in kept], description="From feedback of users who agreed to it.")
    corrections = sum(where_from["kind"] == "correction" for _, where_from in kept)
    exported = Exported(
        corrections, len(kept) - corrections, dict(sorted(found.items())), dict(sorted(left_out.items()))
    )
    with store.changing() as connection:
        after = {"rows": len(kept), "digest": behavior.digest, "release": release}
        record(connection, Change(by, "feedback.export", name, why, None, after))
        write(behavior, file, [where_from for _, where_from in kept])
    return exported


def _corrections(answers: Sequence[Judged]) -> Iterator[Pair]:
    for one in answers:
        if one.corrected is not None and one.corrected.strip() != one.answer.strip():
            example = Example(one.prompt, one.corrected, one.answer, messages=one.turns)
            yield (
                example,
                {"kind": "correction", "positive": "a user's correction", "negative": {"requests": [one.facts]}},
            )


def _preferences(answers: Sequence[Judged], metric: Metric) -> Iterator[Pair]:
    by_prompt: dict[tuple[str, tuple[Message, ...]], dict[str, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    for one in answers:
        if one.value is not None:
            by_prompt[one.prompt, one.turns][one.answer.strip()].append(one)
    sign = 1.0 if metric.direction == "higher" else -1.0
    for (prompt, turns), texts in by_prompt.items():
        ranked = sorted(map(_side, texts.values()), key=lambda side: -sign * side["value"])  # equals keep their order
        for better, worse in zip(ranked[: len(ranked) // 2], reversed(ranked), strict=False):
            if better["value"] != worse["value"]:
                positive, negative = better.pop("answer"), worse.pop("answer")
                where_from = {"kind": "preference", "metric": metric.name, "positive": better, "negative": worse}
                yield Example(prompt, positive, negative, messages=turns), where_from


def _side(same: Sequence[Judged]) -> dict[str, Any]:
    """One answer that several requests may have got: its text, its mean value, and where it comes from."""
    value = sum(one.value for one in same if one.value is not None) / len(same)
    return {"answer": same[0].answer, "value": value, "requests": [one.facts for one in same]}


def _masked(pairs: Sequence[Pair], regions: Sequence[str], left_out: Counter[str]) -> tuple[list[Pair], Counter[str]]:
    """The pairs without personal data, those left out that contradict earlier ones, and what was replaced."""
    found: Counter[str] = Counter()

    def clean(text: str) -> str:
        replaced, counts = masked(text, regions)
        found.update(counts)
        return replaced

    kept: list[Pair] = []
    stands: dict[tuple[str, str], Side] = {}  # on which side a text stands after a prompt
    for example, where_from in pairs:
        texts = {name: clean(getattr(example, name)) for name in ("prompt", "positive", "negative")}
        turns = tuple(Message(turn.role, clean(turn.content)) for turn in example.messages)
        [one], _ = joined([replace(example, **texts, messages=turns)])
        here: dict[Side, tuple[str, str]] = {s: (verbatim(one.prompt), verbatim(getattr(one, s))) for s in SIDES}
        if here["positive"] == here["negative"]:
            left_out["rows whose sides do not differ without personal data"] += 1
        elif any(stands.get(text, side) != side for side, text in here.items()):
            left_out["rows that prefer what an earlier one rejects, or the reverse"] += 1
        elif all(text in stands for text in here.values()) and any(one == other for other, _ in kept):
            left_out["rows that are there already"] += 1
        else:
            stands |= {text: side for side, text in here.items()}
            kept.append((one, where_from))
    return kept, found
