"""The whole check on a tiny random model: what the report must hold, and that it can be interrupted."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimtab as tt
from trimtab.behaviors import Behavior, Example
from trimtab.results.figures import Estimate
from trimtab.storage.steps import Ledger
from trimtab.verdict.error_rates import ErrorRates

SMALL: dict[str, Any] = {"train": 16, "evaluation": 20, "strength": 1.0}


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def report(tiny: tt.Model) -> tt.Report:
    return tt.check(tiny, Behavior.builtin("sentiment"), **SMALL, effort="thorough")


def same(report: tt.Report) -> dict[str, Any]:
    """Everything but times."""
    return {
        **report.model_dump(mode="json", by_alias=True),
        "seconds": 0,
        "rows": [r.model_dump() for r in report.rows],
    }


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, value
    if hasattr(value, "__pydantic_fields__"):
        for name in type(value).model_fields:
            yield from walk(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, f"{path}.{key}")
    elif isinstance(value, (tuple, list)):
        for i, inner in enumerate(value):
            yield from walk(inner, f"{path}[{i}]")


def test_same_seed_gives_the_same_report_to_the_last_digit(tiny: tt.Model, report: tt.Report) -> None:
    again = tt.check(tiny, Behavior.builtin("sentiment"), **SMALL, effort="thorough")
    assert same(again) == same(report)
    other = tt.check(tiny, Behavior.builtin("sentiment"), **SMALL, seed=1, site=1, prompt_types=["prefilled"])
    assert other.examples != report.examples


def test_every_estimate_has_n_and_interval_or_a_reason(report: tt.Report) -> None:
    seen = 0
    for path, value in walk(report):
        if not isinstance(value, Estimate):
            continue
        seen += 1
        if value.value is None:
            assert value.reason, path
        else:
            assert value.n, path
            assert value.low is not None, path
            assert value.high is not None, path
            assert value.low <= value.high, path
    assert seen > 30


def test_the_verdict_says_how_often_such_verdicts_are_wrong_and_on_which_model(report: tt.Report) -> None:
    rate, decision = report.verdict.error_rate, report.verdict.decision
    if decision == "inconclusive":
        assert report.verdict.error_rate_reason == "a verdict that decides nothing cannot be wrong"
        return
    assert rate is not None
    shipped = ErrorRates.shipped(stops=False)
    known = shipped.decisions[decision]
    assert rate.n == known.n
    assert rate.value == pytest.approx(known.wrong / known.n)
    assert "smollm2" in rate.model
    other = ("this model has not been measured", "on unpaired statements, not on pairs")
    assert rate.reservations == other


def test_all_seven_types_are_measured_and_one_is_not_exploratory(report: tt.Report) -> None:
    assert len(report.prompt_types) == 7
    assert [t for t, r in report.prompt_types.items() if not r.exploratory] == [report.verdict.prompt_type]
    assert np.allclose(np.diag(report.prompt_type_cosine.matrix), 1)


def test_what_was_not_measured_says_why_in_every_figure(tiny: tt.Model) -> None:
    rows = [Example("Tell me more.", f" It was good, reason {i}.", f" It was bad, cause {i}.") for i in range(60)]
    result = tt.check(tiny, Behavior("more", rows), site=1, prompt_types=["prefilled", "5-shot"]).prompt_types["5-shot"]
    figures = [v for _, v in walk(result) if isinstance(v, Estimate)]
    assert len(figures) == 3
    assert all(f.reason == result.not_measured for f in figures)
    assert result.steerability.reason == result.not_measured


def test_numerical_noise_is_measured_and_decides_what_is_undecided(report: tt.Report) -> None:
    noise, chosen = report.noise, report.prompt_types[report.verdict.prompt_type]
    assert 0 <= noise.value <= noise.maximum < 1e-4, "float32 on a tiny model"
    assert noise.n == len(report.examples)
    assert chosen.anti_steerable is not None
    assert chosen.anti_steerable.undecided == np.mean(np.abs(chosen.effects) <= noise.value)


def test_labels_that_are_all_alike_are_never_a_go(tiny: tt.Model) -> None:
    rows = [Example(f"Question: is {i} so?\n\nAnswer:", " Yes", " No") for i in range(80)]
    report = tt.check(tiny, Behavior("one-sided", rows), site=1, prompt_types="prefilled", scope="all")
    assert report.verdict.decision in ("inconclusive", "no-go")
    assert any("one-sided" in reason for reason in report.verdict.reasons)
    assert any(f.code == "one-sided" for f in report.lint)


def test_a_dozen_examples_give_a_report_with_what_can_be_measured(tiny: tt.Model) -> None:
    rows = Behavior.builtin("sentiment").examples[:12]
    report = tt.check(tiny, Behavior("dozen", rows), site=1, prompt_types="prefilled")
    assert report.verdict.decision in ("inconclusive", "no-go")
    assert report.prompt_types["prefilled"].separability_held_out.reason


def test_a_range_of_blocks_bounds_the_choice_of_the_site(tiny: tt.Model) -> None:
    report = tt.check(tiny, Behavior.builtin("sentiment"), **SMALL, site="0-1", prompt_types="prefilled")
    assert [b.block for b in report.blocks] == [0, 1]
    assert report.site.block in (0, 1)
    assert report.site_chosen == "dev"


def test_instructions_made_from_the_name_are_said_to_be(tiny: tt.Model, report: tt.Report) -> None:
    rows = Behavior.builtin("sentiment").examples[:60]
    derived = tt.check(tiny, Behavior("kind-person", rows), site=1, prompt_types="prefilled")
    assert any("You are kind person." in note for note in derived.notes)
    assert not any("derived" in note for note in report.notes)


def test_strengths_too_small_to_move_anything_are_no_failure(tiny: tt.Model) -> None:
    report = tt.check(tiny, Behavior.builtin("null"), **{**SMALL, "strength": 1e-12}, site=1, prompt_types="prefilled")
    assert report.verdict.decision == "no-go"


def test_the_check_takes_a_model_and_a_behavior(tiny: tt.Model) -> None:
    with pytest.raises(tt.InputError, match=r"Behavior\.builtin"):
        tt.check(tiny, "sentiment")  # type: ignore[arg-type]
    with pytest.raises(tt.InputError, match=r"trimtab\.load"):
        tt.check("smollm2", Behavior.builtin("null"))  # type: ignore[arg-type]


def test_parquet_rows_hold_every_example_type_and_strength(report: tt.Report) -> None:
    rows = report.rows
    chosen = report.verdict.prompt_type
    strengths = {t: sorted({r.strength for r in rows if r.prompt_type == t}) for t in report.prompt_types}
    assert strengths[chosen] == [-1.5, -1.0, -0.5, 0.5, 1.0, 1.5]
    assert all(s == [-1.0, 1.0] for t, s in strengths.items() if t != chosen)
    at_one = [r.effect for r in rows if r.prompt_type == chosen and r.strength == 1.0]
    assert at_one == [e.effect for e in report.examples]
    assert report.prompt_types[chosen].effect is not None
    assert np.isclose(np.mean(at_one), report.prompt_types[chosen].effect.mean)


def test_prompt_types_without_a_varying_prompt_are_not_measured(tiny: tt.Model) -> None:
    rows = [
        Example("Tell me about your day.", f" It was good, reason {i}.", f" It was bad, cause {i}.") for i in range(60)
    ]
    report = tt.check(tiny, Behavior("days", rows), site=1)
    missing = {t for t, r in report.prompt_types.items() if r.not_measured}
    assert missing == {"instruction", "5-shot", "instruction+5-shot"}
    assert report.prompt_type_cosine.types == tuple(t for t in report.prompt_types if t not in missing)


def test_unpaired_statements_are_analysed_as_two_samples(tiny: tt.Model) -> None:
    source = Behavior.builtin("sentiment").examples[:80]
    rows = [Example("", e.prompt + e.positive, e.prompt + e.negative) for e in source]
    report = tt.check(tiny, Behavior("lists", rows, pairing="random"), site=1, prompt_types="prefilled", strength=1)
    result = report.prompt_types["prefilled"]
    plus = np.array([r.effect_positive for r in report.rows if r.strength == 1.0])
    minus = np.array([r.effect_negative for r in report.rows if r.strength == 1.0])
    assert result.anti_steerable is not None
    assert result.effect is not None
    brute = np.mean([[(p < m) + 0.5 * (p == m) for m in minus] for p in plus])
    assert np.isclose(result.anti_steerable.share, brute)
    assert np.isclose(result.effect.mean, plus.mean() - minus.mean())


def test_choices_are_read_at_the_letter_and_scored_in_logits(tiny: tt.Model) -> None:
    answers = [(" (A)", " (B)") if i % 3 else (" (B)", " (A)") for i in range(60)]
    rows = [Example(f"Question: is {i} even?\n\nAnswer:", *pair) for i, pair in enumerate(answers)]
    report = tt.check(tiny, Behavior("even", rows), site=1, prompt_types=["prefilled", "instruction"])
    assert (report.unit, report.read, report.answer_kind) == ("logits", "last", "choice")
    assert report.length_auroc.reason


class InterruptedCheckError(Exception):
    pass


def test_an_interrupted_check_resumes_with_the_same_result(
    tiny: tt.Model, report: tt.Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, done = Ledger.step, []

    def counted(self: Ledger, name: str, compute: Any) -> Any:
        def once() -> Any:
            done.append(name)
            if len(done) == 9:
                raise InterruptedCheckError
            return compute()

        return step(self, name, once)

    monkeypatch.setattr(Ledger, "step", counted)
    with pytest.raises(InterruptedCheckError):
        tt.check(tiny, Behavior.builtin("sentiment"), **SMALL, folder=tmp_path, effort="thorough")
    assert not (tmp_path / "report.json").exists()
    first = set(done[:8])
    del done[:]
    done.extend([""] * 9)
    resumed = tt.check(tiny, Behavior.builtin("sentiment"), **SMALL, folder=tmp_path, effort="thorough")
    assert same(resumed) == same(report)
    assert first.isdisjoint(done[9:]), "finished steps were computed again"
    names = ["classifier.safetensors", "examples.parquet", "report.html", "report.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_a_step_cut_off_by_a_crash_is_computed_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "key")
    ledger.step("a", lambda: {"x": np.arange(3.0)})
    (file,) = ledger.home.glob("*.safetensors")  # type: ignore[union-attr]
    file.write_bytes(file.read_bytes()[:-5])
    assert np.array_equal(ledger.step("a", lambda: {"x": np.arange(3.0)})["x"], np.arange(3.0))
    assert np.array_equal(Ledger(tmp_path, "other").step("a", lambda: {"x": np.ones(1)})["x"], np.ones(1))


@pytest.mark.slow
def test_kill_9_and_resume_gives_the_same_report(tiny_folder: Path, tmp_path: Path) -> None:
    options = ["--train", "16", "--eval", "20", "--dtype", "float32", "--out"]
    command = [sys.executable, "-m", "trimtab", "check", "sentiment", "--model", str(tiny_folder), *options]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    rng = np.random.default_rng(0)
    for seconds in rng.uniform(4, 9, size=3):
        process = subprocess.Popen(
            [*command, str(tmp_path / "cut")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=float(seconds))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    subprocess.run([*command, str(tmp_path / "cut")], check=True, capture_output=True)
    whole, cut = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "cut"))
    for record in (whole, cut):
        record["seconds"], record["command"] = 0, ""
    assert whole == cut


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"strength": 0.0}, "above 0"),
        ({"strength": float("nan")}, "above 0"),
        ({"scope": "some"}, "unknown scope"),
        ({"scope": "thinking"}, "scope 'thinking' cannot be checked, .*; one of all, prompt, last, generated"),
        ({"site": 99}, "blocks 0 to 2"),
        ({"prompt_types": ["prefiled"]}, "unknown prompt type"),
        ({"max_anti_steerable": 1.5}, "between 0 and 1"),
        ({"min_effect": float("nan")}, "0 or more"),
        ({"min_effect": -1.0}, "0 or more"),
        ({"seed": -1}, "negative"),
        ({"site": "1-9"}, "blocks 0 to 2"),
        ({"site": "2-1"}, "blocks 0 to 2"),
        ({"chat_template": True}, "no chat template"),
    ],
)
def test_contradictory_options_are_refused(tiny: tt.Model, options: dict[str, Any], word: str) -> None:
    with pytest.raises(tt.InputError, match=word):
        tt.check(tiny, Behavior.builtin("sentiment"), **options)
