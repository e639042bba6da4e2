"""One metric of a release, read on from where it was read last, as arrays of units."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.past import Past
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
        past: mean of the metric over each unit's requests before the release began, `[n]`, not a number for a unit
            without any; None where the metric is not adjusted.
    """

    total: Floats
    below: Floats
    requests: int
    firsts: Sequence[float]
    past: Floats | None = None


class Series:
    """What a release's metric comes to, brought up to date by `read`.

    Args:
        reader: of the release.
        metric: as the release froze it.
        past: of its units, where the metric is adjusted by it.
    """

    def __init__(self, reader: OutcomeReader, metric: Metric, past: Past | None = None) -> None:
        self.metric = metric
        self._reader, self._past = reader, past
        self._past_of: dict[str, float] = {}  # not a number for a unit without a past
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
        if self._past is not None:
            unknown = sorted({str(unit) for unit in new.unit} - self._past_of.keys())
            self._past_of |= dict.fromkeys(unknown, nan) | self._past.of(unknown)

    def arm(self, treated: bool) -> ArmUnits:
        """The units of an arm that have a value. One that went over to treatment has a part in both arms."""
        if self._sums is None:
            return ArmUnits(np.zeros(0), np.zeros(0), 0, [])
        rows = (self._sums.treated == treated) & ((self._sums.n > 0) | (self._sums.denominator > 0))
        total, below, n = (column[rows] for column in (self._sums.total, self._sums.denominator, self._sums.n))
        past = None
        if self._past is not None:
            past = np.array([self._past_of[str(unit)] for unit in self._sums.unit[rows]], dtype=np.float64)
        return ArmUnits(total, below, int(n.sum()), self._firsts[treated], past)

    def _note(self, values: Values) -> None:
        for unit, treated, value in zip(values.unit, values.treated, values.value, strict=True):
            key = (str(unit), bool(treated))
            if key not in self._seen:
                self._seen.add(key)
                self._firsts[key[1]].append(float(value))
