"""A held-out classifier: fitted to the training answers, tested on the evaluation answers, used on generated text.

TF-IDF of words (1 and 2) and of characters (3 to 5, within words), each scaled to length 1, so that long texts weigh no
more than short ones; then logistic regression. Its C has the least held-out log-loss over folds that keep a cluster
together, as rows of one question share words but not sides. A classifier that is not shown to separate unseen answers
gives no figures. How it does on generated text, which is not written like the answers, is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.behaviors import normalise
from trimtab.errors import InputError
from trimtab.evaluation.rows import labels as labels_of
from trimtab.evaluation.rows import strings
from trimtab.phrases import Phrase
from trimtab.statistics import Interval, bootstrap_mean, cluster_folds, share_interval, two_sample_share

MIN_AUROC = 0.6  # that the interval on unseen answers must lie above; 0.5 is a coin
_GRID = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # of C, the inverse strength of the penalty
_MAX_FOLDS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """How well the classifier separates answers that it was not fitted to.

    Args:
        auroc: P(score of a positive > score of a negative answer), ties half, with its interval; None if not measured.
        n_positive: unseen positive answers.
        n_negative: unseen negative answers.
        n_seen: answers left out because they are training answers too.
        reason: why it cannot judge; None if it can.

    Example:
        >>> from trimtab.evaluation import Classifier
        >>> warm, cold = ["a warm day", "so warm a tea", "warm work"], ["a cold day", "so cold a tea", "cold work"]
        >>> classifier = Classifier.fit(warm, cold, seed=0)
        >>> quality = classifier.quality(["warm tea", "a warm song"], ["cold tea", "a cold song"])
        >>> quality.auroc.value, quality.n_positive, quality.n_negative
        (1.0, 2, 2)
    """

    auroc: Interval | None
    n_positive: int
    n_negative: int
    n_seen: int
    reason: Phrase | None


@dataclass(frozen=True)
class Shift:
    """What steering did to the classifier's scores, in log-odds of the positive side.

    Args:
        quality: the classifier's own.
        n: prompts with a continuation from both models.
        n_empty: empty continuations of the base and of the steered model; their prompts are left out.
        base: mean score of the base model's continuations.
        steered: mean score of the steered model's.
        difference: mean of steered minus base, prompt by prompt.
        fell: share of prompts whose score fell.
        reason: why there are no figures; None if there are.

    Example:
        >>> from trimtab.evaluation import Classifier
        >>> warm, cold = ["a warm day", "so warm a tea", "warm work"], ["a cold day", "so cold a tea", "cold work"]
        >>> classifier = Classifier.fit(warm, cold, seed=0)
        >>> quality = classifier.quality(["warm tea", "a warm song"], ["cold tea", "a cold song"])
        >>> shift = classifier.compare(["a cold walk", "cold"], ["a warm walk", "warm"], quality=quality)
        >>> shift.n, shift.reason[:21]  # two examples do not show that it can judge
        (2, 'the classifier separa')
    """

    quality: Quality
    n: int
    n_empty: tuple[int, int]
    base: Interval | None = None
    steered: Interval | None = None
    difference: Interval | None = None
    fell: Interval | None = None
    reason: Phrase | None = None


@dataclass(frozen=True, eq=False)
class Classifier:
    """Separates positive from negative answers by their words; `Classifier.fit` returns one.

    Args:
        C: inverse strength of the penalty, as chosen.
        n_positive: positive answers learnt from.
        n_negative: negative answers learnt from.

    Example:
        >>> from trimtab.evaluation import Classifier
        >>> warm, cold = ["a warm day", "so warm a tea", "warm work"], ["a cold day", "so cold a tea", "cold work"]
        >>> classifier = Classifier.fit(warm, cold, seed=0)
        >>> (classifier.scores(["a warm walk", "a cold walk"]) > 0).tolist()
        [True, False]
    """

    C: float
    n_positive: int
    n_negative: int
    _pipeline: Any = field(repr=False)
    _training: frozenset[bytes] = field(repr=False)  # digests of the answers learnt from

    @staticmethod
    def fit(
        positive: Sequence[str], negative: Sequence[str], seed: int, clusters: Sequence[str] | None = None
    ) -> "Classifier":
        """Fit to the *training* examples' answers.

        Args:
            positive: [n] answers that match the behavior, at least 2.
            negative: [m] answers that do not.
            seed: of the folds; the same texts and seed give the same classifier.
            clusters: [n] question or template of row i of both sides. Default: rows are pairs where both
                sides have equally many, else every answer is its own.

        Raises:
            InputError: too few or empty answers, clusters that do not fit.
        """
        from sklearn.pipeline import make_pipeline

        p, n = _answers(positive, "positive", 2), _answers(negative, "negative", 2)
        if clusters is not None and len(p) != len(n):
            raise InputError(f"{len(p)} positive and {len(n)} negative answers: clusters need as many on both sides")
        texts, y = [*p, *n], np.repeat([1, 0], [len(p), len(n)])
        fold = _folds(len(p), len(n), clusters, seed)
        best = _GRID[int(np.argmin(_held_out_losses(texts, y, fold)))]
        pipeline = make_pipeline(features(), _regression(best)).fit(texts, y)
        return Classifier(best, len(p), len(n), pipeline, frozenset(map(_digest, texts)))

    def scores(self, texts: Sequence[str]) -> Floats:
        """Log-odds of the positive side, [n]; NaN, not measured, for a text of white space alone.

        Raises:
            InputError: not a list of strings.
        """
        stripped = [text.strip() for text in strings(texts, "texts")]
        scores = np.full(len(stripped), np.nan)
        full = np.array([bool(text) for text in stripped], dtype=np.bool_)
        if full.any():
            scores[full] = self._pipeline.decision_function([text for text in stripped if text])
        return scores

    def quality(
        self,
        positive: Sequence[str],
        negative: Sequence[str],
        clusters: Sequence[str] | None = None,
        *,
        level: float = 0.95,
    ) -> Quality:
        """AUROC on the *evaluation* examples' answers; answers of the training are left out and counted.

        The two sides are resampled independently, by clusters; where a question moves the scores of both its answers
        alike, the interval is a little wide.

        Args:
            positive: [n] answers that match.
            negative: [n] answers that do not; row i belongs to the same example.
            clusters: [n] question or template of each row; default: every row its own.
            level: of the interval.

        Raises:
            InputError: empty answers, sides or clusters that do not fit together.
        """
        sides = _answers(positive, "positive", 1), _answers(negative, "negative", 1)
        labels = labels_of(clusters, len(sides[0]))
        if len(sides[0]) != len(sides[1]):
            raise InputError(f"{len(sides[0])} positive and {len(sides[1])} negative answers; give as many of both")
        new = [np.array([_digest(text) not in self._training for text in side]) for side in sides]
        n_p, n_n = int(new[0].sum()), int(new[1].sum())
        n_seen = 2 * len(labels) - n_p - n_n
        if min(len(np.unique(labels[unseen])) for unseen in new) < 2:
            reason = Phrase(
                "on either side fewer than 2 clusters of unseen answers; {n_seen} answers are training answers too",
                n_seen=n_seen,
            )
            return Quality(None, n_p, n_n, n_seen, reason)
        scores = [self.scores(side)[unseen] for side, unseen in zip(sides, new, strict=True)]
        below = two_sample_share(*scores, *(labels[unseen] for unseen in new), level=level)
        auroc = Interval(1 - below.value, 1 - below.high, 1 - below.low)
        return Quality(auroc, n_p, n_n, n_seen, why_unable(auroc))

    def compare(
        self,
        base: Sequence[str],
        steered: Sequence[str],
        clusters: Sequence[str] | None = None,
        *,
        quality: Quality,
        seed: int = 0,
        level: float = 0.95,
    ) -> Shift:
        """How far steering moved the continuations of the same prompts towards the positive side.

        Args:
            base: [n] continuations by the base model.
            steered: [n] by the steered model, of the same prompts.
            clusters: [n] question or template of each prompt; default: every prompt its own.
            quality: this classifier's, from `quality`; if it cannot judge, there are no figures.
            seed: of the resampling.
            level: of the intervals.

        Raises:
            InputError: texts or clusters that do not fit together.
        """
        before, after = self.scores(base), self.scores(steered)
        if len(before) != len(after):
            raise InputError(f"{len(before)} base and {len(after)} steered continuations; give one of each a prompt")
        labels = labels_of(clusters, len(before))
        n_empty = int(np.isnan(before).sum()), int(np.isnan(after).sum())
        both = ~np.isnan(before) & ~np.isnan(after)
        before, after, labels = before[both], after[both], labels[both]
        reason = quality.reason
        if reason is None and len(np.unique(labels)) < 2:
            reason = Phrase(
                "fewer than 2 clusters have continuations by both models ({n} texts are empty)", n=sum(n_empty)
            )
        if reason is not None:
            return Shift(quality, len(labels), n_empty, reason=reason)
        means = [bootstrap_mean(x, labels, seed=seed, level=level) for x in (before, after, after - before)]
        fell = share_interval(after < before, labels, level)
        return Shift(quality, len(labels), n_empty, means[0], means[1], means[2], fell)


def why_unable(auroc: Interval) -> Phrase | None:
    """Why a classifier that separates unseen answers so well cannot judge; None if it can."""
    if auroc.low >= MIN_AUROC:
        return None
    return Phrase(
        "the classifier separates unseen answers with AUROC {auroc} [{low}, {high}]; the lower end "
        "must be at least {least} for it to judge",
        auroc=f"{auroc.value:.2f}",
        low=f"{auroc.low:.2f}",
        high=f"{auroc.high:.2f}",
        least=f"{MIN_AUROC:.2f}",
    )


def _folds(n: int, m: int, clusters: Sequence[str] | None, seed: int) -> NDArray[np.int64]:
    """Fold of each of the n + m texts, positive ones first."""
    labels = labels_of(clusters, n)
    others = None if n == m else np.array([str(i) for i in range(n, n + m)])
    n_folds = min(_MAX_FOLDS, len(np.unique(labels)), n, m)
    codes_p, codes_n, fold = cluster_folds((n, m), labels, others, max(2, n_folds), seed)
    return np.asarray(fold[np.concatenate([codes_p, codes_n])])


def _held_out_losses(texts: Sequence[str], y: NDArray[np.int64], fold: NDArray[np.int64]) -> Floats:
    """Mean over the texts of −log p of their own side, in nats, each learnt from the other folds; for every C, [k]."""
    total = np.zeros(len(_GRID))
    for k in range(int(fold.max()) + 1):
        inside, outside = np.flatnonzero(fold == k).tolist(), np.flatnonzero(fold != k).tolist()
        made = features()
        known = made.fit_transform([texts[i] for i in outside])
        unseen = made.transform([texts[i] for i in inside])
        for j, C in enumerate(_GRID):
            log_odds = _regression(C).fit(known, y[outside]).decision_function(unseen)
            total[j] += np.logaddexp(0.0, np.where(y[inside] == 1, -log_odds, log_odds)).sum()
    return total / len(texts)


def features(words: Sequence[str] | None = None, characters: Sequence[str] | None = None) -> Any:
    """The features of texts: of words, then of characters.

    Args:
        words, characters: the known ones, in their order; None learns them from texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", vocabulary=words),  # noqa: S106 (no password)
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), vocabulary=characters),
    )


def _regression(C: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    # Balanced: a prior of one half, however many texts there are of either side.
    return LogisticRegression(C=C, class_weight="balanced", max_iter=5000)


def _digest(text: str) -> bytes:
    return sha256(normalise(text).encode(errors="surrogatepass")).digest()


def _answers(texts: Sequence[str], name: str, minimum: int) -> list[str]:
    """At least `minimum` texts that are not empty, without outer white space."""
    stripped = [text.strip() for text in strings(texts, name)]
    if len(stripped) < minimum:
        raise InputError(f"{name}: {len(stripped)} answers; give at least {minimum}")
    if empty := [i for i, text in enumerate(stripped) if not text]:
        raise InputError(f"{name}: {len(empty)} answers are empty, the first is number {empty[0]}; leave them out")
    return stripped
