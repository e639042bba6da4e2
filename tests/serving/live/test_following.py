"""A request that names no steering follows the live release; what it got is in its answer, in the log, in the store."""

import shutil
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.asking import error, sent
from tests.serving.live.conftest import MakeOperated, Operated, text_of, until
from tests.serving.speller import Speller
from tests.serving.steerings import FACTS, write_steering

from trimtab.interventions import Capabilities
from trimtab.operations import arm_of


def test_without_a_release_a_request_is_unsteered_and_says_that_nothing_decided(operated: Operated) -> None:
    answer = operated.ask()
    assert text_of(answer) == "hello"
    told = answer["trimtab"]
    assert (told["steering"], told["arm"], "release" in told) == (None, "none", False)


def test_the_live_release_steers_and_a_named_steering_is_no_exposure_of_it(operated: Operated) -> None:
    operated.release()
    told = operated.ask(user="ada")
    assert text_of(told) == "HELLO"
    assert {name: told["trimtab"][name] for name in ("steering", "release", "version", "arm", "dry_run")} == {
        "steering": "warm", "release": "first", "version": 2, "arm": "treatment", "dry_run": False,
    }  # fmt: skip
    named = operated.ask(model="tiny@brief", user="ada")["trimtab"]
    assert (named["steering"], named["arm"], named.get("release")) == ("brief", "named", None)
    first, second = operated.exposures()
    assert (first["arm"], first["release"], first["version"]) == ("treatment", "first", 2)
    assert first["artifact"] == arm_of(operated.steerings / "warm")[0].artifact
    assert (first["prompt_tokens"], first["answer_tokens"], first["touched"], first["finish"]) == (5, 5, 9, "stop")
    assert (second["arm"], second["release"]) == ("named", None)
    assert first["unit"] == second["unit"] == operated.operations.exposures.hashed("ada")
    assert "ada" not in str(first)
    line = next(line for line in operated.server.lines if line["event"] == "request")
    assert (line["release"], line["version"], line["arm"]) == ("first", 2, "treatment")


def test_units_keep_their_arm_by_field_or_header_and_the_header_goes_before(operated: Operated) -> None:
    release = operated.release(stages=(50, 100), salt="s").get("first")
    units = [f"user-{k}" for k in range(12)]
    wanted = [release.arm(unit) for unit in units]
    assert set(wanted) == {"control", "treatment"}
    assert [operated.ask(user=unit)["trimtab"]["arm"] for unit in units] == wanted
    header = [operated.ask(user="x", headers={"x-trimtab-unit": u})["trimtab"]["arm"] for u in units]
    assert header == wanted
    assert operated.ask()["trimtab"]["arm"] == "control"  # nobody's request
    assert [text_of(operated.ask(user=u)) == "HELLO" for u in units] == [arm == "treatment" for arm in wanted]


def test_a_dry_run_answers_with_control_and_keeps_what_would_have_been(operated: Operated) -> None:
    operated.release(action="dry-run")
    answer = operated.ask(user="ada")
    assert text_of(answer) == "hello"
    assert (answer["trimtab"]["arm"], answer["trimtab"]["dry_run"]) == ("treatment", True)
    (one,) = operated.exposures()
    assert (one["arm"], bool(one["dry_run"]), one["artifact"]) == ("treatment", True, None)


def test_streams_follow_the_release_too(operated: Operated) -> None:
    operated.release()
    body = {"model": "tiny", "prompt": "hello", "stream": True}
    text = sent(operated.server, "POST", "/v1/completions", json=body).text
    assert '"release":"first"' in text
    assert [one["arm"] for one in operated.exposures()] == ["treatment"]


def test_a_steering_that_is_not_here_costs_the_reader_nothing_and_is_told_loudly(operated: Operated) -> None:
    operated.release()
    operated.server.registry.disable("warm")
    answer = operated.ask(user="ada")
    assert text_of(answer) == "hello"
    assert (answer["trimtab"]["steering"], answer["trimtab"]["arm"]) == (None, "treatment")
    assert "cannot be followed" in answer["trimtab"]["departures"][0]
    until(lambda: bool(operated.operations.faults))
    ready = sent(operated.server, "GET", "/ready", None).json()
    assert ready["releases"] == "live"
    assert "cannot be served here" in ready["notes"][0]
    figures = metrics(operated)
    assert figures["trimtab_release_fault", "first"] == 1
    assert figures["trimtab_release_unsteered_total", "first"] == 1
    assert any("warm" in str(line.get("faults")) for line in operated.server.lines)
    (one,) = operated.exposures()
    assert (one["arm"], one["artifact"]) == ("treatment", None)


@pytest.mark.parametrize(("digest", "dtype"), [("f" * 64, None), (None, "float16")])
def test_a_release_for_other_weights_or_another_dtype_is_not_followed(
    operated: Operated, monkeypatch: pytest.MonkeyPatch, digest: str | None, dtype: str | None
) -> None:
    async def able(_: Speller) -> Capabilities:
        return Capabilities(
            FACTS, 64, 8, frozenset({"additive"}), frozenset({"all", "generated"}), messages=True, dtype="bfloat16"
        )

    monkeypatch.setattr(Speller, "capabilities", able)
    operated.release(digest=digest, dtype=dtype)
    assert text_of(operated.ask(user="ada")) == "hello"
    until(lambda: bool(operated.operations.faults))
    assert ("other weights" in operated.operations.faults["first"]) == (digest is not None)


def test_a_steering_whose_files_changed_after_the_release_is_not_followed(operated: Operated, tmp_path: Path) -> None:
    operated.release()
    assert text_of(operated.ask(user="ada")) == "HELLO"
    shutil.rmtree(operated.steerings / "warm")
    write_steering(operated.steerings / "warm", {"warm": 2.0})
    until(lambda: "changed after it was released" in str(operated.operations.faults))
    assert text_of(operated.ask(user="ada")) == "hello"


def test_a_steering_that_fails_in_the_engine_is_left_out_and_the_request_is_answered(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimtab.errors import InputError

    spell = Speller._pause

    async def pause(self: Speller, one, prompt: str, i: int) -> None:
        if one.request.steering is not None and i == 2:
            raise InputError("the folder holds another steering", code="wrong-file", field="steering")
        await spell(self, one, prompt, i)

    monkeypatch.setattr(Speller, "_pause", pause)
    operated.release()
    answer = operated.ask(user="ada")
    assert (text_of(answer), answer["trimtab"]["arm"]) == ("hello", "treatment")
    (one,) = operated.exposures()
    assert (one["artifact"], one["finish"]) == (None, "stop")
    named = {"model": "tiny@warm", "prompt": "hello"}
    error(sent(operated.server, "POST", "/v1/completions", json=named), 400)  # who names it is told


def test_the_emergency_off_steers_nobody_within_a_second(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    operated.release()
    operated.operations.view.off.pull(by="ada")
    until(lambda: operated.operations.condition == "off", 1.0)
    for model in ("tiny", "tiny@warm"):
        answer = operated.ask(model=model, user="ada")
        assert text_of(answer) == "hello"
        assert "switched off" in answer["trimtab"]["departures"][0]
    assert sent(operated.server, "GET", "/ready", None).json()["releases"] == "off"
    assert metrics(operated)["trimtab_release_condition", "off"] == 1
    operated.operations.view.off.release()
    until(lambda: operated.operations.condition == "live", 1.0)
    assert text_of(operated.ask(user="ada")) == "HELLO"
    monkeypatch.setenv("TRIMTAB_OFF", "1")
    until(lambda: operated.operations.condition == "off", 1.0)


def test_a_lost_store_is_told_and_after_the_time_of_grace_nobody_is_steered(
    operate: MakeOperated, tmp_path: Path
) -> None:
    operated = operate(grace=3.0)
    operated.release()
    operated.operations.store.close()  # so that its file is opened anew
    shutil.move(tmp_path / "store", tmp_path / "away")
    until(lambda: operated.operations.condition == "store-lost")
    assert text_of(operated.ask(user="ada")) == "HELLO"
    until(lambda: operated.operations.condition == "unsteered")
    assert text_of(operated.ask(user="ada")) == "hello"
    assert "too long" in sent(operated.server, "GET", "/ready", None).json()["notes"][0]
    assert any(line["event"] == "releases_condition" for line in operated.server.lines)
    shutil.move(tmp_path / "away", tmp_path / "store")
    until(lambda: operated.operations.condition == "live")
    assert text_of(operated.ask(user="ada")) == "HELLO"
    assert len(operated.exposures()) == 3  # those that waited, too


def test_texts_are_kept_only_if_asked_for_and_removed_when_they_are_old(operate: MakeOperated) -> None:
    operated = operate(texts=True, keep_days=1e-9)
    operated.ask(user="ada")
    operated.exposures()
    log = operated.operations.exposures
    (one,) = log.of_unit("ada")
    assert (one["prompt"], one["answer"]) == ('[{"role": "user", "content": "hello"}]', "hello")
    operated.operations._expire()
    (one,) = log.of_unit("ada")
    assert "prompt" not in one


def test_answers_that_break_off_are_exposures_that_say_so(operated: Operated) -> None:
    sent(operated.server, "POST", "/v1/completions", json={"model": "tiny", "prompt": "break it"})
    (one,) = operated.exposures()
    assert (one["finish"], one["answer_tokens"]) == ("error", 2)


def test_a_clean_stop_writes_what_waits(operated: Operated) -> None:
    for _ in range(5):
        operated.ask(user="ada")
    operated.operations.writer.close()
    assert len(operated.exposures()) == 5


def metrics(operated: Operated) -> dict[tuple[str, str], float]:
    page = sent(operated.server, "GET", "/metrics", "read").text
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
