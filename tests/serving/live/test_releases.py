"""`/v1/releases`: read by `read`, changed by `operate`; who was faster wins, and the other is told the state."""

from typing import Any

import pytest
from tests.serving.asking import error, sent
from tests.serving.live.conftest import MakeOperated, Operated, until
from tests.serving.steerings import write_steering

from trimtab.operations import Releases, arm_of

PILOT = {"name": "pilot", "treatment": "warm", "stages": [50, 100], "unchecked": "a demonstration"}


def asked(operated: Operated, path: str = "", body: Any = None, scope: str = "operate", status: int = 200) -> Any:
    method = "GET" if body is None else "POST"
    answer = sent(operated.server, method, f"/v1/releases{path}", scope, **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_release_is_made_started_promoted_and_rolled_back(operated: Operated) -> None:
    made = asked(operated, body=PILOT | {"strength": "gentle", "control": "brief", "why": "a pilot"})
    assert (made["state"], made["version"], made["model"]) == ("draft", 1, "tiny")
    definition = made["definition"]
    assert (definition["treatment"]["strength"], definition["control"]["name"]) == ({"warm": 0.5}, "brief")
    assert definition["digest"] == "0" * 64  # of the weights that this server runs
    assert asked(operated, "/pilot/start", {"why": "on Monday"})["share"] == 50
    assert asked(operated, "/pilot/promote", {"to": 100, "expected": 2})["share"] == 100
    until(lambda: [one.share for one in operated.operations.view.releases] == [100])
    operated.ask(user="ada")
    operated.exposures()
    status = asked(operated, "/pilot", scope="read")
    assert status["exposures"] == [{"arm": "treatment", "dry_run": False, "requests": 1, "units": 1}]
    listed = asked(operated, scope="read")
    assert ([one["name"] for one in listed["data"]], listed["condition"]) == (["pilot"], "live")
    assert asked(operated, "/pilot/rollback", {})["state"] == "rolled-back"
    steps = asked(operated, "/pilot/history", scope="read")["data"]
    assert [(step["what"], step["by"]) for step in steps] == [
        (f"release.{what}", "operate") for what in ("create", "start", "promote", "rollback")
    ]
    assert steps[1]["why"] == "on Monday"


def test_of_two_who_promote_one_wins_and_the_other_is_told_the_state(operated: Operated) -> None:
    operated.release(stages=(1, 5, 100))
    asked(operated, "/first/promote", {"expected": 2})
    answer = asked(operated, "/first/promote", {"expected": 2}, status=409)
    assert answer["error"]["code"] == "conflict"
    assert (answer["release"]["version"], answer["release"]["share"]) == (3, 5)
    late = asked(operated, "/first/start", {}, status=409)
    assert "promote" in late["error"]["message"]


def test_four_eyes_are_those_of_two_keys(operated: Operated) -> None:
    second = operated.server.held.create("second", ["operate"])
    asked(operated, body=PILOT | {"four_eyes": True})
    asked(operated, "/pilot/start", {})
    assert asked(operated, "/pilot/promote", {})["asked_by"] == "operate"
    assert "somebody else" in asked(operated, "/pilot/promote", {}, status=409)["error"]["message"]
    operated.server.keys["second"] = second
    assert asked(operated, "/pilot/promote", {}, scope="second")["share"] == 100


def test_a_steering_under_a_live_release_is_neither_forgotten_nor_replaced(operated: Operated) -> None:
    operated.release()
    answer = sent(operated.server, "DELETE", "/v1/steerings/warm", "operate")
    assert (answer.status_code, answer.json()["release"]["name"]) == (409, "first")
    again = {"name": "warm"}
    assert sent(operated.server, "POST", "/v1/steerings", "operate", json=again).status_code == 200  # the same
    write_steering(operated.steerings / "other", {"warm": 2.0})
    (operated.steerings / "warm").rename(operated.steerings / "kept")
    (operated.steerings / "other").rename(operated.steerings / "warm")
    assert sent(operated.server, "POST", "/v1/steerings", "operate", json=again).status_code == 409
    asked(operated, "/first/rollback", {})
    assert sent(operated.server, "POST", "/v1/steerings", "operate", json=again).status_code == 200
    assert operated.server.registry.find("warm").id == arm_of(operated.steerings / "warm")[0].artifact
    assert sent(operated.server, "DELETE", "/v1/steerings/warm", "operate").status_code == 200


@pytest.mark.parametrize(("scope", "path", "body", "status"), [
    ("infer", "", None, 403), ("read", "", PILOT, 403), ("read", "/first/start", {}, 403), ("read", "/none", None, 404),
    ("operate", "/none/start", {}, 404), ("operate", "/first/explode", {}, 400), ("read", "/%00", None, 404),
])  # fmt: skip
def test_keys_and_paths_are_held_to(operated: Operated, scope: str, path: str, body: Any, status: int) -> None:
    operated.release(action=None)
    assert asked(operated, path, body, scope, status)["error"]["message"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"unchecked": None}, "no check is given"), ({"treatment": "../warm"}, "no steering"),
    ({"checks": ["../../etc"]}, "checks"), ({"stages": [5, 1]}, "rising"), ({"traffic": [9, 3]}, "slice"),
    ({"name": "a/b"}, "name"), ({"strength": "loud"}, "loud"), ({"scope": "thinking!"}, "scope"),
])  # fmt: skip
def test_what_is_wrong_with_a_release_is_told(operated: Operated, changes: dict[str, Any], said: str) -> None:
    answer = sent(operated.server, "POST", "/v1/releases", "operate", json=PILOT | changes)
    assert said in error(answer, 400)["message"]
    assert Releases(operated.store).all() == []


@pytest.mark.parametrize("check", ["none", "away", "away/x"])
def test_a_check_that_is_not_there_or_behind_a_link_is_not_read(operated: Operated, tmp_path: Any, check: str) -> None:
    (tmp_path / "x").mkdir()
    (operated.steerings / "away").symlink_to(tmp_path)
    answer = sent(operated.server, "POST", "/v1/releases", "operate", json=PILOT | {"checks": [check]})
    assert "links are not followed" in error(answer, 404)["message"]


def test_a_lost_store_is_503_and_the_traffic_goes_on(operate: MakeOperated, tmp_path: Any) -> None:
    operated = operate()
    operated.release()
    operated.operations.store.close()
    (tmp_path / "store").rename(tmp_path / "away")
    try:
        assert asked(operated, scope="read", status=503)["error"]["message"]
        assert asked(operated, "/first/promote", {}, status=503)["error"]["message"]
        assert sent(operated.server, "DELETE", "/v1/steerings/warm", "operate").status_code == 503
        assert operated.ask(user="ada")["trimtab"]["arm"] == "treatment"
    finally:
        (tmp_path / "away").rename(tmp_path / "store")
