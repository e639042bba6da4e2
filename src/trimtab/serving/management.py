"""The routes beside the answers: models, steerings, tokens, health, metrics."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from trimtab.errors import InputError
from trimtab.serving.caller import caller_of, needs
from trimtab.serving.cards import steering_card
from trimtab.serving.errors import HttpError
from trimtab.serving.inference import ERRORS
from trimtab.serving.protocol.events import KeyCard
from trimtab.serving.protocol.listing import (
    InUse,
    LoadRequest,
    ModelCard,
    ModelList,
    Readiness,
    State,
    SteeringCard,
    SteeringList,
    TokenizeRequest,
    Tokens,
)
from trimtab.serving.resolution import steering_name
from trimtab.serving.served import Served
from trimtab.serving.service import Service
from trimtab.serving.vocabulary import Vocabulary

if TYPE_CHECKING:
    from trimtab.serving.live import Operations

_IN_USE: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "A release serves the steering.", "model": InUse},
}


def listing(service: Service) -> APIRouter:
    """What there is, for keys with the scope `read`."""
    router = APIRouter(dependencies=[Depends(needs("read"))], responses=ERRORS)
    created = int(time.time())

    async def card(id: str) -> ModelCard:
        able = await service.capabilities()
        return ModelCard(
            id=id, created=created, max_running=able.max_running, max_model_len=able.max_length,
            messages=able.messages, note=able.note or None,
        )  # fmt: skip

    @router.get("/v1/models")
    async def models() -> ModelList:
        """The model, and the model with each steering that is on."""
        names = [service.model, *(f"{service.model}@{name}" for name in service.registry.enabled)]
        return ModelList(data=[await card(name) for name in names])

    @router.get("/v1/models/{model:path}")
    async def model(model: str) -> ModelCard:
        """One of them."""
        name = steering_name(model, service.model, None)
        if name is not None:
            _there(service.registry.find, name)
        return await card(model)

    @router.get("/v1/steerings")
    async def steerings() -> SteeringList:
        """The steerings with their verdicts and cards, and why others were not loaded."""
        registry = service.registry
        cards = [steering_card(one, enabled=one.name in registry.enabled) for one in registry.loaded.values()]
        return SteeringList(data=cards, faults=dict(registry.faults))

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return router


def own_key(service: Service) -> APIRouter:
    """What the caller may do, for every key."""
    router = APIRouter(responses=ERRORS)

    @router.get("/v1/key")
    async def key(request: Request) -> KeyCard:
        """The caller's own key, and whether there are releases to do something with."""
        caller, store = caller_of(request), service.operations is not None
        return KeyCard(name=caller.key, scopes=sorted(caller.scopes), store=store, model=service.model)

    return router


def operating(service: Service) -> APIRouter:
    """What changes what is served, for keys with the scope `operate`."""
    router = APIRouter(dependencies=[Depends(needs("operate"))], responses=ERRORS)

    def noted(request: Request, one: Served, act: str) -> SteeringCard:
        caller_of(request).notes |= {"steering": one.name, "artifact": one.id, "act": act}
        return steering_card(one, enabled=one.name in service.registry.enabled)

    @router.post("/v1/steerings", responses=_IN_USE)
    async def load(asked: LoadRequest, request: Request) -> SteeringCard:
        """Load a steering from the folder, anew if it is loaded already."""
        if service.operations is None:
            one = await asyncio.to_thread(service.registry.load, asked.name)  # may read gigabytes
        else:
            one = await _loaded_unless_released(service.operations, asked.name)
        return noted(request, one, "load")

    @router.delete("/v1/steerings/{name}", responses=_IN_USE)
    async def unload(name: str, request: Request) -> SteeringCard:
        """Forget a steering; its folder stays, and requests that run keep it. Refused while a release serves it."""
        known = service.registry.loaded.get(name)
        if service.operations is not None and known is not None:
            await _unreleased(service.operations, known.id)
        return noted(request, _there(service.registry.unload, name), "unload")

    @router.post("/v1/steerings/{name}/enable")
    async def enable(name: str, request: Request) -> SteeringCard:
        """Switch a steering on."""
        return noted(request, _there(service.registry.enable, name), "enable")

    @router.post("/v1/steerings/{name}/disable")
    async def disable(name: str, request: Request) -> SteeringCard:
        """Switch a steering off from the next request on."""
        return noted(request, _there(service.registry.disable, name), "disable")

    return router


def tokenizing(service: Service, vocabulary: Vocabulary) -> APIRouter:
    """Texts as token ids, for keys with the scope `infer`."""
    router = APIRouter(dependencies=[Depends(needs("infer"))], responses=ERRORS)

    @router.post("/tokenize")
    async def tokenize(asked: TokenizeRequest, request: Request) -> Tokens:
        """The token ids of a prompt as `/v1/completions` takes it."""
        steering_name(asked.model or service.model, service.model, None)
        service.admission.count(caller_of(request).key)
        able = await service.capabilities()
        tokens = list(await asyncio.to_thread(vocabulary.ids, asked.prompt))
        return Tokens(count=len(tokens), max_model_len=able.max_length, tokens=tokens)

    return router


def health(service: Service) -> APIRouter:
    """Whether the server lives, for everybody."""
    router = APIRouter(responses=ERRORS)

    @router.get("/health")
    async def alive() -> State:
        """This process answers."""
        return State()

    @router.get("/ready", response_model_exclude_none=True)
    async def ready() -> Readiness:
        """The engine answers too, and how releases are followed."""
        await service.asked_capabilities()
        if service.operations is None:
            return Readiness()
        return Readiness(releases=service.operations.condition, notes=service.operations.notes)

    return router


async def _unreleased(operations: "Operations", artifact: str) -> None:
    """No release serves a steering.

    Raises:
        HttpError: one does (409); the store does not say (503).
    """
    from trimtab.serving.live.asking import from_store

    await from_store(lambda: operations.releases.check_unused(artifact))


async def _loaded_unless_released(operations: "Operations", name: str) -> Served:
    """A steering from the folder, unless that would replace another one that a release serves.

    Raises:
        HttpError: it would (409); the store does not say (503).
        InputError: it cannot be loaded.
    """
    known = operations.registry.loaded.get(name)
    new = await asyncio.to_thread(operations.registry.peek, name)
    if known is not None and known.id != new.id:
        await _unreleased(operations, known.id)
    return await asyncio.to_thread(operations.registry.load, name)


def _there(act: Callable[[str], Served], name: str) -> Served:
    """What an act gives for a steering whose name stands in the path.

    Raises:
        HttpError: there is none of this name to act on (404).
    """
    try:
        return act(name)
    except InputError as error:
        raise HttpError(str(error), status=404, word=error.code, param=error.field) from None
