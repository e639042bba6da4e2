"""The process that takes requests: their fields, vLLM's configuration, and the field in answers, against fakes."""

import asyncio
import enum
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import trimtab as tt
from trimtab.errors import InputError, TrimtabError
from trimtab.integrations.vllm.answers import SteeredAnswers
from trimtab.integrations.vllm.architectures import ARCHITECTURES
from trimtab.integrations.vllm.config import arm, steer_configs
from trimtab.integrations.vllm.offer import Offer, ServedModel
from trimtab.integrations.vllm.plugin import check_named, seam_of
from trimtab.integrations.vllm.requests import steer_inputs
from trimtab.integrations.vllm.setup import Setup

MODEL = ServedModel("tiny", "LlamaForCausalLM", ARCHITECTURES["LlamaForCausalLM"], 4, 2, 64, 8, "float32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With one steering."""
    tt.Steering.from_vector(1, torch.ones(4), "warm").save(tmp_path / "warm")
    return tmp_path


@pytest.fixture
def offer(folder: Path) -> Offer:
    return Offer(Setup(folder), MODEL)


class RefusedError(Exception):
    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


def processor(offer: Offer | None) -> Any:
    """As vLLM's input processor: a request of its own, with a copy of the parameters."""

    class InputProcessor:
        def process_inputs(self, request_id: str, prompt: Any, params: Any, resumable: bool = False) -> Any:
            copied = SimpleNamespace(extra_args=params.extra_args)
            return SimpleNamespace(
                sampling_params=copied, cache_salt=prompt.get("cache_salt"), prompt_token_ids=prompt["ids"],
                prompt_embeds=None, resumable=resumable,
            )  # fmt: skip

    for _ in range(2):
        steer_inputs(InputProcessor, lambda _: offer, RefusedError)
    return InputProcessor()


def test_a_request_is_resolved_for_the_workers_and_salted(offer: Offer) -> None:
    inputs = processor(offer)
    params = SimpleNamespace(extra_args={"steering": '{"name": "warm", "strength": 2}', "mine": 1})
    one = inputs.process_inputs("r", {"ids": [1, 2, 3]}, params)
    artifact = offer.steerings["warm"].id
    told = {"artifact": artifact, "strength": {"warm": 2.0}, "scope": "all"}
    assert one.sampling_params.extra_args == {"mine": 1, "trimtab": told}
    assert params.extra_args["steering"]  # the caller's own are left alone
    again = inputs.process_inputs("s", {"ids": [1, 2, 3]}, params)
    salted = inputs.process_inputs("t", {"ids": [1, 2, 3], "cache_salt": "mine"}, params)
    assert one.cache_salt == again.cache_salt != salted.cache_salt
    plain = inputs.process_inputs("u", {"ids": [1, 2, 3]}, SimpleNamespace(extra_args=None))
    assert (plain.cache_salt, plain.sampling_params.extra_args) == (None, None)
    off = SimpleNamespace(extra_args={"steering": {"name": "warm", "strength": 0}})
    zero = inputs.process_inputs("v", {"ids": [1, 2, 3]}, off)
    assert (zero.cache_salt, zero.sampling_params.extra_args) == (None, None)


@pytest.mark.parametrize(
    ("extra", "words", "parameter"),
    [
        ({"steering": "nonsense"}, "no JSON", "steering"),
        ({"steering": {"name": "cold"}}, "no steering 'cold'", "steering.name"),
        ({"trimtab": {"artifact": "x"}}, "not for requests to say", "trimtab"),
    ],
)
def test_a_bad_request_is_refused_as_vllm_refuses(offer: Offer, extra: Any, words: str, parameter: str) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        processor(offer).process_inputs("r", {"ids": [1]}, SimpleNamespace(extra_args=extra))
    assert refused.value.parameter == parameter


def test_a_request_that_others_continue_is_refused(offer: Offer) -> None:
    params = SimpleNamespace(extra_args={"steering": {"name": "warm"}})
    with pytest.raises(RefusedError, match="continued"):
        processor(offer).process_inputs("r", {"ids": [1]}, params, resumable=True)


def test_a_server_without_steerings_refuses_the_field_instead_of_ignoring_it() -> None:
    params = SimpleNamespace(extra_args={"steering": {"name": "warm"}})
    with pytest.raises(RefusedError, match="has no steerings"):
        processor(None).process_inputs("r", {"ids": [1]}, params)


class Graphs(enum.Enum):
    """As vLLM's modes of CUDA graphs."""

    NONE = 0
    PIECEWISE = 1
    FULL = 2

    def has_full_cudagraphs(self) -> bool:
        return self is Graphs.FULL


def config(folder: Path, **changes: Any) -> Any:
    """As vLLM's configuration."""
    text = SimpleNamespace(num_hidden_layers=2)
    model = SimpleNamespace(
        architectures=["LlamaForCausalLM"], model="tiny", max_model_len=64, dtype=torch.float32, hf_text_config=text,
        get_hidden_size=lambda: 4, model_impl="auto", model_class_overrides={},
    )  # fmt: skip
    given = {
        "additional_config": {"trimtab": {"steerings": str(folder)}, "other": 1},
        "model_config": model,
        "scheduler_config": SimpleNamespace(max_num_seqs=8),
        "speculative_config": None,
        "compilation_config": SimpleNamespace(splitting_ops=["vllm::attention"], cudagraph_mode=Graphs.FULL),
        "parallel_config": SimpleNamespace(prefill_context_parallel_size=1, use_ubatching=False),
        "cache_config": SimpleNamespace(kv_sharing_fast_prefill=False),
    }
    return SimpleNamespace(**{**given, **changes})


def test_an_armed_configuration_splits_graphs_at_the_seam_and_keys_compiled_ones_by_its_sites(folder: Path) -> None:
    one = config(folder)
    arm(one)
    assert one.compilation_config.splitting_ops == ["vllm::attention", "trimtab::edit"]
    assert one.compilation_config.cudagraph_mode is Graphs.PIECEWISE
    setup = Setup.of(one.additional_config)
    assert setup is not None
    assert (setup.sites, one.additional_config["other"]) == (("1",), 1)
    without = config(folder, compilation_config=SimpleNamespace(splitting_ops=[], cudagraph_mode=Graphs.FULL))
    arm(without)
    assert without.compilation_config.cudagraph_mode is Graphs.NONE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"speculative_config": object()}, "speculative decoding"),
        ({"cache_config": SimpleNamespace(kv_sharing_fast_prefill=True)}, "kv_sharing_fast_prefill"),
        ({"parallel_config": SimpleNamespace(prefill_context_parallel_size=2, use_ubatching=True)}, "two halves"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(folder: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        arm(config(folder, **changes))


@pytest.mark.parametrize(
    "change", [{"model_impl": "transformers"}, {"model_class_overrides": {"LlamaForCausalLM": "x:Y"}}]
)
def test_another_class_than_the_one_with_the_seam_is_refused(folder: Path, change: dict[str, Any]) -> None:
    one = config(folder)
    vars(one.model_config).update(change)
    with pytest.raises(InputError, match="carries the seam"):
        arm(one)


def test_engine_arguments_make_armed_configurations_once(folder: Path) -> None:
    checked: list[Any] = []

    class EngineArgs:
        def create_engine_config(self, usage: str | None = None) -> Any:
            return config(folder) if usage == "steered" else config(folder, additional_config={})

    for _ in range(2):
        steer_configs(EngineArgs, checked.append)
    assert EngineArgs().create_engine_config().additional_config == {}
    armed = EngineArgs().create_engine_config("steered")
    assert armed.compilation_config.splitting_ops.count("trimtab::edit") == 1
    assert len(checked) == 1


def test_a_server_that_would_ignore_the_field_is_told_so() -> None:
    check_named("other,trimtab")
    for plugins in (None, "", "other"):
        with pytest.raises(InputError, match="VLLM_PLUGINS to trimtab"):
            check_named(plugins)


@pytest.mark.parametrize("workers", [[], [("LlamaForCausalLM", [])]])
def test_a_worker_without_the_seam_stops_the_server(offer: Offer, workers: list[tuple[str, list[str]]]) -> None:
    assert seam_of(offer, [("LlamaForCausalLM", ["1"])])["model_class"] == "LlamaForCausalLM"
    with pytest.raises(TrimtabError, match="in none of vLLM's workers"):
        seam_of(offer, workers)


def posted(offer: Offer | None, body: Any, answer: list[bytes], kind: bytes = b"application/json") -> tuple[Any, ...]:
    """What the layer hands to vLLM, and what it sends to the client."""
    content, inner, sent = json.dumps(body).encode(), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        inner.append((dict(scope["headers"])[b"content-length"], message["body"]))
        headers = [(b"content-type", kind), (b"content-length", b"7")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for i, piece in enumerate(answer):
            await send({"type": "http.response.body", "body": piece, "more_body": i + 1 < len(answer)})

    layer = SteeredAnswers(app)
    layer.serve(SimpleNamespace(trimtab=None if offer is None else (offer, {})))
    scope = {
        "type": "http", "method": "POST", "path": "/v1/completions",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())],
    }  # fmt: skip
    halves = iter([content[:3], content[3:]])

    async def receive() -> Any:
        part = next(halves, None)
        return {"type": "http.request", "body": part, "more_body": part == content[:3]}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(layer(scope, receive, send))
    return inner, sent


def test_a_request_without_the_field_passes_byte_by_byte_and_so_does_its_answer(offer: Offer) -> None:
    body, answer = {"model": "tiny", "prompt": [1]}, [b'{"choices" : ', b"[]}"]
    (inner,), sent = posted(offer, body, answer)
    assert inner[1] == json.dumps(body).encode()
    assert [one["body"] for one in sent[1:]] == answer
    assert (b"content-length", b"7") in sent[0]["headers"]


def test_the_field_becomes_extra_arguments_and_the_answer_says_what_was_applied(offer: Offer) -> None:
    body = {"model": "tiny@warm", "prompt": [[1, 2], [3]], "n": 2, "steering": {"strength": 2}, "vllm_xargs": {"a": 1}}
    usage = {"prompt_tokens": 3, "completion_tokens": 8}
    said = {"choices": [{"text": "é", "finish_reason": "stop"}], "usage": usage}
    (inner,), sent = posted(offer, body, [json.dumps(said).encode()])
    handed = json.loads(inner[1])
    assert int(inner[0]) == len(inner[1])
    assert (handed["model"], "steering" in handed) == ("tiny", False)
    assert handed["vllm_xargs"]["a"] == 1
    assert json.loads(handed["vllm_xargs"]["steering"]) == {"name": "warm", "strength": {"warm": 2.0}, "scope": "all"}
    answer = json.loads(sent[1]["body"])
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    assert answer["trimtab"]["artifact"] == offer.steerings["warm"].id
    assert answer["trimtab"]["selected"] == 2 * 3 + 8 - 4


def test_events_are_rewritten_however_they_are_cut(offer: Offer) -> None:
    events = [
        {"choices": [{"text": "a", "finish_reason": None}], "usage": {"prompt_tokens": 2, "completion_tokens": 1}},
        {"choices": [{"text": "b", "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 2}},
    ]
    stream = (
        b": hello\n\n"
        + b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)
        + b"data: [DONE]\n\n"
    )
    body = {"model": "tiny", "prompt": [1, 2], "stream": True, "steering": {"name": "warm"}}
    for size in (1, 7, len(stream)):
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        _, sent = posted(offer, body, pieces, b"text/event-stream; charset=utf-8")
        text = b"".join(one["body"] for one in sent[1:]).decode()
        parts = text.split("\n\n")
        assert (parts[0], parts[-2:]) == (": hello", ["data: [DONE]", ""])
        said = [json.loads(part.removeprefix("data: ")) for part in parts[1:-2]]
        assert [one.get("trimtab", {}).get("selected", "absent") for one in said] == ["absent", None, 3]
        assert json.dumps(events[0]) in text  # as it was


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"steering": {"name": "cold"}}, "steering.name"),
        ({"steering": "{"}, "steering"),
        ({"steering": 7}, "steering"),
        ({"steering": {"name": "warm"}, "vllm_xargs": [1]}, "vllm_xargs"),
        ({"steering": {"name": "warm"}, "vllm_xargs": {"steering": "{}"}}, "vllm_xargs"),
        ({"steering": {"name": "warm", "compare": True}}, "steering.compare"),
        ({"model": "tiny@warm", "steering": '{"name": "cold"}'}, "steering.name"),
    ],
)
def test_a_bad_field_never_reaches_vllm(offer: Offer, more: dict[str, Any], param: str) -> None:
    inner, sent = posted(offer, {"model": "tiny", "prompt": [1], **more}, [b"{}"])
    assert inner == []
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["error"]["param"] == param


def test_the_field_may_be_json_text_beside_a_model_that_names_the_steering(offer: Offer) -> None:
    (inner,), _ = posted(offer, {"model": "tiny@warm", "prompt": [1], "steering": '{"strength": 3}'}, [b"{}"])
    assert json.loads(json.loads(inner[1])["vllm_xargs"]["steering"])["strength"] == {"warm": 3.0}


def test_a_server_without_steerings_is_left_as_it_is() -> None:
    _, sent = posted(None, {"model": "tiny", "prompt": [1]}, [b"{}"])
    assert sent[1]["body"] == b"{}"
