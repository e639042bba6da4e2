"""One metric of a release, read on from where it was read last, as sums over the units of each arm.

A unit counts by all its requests, so that its value changes whenever it comes back, and none is ever over. What it was
is taken out of the sums and what it is put in; both are sums without rounding, so that nothing of the way is left. Of
single units those that came last are held, up to a number; what others were is read from the store again when they come
back. So memory does not grow with users, but for eight bytes each where a quantile or bets need every value.
"""

from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Final

import numpy as np
from sqlalchemy import ColumnElement

from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.past import Past
from trimtab.operations.outcomes.reading import OutcomeReader
from trimtab.operations.outcomes.rows import of_units
from trimtab.operations.outcomes.values import Floats, Position, Values
from trimtab.statistics.exact import Parts, summed
from trimtab.statistics.sequential import Moments, PairMoments, PairSums

CHUNK: Final = 50_000
"""Answers that are read at once."""
HELD: Final = 20_000
"""Units that are held by metric."""
DIFFERING: Final = 10  # units of either arm with another value than most of the arm
AT_ONCE: Final = 500
"""Units of a query."""
ANEW: Final = 4
"""What is more than a fourth of all before is not read on, but all is read anew, unit by unit."""
_VALUES: Final = 4096  # different ones that are told apart

Key = tuple[str, bool]
"""A unit, and whether it is the part of it that is treated."""


@dataclass(frozen=True, eq=False)
class ArmUnits:
    """The units of one arm with a value.

    Args:
        units: how many.
        requests: with a value, of all units.
        pairs: their moments: of what is divided and what divides it, of a ratio; else of value and past, of the units
            that have a past where the metric is adjusted by it, or 0 for it.
        without: of the values of units that have no past, where the metric is adjusted by it.
        differs: whether enough of them have another value than most.
        ordered: their values from the least on, of a quantile, `[n]`.
        firsts: value of each unit's first request, in the order in which they came, `[m]`; empty where values may
            still change, or nothing needs it.
    """

    units: int
    requests: int
    pairs: PairMoments
    without: Moments
    differs: bool
    ordered: Floats
    firsts: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What a unit is: requests with a value, the sum of its values, of a ratio that of its divisors, and its past."""

    n: int
    total: Parts
    below: Parts
    past: float

    @property
    def counts(self) -> bool:
        return self.n > 0 or (bool(self.below) and self.below[0] > 0)


_NOTHING: Final = _Unit(0, (), (), nan)


class Series:
    """What a release's metric comes to, brought up to date by `read`.

    Args:
        reader: of the release.
        metric: as the release froze it.
        past: of its units, where the metric is adjusted by it.
        firsts: whether the values of first requests are kept, as far as the server measures them.
    """

    def __init__(
        self, reader: OutcomeReader, metric: Metric, past: Past | None = None, *, firsts: bool = False
    ) -> None:
        self.metric = metric
        self._reader, self._past = reader, past
        self._firsts = firsts and metric.is_final and metric.kind != "ratio"
        self._begin()

    @property
    def position(self) -> Position:
        """From which the next reading goes on."""
        return self._position

    @property
    def left_out(self) -> dict[str, int]:
        """How many values were not counted, by reason."""
        return {reason: n for reason, n in self._left_out.items() if n}

    @property
    def held(self) -> int:
        """Units of which more than the sums is known."""
        return len(self._units)

    def read(self, until: Position | None = None) -> None:
        """Read what is new, up to a position; by default all.

        Raises:
            TrimtabError: the store cannot be read.
        """
        end = until or self._reader.end()
        new = end.exposures - self._position.exposures
        if self._position == Position() or new > max(CHUNK, self._position.exposures // ANEW):
            self._read_all(end)
        while self._position != end:
            self._read_on(Position(min(end.exposures, self._position.exposures + CHUNK), end.outcomes))

    def arm(self, treated: bool) -> ArmUnits:
        """The units of an arm. One that went over to treatment has a part in both arms."""
        return self._arms[treated].now

    def _begin(self) -> None:
        self._position, self._left_out = Position(), Counter[str]()
        self._arms = {treated: _Arm(self.metric, adjusted=self._past is not None) for treated in (False, True)}
        self._units: OrderedDict[Key, _Unit] = OrderedDict()  # those that came last, at the end

    def _read_all(self, end: Position) -> None:
        """All from the beginning, unit by unit, each once."""
        self._begin()
        firsts: dict[bool, list[tuple[int, float]]] = {False: [], True: []}
        for among in self._reader.parts(end, CHUNK):
            changed, first = self._changed(Position(), end, among, count=True)
            pasts = self._pasts({unit for unit, _ in changed})
            units = {key: _moved(_NOTHING, change, pasts.get(key[0], nan)) for key, change in changed.items()}
            self._put({}, units)
            for (_, treated), one in first.items():
                firsts[treated].append(one)
        for treated, found in firsts.items():
            self._arms[treated].firsts.extend(value for _, value in sorted(found))
        self._position = end

    def _read_on(self, step: Position) -> None:
        changed, first = self._changed(self._position, step, None, count=True)
        before = self._known(changed)
        pasts = self._pasts({unit for unit, treated in changed if (unit, treated) not in before})
        units = {}
        for key, change in changed.items():
            was = before.get(key, _NOTHING)
            units[key] = _moved(was, change, was.past if key in before else pasts.get(key[0], nan))
        self._put(before, units)
        for key, (_, value) in sorted(first.items(), key=lambda item: item[1]):
            if key not in before:
                self._arms[key[1]].firsts.append(value)
        self._position = step

    def _put(self, before: Mapping[Key, _Unit], now: Mapping[Key, _Unit]) -> None:
        """Units as they are in the place of what they were."""
        for treated, arm in self._arms.items():
            arm.remove([one for key, one in before.items() if key[1] == treated and key in now and one.counts])
            arm.add([one for key, one in now.items() if key[1] == treated and one.counts])
        for key, one in now.items():
            self._units[key] = one
            self._units.move_to_end(key)
        while len(self._units) > HELD:
            self._units.popitem(last=False)

    def _known(self, changed: Iterable[Key]) -> dict[Key, _Unit]:
        """What units were at the position; those that had no value yet are left out."""
        found = {key: self._units[key] for key in changed if key in self._units}
        others = sorted({unit for unit, treated in changed if (unit, treated) not in found})
        pasts = self._pasts(others)
        for i in range(0, len(others), AT_ONCE):
            among = of_units(others[i : i + AT_ONCE], self._reader.by_request)
            for key, change in self._changed(Position(), self._position, among, count=False)[0].items():
                found.setdefault(key, _moved(_NOTHING, change, pasts.get(key[0], nan)))
        return found

    def _pasts(self, units: Iterable[str]) -> dict[str, float]:
        return {} if self._past is None else self._past.of(sorted(units))

    def _changed(
        self, since: Position, until: Position, among: ColumnElement[bool] | None, *, count: bool
    ) -> "tuple[dict[Key, _Change], dict[Key, tuple[int, float]]]":
        """What was added since a position by unit and arm, and the exposure and value of each one's first request."""
        parts = self.metric.parts or (self.metric.name,)
        read = [self._reader.values(name, since, until, among) for name in parts]
        if count:
            for values in read:
                self._left_out.update(values.left_out)
        found: dict[Key, _Change] = {}
        for key, value, sign in _rows(read[0]):
            if (change := found.get(key)) is None:
                change = found[key] = _Change()
            change.n += sign
            change.total.append(sign * value)
        for key, value, sign in _rows(read[1]) if self.metric.parts else ():
            if (change := found.get(key)) is None:
                change = found[key] = _Change()
            change.below.append(sign * value)
        first: dict[Key, tuple[int, float]] = {}
        if self._firsts:
            for (key, value, _), number in zip(_rows(read[0]), read[0].exposure.tolist(), strict=True):
                first.setdefault(key, (number, value))
        return found, first


@dataclass(slots=True)
class _Change:
    n: int = 0
    total: list[float] = field(default_factory=list)
    below: list[float] = field(default_factory=list)  # of a ratio


def _rows(values: Values) -> Iterable[tuple[Key, float, int]]:
    units, treated = values.unit.tolist(), values.treated.tolist()
    return zip(zip(units, treated, strict=True), values.value.tolist(), values.sign.tolist(), strict=True)


def _moved(was: _Unit, change: _Change, past: float) -> _Unit:
    below = summed(was.below, change.below) if change.below else was.below
    return _Unit(was.n + change.n, summed(was.total, change.total), below, past)


class _Arm:
    """The sums of an arm."""

    def __init__(self, metric: Metric, *, adjusted: bool) -> None:
        self.firsts = array("d")
        self._metric, self._adjusted = metric, adjusted
        self._pairs, self._without = PairSums(), PairSums()
        self._units = self._requests = 0
        self._variety: Counter[float] | None = Counter()
        self._ordered = np.zeros(0)

    @property
    def now(self) -> ArmUnits:
        variety = self._variety
        differs = variety is None or variety.total() - max(variety.values(), default=0) >= DIFFERING
        return ArmUnits(
            self._units, self._requests, self._pairs.moments, self._without.moments.y, differs, self._ordered,
            self.firsts,
        )  # fmt: skip

    def add(self, units: Sequence[_Unit]) -> None:
        self._take(units, 1)

    def remove(self, units: Sequence[_Unit]) -> None:
        self._take(units, -1)

    def _take(self, units: Sequence[_Unit], sign: int) -> None:
        if not units:
            return
        metric = self._metric
        self._units += sign * len(units)
        self._requests += sign * sum(one.n for one in units)
        n, total = np.array([float(one.n) for one in units]), _rounded([one.total for one in units])
        if is_ratio(metric):
            below = _rounded([one.below for one in units]) if metric.parts else n
            self._sum(self._pairs, total, below, sign)
            self._vary(total, sign)
            return
        value = total / n
        self._vary(value, sign)
        if metric.kind == "quantile":
            places = np.searchsorted(self._ordered, np.sort(value))
            if sign > 0:
                self._ordered = np.insert(self._ordered, places, np.sort(value))
            else:
                self._ordered = np.delete(self._ordered, _each(places, np.sort(value)))
            return
        past = np.array([one.past for one in units])
        known = ~np.isnan(past) if self._adjusted else np.ones(len(units), dtype=np.bool_)
        self._sum(self._pairs, value[known], past[known] if self._adjusted else np.zeros(len(units)), sign)
        self._sum(self._without, value[~known], np.zeros(int((~known).sum())), sign)

    def _sum(self, sums: PairSums, y: Floats, x: Floats, sign: int) -> None:
        (sums.add if sign > 0 else sums.remove)(y, x)

    def _vary(self, values: Floats, sign: int) -> None:
        """Count values apart, until there are so many that enough of them differ for good."""
        if self._variety is None:
            return
        rounded = np.round(values, 9).tolist()  # what differs by rounding alone is the same
        (self._variety.update if sign > 0 else self._variety.subtract)(rounded)
        self._variety = +self._variety if len(self._variety) <= _VALUES else None


def _rounded(sums: Sequence[Parts]) -> Floats:
    return np.array([parts[0] if parts else 0.0 for parts in sums])


def _each(places: "np.ndarray[tuple[int], np.dtype[np.int64]]", values: Floats) -> "list[int]":
    """Places of values in an ordered array, each of equal ones its own."""
    again = np.concatenate([[False], values[1:] == values[:-1]])
    offsets, run = [], 0
    for same in again:
        run = run + 1 if same else 0
        offsets.append(run)
    return [int(place) + offset for place, offset in zip(places, offsets, strict=True)]


def is_ratio(metric: Metric) -> bool:
    """Of sums over units, as a mean over requests is too: the requests of a unit belong together."""
    return metric.kind == "ratio" or (metric.kind == "mean" and metric.per == "request")
