"""`/v1/releases`: how releases stand, for keys with the scope `read`; what changes them, for `operate`."""

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, Request

from trimtab.errors import InputError
from trimtab.operations import Release, Wish, planned, wished
from trimtab.operations.experiments import policy_value
from trimtab.operations.releases.transitions import Action
from trimtab.serving.caller import caller_of, needs
from trimtab.serving.inference import ERRORS
from trimtab.serving.live.asking import from_store
from trimtab.serving.live.operations import Operations
from trimtab.serving.protocol.listing import InUse
from trimtab.serving.protocol.releases import (
    Act,
    ArmCount,
    CreateRelease,
    EstimateCard,
    ExperimentCard,
    History,
    ReleaseCard,
    ReleaseList,
    ReleaseStatus,
    StepCard,
)
from trimtab.serving.registry import Registry
from trimtab.serving.service import Service

_JUDGED: Final = {"metric", "guardrails", "on_harm", "alpha", "min_units", "decide_by", "auto_promote"}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {**ERRORS, 409: {"model": InUse}}


def releases(service: Service, operations: Operations) -> APIRouter:
    """The routes of releases."""
    router = APIRouter(responses=_RESPONSES)
    read, operate = [Depends(needs("read"))], [Depends(needs("operate"))]
    kept = operations.releases

    @router.get("/v1/releases", dependencies=read)
    async def listed() -> ReleaseList:
        """The releases of this server's model, and how it follows them."""
        found = await from_store(lambda: kept.all(operations.model))
        said = operations.record
        cards = [ReleaseCard(**_card(one, operations)) for one in found]
        return ReleaseList(data=cards, condition=said["condition"], reason=said["reason"])

    @router.get("/v1/releases/{name}", dependencies=read)
    async def one(name: str) -> ReleaseStatus:
        """A release, and how many requests and units each arm had."""
        found = await from_store(lambda: kept.get(name), name)
        counts = await from_store(lambda: operations.exposures.counts(name))
        arms = [ArmCount(arm=c.arm, dry_run=c.dry_run, requests=c.requests, units=c.units) for c in counts]
        return ReleaseStatus(**_card(found, operations), exposures=arms)

    @router.get("/v1/releases/{name}/experiment", dependencies=read)
    async def experiment(name: str) -> ExperimentCard:
        """What the metrics of a release say so far, in figures and in words."""
        found = await from_store(lambda: operations.watching.look(name), name)
        return ExperimentCard(**found.record)

    @router.get("/v1/releases/{name}/estimate", dependencies=read)
    async def estimate(name: str, policy: str = "uniform") -> EstimateCard:
        """What another policy would have given on the traffic of a release with several arms.

        Args:
            name: of the release.
            policy: an arm, `uniform`, or shares such as `mild=0.5,bold=0.5`.
        """
        found = await from_store(lambda: policy_value(operations.store, name, policy), name)
        return EstimateCard(**found.record)

    @router.get("/v1/releases/{name}/history", dependencies=read)
    async def history(name: str) -> History:
        """All that was done to a release: when, by whom and why."""
        steps = await from_store(lambda: kept.history(name), name)
        brief = ("version", "state", "share", "asked_by", "time")
        return History(
            data=[
                StepCard(
                    **{field: step.release.record[field] for field in brief}, entry=step.entry.number,
                    by=step.entry.who, what=step.entry.what, why=step.entry.why,
                ) for step in steps
            ]
        )  # fmt: skip

    @router.post("/v1/releases", dependencies=operate)
    async def create(asked: CreateRelease, request: Request) -> ReleaseCard:
        """Make a release of a loaded steering, as a draft: nobody gets it before `start`."""
        caller, able = caller_of(request), await service.capabilities()
        judged = asked.model_dump(include=_JUDGED)
        apart = {"treatment", "control", "checks", "stages", "traffic", "arms", "adapt", "factorial", *_JUDGED}
        fields = asked.model_dump(exclude=apart) | planned(**judged)
        digest = None if able.model is None else able.model.digest
        registry = operations.registry
        wanted = Wish(
            None if asked.treatment is None else (_folder(registry, asked.treatment), asked.strength),
            tuple((_folder(registry, one.steering), one.strength) for one in asked.arms),
            asked.adapt, asked.factorial, None if asked.stages is None else tuple(asked.stages),
        )  # fmt: skip
        checks = _checks(registry, asked.checks)
        served = await from_store(lambda: wished(wanted, asked.scope))
        fields |= served
        control = None if asked.control is None else _folder(registry, asked.control)
        made = await from_store(
            lambda: kept.create(
                control=control, checks=checks, by=caller.key, model=operations.model,
                traffic=tuple(asked.traffic), digest=digest, dtype=able.dtype or None,
                **fields,
            )
        )  # fmt: skip
        caller.notes |= {"release": made.name, "act": "create"}
        return ReleaseCard(**_card(made, operations))

    @router.post("/v1/releases/{name}/{action}", dependencies=operate)
    async def act(name: str, action: Action, asked: Act, request: Request) -> ReleaseCard:
        """Take a step, under the key's name: one row, seen by every server within a second."""
        caller = caller_of(request)
        done = await from_store(lambda: kept.act(name, action, by=caller.key, **asked.model_dump()), name)
        caller.notes |= {"release": name, "act": action, "version": done.version}
        return ReleaseCard(**_card(done, operations))

    return router


def _card(release: Release, operations: Operations) -> dict[str, Any]:
    return release.record | {"definition": release.definition, "fault": operations.faults.get(release.name)}


def _folder(registry: Registry, name: str) -> Path:
    """Of a steering that is loaded and on.

    Raises:
        InputError: there is none.
    """
    one = registry.find(name)
    assert registry.folder is not None  # or none would have been found
    return registry.folder / one.name


def _checks(registry: Registry, names: list[str]) -> list[Path]:
    """Folders of checks; nothing outside of the folder of steerings.

    Raises:
        InputError: one is not there, or is a link.
    """
    places = []
    for name in names:
        folder = registry.folder
        if folder is None or not (folder / name).is_dir() or (folder / name).resolve() != folder.resolve() / name:
            raise InputError(
                f"there is no folder {name!r} of a check among the steerings (links are not followed)",
                code="no-such-file",
                field="checks",
            )
        places.append(folder / name)
    return places
