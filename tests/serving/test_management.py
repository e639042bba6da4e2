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
    assert all(model.model_extra == {"max_running": 8, "note": None} for model in page.data)
    server.registry.disable("brief")
    assert [m["id"] for m in sent(server, "GET", "/v1/models").json()["data"]] == ["tiny", "tiny@warm"]
    assert sent(server, "GET", "/v1/models/tiny@warm").json()["id"] == "tiny@warm"
    assert sent(server, "GET", "/v1/models/gpt-4").status_code == 404
    assert sent(server, "GET", "/v1/models/tiny@brief").status_code == 404


def test_steerings_are_listed_with_their_verdicts_and_with_what_was_checked(server: Server, steerings: Path) -> None:
    listed = sent(server, "GET", "/v1/steerings").json()
    assert (listed["object"], listed["faults"]) == ("list", {})
    brief, warm = listed["data"]
    assert warm["attributes"] == [
        {
            "name": "warm", "strength": 1.5, "decision": "go", "sentence": "It works.", "reservations": [],
            "checked_strength": 1.5, "checked_scope": "generated", "checked_chat_template": True,
        }
    ]  # fmt: skip
    assert (warm["presets"], warm["scope"], warm["enabled"], warm["model"]) == (
        {"gentle": {"warm": 0.5}}, "generated", True, "tiny",
    )  # fmt: skip
    assert brief["attributes"][0]["decision"] is None


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
