"""Scores of answers without a judge, under the interface that a judge has too: whoever scores can be exchanged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from trimtab.errors import InputError
from trimtab.evaluation.classifier import Classifier, Quality
from trimtab.evaluation.judges.records import Answer, RatedAnswer
from trimtab.ngrams import repeated, words


class Scorer(Protocol):
    """Scores answers.

    Example:
        >>> from trimtab.evaluation import Answer, LengthScorer, Scorer
        >>> scorer: Scorer = LengthScorer()
        >>> scorer.scores([Answer("1", "Name a colour.", "Blue.")])[0].scores
        {'words': 2.0}
    """

    @property
    def identity(self) -> str:
        """Who scores, for the record."""
        ...

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names of the scores."""
        ...

    def scores(self, answers: Sequence[Answer]) -> tuple[RatedAnswer, ...]:
        """Scores of every answer in their order; what cannot be had is named as missing."""
        ...


@dataclass(frozen=True)
class LengthScorer:
    """Length in words and marks (`trimtab.evaluation.words`): no quality, but what many judges take for it.

    Example:
        >>> from trimtab.evaluation import Answer, LengthScorer
        >>> LengthScorer().scores([Answer("1", "", "one, two")])[0].scores["words"]
        3.0
    """

    identity: str = "length"
    criteria: tuple[str, ...] = ("words",)

    def scores(self, answers: Sequence[Answer]) -> tuple[RatedAnswer, ...]:
        """See `Scorer`."""
        return _each(self, answers, [float(len(words(answer.text))) for answer in answers])


@dataclass(frozen=True)
class RepetitionScorer:
    """Share of 3-grams of words that occur earlier in the answer, 0 to 1; missing below 3 words.

    Example:
        >>> from trimtab.evaluation import Answer, RepetitionScorer
        >>> RepetitionScorer().scores([Answer("1", "", "no no no no")])[0].scores["repeated_3"]
        0.5
    """

    identity: str = "repetition"
    criteria: tuple[str, ...] = ("repeated_3",)

    def scores(self, answers: Sequence[Answer]) -> tuple[RatedAnswer, ...]:
        """See `Scorer`."""
        return _each(self, answers, [repeated(answer.text, 3) for answer in answers], "too short")


@dataclass(frozen=True)
class ClassifierScorer:
    """Log-odds of the positive side by a held-out classifier that has shown that it can judge; missing for empty texts.

    Args:
        classifier: as fitted.
        quality: of this classifier on answers that it was not fitted to.

    Raises:
        InputError: the quality does not show that it can judge.

    Example:
        >>> from trimtab.evaluation import Answer, Classifier, ClassifierScorer
        >>> warm, cold = [f"a warm day {i}" for i in range(20)], [f"a cold day {i}" for i in range(20)]
        >>> classifier = Classifier.fit(warm, cold, seed=0)
        >>> quality = classifier.quality([f"warm tea {i}" for i in range(20)], [f"cold tea {i}" for i in range(20)])
        >>> scorer = ClassifierScorer(classifier, quality)
        >>> scorer.scores([Answer("1", "", "a warm song")])[0].scores["log_odds"] > 0
        True
    """

    classifier: Classifier
    quality: Quality
    identity: str = "held-out classifier"
    criteria: tuple[str, ...] = ("log_odds",)

    def __post_init__(self) -> None:
        if self.quality.reason is not None:
            raise InputError(f"this classifier gives no scores: {self.quality.reason}", field="quality")

    def scores(self, answers: Sequence[Answer]) -> tuple[RatedAnswer, ...]:
        """See `Scorer`."""
        return _each(self, answers, self.classifier.scores([answer.text for answer in answers]), "empty")


@dataclass(frozen=True)
class FluencyScorer:
    """Mean log-probability per token of the answer after its prompt, nats per token: how likely a model finds it.

    Repetition makes text likelier, so read `RepetitionScorer` beside it.

    Args:
        log_prob: of prompts and answers, [n], such as `lambda prompts, texts: model.score(prompts, texts).mean` with
            the *unsteered* model. NaN where there is nothing to score.

    Example:
        >>> from trimtab.evaluation import Answer, FluencyScorer
        >>> scorer = FluencyScorer(lambda prompts, texts: [-2.5] * len(texts))
        >>> scorer.scores([Answer("1", "Name a colour.", " Blue.")])[0].scores
        {'log_prob': -2.5}
    """

    log_prob: Callable[[list[str], list[str]], ArrayLike]
    identity: str = "fluency"
    criteria: tuple[str, ...] = ("log_prob",)

    def scores(self, answers: Sequence[Answer]) -> tuple[RatedAnswer, ...]:
        """See `Scorer`.

        Raises:
            InputError: not one number an answer.
        """
        values = self.log_prob([answer.prompt for answer in answers], [answer.text for answer in answers])
        return _each(self, answers, values, "nothing to score")


def _each(scorer: Scorer, answers: Sequence[Answer], values: ArrayLike, otherwise: str = "") -> tuple[RatedAnswer, ...]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(answers),):
        raise InputError(
            f"{scorer.identity}: scores of shape {numbers.shape} for {len(answers)} answers; give one each"
        )
    return tuple(
        RatedAnswer(answer.id, scorer.identity, {scorer.criteria[0]: float(value)})
        if np.isfinite(value)
        else RatedAnswer(answer.id, scorer.identity, missing=otherwise)
        for answer, value in zip(answers, numbers, strict=True)
    )
