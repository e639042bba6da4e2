"""The strength at which steerings do the same damage, so that what they do besides can be compared."""

from dataclasses import dataclass, field
from math import sqrt

MAX_FACTOR = 64.0


@dataclass
class Search:
    """Looks for the factor at which a damage that grows with it is the target.

    Divergence grows with the square of small edits, so that is the guess; it is kept between the factors that were too
    small and too large.

    Args:
        target: the damage.
        near: how far off is near enough, as a share of the target.
        factor: to be tried next.
    """

    target: float
    near: float
    factor: float = 1.0
    low: float = field(default=0.0, init=False)
    high: float = field(default=MAX_FACTOR, init=False)

    def report(self, result: float) -> bool:
        """The damage at the factor; True if it is near enough, else there is another factor to try."""
        if abs(result - self.target) < self.near * self.target:
            return True
        self.low, self.high = (self.factor, self.high) if result < self.target else (self.low, self.factor)
        guess = self.factor * sqrt(self.target / max(result, 1e-6))
        inside = self.low * 1.02 < guess < self.high * 0.98
        self.factor = min(guess, 4 * self.factor) if inside else sqrt(max(self.low, self.high / 16) * self.high)
        return False
