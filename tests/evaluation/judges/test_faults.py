"""A judge run over HTTP against a server with every fault: nothing is lost, and nothing counted twice."""

import json
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.chat_server import Answer as Serve
from tests.chat_server import ChatServer, Reply, serving
from tests.evaluation.judges.judge_server import by_question, completion, fair, pairs, scores, truth, verdict

from trimtab.clients.chat import Endpoint
from trimtab.errors import InputError
from trimtab.evaluation import HELPSTEER, Answer, AskOptions, Pair, PairJudge, PairVerdict, ScoreJudge

N = 24

FAULTS = (
    Reply(status=429, headers={"retry-after": "0"}, body=b'{"error": {"message": "slow down"}}'),
    Reply(status=500, body=b"<html>oops</html>"),
    Reply(status=503, body=b""),
    Reply(cut=True),  # the connection is closed in the middle
    Reply(delay=2.6),  # longer than the timeout
    Reply(body=b'{"choices": [{"message": {"content": "{'),  # not JSON
    Reply(body=b"[]"),
    Reply(content=""),
    Reply(content="x" * (9 << 20)),
)


def run(answer: Serve, folder: Path | None = None, n: int = N, **given: Any) -> tuple[list[PairVerdict], ChatServer]:
    settings: dict[str, Any] = {"attempts": 4, "timeout": 5.0, "pause": lambda seconds: None}
    settings = {name: given.pop(name, value) for name, value in settings.items()}
    with serving(answer) as server:
        file = None if folder is None else folder / "answers.jsonl"
        options = AskOptions(Endpoint(server.url, "a-judge", **settings), file=file, **given)
        return list(PairJudge(options).verdicts(pairs(n))), server


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()[1:]]


def test_through_every_fault_of_a_server_each_pair_is_judged_once(tmp_path: Path) -> None:
    def answer(request: dict[str, Any], before: int) -> Reply:
        kind = (sum(map(ord, request["messages"][1]["content"])) + before) % len(FAULTS)
        return FAULTS[kind] if before < 2 else fair(request, 0)

    found, server = run(by_question(answer), tmp_path, parallel=8, timeout=2.0, attempts=6)
    assert [one.verdict for one in found] == truth(N)
    assert [one.id for one in found] == [pair.id for pair in pairs(N)]
    assert not any(one.missing or one.disagreed for one in found)
    kept = lines(tmp_path)
    assert len(kept) == len({line["key"] for line in kept}) == 2 * N
    assert sum(line["spent"][0] for line in kept) == len(server.requests) >= 3 * 2 * N


UNREADABLE = (
    'Here you are: {"reasons": "x", "better": "A"}',
    '{"reasons": "x", "better": "A"} and that is all',
    '{"reasons": "x", "better": "C"}',
    '{"reasons": "x", "better": "a"}',
    '{"reasons": "x", "better": ["A"]}',
    '{"better": "A"}',
    '{"reasons": 1, "better": "A"}',
    '{"reasons": "x", "better": "A", "better": "B"}',
    '{"reasons": "x", "better": "A", "more": 1}',
    '[["reasons", "x"], ["better", "A"]]',
    '"A"',
    "A",
    "{" * 50_000,
    '{"reasons": "x", "better": ' + "9" * 5000 + "}",
)


def test_an_answer_that_is_not_the_schemas_is_asked_for_again_and_never_taken_for_a_verdict() -> None:
    def answer(request: dict[str, Any], number: int) -> Reply:
        if request["temperature"] == 0:  # the first try
            return Reply(UNREADABLE[sum(map(ord, request["messages"][1]["content"])) % len(UNREADABLE)])
        return fair(request, number)

    found, server = run(answer)
    assert [one.verdict for one in found] == truth(N)
    assert len(server.requests) == 2 * 2 * N
    found, server = run(lambda request, number: Reply(UNREADABLE[number % len(UNREADABLE)]))
    assert [(one.verdict, one.missing) for one in found] == [(None, "unclear")] * N
    assert len(server.requests) == 3 * N


def test_the_order_of_keys_white_space_and_a_fence_around_the_whole_change_nothing() -> None:
    def answer(request: dict[str, Any], number: int) -> Reply:
        said = json.loads(verdict(request))
        turned = json.dumps(dict(reversed(said.items())), indent=2)
        return Reply(f"```json\n{turned}\n```" if number % 2 else f"<think>{{hm}}</think>\n {turned}\n")

    found, server = run(answer)
    assert [one.verdict for one in found] == truth(N)
    assert len(server.requests) == 2 * N


def test_the_schema_is_sent_and_left_out_for_a_server_that_takes_none() -> None:
    refusals = (
        Reply(status=400, body=b'{"error": {"message": "Unknown field response_format", "param": null}}'),
        Reply(status=400, body=b'{"error": {"message": "not for this model", "param": "response_format"}}'),
        Reply(status=422, body=b'{"detail": [{"loc": ["body", "response_format"], "msg": "extra"}]}'),
    )
    _, server = run(fair, n=1)
    sent = server.requests[0]["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["strict"] is True
    assert sent["json_schema"]["schema"]["properties"]["better"]["enum"] == ["A", "B", "tie"]
    assert sent["json_schema"]["schema"]["required"] == ["reasons", "better"]
    for refusal in refusals:

        def picky(request: dict[str, Any], number: int, refusal: Reply = refusal) -> Reply:
            return refusal if "response_format" in request else fair(request, number)

        found, server = run(picky, n=6, parallel=1)
        assert [one.verdict for one in found] == truth(6)
        assert len(server.requests) == 2 * 6 + 1  # learnt once


def test_what_a_server_does_not_answer_is_missing_and_asked_again_the_next_time(tmp_path: Path) -> None:
    def ill(request: dict[str, Any], number: int) -> Reply:
        content = request["messages"][1]["content"]
        return Reply(status=400, body=b'{"error": "filtered"}') if "Prompt 3\n" in content else fair(request, number)

    with serving(ill) as server:
        options = AskOptions(
            Endpoint(server.url, "a-judge", pause=lambda seconds: None), file=tmp_path / "answers.jsonl", parallel=1
        )
        first = PairJudge(options).verdicts(pairs(N))
        asked = len(server.requests)
        assert [one.id for one in first if one.missing == "failed"] == ["p3"]
        again = PairJudge(options).verdicts(pairs(N))
        assert again == first
        assert len(server.requests) == asked + 1  # that question alone


def test_a_key_that_expires_on_the_way_is_an_error_and_what_was_heard_is_kept(tmp_path: Path) -> None:
    expired = [False]

    def answer(request: dict[str, Any], number: int) -> Reply:
        return Reply(status=401) if expired[0] else fair(request, number)

    with serving(answer) as server:
        options = AskOptions(Endpoint(server.url, "a-judge"), file=tmp_path / "answers.jsonl", parallel=1)
        PairJudge(options).verdicts(pairs(6))
        expired[0] = True
        asked = len(server.requests)
        with pytest.raises(InputError, match="HTTP 401"):
            PairJudge(options).verdicts(pairs(100))
        assert len(server.requests) - asked < 12
        expired[0] = False
        assert [one.verdict for one in PairJudge(options).verdicts(pairs(7))] == truth(7)
        assert len(server.requests) - asked < 12 + 3


def test_a_server_that_is_down_is_left_alone_and_every_pair_is_named_as_missing() -> None:
    found, server = run(lambda request, number: Reply(status=503), n=100, attempts=2)
    assert len(server.requests) < 40
    assert [one.missing for one in found] == ["failed"] * 100


def test_a_server_that_refuses_everything_is_an_error_of_the_user() -> None:
    with pytest.raises(InputError, match="HTTP 401"):
        run(lambda request, number: Reply(status=401))


def test_a_server_that_trickles_is_given_up() -> None:
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def trickle() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
                try:
                    while not stop.wait(0.02):
                        connection.sendall(b" ")
                except OSError:
                    continue

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    begun = time.monotonic()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    options = AskOptions(Endpoint(url, "a-judge", timeout=0.05, attempts=1))
    found = PairJudge(options).verdicts(pairs(1))
    stop.set()
    listener.close()
    thread.join(2)
    assert found[0].missing == "failed"
    assert time.monotonic() - begun < 30


def test_an_interrupted_run_ends_at_once_although_the_server_asks_for_a_minutes_rest(tmp_path: Path) -> None:
    def busy(request: dict[str, Any], number: int) -> Reply:
        return Reply(status=429, headers={"retry-after": "60"}, body=b"{}") if number else fair(request, number)

    def interrupted() -> None:
        time.sleep(0.3)  # the others have been told to wait by now
        raise KeyboardInterrupt

    same = Pair("same", "One text twice", "a", "a")  # is not asked, so it is done first
    with serving(busy) as server:
        options = AskOptions(Endpoint(server.url, "a-judge"), file=tmp_path / "answers.jsonl")
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            PairJudge(options).verdicts([same, *pairs(12)], done=interrupted)
        assert time.monotonic() - begun < 20
        assert len(server.requests) <= 5  # nothing more was asked
    assert sum(line["answer"] is not None for line in lines(tmp_path)) == 1


def test_a_wish_to_be_left_alone_is_heeded_by_all_threads() -> None:
    came: list[float] = []

    def limited(request: dict[str, Any], number: int) -> Reply:
        came.append(time.monotonic())
        if number == 8:
            return Reply(status=429, headers={"retry-after": "1"}, body=b"{}")
        return replace(fair(request, number), delay=0.05)

    found, server = run(limited, parallel=4, pause=time.sleep)
    assert [one.verdict for one in found] == truth(N)
    assert len(server.requests) == 2 * N + 1
    came.sort()
    assert max(after - before for before, after in pairwise(came)) > 0.6


def test_a_rate_is_kept_to() -> None:
    came: list[float] = []

    def answer(request: dict[str, Any], number: int) -> Reply:
        came.append(time.monotonic())
        return fair(request, number)

    begun = time.monotonic()
    run(answer, n=5, parallel=4, requests_per_minute=1500, pause=time.sleep)
    assert len(came) == 10
    assert max(came) - begun >= 9 * 0.04


# --- scores ---


def answers(n: int) -> list[Answer]:
    return [Answer(f"a{i}", f"Prompt {i}", "word " * (i + 1)) for i in range(n)]


def scored(answer: Serve, **given: Any):
    with serving(answer) as server:
        options = AskOptions(Endpoint(server.url, "a-judge", attempts=2, pause=lambda seconds: None), **given)
        return ScoreJudge(options).scores(answers(8)), server


def test_five_scores_are_read_by_their_names_and_what_is_no_score_is_not() -> None:
    def right(request: dict[str, Any]) -> dict[str, Any]:
        return dict(reversed({"reasons": "So.", **scores(request, HELPSTEER.names)}.items()))

    found, server = scored(lambda request, number: completion(json.dumps(right(request))))
    assert len(server.requests) == 8
    for one, answer in zip(found, answers(8), strict=True):
        length = len(answer.text)
        assert one.scores == {name: (length + k) % 5 for k, name in enumerate(HELPSTEER.names)}
    wrong = (5, -1, 3.0, "3", True, None, [3])

    def odd(request: dict[str, Any], number: int) -> Reply:
        return completion(json.dumps({**right(request), "coherence": wrong[number % len(wrong)]}))

    found, server = scored(odd)
    assert [(dict(one.scores), one.missing) for one in found] == [({}, "unclear")] * 8
    assert len(server.requests) == 3 * 8


def test_repeats_are_asked_apart_and_their_mean_is_the_score() -> None:
    def moody(request: dict[str, Any], number: int) -> Reply:
        given = dict.fromkeys(HELPSTEER.names, request["seed"] % 5)
        return completion(json.dumps({"reasons": "So.", **given}))

    found, server = scored(moody, repeats=4, temperature=0.7)
    assert len(server.requests) == len({(r["seed"], r["messages"][1]["content"]) for r in server.requests}) == 32
    for one, answer in zip(found, answers(8), strict=True):
        own = [r["seed"] % 5 for r in server.requests if f"\nPrompt {one.id[1:]}\n" in r["messages"][1]["content"]]
        assert len(own) == 4
        assert one.scores["coherence"] == pytest.approx(sum(own) / 4), answer
