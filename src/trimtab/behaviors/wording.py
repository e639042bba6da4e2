"""Wording that alone tells the two sides apart: one sentence in many rows, or a word or mark of one side only."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from trimtab.behaviors.behavior import Behavior, Example, Side
from trimtab.behaviors.findings import IN_WORDS, SIDES, Finding, sources, verbatim
from trimtab.behaviors.likeness import variants
from trimtab.behaviors.words import words
from trimtab.decimals import decimals
from trimtab.phrases import Phrase, with_commas

MAJORITY = 0.5  # share of a side's answers from which one sentence is all that the side says
_ONE_SENTENCE = 0.7  # share of words in common with the sentence
_TELLING = 0.6  # difference between the shares of the two sides' answers that contain a word
_MARK = re.compile(r"[^\w\s]")


def telling_words(examples: Sequence[Example]) -> Mapping[str, float]:
    """Words and marks that tell the sides apart, being in the answers of one and not in those of the other.

    Args:
        examples: any; a word counts once an answer.

    Returns:
        share of positive minus share of negative answers that contain the word, where they differ by at least 0.6; the
        largest difference first.
    """
    counts: list[Counter[str]] = [
        Counter(word for e in examples for word in _wording(getattr(e, side))) for side in SIDES
    ]
    shares = {word: (counts[0][word] - counts[1][word]) / len(examples) for word in counts[0].keys() | counts[1].keys()}
    telling = [(word, share) for word, share in shares.items() if abs(share) >= _TELLING]
    return dict(sorted(telling, key=lambda item: (-abs(item[1]), item[0])))


def _wording(text: str) -> set[str]:
    """Words and punctuation marks, each once."""
    return {*words(text), *_MARK.findall(unicodedata.normalize("NFKC", text))}


def without_words(example: Example, left_out: Sequence[str]) -> Example | None:
    """The example without these words and marks in its answers; None where an answer is empty or both are the same."""
    answers = {side: _without(getattr(example, side), left_out) for side in SIDES}
    if not all(words(text) for text in answers.values()) or len({*answers.values()}) < len(answers):
        return None
    return replace(example, positive=answers["positive"], negative=answers["negative"])


def _without(text: str, left_out: Sequence[str]) -> str:
    for word in left_out:
        spaced = word.isascii() and word.isalnum()
        pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if spaced else re.escape(word)
        text = re.sub(pattern, " ", text, flags=re.IGNORECASE)
    front = text[: len(text) - len(text.lstrip())][:1]
    return front + " ".join(text.split())


def one_sentence(behavior: Behavior) -> list[Finding]:
    """A side most of whose answers are variants of a single sentence."""
    if behavior.answer_kind == "choice":
        return []
    findings = []
    for side in SIDES:
        texts = [words(getattr(e, side)) for e in behavior.examples]
        same = variants(texts, _ONE_SENTENCE)
        n, total = int(same.sum()), len(texts)
        if n < max(3, MAJORITY * total) or _identical(behavior, side):
            continue
        rows = [i for i, yes in enumerate(same) if yes]
        shown = getattr(behavior.examples[rows[0]], side).strip()
        shown = shown if len(shown) <= 80 else shown[:77] + "…"
        message = Phrase(
            "{n} of {total} {side} answers are one sentence or variants of it ({sentence}), so a steering "
            "can do no more than say that sentence; vary the answers",
            n=n,
            total=total,
            side=IN_WORDS[side],
            sentence=repr(shown),
        )
        findings.append(Finding("one-sentence", "error", message, sources(behavior, rows), n, n / total))
    return findings


def _identical(behavior: Behavior, side: Side) -> bool:
    """Whether all answers of the side are identical, which another finding reports."""
    return len({verbatim(getattr(e, side)) for e in behavior.examples}) == 1


def one_word(behavior: Behavior) -> list[Finding]:
    """A word or mark that by itself tells most answers of one side from the other's."""
    if behavior.answer_kind == "choice":
        return []
    telling = telling_words(behavior.examples)
    if not telling:
        return []
    listed = with_commas([f"{word!r} ({decimals(share, '+.0%')})" for word, share in list(telling.items())[:5]])
    message = Phrase(
        "the wording alone tells the sides apart, by the share of positive minus negative answers "
        "that contain {words}: the steering may learn that word; a check measures what is left "
        "without it",
        words=listed,
    )
    return [Finding("one-word", "warning", message, (), len(behavior.examples), next(iter(telling.values())))]
