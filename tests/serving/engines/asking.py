"""Requests to engines, the text that `model.generate` writes for the same, and an engine while a test works."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trimtab.interventions import Engine, Event, Request, RequestSteering, Sampling
from trimtab.model_source import ModelSource
from trimtab.models import Model
from trimtab.serving.engines.process import ModelToServe
from trimtab.steering import Steering
from trimtab.texts import Message, Rendered

PROMPTS = ("The film was", "I liked the", "A dull and slow evening, since")
N = 10


def turns(prompt: str) -> tuple[Message, ...]:
    return (Message("system", "Be brief."), Message("user", prompt))


def asked(
    id: str, prompt: str, steering: RequestSteering | None = None, *, explain: bool = False, **sampling: Any
) -> Request:
    settings = Sampling(**{"max_tokens": N, "temperature": 0, **sampling})
    return Request(id, turns(prompt), settings, steering, explain)


def generated(model: Model, prompt: str, **options: Any) -> str:
    rendered = Rendered("", "", "", messages=turns(prompt))
    return model.generate(rendered, chat_template=True, **{"max_new_tokens": N, **options})


def to_serve(folder: Path) -> ModelToServe:
    """The model of a folder, on one thread."""
    return ModelToServe(ModelSource(str(folder), "tiny", dtype="float32"), threads=1)


async def events_of(engine: Engine, request: Request) -> list[Event]:
    return [event async for event in engine.submit(request)]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events)


def run_with(
    make: Callable[..., Engine],
    model: Model,
    steerings: Mapping[str, Steering],
    work: Callable[[Any], Awaitable[Any]],
) -> Any:
    """What some work with an engine comes to, which is closed afterwards."""

    async def all_of_it() -> Any:
        engine = make(model, dict(steerings).get)
        try:
            return await asyncio.wait_for(work(engine), 120)
        finally:
            await engine.close()

    return asyncio.run(all_of_it())


def answers_of(
    make: Callable[..., Engine], model: Model, steerings: Mapping[str, Steering], requests: Sequence[Request]
) -> dict[str, list[Event]]:
    """The events of requests that are sent all at once, by their ids."""

    async def work(engine: Engine) -> list[list[Event]]:
        return await asyncio.gather(*(events_of(engine, request) for request in requests))

    return dict(zip([r.id for r in requests], run_with(make, model, steerings, work), strict=True))
