"""A server follows releases with several arms, and records by which probability each answer's arm was drawn."""

from time import time
from typing import Any

import pytest
from tests.serving.asking import error, sent
from tests.serving.live.conftest import Operated, text_of

from trimtab.operations import Exposure, ExposureLog

TRIAL = {
    "name": "trial", "unchecked": "a demonstration", "metric": "errors", "adapt": {"explore": 0.1},
    "arms": [{"steering": "warm", "strength": "gentle"}, {"steering": "warm"}],
}  # fmt: skip


def asked(operated: Operated, path: str = "", body: Any = None, status: int = 200) -> Any:
    method = "GET" if body is None else "POST"
    scope = "read" if body is None else "operate"
    answer = sent(operated.server, method, f"/v1/releases{path}", scope, **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text
    return answer.json()


def test_arms_are_made_served_recorded_and_adapted(operated: Operated) -> None:
    made = asked(operated, body=TRIAL)
    assert list(made["definition"]["arms"]) == ["gentle", "warm"]
    started = asked(operated, "/trial/start", {})
    even = dict.fromkeys(("control", "gentle", "warm"), 1 / 3)
    assert started["epoch"] == {"number": 2, "shares": even, "excluded": {}, "asked_for": None}
    assert sent(operated.server, "DELETE", "/v1/steerings/warm", "operate").status_code == 409
    operated.seen("trial")
    release = operated.releases.get("trial")
    units = [f"user-{k}" for k in range(12)]
    answers = [operated.ask(user=unit) for unit in units]
    assert [one["trimtab"]["arm"] for one in answers] == [release.arm(unit) for unit in units]
    assert {one["trimtab"]["propensity"] for one in answers} == {1 / 3}
    assert [text_of(one) == "hello" for one in answers] == [release.arm(unit) == "control" for unit in units]
    kept = operated.exposures()
    assert [(one["arm"], one["propensity"]) for one in kept] == [(release.arm(unit), 1 / 3) for unit in units]
    strengths = {one["arm"]: one["strength"] for one in kept}
    assert (strengths["gentle"], strengths["warm"]) == ({"warm": 0.5}, {"warm": 1.0})
    fill(operated)
    operated.operations.watching.watch()
    adapted = operated.releases.get("trial")
    assert adapted.epoch is not None
    assert adapted.epoch.shares["warm"] > 0.6
    operated.seen("trial")
    told = operated.ask(user="ada")["trimtab"]
    assert (told["arm"], told["propensity"]) == (adapted.arm("ada"), adapted.epoch.shares[adapted.arm("ada")])
    look = asked(operated, "/trial/experiment")
    assert [one["arm"] for one in look["arms"]] == ["control", "gentle", "warm"]
    course = asked(operated, "/trial/series")
    assert (course["metric"], course["data"], list(course["arms"][-1]["arms"])) == (
        "errors", [], ["control", "gentle", "warm"],
    )  # fmt: skip
    last = course["arms"][-1]["arms"]["warm"]
    assert 0 <= last["visits"] - look["arms"][2]["visits"] <= 1  # what was asked just now may be written between them
    assert last["mean"] == pytest.approx(look["arms"][2]["mean"], abs=0.02)
    estimate = asked(operated, "/trial/estimate?policy=warm")
    assert (estimate["policy"]["warm"], len(estimate["estimates"])) == (1.0, 3)
    assert "no arm" in asked(operated, "/trial/estimate?policy=loud", status=400)["error"]["message"]
    figures = sent(operated.server, "GET", "/metrics", "read").text
    assert 'trimtab_release_arm_share{arm="warm",release="trial"}' in figures
    assert asked(operated, "/trial/finish", {"keep": "warm"})["state"] == "finished"
    operated.seen("trial")
    assert text_of(operated.ask(user="ada")) == "HELLO"


def fill(operated: Operated) -> None:
    """Answers that fail, but for those of `warm`."""
    release = operated.releases.get("trial")
    arms = {f"u{i}": release.arm(f"u{i}") for i in range(250)}
    ExposureLog(operated.store).write([
        Exposure(unit, time(), "tiny", arm, unit, "trial", release.version, finish="stop" if arm == "warm" else "error")
        for unit, arm in arms.items()
    ])  # fmt: skip


def test_an_arm_that_is_out_or_was_not_kept_may_be_gone(operated: Operated) -> None:
    """What nobody gets any more keeps nobody from what they get."""
    arms = [{"steering": "warm"}, {"steering": "brief"}]
    asked(operated, body=TRIAL | {"arms": arms, "chat_template": True})
    asked(operated, "/trial/start", {})
    operated.releases.adapt("trial", {"control": 0.1, "warm": 0.9, "brief": 0.0}, {"brief": "bad"}, by="x", expected=2)
    operated.seen("trial")
    (operated.steerings / "brief" / "steering.safetensors").write_bytes(b"broken")
    time_to_look(operated)
    assert operated.operations.faults == {}
    asked(operated, "/trial/finish", {"keep": "warm"})
    operated.seen("trial")
    assert sent(operated.server, "DELETE", "/v1/steerings/brief", "operate").status_code == 200
    time_to_look(operated)
    assert operated.operations.faults == {}
    assert text_of(operated.ask(user="ada")) == "HELLO"


def time_to_look(operated: Operated) -> None:
    """Let the server see how it stands, once more and wholly."""
    operated.operations._look()


def test_options_that_do_not_go_together_are_refused(operated: Operated) -> None:
    for changes, said in (
        ({"stages": [1, 100]}, "stages"), ({"treatment": "warm"}, "never both"), ({"arms": []}, "needs arms"),
        ({"adapt": {"explore": 0.4}}, "floor"), ({"metric": None}, "needs a metric"),
        ({"auto_promote": True}, "stages"),
    ):  # fmt: skip
        answer = sent(operated.server, "POST", "/v1/releases", "operate", json=TRIAL | changes)
        assert said in error(answer, 400)["message"]
    assert operated.releases.all() == []
