"""The process that speaks OpenAI's protocol: checks, resolves, counts and tells; the engine runs the model.

It imports no torch, so that it starts at once and answers while the engine works.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import Engine
from trimtab.serving.caller import caller_of
from trimtab.serving.changes import Changes, changes
from trimtab.serving.console import PAGE as CONSOLE
from trimtab.serving.document import DocumentedApp
from trimtab.serving.errors import HttpError, http_error, invalid_body
from trimtab.serving.guard import Guard
from trimtab.serving.inference import inference
from trimtab.serving.keys import KeyFile
from trimtab.serving.limits import Admission
from trimtab.serving.logs import logger
from trimtab.serving.management import health, listing, operating, own_key, tokenizing
from trimtab.serving.metrics import Metrics
from trimtab.serving.pages import SHARED, routes
from trimtab.serving.playground import PAGE as PLAYGROUND
from trimtab.serving.registry import Registry
from trimtab.serving.service import Service
from trimtab.serving.settings import Settings
from trimtab.serving.vocabulary import Vocabulary
from trimtab.version import __version__

if TYPE_CHECKING:  # what it needs is imported only on a server with a store
    from trimtab.serving.live import Operations
    from trimtab.serving.monitoring import Monitor


def create_app(
    engine: Engine,
    registry: Registry,
    keys: KeyFile | None,
    settings: Settings,
    *,
    vocabulary: Vocabulary | None = None,
    log: TextIO | None = None,
    operations: "Operations | None" = None,
    monitor: "Monitor | None" = None,
) -> FastAPI:
    """The server's application, for uvicorn.

    Args:
        engine: runs the model; closed when the server stops.
        registry: the steerings.
        keys: None if `settings.no_auth`.
        settings: see `Settings`.
        vocabulary: turns texts into token ids; without it completions take token ids, and log-probabilities and
            `/tokenize` are missing.
        log: where lines of JSON go; by default standard error.
        operations: releases and exposures, closed when the server stops; without them only what a request names is
            applied, and nothing is kept of it.
        monitor: canary, shadow and drift, at work while the server runs; without it nothing is watched.

    Raises:
        InputError: keys are missing, or given and not asked for.
    """
    if (keys is None) != settings.no_auth:
        raise InputError(
            "a server either has keys or is set up to ask for none", code="conflicting-arguments", field="keys"
        )
    metrics = Metrics()
    service = Service(engine, registry, settings, vocabulary, Admission(settings.limits), metrics, operations, monitor)
    app = DocumentedApp(
        keys=keys is not None, title="trimtab", version=__version__, docs_url=None, redoc_url=None,
        lifespan=_running(service),
    )  # fmt: skip
    _route(app, service)
    app.state.changes = Changes(operations, monitor, keys)
    app.include_router(changes(app.state.changes))
    if operations is not None:
        _operate(app, service, operations)
    if monitor is not None:
        _monitor(app, service, monitor)
    _tell_errors(app)
    app.add_middleware(Guard, keys=keys, settings=settings, metrics=metrics, log=logger(log or sys.stderr))
    return app


def _running(service: Service) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Closes the engine when the server stops, in the event loop that it belongs to; then what keeps its exposures."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        try:
            if service.operations is not None:
                with suppress(TrimtabError):  # it is asked again with the first request
                    await service.capabilities()
            if service.monitor is not None:
                await service.monitor.start()
            yield
        finally:
            try:
                if service.monitor is not None:
                    await service.monitor.stop()
                await service.engine.close()
            finally:
                if service.operations is not None:
                    await asyncio.to_thread(service.operations.close)

    return running


def _operate(app: FastAPI, service: Service, operations: "Operations") -> None:
    from trimtab.serving.live.duty import duty
    from trimtab.serving.live.feedback import feedback
    from trimtab.serving.live.figures import Figures
    from trimtab.serving.live.routes import releases

    app.include_router(releases(service, operations))
    app.include_router(duty(operations))
    app.include_router(feedback(service, operations))
    service.metrics.add(Figures(operations))


def _monitor(app: FastAPI, service: Service, monitor: "Monitor") -> None:
    from trimtab.serving.monitoring.figures import Watched
    from trimtab.serving.monitoring.routes import monitoring

    app.include_router(monitoring(monitor))
    service.metrics.add(Watched(monitor.observations))


def _route(app: FastAPI, service: Service) -> None:
    settings = service.settings
    for router in (inference(service), listing(service), own_key(service), operating(service), health(service)):
        app.include_router(router)
    if service.vocabulary is not None:
        app.include_router(tokenizing(service, service.vocabulary))
    pages = [page for page, there in ((PLAYGROUND, settings.playground), (CONSOLE, settings.console)) if there]
    if pages:
        app.include_router(routes(SHARED, *pages))


def _tell_errors(app: FastAPI) -> None:
    """Every error has OpenAI's shape."""

    def told(error: HttpError, request: Request) -> Response:
        caller_of(request).notes["error"] = error.word or error.status
        return JSONResponse(error.body, error.status, error.headers)

    async def of_library(request: Request, error: Exception) -> Response:
        assert isinstance(error, TrimtabError)
        return told(http_error(error, caller_of(request).request_id), request)

    async def of_body(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return told(invalid_body(error.errors()), request)

    async def of_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = told(HttpError(_routed(request, error), status=error.status_code), request)
        answer.headers.update(error.headers or {})
        return answer

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        TrimtabError: of_library,
        RequestValidationError: of_body,
        HTTPException: of_route,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _routed(request: Request, error: HTTPException) -> str:
    """What to do about a path or method that nobody serves, or a body that cannot be read."""
    if error.status_code == 404:
        return f"there is nothing at this path; /openapi.json lists what there is (asked: {request.method})"
    if error.status_code == 405:
        return f"{request.method} is not served here; /openapi.json lists what is"
    return f"the body cannot be read: {error.detail}"
