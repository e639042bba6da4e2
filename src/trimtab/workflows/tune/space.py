"""What is searched: which steering, how far each gate opens, and how strong each attribute is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.results.figures import Record


class Point(Record):
    """One choice of everything.

    Args:
        candidate: number of the steering, from 0.
        gates: by attribute, what is added to the log-odds that its gate opens.
        factors: by attribute, its strength over its default.
    """

    candidate: int
    gates: tuple[float, ...]
    factors: tuple[float, ...]


@dataclass(frozen=True)
class Space:
    """All choices.

    Args:
        n_candidates: steerings to choose from.
        n_attributes: of each of them.
        max_factor: largest strength, over the default; the smallest is 0.
        gates: to choose from for each attribute; one alone is not searched.

    Example:
        >>> from trimtab.workflows.tune.space import Space
        >>> space = Space(n_candidates=2, n_attributes=3, max_factor=2.0)
        >>> space.dimensions, space.start.factors
        (4, (1.0, 1.0, 1.0))
    """

    n_candidates: int
    n_attributes: int
    max_factor: float
    gates: tuple[float, ...] = (0.0,)

    @property
    def start(self) -> Point:
        """The first steering as it came; its gates too, where that is among the choices."""
        gate = 0.0 if 0.0 in self.gates else self.gates[0]
        factor = min(1.0, self.max_factor)
        return Point(candidate=0, gates=(gate,) * self.n_attributes, factors=(factor,) * self.n_attributes)

    @property
    def dimensions(self) -> int:
        """Numbers that a choice takes."""
        return self.n_attributes * (1 + (len(self.gates) > 1)) + (self.n_candidates > 1)

    def at(self, unit: NDArray[np.float64]) -> Point:
        """The choice at a point of the unit cube, `[dimensions]`: factors, then gates, then the candidate."""
        n = self.n_attributes
        factors = tuple((self.max_factor * unit[:n]).tolist())
        gates = (self.gates[0],) * n
        if len(self.gates) > 1:
            gates = tuple(self.gates[_among(x, len(self.gates))] for x in unit[n : 2 * n])
        candidate = _among(unit[-1], self.n_candidates) if self.n_candidates > 1 else 0
        return Point(candidate=candidate, gates=gates, factors=factors)


def _among(x: float, n: int) -> int:
    return min(int(x * n), n - 1)
