"""What whoever is on duty reads beside the releases, for keys with the scope `read`; and the emergency off."""

import asyncio
from collections import OrderedDict
from threading import Lock
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from trimtab.errors import TrimtabError
from trimtab.operations.audit import last_entries
from trimtab.operations.experiments import OverTime, Point
from trimtab.operations.outcomes import feedback_counts
from trimtab.operations.store.database import Store
from trimtab.serving.caller import caller_of, needs
from trimtab.serving.inference import ERRORS
from trimtab.serving.live.asking import from_store
from trimtab.serving.live.operations import Operations
from trimtab.serving.protocol.duty import (
    ArmPointCard,
    AuditEntry,
    AuditTail,
    FeedbackCountCard,
    FeedbackCounts,
    MetricOverTime,
    OffCard,
    PointCard,
    PointOfArms,
    Switch,
)
from trimtab.serving.protocol.requests import Name

_KEPT: Final = 8  # courses of metrics
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Before = Annotated[int | None, Query(ge=0, le=2**53, description="Only entries with lower numbers.")]
MetricName = Annotated[Name | None, Query(description="One that the release is judged by; by default the first.")]


class _Courses:
    """Courses of metrics, of which those asked for last are kept and read on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, str | None], OverTime] = OrderedDict()
        self._lock = Lock()

    def read(self, release: str, metric: str | None) -> tuple[OverTime, tuple[Point, ...]]:
        key = release, metric
        with self._lock:
            course = self._kept.pop(key, None) or OverTime(self._store, release, metric)
            self._kept[key] = course
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return course, course.read()


def duty(operations: Operations) -> APIRouter:
    """The routes."""
    router = APIRouter(responses=ERRORS)
    read, operate = [Depends(needs("read"))], [Depends(needs("operate"))]
    courses, off = _Courses(operations.store), operations.view.off

    @router.get("/v1/releases/{name}/series", dependencies=read)
    async def series(name: str, metric: MetricName = None) -> MetricOverTime:
        """How the difference between the arms, or the mean of each of several, came about, with intervals."""
        course, points = await from_store(lambda: courses.read(name, metric), name)
        of = course.metric
        return MetricOverTime(
            release=name, metric=of.name, description=of.description, outcome=of.outcome, kind=of.kind,
            direction=of.direction, dry_run=course.dry_run,
            data=[PointCard(**{name: getattr(one, name) for name in PointCard.model_fields})
                  for one in points if not one.arms],
            arms=[PointOfArms(time=one.time, arms={name: ArmPointCard(**vars(arm)) for name, arm in one.arms.items()})
                  for one in points if one.arms],
        )  # fmt: skip

    @router.get("/v1/releases/{name}/feedback", dependencies=read)
    async def feedback(name: str) -> FeedbackCounts:
        """How much feedback its answers have, by what was said."""
        await from_store(lambda: operations.releases.get(name), name)
        counts = await from_store(lambda: feedback_counts(operations.store, name))
        return FeedbackCounts(data=[FeedbackCountCard(**vars(one)) for one in counts])

    @router.get("/v1/audit", dependencies=read)
    async def audit(limit: Limit = 20, before: Before = None) -> AuditTail:
        """The last changes: who did what, when and why. `trimtab audit` has all of it, with proofs."""
        found = await from_store(lambda: last_entries(operations.store, limit, before))
        names = tuple(AuditEntry.model_fields)
        return AuditTail(data=[AuditEntry(**{name: getattr(one, name) for name in names}) for one in found])

    @router.get("/v1/off", dependencies=read)
    async def state() -> OffCard:
        """Whether all steering is off on this server's machine."""
        return _card(off.reason)

    @router.post("/v1/off", dependencies=operate)
    async def switch(asked: Switch, request: Request) -> OffCard:
        """Switch all steering off, as `trimtab release off --all` does, or end that, as `trimtab release on` does."""
        caller = caller_of(request)
        caller.notes |= {"act": "off" if asked.off else "on"}
        said = {"by": caller.key, "why": asked.why}
        paused: list[str] = []
        fault = None
        if asked.off:
            await asyncio.to_thread(off.pull, **said)
        elif not await asyncio.to_thread(off.release):
            return _card(off.reason)

        def note() -> None:
            if asked.off:
                paused.extend(operations.releases.pause_all(**said))
            off.note(operations.store, off=asked.off, **said)

        try:
            await asyncio.to_thread(note)
        except TrimtabError as error:  # the file works without the store
            fault = str(error)
        return _card(off.reason, paused=paused, fault=fault)

    return router


def _card(reason: str | None, **more: Any) -> OffCard:
    return OffCard(off=reason is not None, reason=reason, **more)
