"""`trimtab serve` and vLLM: the same text from both by OpenAI's client, and a release in front of vLLM.

The two do not go into one environment. This runs where `trimtab serve` does; TRIMTAB_VLLM is the Python that has vLLM.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.vllm_plugin.reference import agree, greedy
from tests.integrations.vllm_plugin.steerings import write_steerings
from tests.serving.process import serving

import trimtab as tt

pytest.importorskip("sqlalchemy", reason="trimtab serve is not installed here")

from trimtab.operations import Releases, Store, planned, verify

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own

TURNS = [{"role": "user", "content": "How was the film?"}]
KINDS = (
    "additive", "keep-norm", "gated", "ablation", "rotation", "clamp", "classifier", "several", "stack", "shouting",
)  # fmt: skip
ASKS: list[dict[str, Any] | None] = [
    None,
    *({"name": kind} for kind in KINDS),
    *({"name": "additive", "strength": 2.0, "scope": scope} for scope in ("prompt", "last", "generated")),
]


@pytest.fixture(scope="module")
def ours(url: str, wide_folder: Path, folder: Path, steerings: Any) -> Iterator[str]:
    """Of `trimtab serve`, whose transformers engine runs the same model."""
    options = ["--dtype", "float32", "--name", "tiny", "--steerings", folder, "--no-auth", "--no-playground"]
    with serving("--model", wide_folder, *options) as server:
        yield server.url


def answered(url: str, key: str, ask: dict[str, Any] | None) -> Any:
    """What OpenAI's client gets."""
    from openai import OpenAI

    extra: dict[str, Any] = {"return_token_ids": True}
    if ask is not None:
        extra["steering"] = ask
    with OpenAI(base_url=url, api_key=key, max_retries=0, timeout=120) as client:
        return client.chat.completions.create(
            model="tiny", messages=TURNS, temperature=0, max_tokens=16, extra_body=extra
        )


def test_every_kind_of_edit_is_one_of_those_asked_for(model: tt.Model, tmp_path: Path) -> None:
    assert set(write_steerings(tmp_path, model)) == set(KINDS)


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: "-".join(map(str, ask.values())) if ask else "unsteered")
def test_openais_client_gets_the_same_greedy_text_from_both_engines(
    url: str, ours: str, model: tt.Model, steerings: dict[str, tt.Steering], ask: dict[str, Any] | None
) -> None:
    theirs, own = answered(f"{url}/v1", "secret", ask), answered(ours, "none", ask)
    prompt = theirs.model_extra["prompt_token_ids"]
    assert own.usage.prompt_tokens == len(prompt)
    asked = ask or {}
    steering = None if ask is None else steerings[ask["name"]]
    tokens = [answer.choices[0].model_extra["token_ids"] for answer in (theirs, own)]
    assert len(tokens[0]) == len(tokens[1])
    wanted = greedy(model, prompt, steering, asked.get("strength"), asked.get("scope", "all"), len(tokens[0]))
    assert all(agree(one, wanted) for one in tokens)
    if tokens[0] == tokens[1]:
        texts = [answer.choices[0].message.content for answer in (theirs, own)]
        whole = [
            text.rstrip("\N{REPLACEMENT CHARACTER}") for text in texts
        ]  # vLLM leaves out half a character at the end
        assert whole[0] == whole[1]
        assert theirs.choices[0].finish_reason == own.choices[0].finish_reason
    if steering is not None:
        applied = [answer.model_extra["trimtab"] for answer in (theirs, own)]
        assert [one["artifact"] for one in applied] == [steering.id] * 2
        assert applied[0]["selected"] == applied[1]["selected"]


@pytest.fixture(scope="module")
def front(url: str, folder: Path, steerings: Any) -> Iterator[str]:
    """Of `trimtab serve` in front of vLLM."""
    patch = pytest.MonkeyPatch()
    patch.setenv("VLLM_KEY", "secret")
    options = ["--upstream", f"{url}/v1", "--upstream-key-env", "VLLM_KEY", "--steerings", folder, "--no-auth"]
    with serving(*options) as server:
        yield server.url
    patch.undo()


SCHEMA = {
    "type": "object", "properties": {"ticket": {"const": "r-7"}, "ok": {"type": "boolean"}},
    "required": ["ticket", "ok"], "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize("ask", [None, {"name": "additive"}])
def test_json_and_calls_of_functions_come_from_vllm_as_asked_for(front: str, ask: dict[str, Any] | None) -> None:
    from openai import OpenAI

    form: Any = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": SCHEMA}}
    tools: Any = [{"type": "function", "function": {"name": "close", "parameters": SCHEMA}}]
    given: Any = {"model": "tiny", "messages": TURNS, "temperature": 0, "max_tokens": 150}
    given["extra_body"] = {} if ask is None else {"steering": ask}
    with OpenAI(base_url=front, api_key="none", max_retries=0, timeout=120) as client:
        written = client.chat.completions.create(**given, response_format=form)
        called = client.chat.completions.create(**given, tools=tools, tool_choice="required")
    assert json.loads(written.choices[0].message.content)["ticket"] == "r-7"
    (call,) = called.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)["ticket"]) == ("close", "r-7")
    assert called.choices[0].finish_reason == "tool_calls"


def test_a_release_in_front_of_vllm_is_taken_back_by_its_guardrail(
    url: str, steerings: dict[str, tt.Steering], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of half of the users break down, the server in front sees it, and from then on nobody is steered."""
    from openai import OpenAI

    monkeypatch.setenv("VLLM_KEY", "secret")
    place = f"sqlite:///{tmp_path / 'operations.db'}"
    front = ["--upstream", f"{url}/v1", "--upstream-key-env", "VLLM_KEY", "--steerings", folder, "--no-auth"]
    with Store(place, create=True) as store:
        releases = Releases(store)
        releases.create(
            "first", folder / "shouting", by="ada", model="tiny", stages=(50, 100), unchecked="a test",
            **planned(None, ["degenerate:0.1:rollback"]),
        )  # fmt: skip
        with serving(*front, "--store", place, "--watch-every", 0.5, "--requests-per-minute", 10**6) as server:
            releases.act("first", "start", by="ada")
            with OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120) as client:

                def asked(user: str) -> dict[str, Any]:
                    answer = client.chat.completions.create(
                        model="tiny", messages=TURNS, temperature=0.1, max_tokens=30, user=user
                    )
                    told: dict[str, Any] = (answer.model_extra or {})["trimtab"]
                    return told

                told: list[dict[str, Any]] = []
                deadline = time.monotonic() + 240
                while releases.get("first").state != "rolled-back" and time.monotonic() < deadline:
                    told.append(asked(f"user-{len(told)}"))
                assert releases.get("first").state == "rolled-back"
                time.sleep(1.5)  # by when every server follows
                after = [asked(f"user-{n}") for n in range(20)]
        steered = [one for one in told if one["arm"] == "treatment" and one["steering"]]
        assert {one["artifact"] for one in steered} == {steerings["shouting"].id}
        assert {one["arm"] for one in told} >= {"treatment", "control"}
        assert not any(one["steering"] for one in after)
        last = releases.history("first")[-1].entry
        assert (last.who, "degenerate" in json.dumps(last.record)) == ("watch", True)
        assert verify(store).holds
