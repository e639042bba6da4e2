"""Fluency of generated text: repetition, variety, length, and how likely the base model finds it.

Repetition and variety are those of `trimtab.ngrams`; both move with the length of a text too, so read `words` beside
them. Repetitive text is *likelier* under the base model, so neither repetition nor perplexity is enough by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.errors import InputError
from trimtab.evaluation.rows import labels as labels_of
from trimtab.evaluation.rows import strings
from trimtab.ngrams import distinct, repeated, words
from trimtab.phrases import Phrase
from trimtab.statistics import Interval, bootstrap_mean

Floats = NDArray[np.float64]

_ROUNDING = 1e-4  # nats by which the mean of computed log-probabilities may exceed 0


def longest_repetition(text: str) -> float:
    """Words in the longest stretch that is one block repeated at once; 0 without one, NaN without words.

    "The cat, the cat, the cat" has 6: "the cat ," twice; the third is not complete, as it lacks its comma.

    Example:
        >>> from trimtab.evaluation import longest_repetition
        >>> longest_repetition("no no no, never")
        3.0
    """
    _, codes = np.unique(np.array(words(text), dtype=np.str_), return_inverse=True)
    longest = 0 if len(codes) else float("nan")
    for period in range(1, len(codes) // 2 + 1):
        same = np.concatenate([[0], codes[period:] == codes[:-period], [0]])
        ends = np.flatnonzero(np.diff(same))  # where runs of words that equal the one a period before begin and end
        run = int((ends[1::2] - ends[::2]).max(initial=0))
        if run >= period:
            longest = max(longest, period * (run // period + 1))
    return float(longest)


_MEASURES: Mapping[str, Callable[[str], float]] = {
    "words": lambda text: len(words(text)),
    "repeated_3": lambda text: repeated(text, 3),
    "repeated_4": lambda text: repeated(text, 4),
    "distinct_1": lambda text: distinct(text, 1),
    "distinct_2": lambda text: distinct(text, 2),
    "longest_repetition": longest_repetition,
}


@dataclass(frozen=True)
class PairedChange:
    """A figure of the continuations, before and after steering, over the prompts where both have one.

    Args:
        n: prompts that have the figure.
        n_missing: prompts left out, since one of the two texts is too short to have the figure.
        base: its mean with the base model.
        steered: its mean with the steered model.
        difference: mean of steered minus base, prompt by prompt. No width where every difference is the same: then
            `n` alone tells how much that means.
        reason: why there are no figures; None if there are.

    Example:
        >>> from trimtab.evaluation import fluency
        >>> change = fluency(["a b c", "d e f"], ["a a a", "d e d"]).distinct_1
        >>> change.n, change.base, round(change.steered, 2)
        (2, 1.0, 0.5)
    """

    n: int
    n_missing: int
    base: float | None = None
    steered: float | None = None
    difference: Interval | None = None
    reason: Phrase | None = None


@dataclass(frozen=True)
class Fluency:
    """How the fluency of the text changed.

    Args:
        words: length in words and marks; an empty text has 0.
        repeated_3: share of repeated 3-grams, 0 to 1.
        repeated_4: share of repeated 4-grams.
        distinct_1: share of different words.
        distinct_2: share of different pairs of neighbours.
        longest_repetition: words in the longest immediate repetition.
        log_prob: mean log-probability per token under the *base* model, nats per token.

    Example:
        >>> from trimtab.evaluation import fluency
        >>> result = fluency(["so it is", "yes indeed"], ["so so so", "yes yes"])
        >>> result.distinct_1.base, result.log_prob.reason
        (1.0, 'no log-probabilities under the base model were given')
    """

    words: PairedChange
    repeated_3: PairedChange
    repeated_4: PairedChange
    distinct_1: PairedChange
    distinct_2: PairedChange
    longest_repetition: PairedChange
    log_prob: PairedChange

    @property
    def perplexity_ratio(self) -> Interval | None:
        """Perplexity of the steered over that of the base texts, a geometric mean over prompts; None if not measured.

        Above 1 the base model finds the steered texts less likely than its own.
        """
        d = self.log_prob.difference
        return None if d is None else Interval(*(float(np.exp(-x)) for x in (d.value, d.high, d.low)))


def fluency(
    base: Sequence[str],
    steered: Sequence[str],
    clusters: Sequence[str] | None = None,
    *,
    log_prob_base: ArrayLike | None = None,
    log_prob_steered: ArrayLike | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> Fluency:
    """Compare the continuations of the same prompts by the base and by the steered model.

    Args:
        base: [n] continuations by the base model.
        steered: [n] by the steered model.
        clusters: [n] question or template of each prompt; default: every prompt its own.
        log_prob_base: [n] of each base text, its mean log-probability per token under the base model, in nats, NaN
            for a text without tokens. Default: not measured.
        log_prob_steered: [n] the same of the steered texts, under the base model too.
        seed: of the resampling.
        level: of each interval.

    Raises:
        InputError: texts, log-probabilities or clusters that do not fit together.

    Example:
        >>> from trimtab.evaluation import fluency
        >>> result = fluency(["so it is", "yes indeed"], ["so it is so", "yes"])
        >>> result.words.base, result.words.steered, result.words.difference.value
        (2.5, 2.5, 0.0)
    """
    sides = strings(base, "base"), strings(steered, "steered")
    n = len(sides[0])
    if n != len(sides[1]):
        raise InputError(f"{n} base and {len(sides[1])} steered continuations; give one of each for every prompt")
    labels = labels_of(clusters, n)

    if (log_prob_base is None) != (log_prob_steered is None):
        raise InputError("log-probabilities of one side only; give both, or neither")
    likely = PairedChange(0, n, reason=Phrase("no log-probabilities under the base model were given"))
    if log_prob_base is not None and log_prob_steered is not None:
        before = _log_probs(log_prob_base, n, "log_prob_base")
        likely = _change(before, _log_probs(log_prob_steered, n, "log_prob_steered"), labels, seed, level)
    changes = {}
    for name, measure in _MEASURES.items():
        before, after = (np.array([measure(text) for text in side], dtype=np.float64) for side in sides)
        changes[name] = _change(before, after, labels, seed, level)
    return Fluency(**changes, log_prob=likely)


def _change(before: Floats, after: Floats, labels: NDArray[np.str_], seed: int, level: float) -> PairedChange:
    both = ~np.isnan(before) & ~np.isnan(after)
    n, n_missing = int(both.sum()), int((~both).sum())
    if len(np.unique(labels[both])) < 2:
        reason = Phrase(
            "fewer than 2 clusters; at {missing} of {n} prompts a text is too short for this",
            missing=n_missing,
            n=len(both),
        )
        return PairedChange(n, n_missing, reason=reason)
    difference = bootstrap_mean((after - before)[both], labels[both], seed=seed, level=level)
    return PairedChange(n, n_missing, float(before[both].mean()), float(after[both].mean()), difference)


def _log_probs(values: ArrayLike, n: int, name: str) -> Floats:
    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: not an array of real numbers ({error}); give floats [{n}]") from None
    if x.shape != (n,):
        raise InputError(f"{name}: shape {x.shape}; give the mean log-probability per token of each text, [{n}]")
    invalid = np.flatnonzero(np.isinf(x) | (x > _ROUNDING))
    if len(invalid):
        raise InputError(
            f"{name}: {x[invalid[0]]} in row {invalid[0]}; log-probabilities are finite and at most 0 (NaN: no tokens)"
        )
    return x
