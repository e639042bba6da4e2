"""What was answered is never asked again, whatever ends the process; estimates and budgets hold."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.chat_server import Reply, serving
from tests.evaluation.judges.judge_server import fair, pairs, truth

from trimtab.clients.chat import Endpoint
from trimtab.errors import InputError
from trimtab.evaluation import HELPSTEER, AskOptions, Budget, PairJudge, Prices
from trimtab.evaluation.judges.kept import KeptAnswers

N = 24
WORK = """
import sys
from pathlib import Path
from tests.evaluation.judges.judge_server import pairs
from trimtab.clients.chat import Endpoint
from trimtab.evaluation import AskOptions, PairJudge
options = AskOptions(Endpoint(sys.argv[1], "a-judge"), file=Path(sys.argv[2]), parallel=4)
print("begins", flush=True)
PairJudge(options).verdicts(pairs(int(sys.argv[3])))
"""


def judge_at(url: str, file: Path | None, **given: Any) -> PairJudge:
    return PairJudge(AskOptions(Endpoint(url, "a-judge", pause=lambda seconds: None), file=file, **given))


def kept(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().split(b"\n")[1:-1]]


def test_a_run_that_is_killed_again_and_again_asks_nothing_twice_that_was_answered(tmp_path: Path) -> None:
    file, root = tmp_path / "answers.jsonl", str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    with serving(lambda request, number: replace(fair(request, number), delay=0.02)) as server:
        for kill in (1, 2):
            process = subprocess.Popen(
                [sys.executable, "-c", WORK, server.url, str(file), str(N)], env=environment, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            assert process.stdout.readline() == b"begins\n"
            end = time.monotonic() + 60
            while len(server.requests) < 14 * kill and time.monotonic() < end:
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            time.sleep(0.1)  # requests that were under way come to their end
        before, asked = kept(file), len(server.requests)
        assert 0 < len(before) < 2 * N
        found = judge_at(server.url, file).verdicts(pairs(N))
        assert [one.verdict for one in found] == truth(N)
        after = kept(file)
        assert len(after) == len({line["key"] for line in after}) == 2 * N
        assert len(server.requests) - asked == 2 * N - len(before)
        times = Counter(json.dumps([r["messages"], r["seed"]]) for r in server.requests)
        assert len(times) == 2 * N
        assert sum(times.values()) - 2 * N <= 4 * 2  # those under way when it was killed
        assert judge_at(server.url, file).verdicts(pairs(N)) == found
        assert len(server.requests) == sum(times.values())


def test_a_line_that_was_cut_off_is_asked_for_again(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with serving(fair) as server:
        judge_at(server.url, file).verdicts(pairs(N))
        whole = file.read_bytes()
        file.write_bytes(whole[:-7])
        found = judge_at(server.url, file).verdicts(pairs(N))
        assert [one.verdict for one in found] == truth(N)
        assert len(server.requests) == 2 * N + 1
        assert sorted(line["key"] for line in kept(file)) == sorted({line["key"] for line in kept(file)})


def test_another_model_rubric_text_temperature_or_seed_is_another_question_and_the_order_of_rows_is_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "answers.jsonl"
    with serving(fair) as server:
        asked = 0

        def more(judge: PairJudge, rows: Any = None, seed: int = 0) -> int:
            nonlocal asked
            judge.verdicts(pairs(6) if rows is None else rows, seed=seed)
            new, asked = len(server.requests) - asked, len(server.requests)
            return new

        own = judge_at(server.url, file)
        assert more(own) == 12
        assert more(own) == 0
        assert more(own, pairs(6)[::-1]) == 0
        assert more(own, pairs(8)) == 4
        assert more(own, seed=1) == 12
        assert more(judge_at(server.url, file, temperature=0.3)) == 12
        assert more(judge_at(server.url, file, max_tokens=99)) == 12
        assert more(replace(own, rubric=replace(HELPSTEER, comparison="The shorter one."))) == 12
        other = Endpoint(server.url, "another-judge")
        assert more(replace(own, options=replace(own.options, endpoint=other))) == 12
        changed = [replace(pair, second=pair.second + "!") for pair in pairs(6)]
        assert more(own, changed) == 12


def test_unreadable_answers_are_kept_too_and_not_paid_for_twice(tmp_path: Path) -> None:
    with serving(lambda request, number: Reply("Both are fine.")) as server:
        judge = judge_at(server.url, tmp_path / "answers.jsonl")
        first = judge.verdicts(pairs(4))
        assert [one.missing for one in first] == ["unclear"] * 4
        asked = len(server.requests)
        assert judge.verdicts(pairs(4)) == first
        assert len(server.requests) == asked == 12


def test_a_file_is_one_process_alone_and_one_that_is_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with KeptAnswers(file), pytest.raises(InputError, match="another process") as busy:
        judge_at("http://127.0.0.1:9/v1", file).verdicts(pairs(1))
    assert busy.value.code == "busy"
    for content, message in (
        (b'{"prompt": "mine"}\n', "does not hold a judge's answers"),
        (file.read_bytes() + b'{"key": 3}\n', ":2 is damaged"),
        (b"hello\n", ":1 is damaged"),
        (b"\xff\xfe\n", ":1 is damaged"),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError, match=message):
            judge_at("http://127.0.0.1:9/v1", file).verdicts(pairs(1))
        assert file.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write"):
        judge_at("http://127.0.0.1:9/v1", tmp_path / "file" / "answers.jsonl").verdicts(pairs(1))


# --- estimates and budgets ---


def test_the_estimate_is_what_is_then_sent_and_shrinks_by_what_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with serving(fair) as server:
        judge = judge_at(server.url, file, prices=Prices(1.0, 10.0))
        estimate = judge.estimate(pairs(N))
        assert not file.exists()
        assert server.requests == []
        assert (estimate.questions, estimate.kept, estimate.requests, estimate.most_requests) == (48, 0, 48, 144)
        judge.verdicts(pairs(N))
        assert len(server.requests) == estimate.requests
        sent = [sum(-(-len(turn["content"].encode()) // 4) + 4 for turn in r["messages"]) for r in server.requests]
        assert estimate.prompt_tokens == sum(sent)
        assert estimate.answer_tokens == 48 * 120
        assert estimate.cost == pytest.approx((sum(sent) + 10 * 48 * 120) / 1e6)
        assert estimate.most_tokens > sum(len(json.dumps(r["messages"])) // 4 for r in server.requests)
        again = judge.estimate([*pairs(N + 2)])
        assert (again.questions, again.kept, again.requests) == (52, 48, 4)


def test_a_budget_of_requests_is_spent_to_the_last_and_the_rest_is_missing_by_name(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with serving(fair) as server:
        found = judge_at(server.url, file, budget=Budget(requests=21), parallel=4).verdicts(pairs(N))
        assert len(server.requests) == 21
        judged = [one for one in found if one.verdict is not None]
        assert 8 <= len(judged) <= 10  # two requests a pair, in four threads
        assert {one.missing for one in found if one.verdict is None} == {"budget"}
        assert all(one.verdict == right for one, right in zip(found, truth(N), strict=True) if one.missing is None)
        more = judge_at(server.url, file, budget=Budget(requests=2 * N)).verdicts(pairs(N))
        assert [one.verdict for one in more] == truth(N)
        assert len(server.requests) == 2 * N


@pytest.mark.parametrize("told", [True, False])
def test_a_budget_of_tokens_or_money_is_never_exceeded(told: bool) -> None:
    """The server counts as it likes, but no more tokens than bytes, and says so or not."""
    used = []

    def answer(request: dict[str, Any], number: int) -> Reply:
        reply = fair(request, number)
        assert reply.body is not None
        counts = json.loads(reply.body)["usage"]
        used.append(counts)
        return reply if told else replace(reply, body=reply.body.replace(b'"usage"', b'"other"'))

    def spent() -> tuple[int, int]:
        return sum(u["prompt_tokens"] for u in used), sum(u["completion_tokens"] for u in used)

    prices = Prices(1.0, 10.0)
    for budget, most in ((Budget(tokens=20_000), 20_000.0), (Budget(cost=0.02), 0.02)):
        used.clear()
        with serving(answer) as server:
            judge = judge_at(server.url, None, prices=prices, budget=budget, max_tokens=200, parallel=4)
            found = judge.verdicts(pairs(2 * N))
        amount = prices.of(*spent()) if budget.cost else float(sum(spent()))
        assert amount <= most
        assert amount > (0.7 if told else 0.1) * most
        assert {one.missing for one in found if one.verdict is None} == {"budget"}


def test_a_request_that_came_to_nothing_counts_as_a_request() -> None:
    def failing(request: dict[str, Any], number: int) -> Reply:
        return Reply(status=500) if number % 2 == 0 else fair(request, number)

    with serving(failing) as server:
        found = judge_at(server.url, None, budget=Budget(requests=10), parallel=1).verdicts(pairs(N))
        assert len(server.requests) == 10
        assert sum(one.verdict is not None for one in found) == 2  # five questions had an answer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(requests=0), "above 0"),
        (lambda: Budget(cost=float("inf")), "above 0"),
        (lambda: Budget(tokens=-1), "above 0"),
        (lambda: Prices(-1.0, 0.0), "at least 0"),
        (lambda: Prices(0.0, float("nan")), "at least 0"),
        (lambda: AskOptions(Endpoint("https://host/v1", "m"), budget=Budget(cost=1.0)), "needs the prices"),
    ],
)
def test_amounts_that_cannot_be_right_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
