"""Who scored the values of a metric, where that was no person and not the server: a classifier or a judge."""

from sqlalchemy import Connection, exists, select

from trimtab.operations.metrics.metric import MACHINES, Metric
from trimtab.operations.releases.release import Definition
from trimtab.operations.store.tables import EXPOSURES, OUTCOMES


def scored_by(connection: Connection, definition: Definition) -> dict[str, str]:
    """What the newest value of each such metric on a release's answers says of whoever gave it.

    A classifier says how well it separates unseen answers, a judge where it is asked.

    Args:
        connection: to the store.
        definition: of the release.

    Returns:
        By metric, of those that have a value; parts of ratios are metrics of their own.
    """
    found = {metric.name: _newest(connection, metric, definition.name) for metric in definition.metrics}
    return {name: who for name, who in found.items() if who is not None}


def _newest(connection: Connection, metric: Metric, release: str) -> str | None:
    if metric.feedback is None or metric.source not in MACHINES:
        return None
    ours = exists().where(EXPOSURES.c.request == OUTCOMES.c.request, EXPOSURES.c.release == release)
    theirs = OUTCOMES.c.metric == metric.feedback, OUTCOMES.c.source == metric.source
    wanted = select(OUTCOMES.c.who).where(*theirs, ours).order_by(OUTCOMES.c.number.desc()).limit(1)
    return connection.execute(wanted).scalar()
