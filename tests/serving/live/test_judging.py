"""A judge rates a sample of answers beside their way; what it fails at is counted, and nobody waits for it."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests import chat_server
from tests.chat_server import ChatServer, Reply
from tests.serving.asking import sent
from tests.serving.live.conftest import MakeOperated, Operated, until

from trimtab.behaviors import Behavior
from trimtab.cli.serve_judge import add_judge
from trimtab.clients.chat import Endpoint
from trimtab.errors import InputError, TrimtabError
from trimtab.evaluation import Rater
from trimtab.operations import Metric, OutcomeReader
from trimtab.serving.live.anchors import Anchor, read_anchors
from trimtab.serving.live.judging import Judging, Sampling
from trimtab.serving.logs import logger

RATED = Metric.made(name="warmth", feedback="judged", source="judge", bounds=(0, 1))


@contextmanager
def judged(
    operated: Operated, answer: Callable[[dict[str, Any], int], Reply], *, timeout: float = 5.0, **options: Any
) -> Iterator[tuple[Judging, ChatServer, io.StringIO]]:
    """A judge of the server's answers, over real HTTP."""
    anchors, log = options.pop("anchors", ()), io.StringIO()
    sampling = Sampling(**({"share": 1.0, "per_minute": 6000} | options))
    with chat_server.serving(answer) as seen:
        endpoint = Endpoint(seen.url, "judge", timeout=timeout, attempts=2)
        rater = Rater(endpoint, Behavior.builtin("sentiment"))
        judging = Judging(rater, operated.operations.outcomes, logger(log), sampling, anchors)
        operated.operations.judging = judging
        yield judging, seen, log
        judging.close()


def says(text: str) -> Callable[[dict[str, Any], int], Reply]:
    return lambda request, number: Reply(text)


def test_ratings_are_outcomes_of_the_arm_that_answered_and_texts_go_nowhere_else(operated: Operated) -> None:
    operated.release(stages=(50, 100), guardrails=("refusal",))
    with judged(operated, says("It is kind.\n**Rating: 7/10**")) as (judging, seen, log):
        requests = [operated.ask("good day", user=user)["trimtab"]["request_id"] for user in ("ada", "bob", "cleo")]
        until(lambda: judging.counts["rated"] == 3)
    until(lambda: OutcomeReader(operated.store, "first").values(RATED).value.tolist() == [0.7] * 3)  # with its exposure
    (outcome,) = operated.operations.outcomes.of_request(requests[0])
    assert (outcome["source"], outcome["metric"], outcome["consent"]) == ("judge", "judged", False)
    assert outcome["who"].startswith("judge at http://127.0.0.1")
    said = seen.requests[0]["messages"][1]["content"]
    assert "good day" in said.lower()
    with operated.store.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM exposure_texts").scalar() == 0
    assert log.getvalue() == ""


def test_a_judge_that_is_slow_silent_or_talks_nonsense_holds_nobody_up_and_is_counted(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [Reply("a tie"), Reply("I like 3.5 of it"), Reply(status=500), Reply(status=500), Reply(delay=3.0)]

    def answer(request: dict[str, Any], number: int) -> Reply:
        return replies[number] if number < len(replies) else Reply("4") if number > 5 else Reply(delay=3.0)

    asked, rate = threading.Event(), Rater.rate

    def held(rater: Rater, prompt: str, answer: str) -> float | None:
        assert asked.wait(30.0)  # an answer that waited for its judge would wait for itself
        return rate(rater, prompt, answer)

    with judged(operated, answer, timeout=0.3) as (judging, _, log):
        judging._rater.endpoint.pause(0)
        monkeypatch.setattr(Rater, "rate", held)
        for user in "abcd":
            operated.ask("hello", user=user)
        asked.set()
        until(lambda: sum(judging.counts.values()) == 4)
        figures = page(operated)
    assert judging.counts == {"unclear": 1, "failed": 2, "rated": 1}
    assert {outcome: figures["trimtab_judge_ratings_total", outcome] for outcome in judging.counts} == judging.counts
    assert figures["trimtab_judge_waiting", ""] == 0
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {(line["event"], line["outcome"]) for line in lines} == {
        ("judge_failed", "unclear"),
        ("judge_failed", "failed"),
    }
    assert "hello" not in log.getvalue()


def page(operated: Operated) -> dict[tuple[str, str], float]:
    text = sent(operated.server, "GET", "/metrics", "read").text
    return {
        (sample.name, sample.labels.get("outcome", sample.labels.get("verdict", ""))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_over_the_budget_of_a_day_is_left_out(operated: Operated) -> None:
    with judged(operated, says("5"), a_day=2) as (judging, seen, _):
        for i in range(5):
            judging.put(f"req_{i}", "", "hello")
        until(lambda: sum(judging.counts.values()) == 5)
    assert (judging.counts["rated"], judging.counts["beyond the day's budget"], len(seen.requests)) == (2, 3, 2)


def test_a_restart_does_not_renew_the_budget_of_a_day(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    anchors = tuple(Anchor("", "an anchor", 0.5) for _ in range(20))
    for which, more in (("first", 3), ("second", 1), ("third", 0)):
        with judged(operated, says("5"), a_day=4) as (judging, seen, _):
            for i in range(3):
                judging.put(f"req_{which}_{i}", "", "hello")
            until(lambda: sum(judging.counts.values()) == 3)
        assert (judging.counts["rated"], len(seen.requests)) == (more, more)
    with judged(operated, says("5"), a_day=7, anchors=anchors) as (judging, seen, _):  # 4, and 2 anchors with them
        judging.put("req_fourth_1", "", "hello")
        until(lambda: judging.counts["rated"] == 1)
        judging.put("req_fourth_2", "", "hello")
        until(lambda: judging.counts["beyond the day's budget"] == 1)
    assert len(seen.requests) == 1

    def gone(*_: Any) -> int:
        raise TrimtabError("the store is gone")

    monkeypatch.setattr(operated.operations.outcomes, "count", gone)
    with judged(operated, says("5")) as (judging, seen, _):
        judging.put("req_fifth", "", "hello")
        until(lambda: judging.counts["store"] == 1)
    assert seen.requests == []


@pytest.mark.parametrize("reply", [Reply(status=status, body=b'{"detail": "secret words"}') for status in (422, 500)])
def test_what_the_judges_server_says_of_a_text_is_not_logged(operated: Operated, reply: Reply) -> None:
    with judged(operated, lambda request, number: reply) as (judging, _, log):
        judging.put("req_1", "", "secret words")
        until(lambda: judging.counts["failed"] == 1)
    assert f"HTTP {reply.status}" in log.getvalue()
    assert "secret" not in log.getvalue()


def test_ratings_come_no_faster_than_agreed(operated: Operated) -> None:
    with judged(operated, says("5"), per_minute=600) as (judging, _, _):
        began = time.monotonic()
        for i in range(6):
            judging.put(f"req_{i}", "", "hello")
        until(lambda: sum(judging.counts.values()) == 6)
    assert time.monotonic() - began > 0.49  # five pauses of a tenth


def test_the_sample_is_drawn_by_the_request_and_a_larger_one_holds_the_smaller() -> None:
    ids = [f"req_{i}" for i in range(4000)]
    small, large = ({id for id in ids if Sampling(share).takes(id)} for share in (0.1, 0.3))
    assert small < large
    assert 0.08 < len(small) / len(ids) < 0.12
    assert Sampling(1.0).takes("x")


@pytest.mark.parametrize("kind", ["judge", "system"])
def test_a_judge_that_becomes_strict_is_told_from_answers_that_become_worse(kind: str) -> None:
    log, judge = io.StringIO(), _Judge()
    anchors = tuple(Anchor("", f"anchor {i}", (i % 5) / 10 + 0.3) for i in range(25))
    sampling = Sampling(1.0, per_minute=6000, a_day=10**6)
    judging = Judging(judge, _Nowhere(), logger(log), sampling, anchors)  # type: ignore[arg-type]
    judging._wait = lambda seconds: None  # type: ignore[method-assign]
    for i in range(3000):
        if judging.drift.verdict == "none":
            judge.moved |= {"live": 3} | ({"anchor": 3} if kind == "judge" else {})
        judging.put(f"req_{i}", "", f"live {i}")
        while judging.counts["rated"] <= i:
            time.sleep(0.0005)
        if judging.drift.verdict not in (None, "none"):
            break
    judging.close()
    assert judging.drift.verdict == kind
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["event"], line["verdict"]) == ("judge_drift", kind)


class _Judge:
    """Rates by rule, and stricter by what it is told."""

    name = "judge"

    def __init__(self) -> None:
        self.moved = {"anchor": 0, "live": 0}

    def waiting_by(self, pause: Any) -> "_Judge":
        return self

    def rate(self, prompt: str, answer: str) -> float:
        which, i = answer.split()
        return max(0, int(i) % 5 + 3 + (int(i) * 7919 % 3 - 1) - self.moved[which]) / 10


class _Nowhere:
    def write(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""

    def count(self, *_: Any) -> int:
        """Nothing was kept."""
        return 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "one object"),
        ('{"answer": "a"}', "one object"),
        ('{"answer": "a", "score": 2}', "from 0 to 1"),
        ('{"answer": " ", "score": 0.5}', "texts"),
        ('{"answer": "a", "score": true}', "from 0 to 1"),
        ('{"answer": "a", "score": 0.5, "who": "ada"}', "one object"),
        ('{"answer": "a", "score": 0.5}', "at least 20"),
    ],
)
def test_files_of_anchors_that_cannot_be_used_are_refused(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "anchors.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(InputError, match=words) as error:
        read_anchors(file)
    assert error.value.field == "judge_anchors"
    file.write_text('{"prompt": "p", "answer": "a", "score": 1}\n' * 20)
    assert read_anchors(file)[0] == Anchor("p", "a", 1.0)


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 1.5}, {"per_minute": 0.0}, {"a_day": 0}])
def test_samples_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        Sampling(**options)
    assert error.value.field == f"judge_{next(iter(options))}"


def test_a_server_without_a_judge_shows_no_figures_of_one(operate: MakeOperated) -> None:
    assert not [name for name, _ in page(operate()) if "judge" in name]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": None, "model": None}, "--judge, which is missing"),
        ({"model": None}, "--judge-model"),
        ({"behavior": None}, "--judge-behavior"),
        ({"operations": None}, "store"),
        ({"share": 2.0}, "judge_share"),
        ({"behavior": "no/such/file"}, "no/such/file"),
        ({"anchors": Path("nowhere.jsonl")}, "nowhere.jsonl"),
        ({"url": "ftp://x"}, "http"),
    ],
)
def test_a_judge_that_is_half_named_is_refused(operated: Operated, given: dict[str, Any], words: str) -> None:
    all_of_it = {
        "operations": operated.operations, "url": "http://127.0.0.1:9/v1", "model": "judge", "key_env": None,
        "behavior": "sentiment", "share": 0.1, "per_minute": 20.0, "a_day": 10, "anchors": None,
    }  # fmt: skip
    with pytest.raises(InputError, match=words):
        add_judge(**(all_of_it | given))
    assert operated.operations.judging is None
    add_judge(**all_of_it)
    assert operated.operations.judging is not None
