"""What steering did to propensity: effects per example, anti-steerable shares, slopes over strength, and length.

Sources: [R] Braun et al. 2025 (2505.22637) for the effect Δ(x) = m(x; steered) − m(x; unsteered) and anti-steerable
examples; Tan et al. 2024 (2407.12404) for steerability. Propensity m is in logits (choices) or nats (free text) and so
are effects and noise; slopes are per unit of strength. Wrong shapes, NaN or too few rows raise `InputError`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.statistics.geometry import auroc
from trimtab.statistics.inputs import Floats, Ints, as_rows, as_vector


def steering_effect(base: ArrayLike, steered: ArrayLike) -> Floats:
    """Δ(x) = m(x; steered) − m(x; unsteered) per example, [n] ([R], steering effect).

    Example:
        >>> from trimtab.statistics import steering_effect
        >>> steering_effect(base=[0, 1], steered=[2, 0]).tolist()
        [2.0, -1.0]
    """
    unsteered, with_steering = _same_length(base=base, steered=steered)
    return with_steering - unsteered


def odd_even(base: ArrayLike, plus: ArrayLike, minus: ArrayLike) -> tuple[Floats, Floats]:
    """The odd part (m(+λ) − m(−λ))/2 and the even part (m(+λ) + m(−λ))/2 − m(0) of the effect, [n] each.

    The odd part is direction; the even part is damage or answer bias. Their sum is the effect at +λ.

    Args:
        base, plus, minus: propensity at strength 0, +λ and −λ, [n].

    Example:
        >>> from trimtab.statistics import odd_even
        >>> odd, even = odd_even(base=[0, 0], plus=[2, 1], minus=[-2, 1])  # a direction; damage
        >>> odd.tolist(), even.tolist()
        ([2.0, 0.0], [0.0, 1.0])
    """
    m0, up, down = _same_length(base=base, plus=plus, minus=minus)
    return (up - down) / 2, (up + down) / 2 - m0


@dataclass(frozen=True)
class Shares:
    """Shares of examples (or of all cross pairs, for unpaired data) by the sign of the effect.

    `anti` is the paper's definition, Δ < 0, and counts small effects too: it overlaps with `undecided` (|Δ| ≤ noise).
    `anti_beyond_noise` (Δ < −noise), `undecided` and `steerable` (Δ > noise) divide the examples and add to 1.
    """

    anti: float
    undecided: float
    anti_beyond_noise: float
    steerable: float


def anti_steerable(effects: ArrayLike, noise: float) -> Shares:
    """Shares of `effects` [n] ([R], anti-steerable: Δ < 0); `noise` ≥ 0 is the measured numerical noise of one Δ.

    Example:
        >>> from trimtab.statistics import anti_steerable
        >>> shares = anti_steerable([1.0, 0.5, -0.01, -1.0], noise=0.1)
        >>> shares.anti, shares.undecided, shares.anti_beyond_noise, shares.steerable
        (0.5, 0.25, 0.25, 0.5)
    """
    delta = as_vector(effects, "effects")
    _check_noise(noise)
    return Shares(
        anti=float((delta < 0).mean()),
        undecided=float((np.abs(delta) <= noise).mean()),
        anti_beyond_noise=float((delta < -noise).mean()),
        steerable=float((delta > noise).mean()),
    )


def anti_steerable_unpaired(effect_positive: ArrayLike, effect_negative: ArrayLike, noise: float) -> Shares:
    """Two-sample U-statistic P(Δ+ − Δ− < 0) over all pairs, ties half, with the other shares over the same pairs.

    Args:
        effect_positive, effect_negative: effects per text, [n] and [m].
        noise: numerical noise of one *difference* Δ+ − Δ−, at least 0.

    Example:
        >>> from trimtab.statistics import anti_steerable_unpaired
        >>> anti_steerable_unpaired([1, 2], [0, 3], noise=0.0).anti  # 2 of 4 pairs
        0.5
    """
    up, down = as_vector(effect_positive, "effect_positive"), np.sort(as_vector(effect_negative, "effect_negative"))
    _check_noise(noise)
    pairs = len(up) * len(down)
    beyond = float((len(down) - np.searchsorted(down, up + noise, side="right")).sum() / pairs)  # Δ− > Δ+ + noise
    steerable = float(np.searchsorted(down, up - noise, side="left").sum() / pairs)  # Δ− < Δ+ − noise
    undecided = float((np.searchsorted(down, up + noise, "right") - np.searchsorted(down, up - noise, "left")).sum())
    return Shares(auroc(down, up), undecided / pairs, beyond, steerable)


@dataclass(frozen=True, eq=False)
class Steerability:
    """Least-squares line of propensity over strength for every example, [n] each, with two checks of linearity.

    `slope` per unit of strength; `residual_rms` as propensity; `r_squared` and Spearman's `spearman` are NaN (not
    measured) for an example whose propensity never changes.
    """

    slope: Floats
    intercept: Floats
    r_squared: Floats
    residual_rms: Floats
    spearman: Floats


def steerability(strengths: ArrayLike, propensity: ArrayLike) -> Steerability:
    """Slope of propensity over strength per example (Tan et al., steerability), by least squares.

    Args:
        strengths: λ, [k], at least three different; −1.5…1.5 in Tan et al., λ ≥ 0 for gated steerings.
        propensity: m at every strength, [n, k].

    Example:
        >>> from trimtab.statistics import steerability
        >>> lines = steerability([-1, 0, 1], [[-2, 0, 2], [1, 1, 1]])
        >>> lines.slope.tolist(), lines.r_squared.tolist()
        ([2.0, 0.0], [1.0, nan])
    """
    x, m = as_vector(strengths, "strengths", 3), as_rows(propensity, "propensity")
    if len(np.unique(x)) < 3:
        raise InputError("strengths: fewer than 3 distinct values; a line and its check of linearity need 3")
    if m.shape[1] != len(x):
        raise InputError(f"propensity: shape {m.shape}; give one column for each of the {len(x)} strengths")
    dx = x - x.mean()
    slope = (m @ dx) / (dx @ dx)  # [n]
    intercept = m.mean(axis=1) - slope * x.mean()
    residual = m - (slope[:, None] * x + intercept[:, None])  # [n, k]
    changes = m.max(axis=1) > m.min(axis=1)
    slope, total = np.where(changes, slope, 0.0), ((m - m.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    r_squared = 1 - _ratio((residual**2).sum(axis=1), np.where(changes, total, 0.0))
    rx, rm = rankdata(x), rankdata(m, axis=1)
    rx, rm = rx - rx.mean(), rm - rm.mean(axis=1, keepdims=True)
    spearman = _ratio(rm @ rx, np.sqrt((rm**2).sum(axis=1) * (rx @ rx)))
    return Steerability(slope, intercept, r_squared, np.sqrt((residual**2).mean(axis=1)), spearman)


def length_auroc(length_positive: ArrayLike, length_negative: ArrayLike) -> float:
    """AUROC of the lengths in tokens, [n] and [m]: 0.5 when length says nothing about the class.

    Example:
        >>> from trimtab.statistics import length_auroc
        >>> length_auroc([5, 6], [3, 4])
        1.0
    """
    return auroc(_lengths(length_positive, "length_positive"), _lengths(length_negative, "length_negative"))


@dataclass(frozen=True, eq=False)
class LengthMatched:
    """Rows [k] of each side whose lengths balance, and the length AUROC before and after.

    The effect on them is `effects[positive].mean()` for natural pairs (both index arrays are the same), and
    `effect_positive[positive].mean() - effect_negative[negative].mean()` for unpaired texts.
    """

    positive: Ints
    negative: Ints
    auroc_before: float
    auroc_after: float


def length_matched(
    length_positive: ArrayLike,
    length_negative: ArrayLike,
    *,
    pairing: Literal["natural", "random"],
    tolerance: float = 0.10,
    seed: int = 0,
) -> LengthMatched:
    """A subset of rows in which the two classes are about equally long.

    Args:
        length_positive, length_negative: lengths in tokens, [n] and [m], at least 1.
        pairing: `natural` keeps the pairs whose lengths differ by at most `tolerance` of the longer, or by one token.
            `random` puts texts into bins of relative width `tolerance` and keeps equally many of both sides per bin.
        tolerance: relative difference in length, above 0. What imbalance it leaves shows in `auroc_after`.
        seed: draws the texts to keep from a bin; unused for natural pairs.

    Raises:
        InputError: lengths below 1, natural pairs of unequal number, or no pair within the tolerance.

    Example:
        >>> from trimtab.statistics import length_matched
        >>> matched = length_matched([10, 20, 30], [10, 35, 31], pairing="natural")
        >>> matched.positive.tolist(), matched.auroc_after
        ([0, 2], 0.375)
    """
    a, b = _lengths(length_positive, "length_positive"), _lengths(length_negative, "length_negative")
    if not tolerance > 0:
        raise InputError(f"tolerance is {tolerance}; give a share above 0, such as 0.1")
    if pairing == "natural":
        _same_length(length_positive=a, length_negative=b)
        keep = np.flatnonzero(np.abs(a - b) <= np.maximum(1.0, tolerance * np.maximum(a, b)))
        rows = keep, keep
    else:
        rows = _matched_bins(a, b, tolerance, np.random.default_rng(seed))
    if not len(rows[0]):
        raise InputError(
            Phrase("no pair of texts is of similar length; widen the tolerance or report it as not measured")
        )
    return LengthMatched(*rows, auroc(a, b), auroc(a[rows[0]], b[rows[1]]))


def _matched_bins(a: Floats, b: Floats, tolerance: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    bin_a, bin_b = (np.floor(np.log(lengths) / np.log1p(tolerance)) for lengths in (a, b))
    kept: tuple[list[int], list[int]] = ([], [])
    for common in np.intersect1d(bin_a, bin_b):
        members = [rng.permutation(np.flatnonzero(bins == common)) for bins in (bin_a, bin_b)]
        count = min(map(len, members))
        for side, rows in zip(kept, members, strict=True):
            side.extend(rows[:count].tolist())
    return np.sort(np.array(kept[0], dtype=np.int64)), np.sort(np.array(kept[1], dtype=np.int64))


def _lengths(values: ArrayLike, name: str) -> Floats:
    lengths = as_vector(values, name)
    if lengths.min() < 1:
        raise InputError(f"{name}: row {int(lengths.argmin())} has a length below 1 token; drop empty texts")
    return lengths


def _same_length(**arrays: ArrayLike) -> list[Floats]:
    vectors = [as_vector(values, name) for name, values in arrays.items()]
    if len({len(v) for v in vectors}) > 1:
        sizes = ", ".join(f"{name} {len(v)}" for name, v in zip(arrays, vectors, strict=True))
        raise InputError(f"rows must be the same examples and so of the same length: {sizes}")
    return vectors


def _check_noise(noise: float) -> None:
    if not (np.isfinite(noise) and noise >= 0):
        raise InputError(f"noise is {noise}; give the measured numerical noise of an effect, finite and at least 0")


def _ratio(over: Floats, under: Floats) -> Floats:
    """Quotient, NaN where the denominator is 0."""
    return np.divide(over, under, out=np.full_like(over, np.nan), where=under > 0)
