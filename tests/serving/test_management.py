"""Models, steerings, tokens, metrics, the schema: what there is, and what changes it."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai.pagination import SyncPage
from openai.types import Model
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.asking import sent as sent_as
from tests.serving.conftest import Server
from tests.serving.steerings import CHECKED, write_steering

from trimtab.errors import InputError
from trimtab.results.consequences import Divergence
from trimtab.results.figures import Estimate
from trimtab.results.report import AntiSteerable, Effect
from trimtab.serving.app import create_app
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Settings

CHAT = "/v1/chat/completions"


def sent(server: Server, method: str, path: str, scope: str = "read", **options: Any) -> httpx2.Response:
    return sent_as(server, method, path, scope, **options)


def hello(server: Server, name: str, text: str = "hello") -> httpx2.Response:
    asked = {"model": f"tiny@{name}", "messages": [{"role": "user", "content": text}]}
    return sent(server, "POST", CHAT, "infer", json=asked)


def test_models_are_the_model_and_each_steering_that_is_on(server: Server) -> None:
    page = SyncPage[Model].model_validate(sent(server, "GET", "/v1/models").json())
    assert [model.id for model in page.data] == ["tiny", "tiny@brief", "tiny@warm"]
    told = {"max_running": 8, "max_model_len": 64, "messages": True, "note": None}
    assert all(model.model_extra == told for model in page.data)
    server.registry.disable("brief")
    assert [m["id"] for m in sent(server, "GET", "/v1/models").json()["data"]] == ["tiny", "tiny@warm"]
    assert sent(server, "GET", "/v1/models/tiny@warm").json()["id"] == "tiny@warm"
    assert sent(server, "GET", "/v1/models/gpt-4").status_code == 404
    assert sent(server, "GET", "/v1/models/tiny@brief").status_code == 404


def test_steerings_are_listed_with_their_verdicts_and_with_what_was_checked(server: Server, steerings: Path) -> None:
    listed = sent(server, "GET", "/v1/steerings").json()
    assert (listed["object"], listed["faults"]) == ("list", {})
    brief, warm = listed["data"]
    (attribute,) = warm["attributes"]
    told = {name: value for name, value in attribute.items() if value is not None}
    assert told == {
        "name": "warm", "strength": 1.5, "largest_strength": 15.0, "decision": "go", "sentence": "It works.",
        "reasons": [], "reservations": [], "checked_strength": 1.5, "checked_scope": "generated",
        "checked_chat_template": True,
    }  # fmt: skip
    assert (warm["presets"], warm["scope"], warm["enabled"], warm["model"]) == (
        {"gentle": {"warm": 0.5}}, "generated", True, "tiny",
    )  # fmt: skip
    assert brief["attributes"][0]["decision"] is None
    assert brief["card"] == warm["card"] == "a card"


def test_the_list_tells_what_a_fit_wrote_of_its_check(server: Server, steerings: Path) -> None:
    write_steering(steerings / "told", {"told": 1.0}, {"told": gist("logits")}, card="# Told\n\n<b>bold</b> \u202e")
    told = sent(server, "POST", "/v1/steerings", "operate", json={"name": "told"}).json()
    assert told == next(one for one in sent(server, "GET", "/v1/steerings").json()["data"] if one["name"] == "told")
    assert told["card"] == "# Told\n\n<b>bold</b> \ufffd"
    (attribute,) = told["attributes"]
    figures = {
        name: (f["value"], f["low"], f["high"], f["n"], f["unit"], f["reason"])
        for name in ("effect", "desired", "undesired", "anti_steerable", "kl")
        if (f := attribute[name])
    }
    assert figures == {
        "effect": (0.5, 0.4, 0.6, 140, "logits", None), "desired": (0.3, 0.2, 0.4, 140, "nats", None),
        "undesired": (None, None, None, None, "nats", "too few"),
        "anti_steerable": (0.1, 0.05, 0.2, 140, "share", None), "kl": (0.01, 0.0, 0.02, 12, "nats/token", None),
    }  # fmt: skip
    assert attribute["reasons"] == ["mean steering effect 0.50 [0.40, 0.60] logits, needs more than 0.1: holds"]


def test_what_the_list_tells_is_bounded_whatever_the_artifact_holds(server: Server, steerings: Path) -> None:
    check = {**gist("nats/token"), "sentence": "s" * 100_000, "reservations": ["r" * 9_000] * 5_000}
    write_steering(steerings / "long", {"long": 1.0}, {"long": check}, card="c" * 500_000)
    told = sent(server, "POST", "/v1/steerings", "operate", json={"name": "long"})
    assert len(told.content) < 120_000
    (attribute,) = told.json()["attributes"]
    assert attribute["reservations"][-1] == "… and 4,960 more"
    assert told.json()["card"].endswith("README.md)")
    assert attribute["sentence"] == "s" * 2_000 + "…"
    write_steering(steerings / "odd", {"odd": 1.0}, {"odd": {**gist("logits"), "effect": {"mean": "much"}}})
    refused = sent(server, "POST", "/v1/steerings", "operate", json={"name": "odd"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "attributes.odd.effect.mean")


def gist(unit: str) -> dict[str, Any]:
    """What `trimtab fit` writes of an attribute's check."""
    effect = Effect(
        mean=0.5, low=0.4, high=0.6, sd=0.2, odd=0.5, even=0.0, odd_low=0.4, odd_high=0.6, even_low=-0.1, even_high=0.1,
        n=140, positive=Estimate(value=0.3, low=0.2, high=0.4, n=140), negative=Estimate(reason="too few"),
    )  # fmt: skip
    anti_steerable = AntiSteerable(share=0.1, low=0.05, high=0.2, undecided=0.0, n=140)
    return {
        **CHECKED, "unit": unit, "effect": effect.model_dump(mode="json"),
        "anti_steerable": anti_steerable.model_dump(mode="json"),
        "reasons": ["mean steering effect 0.50 [0.40, 0.60] logits, needs more than 0.1: holds"],
        "kl": Divergence(value=0.01, low=0.0, high=0.02, n_documents=12).model_dump(mode="json"),
    }  # fmt: skip


def test_a_steering_is_disabled_enabled_forgotten_and_loaded(server: Server, steerings: Path) -> None:
    assert sent(server, "POST", "/v1/steerings/warm/disable", "operate").json()["enabled"] is False
    assert "is disabled; enable it" in hello(server, "warm").json()["error"]["message"]
    assert sent(server, "POST", "/v1/steerings/warm/enable", "operate").json()["enabled"] is True
    assert hello(server, "warm").status_code == 200
    assert sent(server, "DELETE", "/v1/steerings/warm", "operate").json()["name"] == "warm"
    assert hello(server, "warm").status_code == 400
    write_steering(steerings / "new", {"new": 1.0}, {"new": CHECKED})
    for name in ("warm", "new"):
        assert sent(server, "POST", "/v1/steerings", "operate", json={"name": name}).status_code == 200
        assert hello(server, name).json()["trimtab"]["steering"] == name
    assert [line["act"] for line in server.lines if "act" in line] == ["disable", "enable", "unload", "load", "load"]
    for method, path in (("DELETE", "/v1/steerings/no"), ("POST", "/v1/steerings/no/enable")):
        response = sent(server, method, path, "operate")
        assert response.status_code == 404
        assert "there is 'brief', 'new', 'warm'" in response.json()["error"]["message"]


def test_nothing_outside_of_the_folder_is_loaded(server: Server, steerings: Path) -> None:
    write_steering(steerings.parent / "outside", {"secret": 1.0})
    (steerings / "link").symlink_to(steerings.parent / "outside", target_is_directory=True)
    for name in ("../outside", str(steerings.parent / "outside"), "link", ".", "none"):
        response = sent(server, "POST", "/v1/steerings", "operate", json={"name": name})
        assert response.status_code in (400, 404)
        assert response.json()["error"]["param"] == "name"
    assert list(server.registry.loaded) == ["brief", "warm"]


def test_a_change_holds_from_the_next_request_on_and_one_that_runs_keeps_its_steering(server: Server) -> None:
    async def main() -> tuple[httpx2.Response, int]:
        asked = {"model": "tiny@warm", "messages": [{"role": "user", "content": "wait"}]}
        async with server.client() as client, server.client("operate") as operator:
            running = asyncio.create_task(client.post(CHAT, json=asked))
            while not server.engine.running:
                await asyncio.sleep(0.01)
            await operator.delete("/v1/steerings/warm")
            later = await client.post(CHAT, json=asked)
            return await running, later.status_code

    response, later = asyncio.run(main())
    assert response.json()["choices"][0]["message"]["content"] == "WAIT"
    assert later == 400


def test_texts_are_tokenized_as_completions_take_them(server: Server) -> None:
    response = sent(server, "POST", "/tokenize", "infer", json={"model": "tiny", "prompt": "hi"})
    assert response.json() == {"count": 2, "max_model_len": 64, "tokens": [104, 105]}
    assert sent(server, "POST", "/tokenize", "infer", json={"prompt": ""}).status_code == 400


def test_metrics_count_requests_tokens_and_edits(server: Server) -> None:
    hello(server, "warm")
    hello(server, "cold")
    hello(server, "warm", "fail")
    page = sent(server, "GET", "/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }
    expected = {
        ("trimtab_requests_total", CHAT, "200"): 1, ("trimtab_requests_total", CHAT, "400"): 1,
        ("trimtab_requests_total", CHAT, "503"): 1, ("trimtab_tokens_total", "prompt"): 5,
        ("trimtab_tokens_total", "answer"): 5, ("trimtab_edited_tokens_total", "touched", "warm"): 9,
        ("trimtab_engine_failures_total",): 1, ("trimtab_answers_running",): 0,
        ("trimtab_first_token_seconds_count",): 1,
    }  # fmt: skip
    assert {name: samples[name] for name in expected} == expected


def test_the_schema_describes_requests_answers_and_errors(server: Server) -> None:
    document = sent(server, "GET", "/openapi.json").json()
    chat = document["paths"][CHAT]["post"]
    assert chat["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    for status, name in (("200", "Chat"), ("400", "ErrorBody"), ("429", "ErrorBody"), ("503", "ErrorBody")):
        schema = chat["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{name}"}
    assert json.dumps(document)


def test_a_server_has_keys_or_asks_for_none(server: Server) -> None:
    with pytest.raises(InputError, match="either has keys"):
        create_app(server.engine, Registry(None), None, Settings("tiny"))


def test_the_process_of_the_protocol_loads_no_torch() -> None:
    code = (
        "import sys, trimtab.serving.app, trimtab.serving.vocabulary, trimtab.cli.keys\n"
        "print(sorted({'torch', 'transformers'} & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
