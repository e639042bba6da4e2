"""`trimtab judge` end to end: over HTTP to a real server, from files to figures with people's agreement beside them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.chat_server import Reply, serving
from tests.conftest import Run
from tests.evaluation.judges.judge_server import completion, fair, pairs, scores, texts_in, truth

from trimtab.cli import options
from trimtab.clients.chat import Endpoint
from trimtab.evaluation import HELPSTEER, AskOptions, Budget
from trimtab.experiment.progress import Silent
from trimtab.results.figures import Estimate
from trimtab.results.judging import JudgeAgreement, Judging
from trimtab.statistics import win_rate
from trimtab.workflows.judge import Work, judge

N = 30
WORDS = {1: "second", -1: "first", 0: "tie"}


def file_of(folder: Path, labelled: bool = False, n: int = N, name: str = "pairs.csv") -> Path:
    file = folder / name
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "prompt", "first", "second", *(["label"] if labelled else [])])
        for i, (pair, right) in enumerate(zip(pairs(n), truth(n), strict=True)):
            label = WORDS[right if i % 5 else -right]
            writer.writerow([pair.id, pair.prompt, pair.first, pair.second, *([label] if labelled else [])])
    return file


def command(server: Any, file: Path, folder: Path, *more: object) -> tuple[object, ...]:
    return ("judge", file, "--endpoint", server.url, "--endpoint-model", "a-judge", "--out", folder / "out", *more)


def both(request: dict[str, Any], number: int) -> Reply:
    """Judges pairs as they are, and scores what is lovely higher."""
    texts = texts_in(request)
    if "ANSWER" not in texts:
        return fair(request, number)
    given = dict.fromkeys(HELPSTEER.names, 4 if "lovely" in texts["ANSWER"] else 1)
    return completion(json.dumps({"reasons": "So.", **given}))


def test_pairs_with_labels_give_a_win_rate_and_how_far_the_judge_agrees(run: Run, tmp_path: Path) -> None:
    with serving(fair) as server:
        code, out, _ = run(*command(server, file_of(tmp_path, labelled=True), tmp_path, "--json"))
        assert code == 0
        record = Judging.model_validate_json(out)
        assert len(server.requests) == 2 * N
        code, shown, _ = run(*command(server, file_of(tmp_path, labelled=True), tmp_path))
        assert len(server.requests) == 2 * N  # all from disk
    expected = win_rate(truth(N))
    assert (record.win_rate.value, record.win_rate.low, record.win_rate.high) == (
        expected.value, expected.low, expected.high,
    )  # fmt: skip
    assert (record.wins, record.losses, record.ties, record.n) == (10, 10, 10, N)
    assert record.agreement.accuracy.value == pytest.approx(1 - 4 / N)  # of six changed labels two are ties
    assert record.cost.spent_requests == 2 * N
    assert "".join(record.sentence.split()) in "".join(shown.split())
    assert "This judge agrees with people on 87 % [70, 95] of 30 pairs" in " ".join(record.sentence.split())
    assert "ties half): no difference is shown" in " ".join(shown.split())
    kept = json.loads((tmp_path / "out" / "judging.json").read_text())
    assert kept["sentence"] == record.sentence
    rows = list(csv.DictReader((tmp_path / "out" / "judgements.csv").read_text().splitlines()))
    assert [row["verdict"] for row in rows] == [WORDS[right] for right in truth(N)]
    assert [row["id"] for row in rows] == [pair.id for pair in pairs(N)]


def test_without_labels_the_result_says_that_nobody_knows_what_the_judge_is_worth(run: Run, tmp_path: Path) -> None:
    with serving(fair) as server:
        _, out, _ = run(*command(server, file_of(tmp_path), tmp_path))
    assert "Agreement with people is not measured: no labelled pairs were given" in " ".join(out.split())


def test_a_judge_is_measured_on_other_pairs_and_by_what_people_say_of_these(run: Run, tmp_path: Path) -> None:
    rows = [
        {"input": f"Do {i}", "output_1": f"lovely {i}", "output_2": f"plain {i}", "label": 1 + (i % 4 == 0)}
        for i in range(20)
    ]
    (tmp_path / "llmbar.json").write_text(json.dumps(rows))
    people = tmp_path / "people.csv"
    people.write_text("id,rater,verdict\n" + "".join(f"p{i},ada,{WORDS[v]}\n" for i, v in enumerate(truth(N))))
    with serving(fair) as server:
        file = file_of(tmp_path)
        _, out, _ = run(*command(server, file, tmp_path, "--json", "--labelled", tmp_path / "llmbar.json"))
        found = json.loads(out)["agreement"]
        assert (found["n"], found["accuracy"]["value"]) == (20, 0.75)
        assert len(server.requests) == 2 * (N + 20)
        _, out, _ = run(*command(server, file, tmp_path, "--json", "--people", people))
        assert json.loads(out)["agreement"]["kappa"]["value"] == 1.0
        assert len(server.requests) == 2 * (N + 20)
        code, _, err = run(*command(server, file, tmp_path, "--people", people, "--labelled", tmp_path / "llmbar.json"))
        assert code == 2
        assert "not both (--people)" in " ".join(err.split())


def test_answers_are_scored_and_the_scores_measured_against_people(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("id,prompt,answer\n" + "".join(f"{i},Prompt {i},{'wo ' * i}x\n" for i in range(12)))
    names = HELPSTEER.names

    def answer(request: dict[str, Any], number: int) -> Reply:
        return completion(json.dumps({"reasons": "So.", **scores(request, names)}))

    right = [{name: (len("wo " * i + "x") + k) % 5 for k, name in enumerate(names)} for i in range(12)]
    people = tmp_path / "people.csv"
    lines = [",".join([str(i), "ada", *(str(row[name]) for name in names)]) for i, row in enumerate(right)]
    people.write_text("\n".join([",".join(["id", "rater", *names]), *lines]) + "\n")
    with serving(answer) as server:
        code, out, _ = run(*command(server, file, tmp_path, "--json", "--people", people))
    record = Judging.model_validate_json(out)
    assert (code, record.kind, record.n, record.win_rate) == (0, "answers", 12, None)
    for name in names:
        assert record.scores[name].value == pytest.approx(sum(row[name] for row in right) / 12)
        assert record.agreement.by_score[name].value == 1.0
    assert len(server.requests) == 12


def test_a_judge_by_scores_is_measured_on_labelled_pairs_by_the_higher_mean(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("prompt,answer\n" + "".join(f"Question {i},lovely {i}\n" for i in range(6)))
    labelled = file_of(tmp_path, labelled=True, name="labelled.csv")
    with serving(both) as server:
        _, out, _ = run(*command(server, file, tmp_path, "--json", "--labelled", labelled))
    record = Judging.model_validate_json(out)
    assert {name: mean.value for name, mean in record.scores.items()} == dict.fromkeys(HELPSTEER.names, 4.0)
    assert record.agreement.accuracy.value == pytest.approx(1 - 4 / N)
    assert len(server.requests) == 6 + 2 * N


def test_the_estimate_asks_nothing_and_a_budget_names_what_it_left_out(run: Run, tmp_path: Path) -> None:
    with serving(fair) as server:
        file = file_of(tmp_path)
        prices = ("--prompt-price", 1, "--answer-price", 10)
        code, out, _ = run(*command(server, file, tmp_path, "--estimate", "--json", *prices))
        assert (code, server.requests) == (0, [])
        cost = json.loads(out)
        assert (cost["requests"], cost["most_requests"]) == (2 * N, 6 * N)
        assert 0 < cost["cost"] < cost["most_cost"]
        _, shown, _ = run(*command(server, file, tmp_path, "--estimate"))
        assert "60 requests, 180 if every question needs all its tries" in " ".join(shown.split())
        code, out, _ = run(*command(server, file, tmp_path, "--max-requests", 30, "--parallel", 1))
        assert (code, len(server.requests)) == (0, 30)
        assert "15 of 30 have no judgement: 15 budget" in " ".join(out.split())
        run(*command(server, file, tmp_path))
        assert len(server.requests) == 2 * N


def test_what_is_wrong_is_said_before_anything_is_asked(run: Run, tmp_path: Path) -> None:
    file, bad = file_of(tmp_path), tmp_path / "bad.csv"
    bad.write_text("id,rater,verdict\np0,ada,maybe\n")
    with serving(fair) as server:
        for more, message in (
            (("--people", bad), "bad.csv:2: verdict 'maybe'"),
            (("--labelled", file), "no labelled pairs"),
            (("--rubric", bad), "not TOML"),
            (("--repeats", 2, "--temperature", 0), "temperature above 0"),
            (("--max-cost", 1), "needs the prices"),
            (("--prompt-price", 1), "or neither"),
            (("--rate", 0), "above 0"),
            (("--timeout", "inf"), "a day at most"),
            (("--prompt-price", 1e300, "--answer-price", 1e308), "at most"),
            (("--seed", -1), "seed"),
        ):
            code, _, err = run(*command(server, file, tmp_path, *more))
            assert code == 2
            assert message in " ".join(err.split())
        assert server.requests == []


def test_a_server_that_cannot_be_reached_is_named_with_its_reason_and_takes_no_tokens(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "endpoint", lambda *_: Endpoint("http://127.0.0.1:9/v1", "a-judge", attempts=1))
    arguments = ("judge", file_of(tmp_path, n=3), "--endpoint", "x", "--endpoint-model", "a-judge")
    code, out, _ = run(*arguments, "--out", tmp_path / "out", "--json")
    record = Judging.model_validate_json(out)
    assert (code, record.n, record.missing) == (4, 0, {"failed": 3})
    assert "no connection: " in record.fault
    assert record.cost.spent_requests > 0
    assert (record.cost.spent_prompt_tokens, record.cost.spent_answer_tokens) == (0, 0)
    _, out, _ = run(*arguments, "--out", tmp_path / "out")
    assert "what the last failed question met: a-judge at" in " ".join(out.split())


def test_a_count_of_tokens_that_cannot_be_is_not_believed(run: Run, tmp_path: Path) -> None:
    def boasts(request: dict[str, Any], number: int) -> Reply:
        return completion('{"reasons": "So.", "better": "tie"}', (10**400, 1))

    with serving(boasts) as server:
        prices = ("--prompt-price", 1, "--answer-price", 1)
        code, out, _ = run(*command(server, file_of(tmp_path, n=3), tmp_path, "--json", *prices))
    assert code == 0
    assert 0 < json.loads(out)["cost"]["spent_cost"] < 1


def test_without_a_folder_what_was_spent_is_known_and_one_budget_holds_for_all(tmp_path: Path) -> None:
    file, labelled = file_of(tmp_path), file_of(tmp_path, labelled=True, n=N + 10, name="labelled.csv")
    with serving(fair) as server:
        asked = AskOptions(Endpoint(server.url, "a-judge"), budget=Budget(requests=2 * N + 4))
        record = judge(Work.read(file, asked, labelled=labelled))
        assert record.cost.spent_requests == len(server.requests) == 2 * N + 4


def test_progress_knows_of_all_rows_once_the_first_is_judged(tmp_path: Path) -> None:
    told: list[tuple[object, ...]] = []

    class Told(Silent):
        def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
            told.append(("begin", amount, unit))

        def advance(self, stage: str, amount: int) -> None:
            told.append((stage, amount))

        def end(self) -> None:
            told.append(("end",))

    labelled = file_of(tmp_path, labelled=True, n=10, name="labelled.csv")
    with serving(fair) as server:
        asked = AskOptions(Endpoint(server.url, "a-judge"))
        judge(Work.read(file_of(tmp_path), asked, labelled=labelled), progress=Told())
    rows = [("pairs", 1)] * N + [("labelled pairs", 1)] * 10
    assert told == [("begin", N + 10, "rows to judge"), *rows, ("end",)]


@pytest.mark.parametrize(
    ("low", "said"),
    [(0.85, "may be relied on"), (0.7, "tentative"), (0.1, "too little to rest a decision on"), (-0.1, "take another")],
)
def test_what_an_agreement_allows_goes_by_its_lower_end(low: float, said: str) -> None:
    alpha = Estimate(value=0.9, low=low, high=0.95, n=100)
    found = JudgeAgreement(people="x.csv", n=100, accuracy=alpha, kappa=alpha, alpha=alpha)
    assert said in found.sentence
