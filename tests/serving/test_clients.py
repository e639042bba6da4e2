"""Clients that know nothing of trimtab, against a real `trimtab serve`: chats, completions, tools, JSON, steering."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from huggingface_hub import AsyncInferenceClient, InferenceClient
from pydantic import BaseModel
from tests.serving.process import Serving, serving

import trimtab as tt
from trimtab.models import Model
from trimtab.texts import Message, Rendered

QUESTION = "How was the film"
TURNS: list[Any] = [{"role": "user", "content": QUESTION}]
STEERED = {"steering": {"name": "warm", "strength": {"warm": 1.0}}}
GREEDY: dict[str, Any] = {"max_tokens": 8, "temperature": 0}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"red": {"enum": [1, 2, 3]}, "dark": {"type": "boolean"}},
    "required": ["red", "dark"],
    "additionalProperties": False,
}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "colour", "schema": SCHEMA}}
PAINT: Any = {"type": "function", "function": {"name": "paint", "description": "Paint it.", "parameters": SCHEMA}}
CALL: dict[str, Any] = {"tools": [PAINT], "tool_choice": "required", "max_tokens": 80, "temperature": 0}


@pytest.fixture(scope="module")
def model(chat_folder: Path) -> Model:
    return tt.load(chat_folder, dtype="float32")


@pytest.fixture(scope="module")
def warm(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    vector = 3 * torch.randn(32, generator=torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("steerings") / "warm"
    tt.Steering.from_vector(1, vector, "warm", made_for=model.facts).save(folder)
    return folder


@pytest.fixture(scope="module")
def live(chat_folder: Path, warm: Path) -> Iterator[Serving]:
    options = ("--model", chat_folder, "--dtype", "float32", "--steerings", warm.parent, "--no-auth")
    with serving(*options) as found:
        yield found


@pytest.fixture(scope="module")
def chatted(model: Model, warm: Path) -> tuple[str, str]:
    """The library's own answers to the question, unsteered and steered."""
    asked = Rendered("", "", "", messages=(Message("user", QUESTION),))
    steering = tt.Steering.load(warm)
    options: dict[str, Any] = {"chat_template": True, "max_new_tokens": 8}
    plain, steered = model.generate(asked, **options), model.generate(asked, steering=steering, strength=1.0, **options)
    assert plain != steered
    return plain, steered


@pytest.fixture(scope="module")
def completed(model: Model, warm: Path) -> str:
    """The library's own steered continuation of the question."""
    return model.generate(QUESTION, max_new_tokens=8, steering=tt.Steering.load(warm), strength=1.0)


def keeps(schema_text: str | None) -> bool:
    """Whether a text is JSON of the schema."""
    found = json.loads(schema_text or "")
    return set(found) == {"red", "dark"} and found["red"] in (1, 2, 3) and isinstance(found["dark"], bool)


def told(answer: Any) -> dict[str, Any]:
    """What an answer says of its steering."""
    extra = answer.model_extra if isinstance(answer, BaseModel) else answer
    return dict((extra or {})["trimtab"])


def test_the_openai_package_drives_all_of_it(live: Serving, chatted: tuple[str, str], completed: str) -> None:
    with openai.OpenAI(base_url=live.url, api_key="none", max_retries=0) as client:
        chat, complete = client.chat.completions, client.completions
        plain = chat.create(model="tiny", messages=TURNS, **GREEDY)
        steered = chat.create(model="tiny@warm", messages=TURNS, extra_body={"steering": {"strength": 1.0}}, **GREEDY)
        pieces = list(chat.create(model="tiny", messages=TURNS, stream=True, extra_body=STEERED, **GREEDY))
        text = complete.create(model="tiny", prompt=QUESTION, extra_body=STEERED, **GREEDY)
        streamed = complete.create(model="tiny", prompt=QUESTION, stream=True, extra_body=STEERED, **GREEDY)
        continued = "".join(c.text for piece in streamed for c in piece.choices)
        formed = chat.create(model="tiny@warm", messages=TURNS, response_format=FORM, max_tokens=80, temperature=0)
        called = chat.create(model="tiny@warm", messages=TURNS, **CALL).choices[0]
    assert (plain.choices[0].message.content, steered.choices[0].message.content) == chatted
    assert "".join(c.delta.content or "" for piece in pieces for c in piece.choices) == chatted[1]
    assert (text.choices[0].text, continued) == (completed, completed)
    assert told(steered)["strength"] == told(pieces[-1])["strength"] == told(text)["strength"] == {"warm": 1.0}
    assert keeps(formed.choices[0].message.content)
    (call,) = called.message.tool_calls or [None]
    assert (call.function.name, called.finish_reason) == ("paint", "tool_calls")
    assert keeps(call.function.arguments)


def test_the_asynchronous_openai_package_streams_many_at_once(live: Serving, chatted: tuple[str, str]) -> None:
    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=live.url, api_key="none", max_retries=0) as client:

            async def one(steered: bool) -> str:
                options: Any = {"model": "tiny", "messages": TURNS, "extra_body": STEERED if steered else {}, **GREEDY}
                stream = await client.chat.completions.create(stream=True, **options)
                return "".join([c.delta.content or "" async for piece in stream for c in piece.choices])

            return await asyncio.gather(*(one(bool(i % 2)) for i in range(12)))

    assert asyncio.run(main()) == [chatted[i % 2] for i in range(12)]


def test_the_inference_client_of_hugging_face_drives_it(live: Serving, chatted: tuple[str, str]) -> None:
    with InferenceClient(base_url=live.url, api_key="none") as client:
        ask = client.chat_completion
        plain = ask(TURNS, model="tiny", **GREEDY)
        steered = ask(TURNS, model="tiny", extra_body=STEERED, **GREEDY)
        pieces = list(ask(TURNS, model="tiny", stream=True, extra_body=STEERED, **GREEDY))
        formed = ask(TURNS, model="tiny@warm", response_format=FORM, max_tokens=80, temperature=0)
        called = ask(TURNS, model="tiny@warm", **CALL).choices[0].message
    assert (plain.choices[0].message.content, steered.choices[0].message.content) == chatted
    assert "".join(c.delta.content or "" for piece in pieces for c in piece.choices) == chatted[1]
    assert told(steered)["steering"] == told(pieces[-1])["steering"] == "warm"
    assert keeps(formed.choices[0].message.content)
    assert called.tool_calls[0].function.name == "paint"
    assert keeps(called.tool_calls[0].function.arguments)

    async def main() -> Any:
        async with AsyncInferenceClient(base_url=live.url, api_key="none") as client:
            return await client.chat_completion(TURNS, model="tiny@warm", **GREEDY)

    assert told(asyncio.run(main()))["steering"] == "warm"


def curl(url: str, body: dict[str, Any], *options: str) -> str:
    command = ["curl", "-sS", "--fail-with-body", "--max-time", "60", *options, url]
    command += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode in (0, 22), done.stderr  # 22: the status is an error's
    return done.stdout


def test_curl_drives_it(live: Serving, chatted: tuple[str, str], completed: str) -> None:
    asked = {"model": "tiny", "messages": TURNS, **STEERED, **GREEDY}
    chat, text = f"{live.url}/chat/completions", f"{live.url}/completions"
    whole = json.loads(curl(chat, asked))
    events = [line.removeprefix("data: ") for line in curl(chat, {**asked, "stream": True}, "-N").splitlines() if line]
    pieces = [json.loads(event) for event in events[:-1]]
    assert whole["choices"][0]["message"]["content"] == chatted[1]
    assert "".join(c["delta"].get("content") or "" for piece in pieces for c in piece["choices"]) == chatted[1]
    assert events[-1] == "[DONE]"
    assert told(whole)["touched"] == told(pieces[-1])["touched"] > 0
    assert json.loads(curl(text, {"model": "tiny", "prompt": QUESTION, **STEERED, **GREEDY}))["choices"][0]["text"] == (
        completed
    )
    formed = json.loads(curl(chat, {**asked, "response_format": FORM, "max_tokens": 80}))
    assert keeps(formed["choices"][0]["message"]["content"])
    called = json.loads(curl(chat, {**asked, **CALL}))["choices"][0]["message"]
    assert keeps(called["tool_calls"][0]["function"]["arguments"])
    refused = json.loads(curl(chat, {**asked, "steering": {"name": "cold"}}))
    assert refused["error"]["param"] == "steering.name"
