"""What a request makes of the steerings that a vLLM server offers, and which requests may share a cache; no vLLM."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

import trimtab as tt
from trimtab.errors import InputError
from trimtab.integrations.vllm.architectures import ARCHITECTURES, architecture_of
from trimtab.integrations.vllm.offer import Offer, ServedModel, applied, cache_salt, selected_tokens
from trimtab.integrations.vllm.setup import Setup
from trimtab.interventions import ModelFacts, RequestSteering, Site

FACTS = ModelFacts("tiny", None, "LlamaForCausalLM", 4, 2, "0" * 64, "1" * 64)
MODEL = ServedModel("tiny", "LlamaForCausalLM", ARCHITECTURES["LlamaForCausalLM"], 4, 2, 64, 8, "float32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of steerings, of which the last ones do not fit."""
    one = tt.Steering.from_vector(1, torch.ones(4), "warm", made_for=FACTS)
    one.save(tmp_path / "warm")
    one.changed(conditions={"warm": tt.Condition(0, [1.0, 0, 0, 0], 0.2)}).save(tmp_path / "conditional")
    tt.Steering({}, {"brief": 1.0}, prompts={"brief": ("Be brief. ", "")}).save(tmp_path / "prompting")
    tt.Steering.from_vector(1, torch.ones(5), "wide").save(tmp_path / "wide")
    tt.Steering.from_vector(7, torch.ones(4), "deep").save(tmp_path / "deep")
    other = replace(FACTS, id="other", architecture="GPT2LMHeadModel")
    tt.Steering.from_vector(1, torch.ones(4), "other", made_for=other).save(tmp_path / "other")
    return tmp_path


def test_what_does_not_fit_is_left_out_with_its_reason(folder: Path) -> None:
    offer = Offer(Setup(folder), MODEL)
    assert list(offer.steerings) == ["warm"]
    assert offer.sites == (Site(1),)
    reasons = {
        "conditional": "conditions on prompts", "prompting": "text in front of prompts", "wide": "5 wide",
        "deep": "blocks 0 to 1", "other": "GPT2LMHeadModel",
    }  # fmt: skip
    assert set(offer.faults) == set(reasons)
    for name, words in reasons.items():
        assert words in offer.faults[name]
        with pytest.raises(InputError, match="cannot be used here") as refused:
            offer.resolved({"name": name})
        assert refused.value.field == "steering.name"


def test_a_folder_without_a_steering_that_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no steering for tiny: it is empty"):
        Offer(Setup(tmp_path), MODEL)


def test_defaults_are_filled_in_and_departures_said(folder: Path) -> None:
    found = Offer(Setup(folder), MODEL).resolved('{"name": "warm"}')
    assert (found.steering.strength, found.steering.scope) == ({"warm": 1.0}, "all")
    assert "not compared" in found.departures[0]
    assert found.departures[1:] == ("warm: was not checked",)


def test_weights_that_were_compared_must_be_the_same_unless_others_are_allowed(folder: Path) -> None:
    same = Offer(Setup(folder, facts=FACTS), MODEL).resolved({"name": "warm"})
    assert same.departures == ("warm: was not checked",)
    others = replace(FACTS, digest="9" * 64)
    with pytest.raises(InputError, match="other weights"):
        Offer(Setup(folder, facts=others), MODEL).resolved({"name": "warm"})
    allowed = Offer(Setup(folder, allow_mismatch=True, facts=others), MODEL).resolved({"name": "warm"})
    assert "other weights" in allowed.departures[0]


def test_the_salt_tells_apart_whatever_is_edited_otherwise_and_nothing_else() -> None:
    asks = [
        RequestSteering("a", {"x": 1.0, "y": 0.0}),
        RequestSteering("b", {"x": 1.0, "y": 0.0}),
        RequestSteering("a", {"x": 2.0, "y": 0.0}),
        RequestSteering("a", {"x": 1.0, "y": 1.0}),
        RequestSteering("a", {"x": 1.0, "y": 0.0}, "generated"),
        RequestSteering("a", {"x": 1.0, "y": 0.0}, "prompt"),
    ]
    told = [applied(ask) for ask in asks]
    salts = [cache_salt(one, 10, None) for one in told if one is not None]
    assert all(a != b for a, b in combinations(salts, 2))
    assert salts == [cache_salt(json.loads(json.dumps(one)), 10, None) for one in told]  # the same steering again
    assert cache_salt(told[0], 10, "mine") not in (*salts, cache_salt(told[0], 10, "yours"))
    for i, one in enumerate(told):
        assert (cache_salt(one, 11, None) == salts[i]) == (asks[i].scope == "all")


def test_a_strength_of_zero_is_no_steering() -> None:
    assert applied(RequestSteering("a", {"x": 0.0, "y": -0.0})) is None


@pytest.mark.parametrize("scope", ["all", "prompt", "last", "generated"])
def test_selected_tokens_are_those_that_positions_say(scope: str) -> None:
    from trimtab.interventions import WINDOWS

    prompts, answers = [5, 9], [[3, 1], [4, 2]]  # tokens of each prompt, and of its answers
    low, high = WINDOWS[scope]  # type: ignore[index]
    counted = sum(
        low <= position - p < high
        for p, own in zip(prompts, answers, strict=True)
        for a in own
        for position in range(p + a - 1)  # the last token is not run
    )
    assert selected_tokens(scope, 2, sum(prompts), 2, sum(map(sum, answers))) == counted


def test_an_architecture_names_the_modules_of_its_sites() -> None:
    name, layout = architecture_of(["Unknown", "Gemma2ForCausalLM"])
    assert name == "Gemma2ForCausalLM"
    places = [layout.place(Site(3)), layout.place(Site(3, "attention")), layout.place(Site(3, "mlp"))]
    block = "model.layers.3"
    assert places == [block, f"{block}.post_attention_layernorm", f"{block}.post_feedforward_layernorm"]
    with pytest.raises(InputError, match="no module of its own"):
        layout.place(Site(3, "heads"))
    with pytest.raises(InputError, match="cannot be steered"):
        architecture_of(["Unknown"])


def test_the_setup_goes_through_additional_config_and_back() -> None:
    setup = Setup(Path("/x"), True, FACTS, ("1", "mlp:0"))
    config = json.loads(json.dumps({"other": 1, **setup.config()}))
    assert Setup.of(config) == setup
    assert Setup.of({"other": 1}) is None
    assert Setup.of(None) is None


@pytest.mark.parametrize("given", [{}, {"steerings": 7}, {"steerings": "x", "loud": True}, [], {"steerings": ""}])
def test_a_setup_that_will_not_do_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match=r"additional_config\.trimtab"):
        Setup.of({"trimtab": given})
