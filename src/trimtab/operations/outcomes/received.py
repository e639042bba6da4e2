"""What feedback came in, the newest first, page by page; without its words."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from trimtab.errors import InputError
from trimtab.operations.exposures.log import ExposureLog
from trimtab.operations.metrics.metric import Source
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES, OUTCOME_TEXTS, OUTCOMES

MOST: Final = 1001
"""Outcomes of a page: one more than a reader is given, by which it is seen that there are more."""


@dataclass(frozen=True)
class Received:
    """An outcome as it was received, with the answer that it is about.

    Args:
        number: of its row; of two for the same request, metric and source the higher counts.
        request: that it is about.
        metric: its name.
        value, label: a number or a word.
        source: see `Source`.
        who: gave it.
        by_unit: whether it was given for a unit, and so for its last answer.
        consent: whether the texts may become training examples.
        words: whether a comment or corrected text is kept with it.
        happened, came: seconds since 1970.
        release, version, arm: of the answer; None while its exposure is not in the store, or no release decided.

    Example:
        >>> from trimtab.operations import Exposure, ExposureLog, Outcome, OutcomeLog, Store, received
        >>> with Store("received.db", create=True) as store:
        ...     _ = ExposureLog(store).write([Exposure("r1", 0.0, "smollm2", "treatment", unit="ada")])
        ...     _ = OutcomeLog(store).write([Outcome("thumbs", "r1", label=label) for label in ("up", "down")])
        ...     [one.label for one in received(store, unit="ada")]
        ['down', 'up']
    """

    number: int
    request: str
    metric: str
    value: float | None
    label: str | None
    source: Source
    who: str
    by_unit: bool
    consent: bool
    words: bool
    happened: float
    came: float
    release: str | None
    version: int | None
    arm: str | None


def received(
    store: Store,
    *,
    release: str | None = None,
    unit: str | None = None,
    request: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Received]:
    """Outcomes, the newest first; the filters hold together.

    Args:
        store: see `Store`.
        release: only those about answers that this release decided for.
        unit: only those about answers to this unit, whose id it is as requests say it.
        request: only those about this request.
        before: only those whose number is lower: that of the last one of the page before.
        limit: how many at most.

    Raises:
        InputError: a limit out of range.
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Store, received
        >>> with Store("received.db", create=True) as store:
        ...     received(store, release="first")
        []
    """
    if not 1 <= limit <= MOST:
        raise InputError(f"limit {limit} must be from 1 to {MOST:,}", code="out-of-range", field="limit")
    joined = OUTCOMES.outerjoin(EXPOSURES, EXPOSURES.c.request == OUTCOMES.c.request)
    joined = joined.outerjoin(OUTCOME_TEXTS, OUTCOME_TEXTS.c.number == OUTCOMES.c.number)
    columns: list[Any] = [OUTCOMES.c[name] for name in _OWN]
    columns += [EXPOSURES.c.release, EXPOSURES.c.version, EXPOSURES.c.arm, OUTCOME_TEXTS.c.number.label("words")]
    wanted = select(*columns).select_from(joined)
    if release is not None:
        wanted = wanted.where(EXPOSURES.c.release == release)
    if unit is not None:
        wanted = wanted.where(EXPOSURES.c.unit == ExposureLog(store).hashed(unit))
    if request is not None:
        wanted = wanted.where(OUTCOMES.c.request == request)
    if before is not None:
        wanted = wanted.where(OUTCOMES.c.number < before)
    with store.reading() as connection:
        rows = connection.execute(wanted.order_by(OUTCOMES.c.number.desc()).limit(limit)).mappings().all()
    flags = ("by_unit", "consent")
    return [
        Received(**{**row, **{name: bool(row[name]) for name in flags}, "words": row["words"] is not None})
        for row in rows
    ]


_OWN: Final = (
    "number", "request", "metric", "value", "label", "source", "who", "by_unit", "consent", "happened", "came",
)  # fmt: skip
