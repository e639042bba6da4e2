"""The definitions in the store: the highest version of a name holds for new releases."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.operations.metrics.file import unknown
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import METRIC_DEFINITIONS


def known_metrics(store: Store) -> dict[str, Metric]:
    """All metrics that a new release may name: the built-in ones, then those of the store by name.

    Raises:
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Store, known_metrics
        >>> with Store("metrics.db", create=True) as store:
        ...     list(known_metrics(store))[:3]
        ['requests', 'length', 'latency']
    """
    with store.reading() as connection:
        return dict(BUILT_IN) | kept(connection)


def kept(connection: Connection) -> dict[str, Metric]:
    """Those of the store, in their highest versions."""
    wanted = select(METRIC_DEFINITIONS.c.content).order_by(METRIC_DEFINITIONS.c.name, METRIC_DEFINITIONS.c.version)
    found = (Metric.model_validate_json(content) for content in connection.scalars(wanted))
    return {metric.name: metric for metric in found}


def frozen(connection: Connection, metric: str | None, guardrails: Sequence[str]) -> tuple[Metric, ...]:
    """The definitions that a release keeps: of what it names, and of the parts of these.

    Args:
        connection: to the store.
        metric: by which the release is judged.
        guardrails: what must not get worse.

    Raises:
        InputError: one is not known; says which is near.
    """
    known = dict(BUILT_IN) | kept(connection)
    taken: dict[str, Metric] = {}
    asked = [(name, "guardrails") for name in guardrails]
    for name, field in ([] if metric is None else [(metric, "metric")]) + asked:
        if name not in known:
            raise unknown(name, known, field=field)
        for one in (name, *known[name].parts):
            taken[one] = known[one]
    return tuple(taken.values())
