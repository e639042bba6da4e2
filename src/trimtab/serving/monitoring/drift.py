"""Drift: live figures of steered answers, one value a unit, against references from before."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from trimtab.statistics.sequential import DriftTest, population_stability

Reference = Literal["first answers", "check"]
FIRST: Final = 200
"""Units that make a reference."""
_UNITS: Final = 100_000  # that are remembered


class Units:
    """Who has been counted: the values of one unit depend on each other, so that its first one counts alone."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def new(self, what: str, unit: str | None) -> bool:
        """Whether a unit comes for the first time; without a name each does."""
        if unit is None:
            return True
        if (what, unit) in self._seen:
            self._seen.move_to_end((what, unit))
            return False
        self._seen[what, unit] = None
        if len(self._seen) > _UNITS:
            self._seen.popitem(last=False)
        return True


@dataclass
class Stream:
    """One figure against one reference.

    Args:
        reference: what it is.
        alpha: chance of a false alarm over the whole stream.
        values: of the reference, as far as they are there.
        needed: how many make one; 0 where it is complete.
        waiting: values of further units, which are not tested yet.
    """

    reference: Reference
    alpha: float
    values: list[float] = field(default_factory=list)
    needed: int = 0
    test: DriftTest | None = None
    waiting: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.needed:
            self.test = DriftTest(self.values, self.alpha)

    def settle(self) -> bool:
        """Test what waits, all at once: that costs no more than testing one; whether it raised the alarm."""
        waiting, self.waiting = self.waiting, []
        if self.test is None:
            missing = self.needed - len(self.values)
            self.values += waiting[:missing]
            if len(self.values) < self.needed:
                return False
            self.test, waiting = DriftTest(self.values, self.alpha), waiting[missing:]
        before = self.test.alarm
        self.test.add_many(waiting)
        return self.test.alarm and not before

    @property
    def record(self) -> dict[str, Any]:
        """As plain values; the index only describes, the test decides."""
        test = self.test
        if test is None:
            return {"reference": self.reference, "n_reference": len(self.values), "n": 0, "alarm": False,
                    "p_value": None, "stability_index": None}  # fmt: skip
        index = population_stability(test.expected, test.counts) if test.n else None
        return {"reference": self.reference, "n_reference": len(self.values), "n": test.n, "alarm": test.alarm,
                "p_value": test.p_value, "stability_index": index}  # fmt: skip


class Drift:
    """All streams of a server.

    The j-th stream that begins gets α/(j(j + 1)) of the chance α of any false alarm.

    Args:
        alpha: chance of any false alarm.
        first: units that make the reference of first answers.
    """

    def __init__(self, alpha: float, first: int = FIRST) -> None:
        self._alpha, self._first = alpha, first
        self.streams: dict[tuple[str, str, Reference], Stream] = {}
        self._before: dict[tuple[str, str], list[float]] = {}

    def refer(self, what: str, figure: str, values: list[float]) -> None:
        """Give the check's values of a figure; a second time changes nothing."""
        if (what, figure, "check") not in self.streams:
            before = self._before.pop((what, figure), [])
            self.streams[what, figure, "check"] = Stream("check", self._next(), values, waiting=before)

    def add(self, what: str, figure: str, value: float) -> None:
        """A unit's value, which waits until `settle`."""
        key: tuple[str, str, Reference] = (what, figure, "first answers")
        if key not in self.streams:
            self.streams[key] = Stream("first answers", self._next(), needed=self._first)
        references: tuple[Reference, ...] = ("first answers", "check")
        for reference in references:
            if (stream := self.streams.get((what, figure, reference))) is not None:
                stream.waiting.append(value)

    def read_back(self, what: str, figure: str, value: float) -> None:
        """A unit's value from before a restart: it waits, and for the check's values too, should they be given."""
        self.add(what, figure, value)
        if (what, figure, "check") not in self.streams:
            self._before.setdefault((what, figure), []).append(value)

    def settle(self) -> list[tuple[str, str, Stream]]:
        """Test what came since the last time; the streams that raised an alarm, with what they are of."""
        waiting = [(what, figure, s) for (what, figure, _), s in self.streams.items() if s.waiting]
        return [(what, figure, stream) for what, figure, stream in waiting if stream.settle()]

    def record(self, what: str) -> list[dict[str, Any]]:
        """Of a steering."""
        return [{"figure": f, **s.record} for (w, f, _), s in self.streams.items() if w == what]

    def _next(self) -> float:
        j = len(self.streams) + 1
        return self._alpha / (j * (j + 1))
