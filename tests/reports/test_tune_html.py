"""The page of a search: what is recommended, every trade-off with its preset, and nothing of a name as markup."""

import json
import re
from io import StringIO

import pytest
from rich.console import Console
from tests.reports.conftest import HOSTILE

from trimtab.reports.tune.html import tuning_page
from trimtab.reports.tune.plots import MAX_PAIRS, figures
from trimtab.reports.tune.terminal import tuning_summary
from trimtab.results.figures import Estimate
from trimtab.results.report import ModelRecord
from trimtab.results.tuning import Measured, Trial, TunedTask, Tuning


def searched(labels: tuple[str, ...] = ("truthful", "fair"), recommended: int | None = 2) -> Tuning:
    """Five trials: the unsteered model, a pruned one, two trade-offs and one that is passed."""

    def trial(number: int, gain: float, *, front: bool, **more: object) -> Trial:
        gains = {
            label: Estimate(value=gain + k / 10, low=gain - 1, high=gain + 1, n=9) for k, label in enumerate(labels)
        }
        mean = Estimate(value=gain, low=gain - 0.5, high=gain + 0.5, n=18)
        return Trial(
            number=number, candidate="mat-steer at 14" if number else "", damage=0.02 * number, front=front,
            strengths=dict.fromkeys(labels, 1.5 * bool(number)), state="complete", gains=gains, gain=mean,
            where=f"prompts of {labels[0]}" if number else "", **more,
        )  # fmt: skip

    pruned = Trial(number=1, candidate="mat-steer at 14", strengths=dict.fromkeys(labels, 6.0), state="damage",
                   why="3 nats", damage=3.0)  # fmt: skip
    trials = (
        trial(0, 0.0, front=False), pruned, trial(2, 0.25, front=True, steering="steering", preset="trial-2"),
        trial(3, 0.125, front=True, steering="others/1", preset="trial-3", gates={labels[0]: 2.0}),
        trial(4, 0.0625, front=False),
    )  # fmt: skip
    task = TunedTask(
        task="bbq", figure="mc2", meaning="how much belief is on true answers", better="higher", scale=1.0,
        base_dev=0.4, n_dev=40, clusters_dev=20, base_test=0.41, n_test=120, clusters_test=60,
    )  # fmt: skip
    found = {label: Estimate(value=0.11, low=0.01, high=0.21, n=60) for label in labels}
    measured = Measured(
        number=2, gains=found, gain=Estimate(value=0.11, low=0.04, high=0.18, n=120), damage=0.03, where="neutral text",
        capability=Estimate(value=-0.01, low=-0.02, high=0.0, n=600), looks=1,
    )  # fmt: skip
    return Tuning(
        trimtab="0", torch="0", transformers="0", command="trimtab tune", seconds=9.0, seed=0,
        model=ModelRecord(id="m", revision=None, digest="d" * 64, architecture="Llama", n_blocks=3, d_model=8),
        dtype="float32", sampler="tpe", attributes=dict.fromkeys(labels, 1.0), tasks=dict.fromkeys(labels, task),
        candidates=("mat-steer at 14",), max_factor=2.0, gate_shifts=(0.0, 2.0), max_damage=0.1,
        max_capability_loss=0.05, max_loss=0.01, trials=trials, hypervolume=(0.01, 0.01, 0.02, 0.03, 0.03),
        reference=-0.1, recommended=recommended,
        why="Trial 2 gains most." if recommended else "Leave it.", alike=(3,) if recommended else (),
        measured=measured if recommended else None, notes=("a note",),
    )  # fmt: skip


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.split("<script>")[0]).split())


def test_the_page_says_what_is_recommended_why_and_what_to_expect() -> None:
    text = words(tuning_page(searched())).replace("\N{NO-BREAK SPACE}", " ")
    assert "Recommended: trial 2 Trial 2 gains most." in text
    assert "cannot be told from that of trial 3" in text
    assert "On units that chose nothing it gains 0.11 [0.04, 0.18] on average" in text.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert "looks better than it is" in text
    assert "trial-3 of others/1" in text
    assert "1 of 4 : too much damage" in text or "1 of 4: too much damage" in text
    assert "truthful 1.50 (gate +2)" in text


def test_without_a_recommendation_it_says_to_leave_the_model_as_it_is() -> None:
    text = words(tuning_page(searched(recommended=None)))
    assert "leave the model as it is" in text
    assert "On units that chose nothing" not in text


def test_marks_are_where_the_gains_are_and_pruned_trials_are_not_drawn() -> None:
    drawn = figures(searched())
    assert set(drawn) == {"damage", "growth", "pair0"}
    by_name = {trace.name: trace for trace in drawn["pair0"].data}
    assert {name: (list(t.x), list(t.y)) for name, t in by_name.items()} == {
        "other trials": ([0.0625], [pytest.approx(0.1625)]),
        "best trade-offs": ([0.125], [pytest.approx(0.225)]),
        "recommended": ([0.25], [pytest.approx(0.35)]),
        "unsteered": ([0.0], [pytest.approx(0.1)]),
    }
    assert list(by_name["recommended"].error_x.array) == [1.0]
    assert len([name for name in figures(searched(tuple("abcdef"))) if name.startswith("pair")]) == MAX_PAIRS
    assert set(figures(searched(("alone",)))) == {"damage", "growth"}


def test_names_are_text_and_nothing_else_is_loaded() -> None:
    page = tuning_page(searched(tuple(dict.fromkeys(HOSTILE[:4]))))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<svg/onload" not in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.split("<script>")[0])


def test_the_terminal_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    out = StringIO()
    tuning_summary(searched(), Console(file=out, width=200))
    text = " ".join(out.getvalue().split())
    assert "recommended: trial 2" in text
    assert "trial-2 of steering" in text
    assert "1 of 4 trials pruned: too much damage" in text
    assert "a note" in text


def test_the_record_comes_back_as_it_was() -> None:
    assert Tuning.model_validate(json.loads(searched().model_dump_json(by_alias=True))) == searched()
