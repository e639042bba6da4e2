"""Fitting a predictor to the cells of a study, and how well it predicts families that it was not fitted to.

Logistic regression (scikit-learn's ridge penalty, C = 1) for success, least squares for the mean effect and the logit
of the anti-steerable share. Behaviors of one family are near copies, so every score comes from models
fitted without a family and tried on it. The half width of a prediction interval is the 95 % quantile of such
left-out errors (Barber et al. 2021), every family weighing the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike as Array
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss

from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.statistics.associations import family_codes, family_mean
from trimtab.statistics.inputs import Floats, Ints, as_vector
from trimtab.statistics.intervals import Interval, jackknife_interval, share_interval, wilson
from trimtab.statistics.jackknife import cluster_sums
from trimtab.statistics.prediction import EDGE, Bin, Line, PredictionScores, Predictor

MIN_CELLS, MIN_FAMILIES = 20, 5
_LEVEL, _WITHIN = 0.95, 0.99  # of prediction intervals; of the cells that count as near
_BINS, _RESAMPLES = 5, 2000


@dataclass(frozen=True, eq=False)
class Cells:
    """What a predictor is fitted to: n cells, all of one unit.

    Args:
        features: columns [n] by name.
        success: whether steering held, [n] of 0 and 1.
        effect: mean effect, [n].
        anti: anti-steerable share, 0 to 1, [n].
        families: family of each cell, [n].

    Raises:
        InputError: columns of other lengths or with NaN; under 20 cells or 5 families; outcomes of one kind only.
    """

    features: Mapping[str, Array]
    success: Array
    effect: Array
    anti: Array
    families: Array

    def __post_init__(self) -> None:
        y = as_vector(self.success, "success")
        if len(y) < MIN_CELLS:
            raise InputError(Phrase("{n} cells; a fit needs {least} at least", n=len(y), least=MIN_CELLS))
        if set(y.tolist()) != {0.0, 1.0}:
            raise InputError(Phrase("all outcomes are of one kind; a fit needs successes and failures"))
        if not self.features:
            raise InputError("features: none; give at least one")
        for name, column in {**self.features, "effect": self.effect, "anti": self.anti}.items():
            if len(as_vector(column, name)) != len(y):
                raise InputError(f"{name}: {len(as_vector(column, name))} values for {len(y)} cells; give one for each")
        shares = as_vector(self.anti, "anti")
        if ((shares < 0) | (shares > 1)).any():
            raise InputError("anti: values outside of 0…1; give shares, not per cent")
        for name, x in zip(self.features, self.x.T, strict=True):
            if (x == x[0]).all():
                raise InputError(f"{name}: the same in all cells, so it predicts nothing; leave it out")

    @cached_property
    def x(self) -> Floats:
        """Features, [n, k]."""
        return np.stack([as_vector(column, name) for name, column in self.features.items()], axis=1)

    @cached_property
    def y(self) -> Floats:
        """Outcomes, [n]."""
        return as_vector(self.success, "success")

    @cached_property
    def lines(self) -> tuple[Floats, Floats]:
        """What the two lines are fitted to: the effect, and the logit of the anti-steerable share; [n] each."""
        return as_vector(self.effect, "effect"), logit(np.clip(as_vector(self.anti, "anti"), EDGE, 1 - EDGE))

    @cached_property
    def code(self) -> Ints:
        """Families as 0…F − 1, [n]."""
        return family_codes(self.families, len(self.y), MIN_FAMILIES)

    @cached_property
    def left_out(self) -> "HeldOutPredictions":
        """What models without a cell's family say of it."""
        return _left_out(self)

    def with_features(self, names: Sequence[str]) -> "Cells":
        """The same with some of the features only."""
        return Cells({n: self.features[n] for n in names}, self.success, self.effect, self.anti, self.families)


def fit(cells: Cells) -> Predictor:
    """The models fitted to all cells.

    Raises:
        InputError: more than three features, or features that determine each other.
    """
    x = cells.x
    mean, scale = x.mean(axis=0), x.std(axis=0, ddof=1)
    z = (x - mean) / scale
    related = np.atleast_2d(np.corrcoef(z, rowvar=False))
    if np.linalg.matrix_rank(related, tol=1e-6) < len(related):
        raise InputError(f"features: {list(cells.features)} determine each other; leave one out")
    precision = np.linalg.inv(related)
    far = np.sqrt(np.einsum("ni,ij,nj->n", z, precision, z))
    logistic = LogisticRegression().fit(z, cells.y)
    left_out = cells.left_out
    weights = 1 / np.bincount(cells.code)[cells.code]
    lines = []
    for target, without in zip(cells.lines, (left_out.effect, left_out.anti), strict=True):
        line = LinearRegression().fit(z, target)
        lines.append(Line(_row([line.intercept_, *line.coef_]), _upper(np.abs(target - without), weights, _LEVEL)))
    return Predictor(
        features=tuple(cells.features),
        mean=_row(mean),
        scale=_row(scale),
        low=_row(x.min(axis=0)),
        high=_row(x.max(axis=0)),
        precision=tuple(map(_row, precision)),
        distance=_upper(far, np.ones(len(far)), _WITHIN),
        success=Line(_row([*logistic.intercept_, *logistic.coef_[0]])),
        effect=lines[0],
        anti=lines[1],
    )


def left_out_scores(cells: Cells, among: NDArray[np.bool_] | None = None, *, seed: int) -> PredictionScores:
    """How well models fitted without a family predict it.

    Args:
        cells: all that models are fitted to.
        among: the cells that count, [n]; the others, such as controls, are fitted to and not scored. None: all.
        seed: of the resamples.

    Raises:
        InputError: outcomes of one kind, or fewer than five families, among those that count.
    """
    left_out, y, code, labels = cells.left_out, cells.y, cells.code, np.asarray(cells.families)
    count = np.ones(len(y), dtype=bool) if among is None else among
    y, code, labels, p = (
        y[count],
        family_codes(labels[count], int(count.sum()), MIN_FAMILIES),
        labels[count],
        left_out.p[count],
    )
    if len(set(y.tolist())) < 2:
        raise InputError(
            Phrase("all outcomes among the cells that count are of one kind; scores need successes and failures")
        )
    base = _base(y, code)
    targets = zip(cells.lines, (left_out.effect, left_out.anti), strict=True)
    effect_r2, anti_r2 = (_r2(target[count], without[count], code) for target, without in targets)
    order = np.argsort(p, kind="stable")
    return PredictionScores(
        cells=len(y),
        families=int(code.max()) + 1,
        successes=int(y.sum()),
        auroc=_auroc(p, y, code, seed),
        brier=float(brier_score_loss(y, p)),
        brier_base=float(brier_score_loss(y, base)),
        gain=family_mean((base - y) ** 2 - (p - y) ** 2, labels, seed=seed),
        effect_r2=effect_r2,
        anti_steerable_r2=anti_r2,
        bins=tuple(_bin(p[some], y[some], code[some]) for some in np.array_split(order, _BINS)),
    )


def single_scores(cells: Cells, among: NDArray[np.bool_] | None = None, *, seed: int) -> dict[str, PredictionScores]:
    """`left_out_scores` of each feature alone, the highest AUROC first."""
    scores = {name: left_out_scores(cells.with_features([name]), among, seed=seed) for name in cells.features}
    return dict(sorted(scores.items(), key=lambda item: -item[1].auroc.value))


@dataclass(frozen=True, eq=False)
class HeldOutPredictions:
    """What models without a cell's family say of it: probability, effect, logit of the share; [n] each."""

    p: Floats
    effect: Floats
    anti: Floats


def _left_out(cells: Cells) -> HeldOutPredictions:
    x, y, code = cells.x, cells.y, cells.code
    p, effect, anti = np.empty((3, len(y)))
    for f in range(int(code.max()) + 1):
        kept, out = code != f, code == f
        scale = x[kept].std(axis=0, ddof=1)
        if len(set(y[kept].tolist())) < 2 or not (scale > 0).all():
            name = str(np.asarray(cells.families)[out][0])
            raise InputError(f"without family {name!r} all outcomes, or all values of a feature, are the same")
        z = (x - x[kept].mean(axis=0)) / scale
        p[out] = LogisticRegression().fit(z[kept], y[kept]).predict_proba(z[out])[:, 1]
        for target, predictions in zip(cells.lines, (effect, anti), strict=True):
            predictions[out] = LinearRegression().fit(z[kept], target[kept]).predict(z[out])
    return HeldOutPredictions(p, effect, anti)


def _base(values: Floats, code: Ints) -> Floats:
    """Mean of the other families' values, for each cell, [n]."""
    sums, sizes = cluster_sums(values, code), np.bincount(code)
    return np.asarray(((values.sum() - sums) / (len(values) - sizes))[code])


def _r2(target: Floats, predicted: Floats, code: Ints) -> float:
    return float(1 - ((target - predicted) ** 2).sum() / ((target - _base(target, code)) ** 2).sum())


def _auroc(p: Floats, y: Floats, code: Ints, seed: int) -> Interval:
    """Share of pairs of a success and a failure that are ranked right, ties half; pairs counted by their families."""
    n, success = int(code.max()) + 1, y == 1
    right = (p[success][:, None] > p[~success]) + 0.5 * (p[success][:, None] == p[~success])
    wins = cluster_sums(cluster_sums(right, code[success], n).T, code[~success], n).T  # [F, F]
    sizes = [np.bincount(code[side], minlength=n) for side in (success, ~success)]

    def areas(weights: Floats) -> Floats:
        pairs = (weights @ sizes[0]) * (weights @ sizes[1])
        ranked_right = ((weights @ wins) * weights).sum(axis=1)
        return np.asarray(ranked_right[pairs > 0] / pairs[pairs > 0])  # without one of the outcomes there is no area

    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(np.float64)
    value = float(areas(np.ones((1, n)))[0])
    low, high = np.quantile(areas(draws), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    jackknife = jackknife_interval(value, areas(1.0 - np.eye(n)), level=_LEVEL)
    return Interval(value, max(0.0, min(float(low), jackknife.low)), min(1.0, max(float(high), jackknife.high)))


def _bin(p: Floats, y: Floats, code: Ints) -> Bin:
    alone = len(set(code.tolist())) == 1  # one family is one observation
    observed = wilson(float(y.mean()), 1) if alone else share_interval(y, code)
    return Bin(float(p.mean()), observed, len(y))


def _upper(values: Floats, weights: Floats, level: float) -> float:
    """The least of `values` [n] with level · (n + 1)/n of the weight up to it, or the largest."""
    order = np.argsort(values)
    at = np.searchsorted(np.cumsum(weights[order]) / weights.sum(), level * (1 + 1 / len(values)) - 1e-12)
    return float(values[order[min(int(at), len(values) - 1)]])


def _row(values: Array) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=np.float64).tolist())
