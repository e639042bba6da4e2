"""Predicting how well steering works from the geometry of a behavior: three linear models, and their scores.

Features enter standardised. A logistic line gives the probability of a success, two others the mean effect and the
logit of the anti-steerable share, each ± a fixed half width. `calibration.py` fits them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.statistics.inputs import Floats, as_vector
from trimtab.statistics.intervals import Interval

MAX_FEATURES = 3
EDGE = 0.005  # shares are clipped to this distance from 0 and 1, where their logit is infinite
_FILED = {"extra": "forbid", "allow_inf_nan": False}  # for pydantic, which reads these from files


@dataclass(frozen=True)
class Line:
    """Intercept and slopes, [1 + k], and the half width of the prediction interval; a probability has none."""

    __pydantic_config__ = _FILED

    coefficients: tuple[float, ...]
    half: float | None = None


@dataclass(frozen=True)
class Expected:
    """What to expect: probability of a success, effect, anti-steerable share, and where it lies outside of the fit."""

    probability: float
    effect: Interval
    anti_steerable: Interval
    outside: tuple[Phrase, ...]


@dataclass(frozen=True)
class Predictor:
    """The fitted models; `fit` makes them.

    Args:
        features: names of the k features.
        mean, scale: of the features, [k]; they enter as (value − mean)/scale.
        low, high: their range in the fit, [k].
        precision: inverse of the standardised features' correlations, [k, k].
        distance: Mahalanobis distance from the mean within which 99 % of the fitted cells lie.
        success: the line of the log-odds.
        effect, anti: the lines of the effect, in its unit, and of the logit of the anti-steerable share.

    Raises:
        InputError: parts that do not belong together, which a file may hold.
    """

    __pydantic_config__ = _FILED

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    distance: float
    success: Line
    effect: Line
    anti: Line

    def __post_init__(self) -> None:
        k = len(self.features)
        if not 1 <= k <= MAX_FEATURES or len(set(self.features)) < k:
            raise InputError(f"features: {list(self.features)}; a predictor has 1 to {MAX_FEATURES} different ones")
        sizes = {name: len(getattr(self, name)) for name in ("mean", "scale", "low", "high", "precision")}
        sizes |= {name: len(getattr(self, name).coefficients) - 1 for name in ("success", "effect", "anti")}
        sizes |= {f"precision, row {i}": len(row) for i, row in enumerate(self.precision)}
        for name, size in sizes.items():
            if size != k:
                raise InputError(f"{name}: made for {size} features; this predictor has {k}")
        halves = self.effect.half, self.anti.half
        if not all(s > 0 for s in (*self.scale, self.distance)) or any(h is None or h < 0 for h in halves):
            raise InputError("scale, distance and half widths: one of them is missing or below 0")

    def expect(self, values: Mapping[str, float]) -> Expected:
        """What to expect of a cell with these `values` of all features; others, or NaN, are an `InputError`."""
        if not set(self.features) <= set(values):
            raise InputError(f"values: of {sorted(values)}; the predictor needs {sorted(self.features)}")
        x = as_vector([values[name] for name in self.features], "values")
        row = (x - np.array(self.mean)) / np.array(self.scale)
        odds, effect, anti = (_at(line, row) for line in (self.success, self.effect, self.anti))
        share, low, high = (float(expit(end)) for end in (anti.value, anti.low, anti.high))
        ends = low if low > EDGE else 0.0, high if high < 1 - EDGE else 1.0
        return Expected(float(expit(odds.value)), effect, Interval(share, *ends), tuple(self._outside(x, row)))

    def _outside(self, x: Floats, row: Floats) -> Iterator[Phrase]:
        for name, value, low, high in zip(self.features, x, self.low, self.high, strict=True):
            if not low <= value <= high:
                shown, lower, upper = (decimals(x, ".3g") for x in (value, low, high))
                if value < low:
                    yield Phrase(
                        "{feature} {figure} is below the fitted range, {low} to {high}",
                        feature=name, figure=shown, low=lower, high=upper,
                    )  # fmt: skip
                else:
                    yield Phrase(
                        "{feature} {figure} is above the fitted range, {low} to {high}",
                        feature=name, figure=shown, low=lower, high=upper,
                    )  # fmt: skip
        far = float(np.sqrt(max(row @ np.array(self.precision) @ row, 0.0)))
        if far > self.distance:
            yield Phrase(
                "{features} together lie {far} standard deviations from the mean of the fit, where 99 % of its cells "
                "lie within {distance}",
                features=with_commas(self.features), far=f"{far:.2g}", distance=f"{self.distance:.2g}",
            )  # fmt: skip


@dataclass(frozen=True)
class Bin:
    """`n` cells of about the same predicted probability: its mean, and their share of successes over families."""

    __pydantic_config__ = _FILED

    predicted: float
    observed: Interval
    n: int


@dataclass(frozen=True)
class PredictionScores:
    """How well the models predicted families that they were not fitted to.

    Args:
        cells, families, successes: how many.
        auroc: area under the ROC curve of the probabilities; interval over families (outer ends of resampled families
            and of the delete-one-family jackknife), the fits held fixed.
        brier: mean square of probability − outcome.
        brier_base: that of the share of successes in the other families.
        gain: brier_base − brier, with its interval over families: above 0, the features help.
        effect_r2, anti_steerable_r2: 1 − squared error of the line / that of the other families' mean; on the logit
            for shares.
        bins: cells in up to five parts of one size, from low to high probability.
    """

    __pydantic_config__ = _FILED

    cells: int
    families: int
    successes: int
    auroc: Interval
    brier: float
    brier_base: float
    gain: Interval
    effect_r2: float
    anti_steerable_r2: float
    bins: tuple[Bin, ...]


def _at(line: Line, row: Floats) -> Interval:
    value, half = float(line.coefficients[0] + row @ np.array(line.coefficients[1:])), line.half or 0.0
    return Interval(value, value - half, value + half)
