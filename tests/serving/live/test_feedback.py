"""Feedback over HTTP: kept for the answer it is about, by keys that ask for answers, and never silently dropped."""

import threading
from typing import Any

import pytest
from tests.serving.asking import error, sent
from tests.serving.live.conftest import MakeOperated, Operated, until

from trimtab.errors import TrimtabError
from trimtab.operations import Metric, OutcomeReader
from trimtab.operations.exposures import exposure
from trimtab.serving.live import feedback as room
from trimtab.serving.request_ids import age_of, new_request_id


def give(operated: Operated, scope: str | None = "infer", key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"idempotency-key": key}
    return sent(operated.server, "POST", "/v1/feedback", scope, json=body, headers=headers)


def answered(operated: Operated, **body: Any) -> str:
    """Id of a request whose exposure is in the store."""
    request = str(operated.ask(**body)["trimtab"]["request_id"])
    operated.exposures()
    return request


def test_feedback_comes_to_the_arm_that_answered(operated: Operated) -> None:
    operated.release(stages=(50, 100), guardrails=("refusal",))
    requests = {user: answered(operated, user=user) for user in ("ada", "bob", "cleo", "dan")}
    arms = {row["request"]: row["arm"] for row in operated.exposures()}
    for user, request in requests.items():
        response = give(operated, request_id=request, metric="stars", score=len(user))
        assert response.status_code == 200, response.text
        said = response.json()
        assert {**said, "id": 0} == {
            "object": "feedback", "id": 0, "request_id": request, "recorded": True, "repeated": False,
        }  # fmt: skip
    values = OutcomeReader(operated.store, "first").values(Metric.made(name="stars", feedback="stars"))
    assert sorted(values.value) == [3, 3, 3, 4]
    assert sorted(values.treated) == sorted(arm == "treatment" for arm in arms.values())
    (outcome,) = operated.operations.outcomes.of_request(requests["ada"])
    assert (outcome["who"], outcome["source"], outcome["consent"]) == ("infer", "user", False)
    line = operated.server.lines[-1]
    assert (line["route"], line["about"]) == ("/v1/feedback", requests["dan"])
    assert OutcomeReader(operated.store, "first").values("refusal").value.tolist() == [0.0] * 4


def test_feedback_for_a_user_is_about_its_last_answer(operated: Operated) -> None:
    answered(operated, user="ada")
    last = answered(operated, user="ada")
    assert give(operated, user="ada", metric="thumbs", label="up").json()["request_id"] == last


def test_the_first_answer_of_a_user_is_waited_for(operated: Operated) -> None:
    request = operated.ask(user="ada")["trimtab"]["request_id"]  # not written yet
    assert give(operated, user="ada", metric="thumbs", label="up").json()["request_id"] == request


def test_an_answer_that_is_still_written_may_be_judged(operated: Operated) -> None:
    request = new_request_id()
    said = give(operated, request_id=request, metric="thumbs", label="down").json()
    assert (said["recorded"], said["request_id"]) == (False, request)


@pytest.mark.parametrize("id", ["req_" + "0" * 32, "nonsense", "req_" + "f" * 32])
def test_unknown_requests_are_not_found(operated: Operated, id: str) -> None:
    told = error(give(operated, request_id=id, metric="thumbs", label="up"), 404)
    assert (told["code"], told["param"]) == ("unknown-choice", "request_id")


def test_unknown_users_are_not_found(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_WAITS", (0.01,))
    assert error(give(operated, user="nobody", metric="thumbs", label="up"), 404)["param"] == "user"


def test_the_same_call_is_kept_once_and_another_with_its_key_is_a_conflict(operated: Operated) -> None:
    request = answered(operated)
    body = {"request_id": request, "metric": "thumbs", "label": "up"}
    first, again = (give(operated, key="k", **body).json() for _ in range(2))
    assert (first["repeated"], again["repeated"], again["id"]) == (False, True, first["id"])
    told = error(give(operated, key="k", **(body | {"label": "down"})), 409)
    assert (told["code"], told["param"]) == ("conflict", "idempotency-key")
    assert len(list(operated.operations.outcomes.of_request(request))) == 1


def test_words_are_refused_by_name_unless_texts_are_kept(operate: MakeOperated) -> None:
    operated = operate()
    request = answered(operated)
    for field in ("comment", "corrected_text"):
        body = {"request_id": request, "metric": "thumbs", "label": "up", field: "words"}
        told = error(give(operated, **body), 400)
        assert (told["param"], told["code"]) == (field, "unsupported")
    assert list(operated.operations.outcomes.of_request(request)) == []


def test_words_are_kept_where_texts_are(operate: MakeOperated) -> None:
    operated = operate(texts=True)
    request = operated.ask(user="ada")["trimtab"]["request_id"]  # a correction waits for its record
    body = {"comment": "so so", "corrected_text": "HELLO", "consent": True}
    assert give(operated, request_id=request, metric="thumbs", label="up", **body).json()["recorded"]
    thumbs, edits = operated.operations.outcomes.of_request(request)
    assert (thumbs["comment"], thumbs["consent"]) == ("so so", True)
    assert (edits["corrected_text"], edits["metric"]) == ("HELLO", "edit_distance")
    assert 0 < edits["value"] <= 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"request_id": "r", "user": "u", "metric": "m", "score": 1}, None),
        ({"request_id": "r"}, None),
        ({"request_id": "r", "metric": "m"}, None),
        ({"request_id": "r", "score": 1}, None),
        ({"request_id": "r", "metric": "m", "score": 1, "label": "x"}, None),
        ({"request_id": "r", "metric": "M!", "score": 1}, "metric"),
        ({"request_id": "r", "metric": "latency", "score": 1}, "metric"),
        ({"request_id": "r", "metric": "m", "score": "1"}, "score"),
        ({"request_id": "r", "metric": "m", "score": 1, "rating": 2}, "rating"),
        ({"request_id": "r", "metric": "m", "label": " "}, "label"),
        ({"request_id": "r", "metric": "m", "score": 1, "consent": "yes"}, "consent"),
        ({"request_id": "r", "corrected_text": "x" * 50_001}, "corrected_text"),
    ],
)
def test_bodies_that_say_nothing_are_refused(operated: Operated, body: dict[str, Any], param: str | None) -> None:
    assert error(give(operated, **body), 400)["param"] == param


def test_only_keys_that_may_ask_give_feedback_and_only_those_that_may_read_see_it(operated: Operated) -> None:
    body = {"request_id": answered(operated), "metric": "thumbs", "label": "up"}
    for scope, status in (("read", 403), ("operate", 403), (None, 401)):
        error(give(operated, scope, **body), status)
    for other, refused in (("infer", 403), ("operate", 403), (None, 401)):
        error(sent(operated.server, "GET", "/v1/feedback", other), refused)


def received(operated: Operated, **asked: Any) -> dict[str, Any]:
    response = sent(operated.server, "GET", "/v1/feedback", "read", params=asked)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_what_was_received_is_read_page_by_page_without_words(operate: MakeOperated) -> None:
    operated = operate(texts=True)
    operated.release()
    requests = [answered(operated, user=user) for user in ("ada", "bob")]
    for i in range(5):
        give(operated, request_id=requests[i % 2], metric="stars", score=i)
    give(operated, user="ada", metric="thumbs", label="up", comment="secret words", consent=True)
    first = received(operated, limit=4)
    rest = received(operated, limit=4, before=first["next"])
    assert [one["score"] for one in first["data"] + rest["data"]] == [None, 4, 3, 2, 1, 0]
    assert rest["next"] is None
    assert received(operated, limit=6)["next"] is None
    assert {key: first["data"][0][key] for key in ("label", "by", "by_user", "words", "consent", "arm", "release")} == {
        "label": "up", "by": "infer", "by_user": True, "words": True, "consent": True, "arm": "treatment",
        "release": "first",
    }  # fmt: skip
    assert "secret" not in str(first)
    assert [one["score"] for one in received(operated, user="bob")["data"]] == [3, 1]
    assert [one["score"] for one in received(operated, request_id=requests[1], release="first")["data"]] == [3, 1]
    assert received(operated, user="nobody")["data"] == []


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"release": "none"}, "release"),
        ({"limit": 0}, "query.limit"),
        ({"limit": 1001}, "query.limit"),
        ({"before": "x"}, "query.before"),
    ],
)
def test_what_cannot_be_listed_is_refused(operated: Operated, asked: dict[str, Any], param: str) -> None:
    assert error(sent(operated.server, "GET", "/v1/feedback", "read", params=asked), 400)["param"] == param


def test_a_store_that_is_gone_is_told(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    request = answered(operated)

    def failing(*_: object, **__: object) -> None:
        raise TrimtabError("the store is gone", code="store-failed", field="store")

    monkeypatch.setattr(operated.operations.outcomes, "write", failing)
    response = give(operated, request_id=request, metric="thumbs", label="up")
    assert error(response, 503)["code"] == "store-failed"
    assert response.headers["retry-after"] == "1"


def test_answers_are_measured_off_the_path_of_the_request(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow it is: the answer does not wait for it."""

    answered, measured = threading.Event(), []

    def slow(answers: object) -> dict[str, float]:
        measured.append(answered.wait(30.0))
        return {"repetition": 0.5}

    monkeypatch.setattr(exposure, "measured", slow)
    operated.ask()
    answered.set()
    until(lambda: measured == [True])  # false: the answer waited for it until it gave up
    assert operated.exposures()[0]["repetition"] == 0.5


def test_ids_of_requests_tell_when_they_came_and_differ() -> None:
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    ages = [age_of(one) for one in ids]
    assert all(age is not None and -0.01 < age < 5 for age in ages)
    assert age_of("req_xyz") is None
    assert len(next(iter(ids))) == 36


def test_repetition_and_length_of_every_answer_are_recorded(operated: Operated) -> None:
    operated.ask("a b c a b c a b c")
    (row,) = operated.exposures()
    assert row["answers"] == 1
    assert row["answer_tokens"] > 0
    assert "repetition" in row
