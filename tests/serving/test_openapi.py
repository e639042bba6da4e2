"""The OpenAPI document holds: schemathesis makes requests of it, good and bad, and checks every answer against it."""

from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from tests.serving.asking import sent
from tests.serving.conftest import Make, Server

from trimtab.serving.keys import KEY_SCOPES, KeyFile

BODIES = ("POST /v1/chat/completions", "POST /v1/completions")
# A document cannot say what a body's fields must be to each other; paths are held to this check as well.
BEYOND = [schemathesis.checks.positive_data_acceptance]


@pytest.fixture(params=[False, True], ids=["alone", "with a store"])
def all_scopes(
    make: Make, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Server, str]:
    """A server that knows long prompts and counts no rates, and a key for everything."""
    monkeypatch.setattr("trimtab.serving.live.feedback._WAITS", ())
    monkeypatch.setattr("trimtab.serving.changes.LASTS", 0.0)
    limits = {"requests_per_minute": 10**6, "running": 10**4, "running_per_key": 10**4}
    server = make(max_length=100_000, store=request.param, **limits)
    return server, KeyFile(tmp_path / "keys.json").create("all", KEY_SCOPES)


def likelier(body: Any) -> Any:
    """The same body, about a model and a steering that there are, so that it is answered more often."""
    if isinstance(body, float) and body.is_integer():
        return int(body)  # to JSON's schemas 1.0 is an integer, to the server it is not
    if isinstance(body, list):
        return [likelier(one) for one in body]
    if not isinstance(body, dict):
        return body
    out = {name: likelier(value) for name, value in body.items()}
    if "messages" in out:
        out["messages"] = [{"role": "user", "content": str(turn.get("content") or "hello")} for turn in out["messages"]]
    for name in {"n", "max_tokens", "max_completion_tokens"} & {name for name, value in out.items() if value}:
        out[name] = out[name] % 4 + 1
    if isinstance(out.get("steering"), dict):
        out["steering"] = {**out["steering"], "name": "warm", "strength": None}
    if "treatment" in out:
        out |= {"treatment": "warm", "control": None, "strength": None, "checks": [], "unchecked": "a test"}
        out |= {"metric": "length", "guardrails": []}
    return {**out, "model": "tiny@warm" if out.get("steering") else "tiny"} if "model" in out else out


@pytest.mark.parametrize("examples", [12, pytest.param(250, marks=pytest.mark.slow)])
def test_every_answer_is_as_the_document_says_and_none_is_a_failure_of_the_server(
    all_scopes: tuple[Server, str], examples: int
) -> None:
    server, key = all_scopes
    schema = schemathesis.openapi.from_asgi("/openapi.json", server.app)
    asked: Counter[tuple[str, str, int]] = Counter()

    def attempt(operation: Any, mode: schemathesis.GenerationMode) -> None:
        @hypothesis.settings(
            max_examples=examples, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def answered(case: schemathesis.Case) -> None:
            if mode is schemathesis.GenerationMode.POSITIVE and operation.label in (*BODIES, "POST /v1/releases"):
                case.body = likelier(case.body)
            excluded = BEYOND if operation.body else []
            response = case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, excluded_checks=excluded)
            asked[operation.label, mode.value, response.status_code] += 1

        answered()

    for found in schema.get_all_operations():
        operation = found.ok()
        attempt(operation, schemathesis.GenerationMode.POSITIVE)
        if operation.body:
            attempt(operation, schemathesis.GenerationMode.NEGATIVE)
    for label in BODIES:  # else nothing was tried
        assert asked[label, "positive", 200] > examples // 4, asked
        assert asked[label, "negative", 400] > examples // 4, asked
    assert server.engine.running == {}


def test_the_document_names_the_key_and_only_answers_that_there_are(make: Make) -> None:
    def document(server: Server) -> dict[str, Any]:
        return dict(sent(server, "GET", "/openapi.json", None).json())

    found = document(make())
    operations = {path: next(iter(methods.values())) for path, methods in found["paths"].items()}
    assert {path for path, one in operations.items() if "security" not in one} == {"/health", "/ready"}
    assert all("422" not in one["responses"] for one in operations.values())
    assert found["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    assert "HTTPValidationError" not in found["components"]["schemas"]
    assert set(operations["/v1/completions"]["responses"]["200"]["content"]) == {
        "application/json",
        "text/event-stream",
    }
    unlocked = document(make(no_auth=True))
    assert "securitySchemes" not in unlocked["components"]
    assert all("security" not in one for methods in unlocked["paths"].values() for one in methods.values())
