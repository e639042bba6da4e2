"""What whoever is on duty asks for beside the releases: courses, feedback, audit, the emergency off, keys."""

from typing import Any

import pytest
from tests.serving.asking import error, sent
from tests.serving.conftest import Server
from tests.serving.live.conftest import MakeOperated, Operated, until

from trimtab.errors import TrimtabError
from trimtab.operations import Exposure, ExposureLog, Outcome, OutcomeLog, planned


def asked(operated: Operated, path: str, scope: str = "read", body: Any = None, status: int = 200) -> Any:
    method = "GET" if body is None else "POST"
    answer = sent(operated.server, method, f"/v1/{path}", scope, **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text
    return answer.json()


def answered(operated: Operated, n: int = 40) -> None:
    given: dict[str, Any] = {"release": "first", "version": 2, "finish": "stop"}
    took = {"control": 1.0, "treatment": 2.0}
    ExposureLog(operated.store).write(
        [
            Exposure(f"{arm}{i}", 100.0 + i, "tiny", arm, unit=f"{arm}{i}", seconds=took[arm] + i % 7, **given)  # type: ignore[arg-type]
            for i in range(n)
            for arm in took
        ]
    )


def test_a_metrics_course_is_told_to_whoever_may_read(operate: MakeOperated) -> None:
    operated = operate(watch_every=0)
    operated.release(stages=(50, 100), **planned("latency:0.5", ["errors:0.1"]))
    answered(operated)
    course = asked(operated, "releases/first/series")
    assert (course["metric"], course["outcome"], course["direction"], course["dry_run"]) == (
        "latency", "latency", "lower", False,
    )  # fmt: skip
    last = course["data"][-1]
    assert (last["units"], last["time"]) == ([40, 40], 139.0)
    assert last["difference"] == pytest.approx(1.0)
    assert last["low"] < 1.0 < last["high"]
    assert asked(operated, "releases/first/series?metric=errors")["metric"] == "errors"
    fault = error(sent(operated.server, "GET", "/v1/releases/first/series?metric=length", "read"), 400)
    assert (fault["param"], "judged by latency, errors" in fault["message"]) == ("metric", True)
    assert error(sent(operated.server, "GET", "/v1/releases/none/series", "read"), 404)["param"] == "name"
    assert sent(operated.server, "GET", "/v1/releases/first/series", "infer").status_code == 403


def test_of_several_words_about_an_answer_the_last_is_counted(operate: MakeOperated) -> None:
    operated = operate(watch_every=0)
    operated.release(stages=(50, 100))
    answered(operated, 3)
    said = [("control0", "up"), ("control0", "down"), ("control1", "down"), ("treatment0", "up")]
    OutcomeLog(operated.store).write([Outcome("thumbs", request=request, label=label) for request, label in said])
    OutcomeLog(operated.store).write([Outcome("stars", request=f"treatment{i}", value=i + 3.0) for i in range(3)])
    counts = asked(operated, "releases/first/feedback")["data"]
    assert [(one["metric"], one["label"], one["arm"], one["requests"], one["mean"]) for one in counts] == [
        ("stars", None, "treatment", 3, 4.0),
        ("thumbs", "down", "control", 2, None),
        ("thumbs", "up", "treatment", 1, None),
    ]
    assert error(sent(operated.server, "GET", "/v1/releases/none/feedback", "read"), 404)["param"] == "name"


def test_the_audits_end_is_told_without_states_before_and_after(operated: Operated) -> None:
    operated.release()
    operated.releases.act("first", "pause", by="bob", why="a call")
    tail = asked(operated, "audit?limit=2")["data"]
    assert [(one["who"], one["what"], one["subject"], one["why"]) for one in tail] == [
        ("bob", "release.pause", "first", "a call"), ("ada", "release.start", "first", ""),
    ]  # fmt: skip
    assert [one["what"] for one in asked(operated, f"audit?before={tail[-1]['number']}")["data"]] == ["release.create"]
    assert set(tail[0]) == {"number", "time", "who", "what", "subject", "why"}
    assert error(sent(operated.server, "GET", "/v1/audit?limit=1000", "read"), 400)["param"] == "query.limit"
    assert error(sent(operated.server, "GET", f"/v1/audit?before={10**30}", "read"), 400)["param"] == "query.before"
    assert sent(operated.server, "GET", "/v1/audit", "infer").status_code == 403


def test_all_steering_is_switched_off_and_on_by_whoever_may_operate(operated: Operated) -> None:
    operated.release()
    assert operated.ask(user="ada")["trimtab"]["steering"] == "warm"
    assert sent(operated.server, "POST", "/v1/off", "read", json={"off": True}).status_code == 403
    assert not asked(operated, "off")["off"]
    done = asked(operated, "off", "operate", {"off": True, "why": "complaints"})
    assert (done["off"], done["paused"], done["fault"]) == (True, ["first"], None)
    until(lambda: operated.operations.condition == "off")
    assert operated.ask(user="ada")["trimtab"]["steering"] is None
    entry = operated.releases.history("first")[-1].entry
    assert (entry.who, entry.what, entry.why) == ("operate", "release.pause", "complaints")
    assert not asked(operated, "off", "operate", {"off": False, "why": "mended"})["off"]
    asked(operated, "off", "operate", {"off": False})  # which changes nothing
    tail = [(one["who"], one["what"], one["why"]) for one in asked(operated, "audit?limit=3")["data"]]
    assert tail == [
        ("operate", "steering.on", "mended"), ("operate", "steering.off", "complaints"),
        ("operate", "release.pause", "complaints"),
    ]  # fmt: skip
    assert operated.releases.get("first").state == "paused"
    assert error(sent(operated.server, "POST", "/v1/off", "operate", json={"off": "yes"}), 400)["param"] == "off"


def test_steering_is_off_though_the_store_is_gone(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    operated.release()

    def gone(*_: Any, **__: Any) -> Any:
        raise TrimtabError("the store is gone")

    monkeypatch.setattr(operated.operations.releases, "all", gone)
    done = asked(operated, "off", "operate", {"off": True})
    assert (done["off"], done["paused"], done["fault"]) == (True, [], "the store is gone")


def test_a_switch_in_the_environment_is_told_and_stays(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_OFF", "1")
    done = asked(operated, "off", "operate", {"off": False})
    assert (done["off"], done["reason"]) == (True, "TRIMTAB_OFF is set")


def test_every_key_is_told_what_it_may_do(operated: Operated) -> None:
    told = asked(operated, "key", "infer")
    assert told == {"object": "key", "name": "infer", "scopes": ["infer"], "store": True, "model": "tiny"}
    assert sent(operated.server, "GET", "/v1/key", None).status_code == 401


def test_a_server_without_a_store_says_so_to_every_key(server: Server) -> None:
    told = sent(server, "GET", "/v1/key", "operate").json()
    assert (told["scopes"], told["store"]) == (["operate"], False)
