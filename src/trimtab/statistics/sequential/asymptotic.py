"""Asymptotic confidence sequences: intervals around an estimate that hold at all looks together.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(Annals of Statistics 2024): the interval of a normal mixture (Robbins 1970) with the estimated standard error. Assumed:
independent units with a finite variance (a little more than two moments). The level is exact only in the limit of a
late first look; `start` is that first look, and docs/results/live.md says what finite samples do.
"""

from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Literal

import numpy as np
from scipy.special import lambertw, log_ndtr, ndtri

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats
from trimtab.statistics.intervals import Interval
from trimtab.statistics.sequential.estimates import Estimate
from trimtab.statistics.sequential.moments import Real

Side = Literal["both", "lower", "upper"]
"""Which ends are finite: both; the lower one (is it more than …?); the upper one (is it less than …?)."""


def check_alpha(alpha: float) -> float:
    """The error rate, or an `InputError` where it is none."""
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}; give a rate between 0 and 1, such as 0.05", field="alpha")
    return alpha


def check_side(side: str) -> None:
    """Raise for an unknown side."""
    if side not in ("both", "lower", "upper"):
        raise InputError(f"side {side!r}: give both, lower or upper", code="unknown-choice", field="side")


def mixture_rate(alpha: float, target: float) -> float:
    """ρ² of the normal mixture whose two-sided boundary is nearest to 0 after `target` units.

    The exact minimum, ρ² · target = −W₋₁(−α²/e) − 1 (Waudby-Smith et al. 2024, appendix on tuning).
    """
    if not (np.isfinite(target) and target >= 1):
        raise InputError(f"target is {target}; give the units by which a decision is wanted, at least 1",
                         code="out-of-range", field="target")  # fmt: skip
    return float(-lambertw(-(check_alpha(alpha) ** 2) / np.e, -1).real - 1) / target


@dataclass(frozen=True)
class AsymptoticSequence:
    """How a sequence is drawn; the same one for all looks of an experiment.

    Args:
        target: units (both arms together, in equal parts) at which it shall be narrowest; it is valid at every other
            number too. The size by which one wants to have decided, such as that of a test of a fixed size.
        alpha: chance that the truth is ever left out.
        side: which ends are wanted; one end alone is nearer.
        start: units of the smaller arm before which nothing is said.

    Raises:
        InputError: a number out of range.

    Example:
        >>> from trimtab.statistics.sequential import AsymptoticSequence, Moments, mean_estimate
        >>> sequence = AsymptoticSequence(target=1000)
        >>> found = sequence.interval(mean_estimate(Moments(1000, 0.5, 999.0)))  # a standard error of 0.032
        >>> round(found.low, 2), round(found.high, 2)
        (0.4, 0.6)
    """

    target: float
    alpha: float = 0.05
    side: Side = "both"
    start: int = 30

    def __post_init__(self) -> None:
        check_side(self.side)
        if self.start < 2:
            raise InputError(f"start is {self.start}; a spread needs 2 units", code="out-of-range", field="start")
        if self.side != "both" and check_alpha(self.alpha) >= 0.5:
            raise InputError(f"alpha is {self.alpha}; give less than 0.5 for one end", field="alpha")
        _ = self.rate

    @cached_property
    def rate(self) -> float:
        """ρ² of the mixture."""
        return mixture_rate(self.alpha if self.side == "both" else 2 * self.alpha, self.target)

    def errors(self, units: Real) -> Floats:
        """How many standard errors the ends are away, after so many units.

        Two-sided √((1 + 1/x) log((1 + x)/α²)) with x = ρ² · units (their Gaussian mixture), one-sided
        √(2 (1 + 1/x) log(1 + √(1 + x)/2α)) (their one-sided version).
        """
        x = self.rate * np.maximum(np.asarray(units, dtype=np.float64), 1e-12)
        if self.side == "both":
            return np.sqrt((1 + 1 / x) * np.log((1 + x) / self.alpha**2))
        return np.sqrt(2 * (1 + 1 / x) * np.log1p(np.sqrt(1 + x) / (2 * self.alpha)))

    def ends(self, estimate: Estimate) -> tuple[Floats, Floats]:
        """Lower and upper ends, of the shape of the estimate; infinite before the start and without any spread."""
        says = self._says(estimate)
        value = np.where(says, estimate.value, 0.0)
        half = np.where(says, self.errors(estimate.units) * estimate.error, np.inf)
        away = np.full_like(half, np.inf)
        return value - (away if self.side == "upper" else half), value + (away if self.side == "lower" else half)

    def interval(self, estimate: Estimate) -> Interval:
        """The interval of one estimate."""
        low, high = self.ends(estimate)
        return Interval(float(estimate.value), float(low), float(high))

    def log_e_value(self, estimate: Estimate, null: float = 0.0) -> Floats:
        """Logarithm of the evidence against a value; 0 before the start.

        Against "the value is `null`" where both ends are wanted (the normal mixture), against "at most" for the lower
        end and "at least" for the upper one (the half-normal mixture, Howard et al. 2021). Valid in the same asymptotic
        sense.

        Args:
            estimate: see `interval`.
            null: in the metric's units.
        """
        says = self._says(estimate)
        z = np.where(says, (estimate.value - null) / np.where(says, estimate.error, 1.0), 0.0)
        x = self.rate * np.asarray(estimate.units, dtype=np.float64)
        moved = z * np.sqrt(x / (1 + x)) * (-1 if self.side == "upper" else 1)
        found = moved**2 / 2 - np.log1p(x) / 2
        if self.side != "both":
            found = found + log(2) + log_ndtr(moved)
        return np.where(says, found, 0.0)

    def _says(self, estimate: Estimate) -> Floats:
        return np.asarray((np.asarray(estimate.smallest) >= self.start) & (np.asarray(estimate.error) > 0))


def fixed_size(effect: float, sd: float, alpha: float = 0.05, power: float = 0.8, *, sides: int = 2) -> float:
    """Units of both arms together that one look at a fixed size needs; a good `target` of a sequence.

    The textbook 4 σ² (z₁₋ₐ + z_power)²/effect² of two arms of equal size.

    Args:
        effect: difference to be found, not 0, in the units of `sd`.
        sd: of a unit's value in either arm.
        alpha, power: error rate (of all `sides` together), and the chance to find the effect.
        sides: 1 or 2.

    Example:
        >>> from trimtab.statistics.sequential import fixed_size
        >>> round(fixed_size(effect=0.1, sd=1.0))
        3140
    """
    if effect == 0 or not sd > 0 or not 0 < power < 1 or sides not in (1, 2):
        raise InputError(f"effect {effect}, sd {sd}, power {power}, sides {sides}: give an effect, a spread, a chance")
    z = float(ndtri(1 - check_alpha(alpha) / sides) + ndtri(power))
    return 4 * (sd * z / effect) ** 2
