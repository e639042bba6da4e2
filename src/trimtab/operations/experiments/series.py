"""One metric of a release, read on from where it was read last, as arrays of units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.reading import OutcomeReader
from trimtab.operations.outcomes.values import Floats, Position, UnitSums, Values


@dataclass(frozen=True, eq=False)
class ArmUnits:
    """The units of one arm, in the order of their hashes.

    Args:
        total: sum of a unit's values (of a ratio the numerator's), `[n]`.
        below: what it is divided by: its requests, or the denominator's sum, `[n]`.
        requests: with a value, of all units.
        firsts: value of each unit's first request, in the order in which they came, `[m]`; empty where values may
            still change.
    """

    total: Floats
    below: Floats
    requests: int
    firsts: Sequence[float]


class Series:
    """What a release's metric comes to, brought up to date by `read`.

    Args:
        reader: of the release.
        metric: as the release froze it.
    """

    def __init__(self, reader: OutcomeReader, metric: Metric) -> None:
        self.metric = metric
        self._reader = reader
        self._sums: UnitSums | None = None
        self._seen: set[tuple[str, bool]] = set()
        self._firsts: dict[bool, list[float]] = {False: [], True: []}

    @property
    def position(self) -> Position:
        """From which the next reading goes on."""
        return Position() if self._sums is None else self._sums.position

    @property
    def left_out(self) -> dict[str, int]:
        """How many values were not counted, by reason."""
        return {} if self._sums is None else dict(self._sums.left_out)

    def read(self, until: Position | None = None) -> None:
        """Read what is new, up to a position; by default all.

        Raises:
            TrimtabError: the store cannot be read.
        """
        if self.metric.kind == "ratio":
            new = self._reader.sums(self.metric.name, self.position, until)
        else:
            values = self._reader.values(self.metric.name, self.position, until)
            new = values.sums()
            if self.metric.is_final:
                self._note(values)
        self._sums = new if self._sums is None else self._sums + new

    def arm(self, treated: bool) -> ArmUnits:
        """The units of an arm that have a value. One that went over to treatment has a part in both arms."""
        if self._sums is None:
            return ArmUnits(np.zeros(0), np.zeros(0), 0, [])
        rows = (self._sums.treated == treated) & ((self._sums.n > 0) | (self._sums.denominator > 0))
        total, below, n = (column[rows] for column in (self._sums.total, self._sums.denominator, self._sums.n))
        return ArmUnits(total, below, int(n.sum()), self._firsts[treated])

    def _note(self, values: Values) -> None:
        for unit, treated, value in zip(values.unit, values.treated, values.value, strict=True):
            key = (str(unit), bool(treated))
            if key not in self._seen:
                self._seen.add(key)
                self._firsts[key[1]].append(float(value))
