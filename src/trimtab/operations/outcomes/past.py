"""What units did before a release began: the metric's mean over their earlier requests, by which it is adjusted.

Only what was known then counts: requests of the days before the release first drew an arm, to the same model, whatever
answered them, and feedback that had come by then. So it depends on no arm.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import numpy as np
from pydantic_core import from_json
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.answers import outcome_of
from trimtab.operations.outcomes.feedback import last_known, of_metric
from trimtab.operations.outcomes.reading import comes_back
from trimtab.operations.releases.release import Definition
from trimtab.operations.releases.rows import states
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES, OUTCOMES

_DAY: Final = 86_400.0  # seconds
_AT_ONCE: Final = 500  # units of a query


class Past:
    """The past of a release's units.

    Args:
        store: see `Store`.
        definition: of the release.
        metric: as the release froze it, with `past_days`.
        dry_run: whether the release is only tried.

    Example:
        >>> from trimtab.operations import Arm, Definition, Exposure, ExposureLog, Metric, Releases, Store
        >>> from trimtab.operations.outcomes.past import Past
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> fast = Metric.made(name="fast", outcome="latency", past_days=7)
        >>> made = Definition(name="a", model="m", treatment=warm, stages=(50, 100), salt="s")
        >>> with Store("past.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada"), releases.act("a", "start", by="ada")
        ...     earlier = releases.get("a").time - 60
        ...     log = ExposureLog(store)
        ...     _ = log.write([Exposure("r1", earlier, "m", "none", unit="ada", seconds=0.5, finish="stop")])
        ...     ada, bob = log.hashed("ada"), log.hashed("bob")
        ...     Past(store, made, fast, dry_run=False).of([ada, bob]) == {ada: 0.5}
        True
    """

    def __init__(self, store: Store, definition: Definition, metric: Metric, *, dry_run: bool) -> None:
        assert metric.past_days is not None
        self._store, self._definition, self._metric, self._dry_run = store, definition, metric, dry_run
        self._days = metric.past_days

    def of(self, units: Sequence[str]) -> dict[str, float]:
        """The mean of the metric over each unit's requests of before, as far as it has some.

        Args:
            units: hashed.

        Raises:
            TrimtabError: the store cannot be read.
        """
        found: dict[str, float] = {}
        with self._store.reading() as connection:
            began = self._began(connection)
            if began is None:
                return found
            for i in range(0, len(units), _AT_ONCE):
                some = units[i : i + _AT_ONCE]
                values: dict[str, list[float]] = {}
                for unit, value in self._values(connection, self._earlier(some, began), began):
                    values.setdefault(unit, []).append(self._within(value))
                found |= {unit: sum(own) / len(own) for unit, own in values.items()}
        return found

    def _began(self, connection: Connection) -> float | None:
        """When it was started, or tried, for the first time."""
        state = "dry-run" if self._dry_run else "running"
        found = (kept.release for kept in states(connection, name=self._definition.name))
        return next((one.time for one in found if one.state == state), None)

    def _earlier(self, units: Sequence[str], began: float) -> ColumnElement[bool]:
        """That an exposure is one of before."""
        e, model = EXPOSURES.c, self._definition.model
        asked = or_(e.model == model, e.model.startswith(f"{model}@", autoescape=True))
        return and_(e.unit.in_(units), e.time < began, e.time >= began - self._days * _DAY, asked)

    def _values(
        self, connection: Connection, earlier: ColumnElement[bool], began: float
    ) -> Iterator[tuple[str, float]]:
        """Units with the values of their requests."""
        if not comes_back(self._metric):
            wanted = select(EXPOSURES.c.unit, EXPOSURES.c.content).where(earlier)
            for unit, content in connection.execute(wanted.order_by(EXPOSURES.c.number)):
                value = outcome_of(from_json(content), str(self._metric.outcome))
                if value is not None:
                    yield unit, value
            return
        joined = OUTCOMES.join(EXPOSURES, EXPOSURES.c.request == OUTCOMES.c.request)
        columns = (OUTCOMES.c.request, OUTCOMES.c.value, OUTCOMES.c.label, OUTCOMES.c.came, EXPOSURES.c.unit,
                   EXPOSURES.c.time)  # fmt: skip
        said = select(*columns).select_from(joined).where(earlier, of_metric(self._metric), OUTCOMES.c.came < began)
        rows = connection.execute(said.order_by(OUTCOMES.c.request, OUTCOMES.c.number))
        for _, own in groupby(rows, key=lambda row: row.request):
            row = last_known(list(own), self._metric)
            value = None if row is None else self._metric.value(row.value, row.label)
            if value is not None:
                yield row.unit, value

    def _within(self, value: float) -> float:
        return value if self._metric.bounds is None else float(np.clip(value, *self._metric.bounds))
