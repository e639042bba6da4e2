"""Win rates and agreement with people, counted by hand and by other people's libraries."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from krippendorff import alpha as their_alpha
from sklearn.metrics import cohen_kappa_score
from tests.chat_server import serving
from tests.evaluation.judges.judge_server import completion, fair, pairs, texts_in, truth

from trimtab.clients.chat import Endpoint
from trimtab.errors import InputError
from trimtab.evaluation import (
    Answer,
    AskOptions,
    Pair,
    PairJudge,
    PairVerdict,
    RatedAnswer,
    agreement,
    compared,
    mean_scores,
    read_judged,
    verdicts_by_scores,
)
from trimtab.statistics import share_interval, win_rate

N = 30


def verdicts(values: list[int | None], rater: str = "judge") -> list[PairVerdict]:
    return [
        PairVerdict(f"p{i}", rater, () if v is None else (v,), missing="unclear" if v is None else None)
        for i, v in enumerate(values)
    ]


def test_wins_ties_losses_and_what_is_missing_are_counted_and_named() -> None:
    values = [1, 1, -1, 0, None, 1] * 5
    found = compared(pairs(N), verdicts(values))
    assert (found.wins, found.losses, found.ties, found.n, found.n_pairs) == (15, 5, 5, 25, 30)
    assert found.missing == {"unclear": 5}
    assert found.win_rate == win_rate([v for v in values if v is not None])
    assert found.disagreed is None  # nobody was asked in two orders
    some = compared(pairs(N), verdicts(values)[:20])
    assert some.missing == {"unclear": 3, "not judged": 10}


def test_pairs_of_one_prompt_are_one_cluster() -> None:
    own = pairs(N)
    shared = [Pair(pair.id, f"Prompt {i % 3}", pair.first, pair.second) for i, pair in enumerate(own)]
    values = verdicts([1 if i % 3 else 0 for i in range(N)])
    wide, narrow = compared(shared, values).win_rate, compared(own, values).win_rate
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_few_verdicts_or_one_cluster_give_no_rate_but_a_reason() -> None:
    assert "14 of 30" in str(compared(pairs(N), verdicts([1] * 14 + [None] * 16)).reason)
    one = [Pair(f"p{i}", "same", "a", "b") for i in range(N)]
    assert compared(one, verdicts([1] * N)).win_rate is None


def test_agreement_is_that_of_scikit_learn_and_krippendorff_over_the_pairs_that_both_judged() -> None:
    rng = np.random.default_rng(0)
    people = rng.choice([1, -1, 0], size=N, p=[0.5, 0.4, 0.1])
    judge = np.where(rng.random(N) < 0.7, people, rng.choice([1, -1, 0], size=N))
    judged = verdicts([int(v) if i % 5 else None for i, v in enumerate(judge)])
    labelled = verdicts([int(v) for v in people], "ada")[:25]
    found = agreement(pairs(N), judged, labelled, people="labels.csv")
    both = [i for i in range(25) if i % 5]
    a, b = judge[both], people[both]
    assert (found.n, found.n_labelled, found.missing) == (20, 25, {"unclear": 5})
    assert found.accuracy == share_interval(a == b)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(a, b))
    expected = their_alpha(reliability_data=np.stack([a, b]).astype(float), level_of_measurement="nominal")
    assert found.alpha.value == pytest.approx(expected)
    assert found.among_people is None


def test_several_people_give_their_majority_and_how_far_they_agree_themselves() -> None:
    ada, bob, eve = [1, 1, -1, 1] * 5, [1, -1, -1, 0] * 5, [1, 1, -1, -1] * 5
    labelled = [one for name, v in (("ada", ada), ("bob", bob), ("eve", eve)) for one in verdicts(v, name)]
    found = agreement(pairs(20), verdicts([1, 1, -1, 0] * 5), labelled, people="labels.csv")
    assert found.accuracy.value == 1.0
    expected = their_alpha(reliability_data=np.array([ada, bob, eve], dtype=float), level_of_measurement="nominal")
    assert found.among_people.value == pytest.approx(expected)


def test_a_verdict_on_no_pair_or_two_on_one_are_refused() -> None:
    with pytest.raises(InputError, match="'p5'"):
        compared(pairs(3), [PairVerdict("p5", "judge", (1,))])
    with pytest.raises(InputError, match="two verdicts"):
        compared(pairs(3), [*verdicts([1]), *verdicts([1])])


def test_scores_decide_pairs_and_a_missing_one_decides_none() -> None:
    def scored(*values: float | None) -> list[RatedAnswer]:
        return [
            RatedAnswer(f"p{i}", "judge", {"a": v, "b": 2.0})
            if v is not None
            else RatedAnswer(f"p{i}", "j", missing="x")
            for i, v in enumerate(values)
        ]

    found = verdicts_by_scores(scored(1, 2, 3, None), scored(2, 2, 1, 4))
    assert [one.verdict for one in found] == [1, 0, -1, None]
    assert found[3].missing == "x"
    assert [one.verdict for one in verdicts_by_scores(scored(1, 2), scored(2, 2), "b")] == [0, 0]
    assert verdicts_by_scores(scored(1), scored(2), "c")[0].missing == "no score"


def test_means_of_scores_leave_out_what_is_missing() -> None:
    answers = [Answer(str(i), f"Prompt {i}", "x") for i in range(6)]
    scores = [
        RatedAnswer(str(i), "j", {"a": float(i)}) if i else RatedAnswer("0", "j", missing="unclear") for i in range(6)
    ]
    mean, n = mean_scores(answers, scores)["a"]
    assert (mean.value, n) == (3.0, 5)


@pytest.mark.data
def test_a_judge_is_measured_on_llmbar_over_http(data_dir: Path) -> None:
    """A judge that prefers the longer answer: its agreement is what a loop over the file says."""
    file = data_dir / "llmbar" / "natural.json"
    found = read_judged(file)

    def longer(request: dict[str, Any], number: int) -> Any:
        a, b = (len(texts_in(request)[f"ANSWER {which}"]) for which in "AB")
        return completion(json.dumps({"reasons": "Length.", "better": "A" if a > b else "B" if b > a else "tie"}))

    with serving(longer) as server:
        judge = PairJudge(AskOptions(Endpoint(server.url, "a-judge", timeout=20), parallel=8))
        judged = judge.verdicts(found.pairs)
        assert len(server.requests) == 2 * len(found.pairs)
    figures = agreement(found.pairs, judged, found.labels, people="LLMBar")
    rows = json.loads(file.read_text())
    lengths = [(len(row["output_1"]), len(row["output_2"])) for row in rows]
    by_hand = [(b > a) - (b < a) for a, b in lengths]
    labels = [{1: -1, 2: 1}[row["label"]] for row in rows]
    assert [one.verdict for one in judged] == by_hand
    assert figures.accuracy.value == np.mean([a == b for a, b in zip(by_hand, labels, strict=True)])
    assert figures.kappa.value == pytest.approx(cohen_kappa_score(by_hand, labels))


def test_an_able_judge_over_http_agrees_with_people_who_see_the_same() -> None:
    with serving(fair) as server:
        judged = PairJudge(AskOptions(Endpoint(server.url, "a-judge"))).verdicts(pairs(N))
    people = [PairVerdict(f"p{i}", "ada", (v,)) for i, v in enumerate(truth(N))]
    found = agreement(pairs(N), judged, people, people="labels.csv")
    assert (found.accuracy.value, found.kappa.value, found.alpha.value) == (1.0, 1.0, 1.0)
    assert 0.7 < found.kappa.low < 0.95


def test_long_prompts_take_no_memory_of_their_own() -> None:
    n = 20_000  # an array of these prompts would take 80 GB
    asked = [Pair(f"p{i}", "a" * 1_000_000 if i == 0 else f"Prompt {i}", "a", "b") for i in range(n)]
    given = verdicts([(1, -1)[i % 2] for i in range(n)])
    assert compared(asked, given).win_rate == win_rate([1, -1] * (n // 2))
    assert agreement(asked, given, verdicts([1] * n, "ada"), people="x.csv").accuracy.value == 0.5
