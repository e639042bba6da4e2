"""Whatever is sent, it is answered or refused in OpenAI's shape; nothing is answered with a failure of the server."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.conftest import Make, Server

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
STEERING = st.fixed_dictionaries(
    {"name": st.just("warm")},
    optional={
        "strength": st.sampled_from([1, -0.5, "gentle", {"warm": 2.0}]),
        "scope": st.sampled_from(["all", "last"]),
        "explain": st.booleans(),
        "compare": st.booleans(),
    },
)
SHARED: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(1, 3), "stop": st.text(LETTERS, min_size=1, max_size=3), "seed": st.integers(0, 2**63 - 1),
    "temperature": st.floats(0, 2), "top_p": st.floats(0.1, 1), "top_k": st.integers(0, 9),
    "max_tokens": st.integers(1, 9), "presence_penalty": st.floats(-2, 2), "frequency_penalty": st.floats(-2, 2),
    "logit_bias": st.dictionaries(st.integers(0, 999).map(str), st.floats(-100, 100)), "stream": st.booleans(),
    "user": st.text(LETTERS, max_size=5), "steering": STEERING,
}  # fmt: skip
CONTENT = st.text(LETTERS, min_size=1, max_size=9)
TOOLS = st.just([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
TURNS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": CONTENT}), min_size=1, max_size=3
)
MODEL = st.sampled_from(["tiny", "tiny@warm"])
CHATS = st.fixed_dictionaries(
    {"model": MODEL, "messages": TURNS},
    optional={
        **SHARED,
        "logprobs": st.booleans(),
        "response_format": st.just({"type": "json_object"}),
        "tools": TOOLS,
    },
)
PROMPTS = CONTENT | st.lists(st.integers(0, 9), min_size=1, max_size=4) | st.lists(CONTENT, min_size=1, max_size=2)
TEXTS = st.fixed_dictionaries({"model": MODEL, "prompt": PROMPTS}, optional={**SHARED, "logprobs": st.integers(0, 3)})
REQUESTS = st.tuples(st.just(CHAT), CHATS) | st.tuples(st.just(TEXT), TEXTS)
ODD_NAMES = st.text(st.characters(exclude_categories=()), max_size=5)


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, Any]:
    """A request with one field that holds anything, or another body."""
    path, body = draw(REQUESTS)
    if draw(st.integers(0, 9)) == 0:
        return path, draw(VALUES)
    return path, {
        **body,
        draw(
            st.sampled_from([*body, *SHARED, "logprobs", "tools", "tool_choice", "response_format"]) | ODD_NAMES
        ): draw(VALUES),
    }


@pytest.fixture
def patient(make: Make) -> Server:
    return make(max_length=4000, requests_per_minute=10**6)


def answer(server: Server, path: str, body: Any) -> tuple[int, str]:
    async def main() -> httpx2.Response:
        async with server.client() as client:
            headers = {"content-type": "application/json"}
            return await client.post(path, content=json.dumps(body).encode(), headers=headers)

    response = asyncio.run(main())
    assert server.engine.running == {}
    return response.status_code, response.text


ANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ANY
@given(REQUESTS)
def test_any_request_of_known_fields_is_answered(patient: Server, sent: tuple[str, Any]) -> None:
    path, body = sent
    status, text = answer(patient, path, body)
    assert status == 200, text
    if body.get("stream"):
        assert text.endswith("data: [DONE]\n\n")
    else:
        assert json.loads(text)["choices"]


@ANY
@given(spoilt())
def test_any_other_body_is_answered_or_refused_and_fails_nothing(patient: Server, sent: tuple[str, Any]) -> None:
    status, text = answer(patient, *sent)
    assert status in (200, 400, 404), text
    if status != 200:
        assert set(json.loads(text)["error"]) == {"message", "type", "param", "code"}
