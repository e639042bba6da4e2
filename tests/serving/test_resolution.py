"""What a request's steering becomes, and what it is told where it departs from what was checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.serving.steerings import CHECKED, FACTS, write_steering

from trimtab.errors import InputError
from trimtab.interventions import POSITION_SCOPES, SCOPES, Capabilities, RequestSteering
from trimtab.serving.errors import HttpError
from trimtab.serving.protocol import AskedSteering
from trimtab.serving.registry import Registry
from trimtab.serving.resolution import Resolved, resolve, steering_name

ABLE = Capabilities(FACTS, 64, 8, frozenset({"additive"}), frozenset(SCOPES), messages=True)
BRIEF = {**CHECKED, "decision": "caution", "strength": -0.5}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    checks = {"warm": CHECKED, "brief": BRIEF}
    presets = {"gentle": {"warm": 0.5, "brief": 0.0}}
    write_steering(tmp_path / "both", {"warm": 1.0, "brief": 0.25}, checks, presets=presets)
    write_steering(tmp_path / "new", {"new": 1.0})
    return Registry(tmp_path)


def resolved(registry: Registry, name: str = "both", able: Capabilities = ABLE, **asked: Any) -> Resolved:
    chat, mismatch = asked.pop("chat", True), asked.pop("mismatch", False)
    return resolve(registry, name, AskedSteering(**asked), able, chat=chat, mismatch=mismatch)


def test_what_was_checked_is_the_default(registry: Registry) -> None:
    got = resolved(registry)
    id = registry.find("both").id
    assert got.steering == RequestSteering(id, {"warm": 1.5, "brief": -0.5}, "generated")
    assert got.decisions == {"warm": "go", "brief": "caution"}
    assert got.departures == ("warm, brief: act together, where each was checked alone",)


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        (0.5, {"warm": 0.5, "brief": 0.5}),
        ("gentle", {"warm": 0.5, "brief": 0.0}),
        ({"brief": -0.25}, {"warm": 1.5, "brief": -0.25}),
        (0, {"warm": 0.0, "brief": 0.0}),
    ],
)
def test_strengths_are_a_number_a_preset_or_by_attribute(registry: Registry, strength: Any, expected: Any) -> None:
    assert resolved(registry, strength=strength).steering.strength == expected


@pytest.mark.parametrize(
    ("asked", "departure"),
    [
        ({"strength": {"warm": 1.5, "brief": 0}}, None),
        ({"strength": {"warm": 1.0, "brief": 0}}, None),
        ({"strength": 0, "scope": "all", "chat": False}, None),
        ({"strength": {"warm": 1.6, "brief": 0}}, "warm: strength 1.6 is above the checked 1.5"),
        ({"strength": {"warm": -1, "brief": 0}}, "warm: strength -1 has the opposite sign of the checked 1.5"),
        ({"strength": {"warm": 0, "brief": -0.6}}, "brief: strength -0.6 is above the checked -0.5"),
        ({"strength": "gentle", "scope": "all"}, "warm: scope all, where it was checked with generated"),
        ({"strength": "gentle", "chat": False}, "warm: without the chat template, where it was checked with"),
        ({"name": "new"}, "new: was not checked"),
    ],
)
def test_a_departure_from_the_check_is_told(registry: Registry, asked: dict[str, Any], departure: str | None) -> None:
    name = asked.pop("name", "both")
    assert resolved(registry, name, **asked).departures == (() if departure is None else (departure,))


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"strength": {"cold": 1}}, "steering.strength", "unknown attribute cold; this steering has warm, brief"),
        ({"strength": "strong"}, "steering.strength", "nor a preset of this steering; it has gentle"),
        ({"strength": {"warm": 15.1}}, "steering.strength.warm", "beyond 15, 10 times"),
        ({"strength": {"brief": 5.1}}, "steering.strength.brief", "beyond 5, 10 times"),
        ({"name": "other"}, "steering.name", "there is no steering 'other' here; there is 'both', 'new'"),
    ],
)
def test_what_is_unknown_or_too_strong_is_named_with_what_there_is(
    registry: Registry, asked: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InputError) as raised:
        resolved(registry, asked.pop("name", "both"), **asked)
    assert raised.value.field == field
    assert said in str(raised.value)


def test_a_steering_for_another_model_is_refused_unless_its_shapes_fit_and_that_is_allowed(registry: Registry) -> None:
    other = replace(ABLE, model=replace(FACTS, digest="2" * 64))
    with pytest.raises(InputError, match="was made for other weights, of tiny"):
        resolved(registry, able=other)
    got = resolved(registry, able=other, mismatch=True, strength="gentle")
    assert got.departures == ("the steering was made for other weights, of tiny",)
    wider = replace(ABLE, model=replace(FACTS, digest="2" * 64, shapes="3" * 64, d_model=8))
    with pytest.raises(InputError, match="d_model 4 instead of 8"):
        resolved(registry, able=wider, mismatch=True)


def test_what_the_engine_cannot_run_is_refused(registry: Registry) -> None:
    with pytest.raises(InputError, match="edits of kind additive, which the engine cannot run"):
        resolved(registry, able=replace(ABLE, edits=frozenset({"gated"})))
    with pytest.raises(InputError, match="scope 'generated' is not supported by the engine; this server has all"):
        resolved(registry, able=replace(ABLE, scopes=frozenset({"all"})))
    with pytest.raises(InputError, match="scope 'thinking' needs a model with marks around its thinking; this server"):
        resolved(registry, scope="thinking", able=replace(ABLE, scopes=frozenset(POSITION_SCOPES)))


def test_a_steering_is_named_in_the_model_or_in_its_field() -> None:
    assert steering_name("tiny", "tiny", None) is None
    assert steering_name("tiny@warm", "tiny", None) == "warm"
    assert steering_name("tiny@warm", "tiny", AskedSteering(strength=2)) == "warm"
    assert steering_name("tiny", "tiny", AskedSteering(name="warm")) == "warm"
    assert steering_name("org/a@b@warm", "org/a@b", AskedSteering(name="warm")) == "warm"
    with pytest.raises(InputError, match="name one"):
        steering_name("tiny@warm", "tiny", AskedSteering(name="brief"))
    for model in ("tiny", "tiny@"):
        with pytest.raises(InputError, match="say which one"):
            steering_name(model, "tiny", AskedSteering(strength=1))
    with pytest.raises(HttpError, match="no model 'gpt-4'; it has 'tiny', and tiny@NAME") as raised:
        steering_name("gpt-4", "tiny", None)
    assert (raised.value.status, raised.value.word, raised.value.field) == (404, "model_not_found", "model")
