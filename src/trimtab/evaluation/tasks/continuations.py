"""What can be said of a continuation without a judge: whether the model falls silent, and how much it writes."""

from trimtab.evaluation.tasks.base import Figure
from trimtab.ngrams import words
from trimtab.phrases import Phrase

SILENCE = (
    Figure(
        "empty",
        Phrase("share of prompts after which nothing was written: a model that falls silent"),
        "lower",
        0.0,
        1.0,
    ),
    Figure("words", Phrase("words written: how long answers are"), "neither", 0.0),
)


def silence(text: str) -> dict[str, float]:
    """The figures of `SILENCE` for one continuation."""
    n = sum(word.isalnum() for word in words(text))
    return {"empty": float(n == 0), "words": float(n)}
