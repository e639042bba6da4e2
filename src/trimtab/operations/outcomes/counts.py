"""How much feedback a release has, by what was said and whose answer it was about."""

from dataclasses import dataclass

from sqlalchemy import case, func, literal, select

from trimtab.operations.metrics.metric import MACHINES
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES, OUTCOMES


@dataclass(frozen=True)
class FeedbackCount:
    """Feedback that says the same.

    Args:
        metric: of which it is.
        source: whose: see `trimtab.operations.metrics.metric.Source`.
        label: what it says; None where it is a score.
        arm: of the answers that it is about.
        dry_run: whether they were answered in a dry run.
        requests: with this feedback; of several about one request the last counts.
        mean: of the scores; None where it is a label.
        by: whose scores they are, where a classifier (with its AUROC) or a judge gave them; else empty.

    Example:
        >>> from trimtab.operations.outcomes import FeedbackCount
        >>> FeedbackCount("thumbs", "user", "up", "treatment", False, 12, None).requests
        12
    """

    metric: str
    source: str
    label: str | None
    arm: str
    dry_run: bool
    requests: int
    mean: float | None
    by: str = ""


def feedback_counts(store: Store, release: str) -> list[FeedbackCount]:
    """The feedback on the answers of a release, whenever it came.

    Args:
        store: see `Store`.
        release: its name.

    Raises:
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Exposure, ExposureLog, Outcome, OutcomeLog, Store
        >>> from trimtab.operations.outcomes import feedback_counts
        >>> with Store("said.db", create=True) as store:
        ...     one = Exposure("request-1", 0.0, "smollm2", "treatment", unit="ada", release="first", version=2)
        ...     _ = ExposureLog(store).write([one])
        ...     said = [Outcome("thumbs", request="request-1", label=word) for word in ("down", "up")]
        ...     _ = OutcomeLog(store).write(said)
        ...     [(count.label, count.requests) for count in feedback_counts(store, "first")]
        [('up', 1)]
    """
    said = (OUTCOMES.c.request, OUTCOMES.c.metric, OUTCOMES.c.source)
    joined = OUTCOMES.join(EXPOSURES, EXPOSURES.c.request == OUTCOMES.c.request)
    last = select(func.max(OUTCOMES.c.number)).select_from(joined).where(EXPOSURES.c.release == release).group_by(*said)
    giver = case((OUTCOMES.c.source.in_(MACHINES), OUTCOMES.c.who), else_=literal("")).label("giver")
    kept = select(OUTCOMES, giver).where(OUTCOMES.c.number.in_(last)).subquery()
    by = (kept.c.metric, kept.c.source, kept.c.label, EXPOSURES.c.arm, EXPOSURES.c.dry_run, kept.c.giver)
    joined = kept.join(EXPOSURES, EXPOSURES.c.request == kept.c.request)
    wanted = select(*by, func.count(), func.avg(kept.c.value)).select_from(joined).group_by(*by).order_by(*by)
    with store.reading() as connection:
        return [
            FeedbackCount(metric, source, label, arm, bool(dry), int(n), None if mean is None else float(mean), who)
            for metric, source, label, arm, dry, who, n, mean in connection.execute(wanted)
        ]
