"""The text that the server answers with, over the real engine: streamed, whole, alone or beside fifteen others."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from trimtab.interventions import SCOPES
from trimtab.models import Model
from trimtab.serving.app import create_app
from trimtab.serving.engines.batching import Limits
from trimtab.serving.engines.transformers import TransformersEngine
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Settings
from trimtab.steering import Steering
from trimtab.texts import Message, Rendered

PROMPTS = ("The film was", "I liked the", "A dull and slow evening, since")
N = 10
Client = httpx2.AsyncClient


@pytest.fixture(scope="module")
def model(tiny: Any) -> Model:
    return tiny()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steerings")


@pytest.fixture(scope="module")
def steerings(model: Model, every_kind: Any, folder: Path) -> dict[str, Steering]:
    """By the names of their folders, two of every kind of edit, at different sites."""
    places: list[tuple[str, ...]] = [("1",), ("0", "2"), ("attention:1", "mlp:2")]
    made = {}
    for i, (kind, edit) in enumerate([*every_kind.items()] * 2):
        name = f"{kind.replace(', ', '-').replace(' ', '-')}-{i}"
        made[name] = Steering(dict.fromkeys(places[i % 3], edit), {"a": 1.0}, made_for=model.facts)
        made[name].save(folder / name)
    return made


def requests(names: list[str]) -> list[dict[str, Any]]:
    """A chat for each steering, at different strengths and scopes."""
    return [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": PROMPTS[i % 3]}],
            "max_tokens": N,
            "temperature": 0,
            "steering": {"name": name, "strength": (1.0, -0.6, 0.3)[i % 3], "scope": SCOPES[(i + i // 8) % 4]},
        }
        for i, name in enumerate(names)
    ]


def asking(model: Model, steerings: dict[str, Steering], folder: Path, work: Callable[[Client], Awaitable[Any]]) -> Any:
    """Work with a client of a server in this process."""
    by_id = {steering.id: steering for steering in steerings.values()}

    async def main() -> Any:
        engine = TransformersEngine(model, by_id.get, Limits(max_running=16))
        try:
            app = create_app(engine, Registry(folder), None, Settings("tiny", no_auth=True))
            transport = httpx2.ASGITransport(app)
            async with Client(transport=transport, base_url="http://127.0.0.1", timeout=120) as client:
                return await asyncio.wait_for(work(client), 300)
        finally:
            await engine.close()

    return asyncio.run(main())


async def whole(client: Client, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Text, and what was done for it."""
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    found = response.json()
    return found["choices"][0]["message"]["content"], {**found["trimtab"], "request_id": ""}


async def streamed(client: Client, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The same from a stream."""
    response = await client.post("/v1/chat/completions", json={**body, "stream": True})
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    pieces = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    text = "".join(c["delta"].get("content", "") for piece in pieces for c in piece["choices"])
    return text, {**pieces[-1]["trimtab"], "request_id": ""}


def test_streamed_whole_and_generated_text_are_the_same_for_every_kind_of_edit_alone_and_among_sixteen(
    model: Model, steerings: dict[str, Steering], folder: Path
) -> None:
    asked = requests(list(steerings))
    assert len(asked) == 16
    generated = [
        model.generate(
            Rendered("", "", "", messages=tuple(Message(**turn) for turn in body["messages"])),
            chat_template=True,
            max_new_tokens=N,
            steering=steerings[body["steering"]["name"]],
            strength=body["steering"]["strength"],
            scope=body["steering"]["scope"],
        )
        for body in asked
    ]
    assert len(set(generated)) > 10

    async def work(client: Client) -> None:
        alone = [await whole(client, body) for body in asked]
        together = await asyncio.gather(*(whole(client, body) for body in asked))
        streams = await asyncio.gather(*(streamed(client, body) for body in reversed(asked)))
        assert [text for text, _ in alone] == generated
        for other in (together, streams[::-1]):
            for (text, said), (own, told) in zip(other, alone, strict=True):
                assert text == own
                assert said["edit_size_ratio"] == pytest.approx(told["edit_size_ratio"], rel=1e-3)
                assert {**said, "edit_size_ratio": 0, "gates": {}} == {**told, "edit_size_ratio": 0, "gates": {}}
                assert said["touched"] > 0

    asking(model, steerings, folder, work)
