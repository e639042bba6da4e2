import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import trimtab as tt
from trimtab import plugins
from trimtab.errors import InputError
from trimtab.evaluation.tasks import (
    BehaviorTask,
    Figure,
    TaskScores,
    Treatment,
    TruthfulQA,
    UnitScore,
    load_task,
    run,
    running,
    task_class,
    task_names,
)  # fmt: skip
from trimtab.evaluation.tasks.registry import BUILT_IN
from trimtab.statistics import Interval, bootstrap_mean
from trimtab.steering.edits import Additive
from trimtab.storage.steps import Ledger

EXAMPLES = [tt.Example(f"Greet guest {k}.", " Welcome, do come in.", " Go away.") for k in range(7)]


@pytest.fixture
def task() -> BehaviorTask:
    """Seven examples."""
    return BehaviorTask(tt.Behavior("mine", EXAMPLES))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many units the model was asked about, call by call; chunks of three."""
    calls: list[int] = []
    real = running.answers
    monkeypatch.setattr(running, "CHUNK", 3)

    def counted(task: Any, units: Any, *rest: Any) -> Any:
        calls.append(len(units))
        return real(task, units, *rest)

    monkeypatch.setattr(running, "answers", counted)
    return calls


def _vector(model: Any) -> torch.Tensor:
    return torch.linspace(-1, 1, model.d_model)


def test_an_interrupted_run_goes_on_and_gives_the_same(tiny, task, asked, tmp_path, monkeypatch) -> None:
    expected = run(task, tiny)
    asked.clear()
    ledger = Ledger(tmp_path, "mine")
    step, n = ledger.step, iter((True, True, False))

    def interrupted(name: str, compute: Any) -> Any:
        if not next(n):
            raise KeyboardInterrupt
        return step(name, compute)

    monkeypatch.setattr(ledger, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(task, tiny, ledger=ledger)
    assert asked == [3, 3]
    again = run(task, tiny, ledger=Ledger(tmp_path, "mine"))
    assert asked == [3, 3, 1]
    assert again.rows == expected.rows


def test_what_was_kept_is_not_taken_for_another_strength_scope_or_task(tiny, task, asked, tmp_path) -> None:
    ledger = Ledger(tmp_path, "mine")
    steering = tt.Steering.from_vector(1, _vector(tiny))
    treatments = [None, Treatment(steering, 1.0), Treatment(steering, 2.0), Treatment(steering, 1.0, "generated"),
                  Treatment(steering.changed(attributes={"vector": 3.0}))]  # fmt: skip
    first = [run(task, tiny, t, ledger=ledger) for t in treatments]
    assert asked == [3, 3, 1] * 5
    assert len({scores.rows for scores in first}) == 5
    assert [run(task, tiny, t, ledger=ledger) for t in treatments] == first
    assert len(asked) == 15


def test_a_steering_without_an_id_is_measured_anew(tiny, task, asked, tmp_path) -> None:
    class Own:
        def __call__(self, h: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
            return h + strength[:, None] * 0.5

    ledger, treatment = Ledger(tmp_path, "mine"), Treatment(tt.Steering({1: Own()}, {"own": 1.0}))
    assert run(task, tiny, treatment, ledger=ledger).rows == run(task, tiny, treatment, ledger=ledger).rows
    assert asked == [3, 3, 1] * 2


def test_written_texts_are_kept_too(tiny, asked, tmp_path) -> None:
    row = {"question": "Is it?", "mc1_targets": {"Yes.": 1, "No.": 0}, "mc2_targets": {"Yes.": 1, "No.": 0}}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    task, ledger = TruthfulQA.load(str(tmp_path / "x.jsonl"), form="generation"), Ledger(tmp_path / "kept", "mine")
    first = run(task, tiny, ledger=ledger)
    assert run(task, tiny, ledger=ledger) == first
    assert asked == [1]


def test_a_steerings_text_stands_in_front_of_the_prompt(tiny, plain, task) -> None:
    steering = tt.Steering({}, {"brief": 1.0}, prompts={"brief": ("Be brief. ", "Be wordy. ")})
    scores = run(task, tiny, Treatment(steering, -1.0))
    for example, m in zip(EXAMPLES, scores.values("propensity")[0], strict=True):
        (p, n), (q, k) = plain(tiny, f"Be wordy. {example.prompt}", [example.positive, example.negative])
        assert m == pytest.approx(p / n - q / k, abs=1e-5)


def test_strength_0_is_the_unsteered_model(tiny, task) -> None:
    steering = tt.Steering.from_vector(1, _vector(tiny))
    assert run(task, tiny, Treatment(steering, 0.0)).rows == run(task, tiny).rows


def test_a_text_that_is_too_long_is_named_with_its_line(tiny, write) -> None:
    rows = [{"prompt": "Hi", "positive": " yes please", "negative": " no thanks", "group": "a"},
            {"prompt": "x " * 2000, "positive": " yes please", "negative": " no thanks", "group": "b"}]  # fmt: skip
    task = BehaviorTask.load(write("long.jsonl", rows))
    with pytest.raises(InputError, match=r"long.jsonl:2.*tokens and the model's context holds 1024"):
        run(task, tiny)


def test_labels_that_never_differ_are_named_with_their_line(tiny, write) -> None:
    rows = [{"prompt": "Is it?", "positive": " Yes", "negative": " No"},
            {"prompt": "Are they?", "positive": " Yes", "negative": " Yes."}]  # fmt: skip
    task = BehaviorTask.load(write("same.jsonl", rows))
    assert task.asks == "first-token"
    with pytest.raises(InputError, match=r"same.jsonl:2: one answer is the beginning of the other"):
        run(task, tiny)


def test_a_steering_for_another_model_and_a_strength_without_one_are_refused(tiny, task) -> None:
    with pytest.raises(InputError, match="a strength without a steering"):
        run(task, tiny, Treatment(strength=1.0))
    wide = tt.Steering({1: Additive(torch.ones(1, tiny.d_model + 1))}, {"wide": 1.0})
    with pytest.raises(InputError):
        run(task, tiny, Treatment(wide))


def test_intervals_resample_clusters(tiny) -> None:
    examples = [tt.Example(e.prompt, e.positive, e.negative, group=str(k // 2)) for k, e in enumerate(EXAMPLES)]
    scores = run(BehaviorTask(tt.Behavior("mine", examples)), tiny)
    values, units, clusters = scores.values("propensity")
    assert units == [str(k) for k in range(1, 8)]
    assert scores.interval("propensity") == bootstrap_mean(values, np.array(clusters), seed=0)
    assert TaskScores("x", scores.figures, (), {}).interval("propensity") is None
    with pytest.raises(InputError, match="no figure 'mc9'; it has propensity, accuracy"):
        scores.values("mc9")


def test_a_share_on_which_all_units_agree_is_not_known_without_error() -> None:
    figures = (Figure("accuracy", "share right", "higher", 0.0, 1.0), Figure("bias", "", "nearer 0", -1.0, 1.0))

    def interval(name: str, values: list[float], each: int = 1) -> Interval:
        rows = [UnitScore(str(k), str(k // each), name, v) for k, v in enumerate(values)]
        found = TaskScores("x", figures, tuple(rows), {}).interval(name)
        assert found is not None
        return found

    for hits in (20, 13, 0):
        expected = binomtest(hits, 20).proportion_ci(method="wilson")
        for name, scale, low in (("accuracy", 1, 0), ("bias", 2, -1)):
            found = interval(name, [low + scale * float(k < hits) for k in range(20)])
            assert (found.low, found.high) == pytest.approx((low + scale * expected.low, low + scale * expected.high))
    assert interval("bias", [-1.0] * 40, each=10).high > interval("bias", [-1.0] * 40).high > -1  # 4 clusters, 40
    tied = interval("bias", [1.0, 0.0, -1.0, 0.0] * 5)
    assert tied.value == 0
    assert tied.low < -0.1


def test_long_labels_of_clusters_take_no_memory_of_their_own() -> None:
    labels = ["a" * 1_000_000, *(str(k) for k in range(20_000))]  # an array of them would take 80 GB
    rows = tuple(UnitScore(str(k), label, "accuracy", float(k % 2)) for k, label in enumerate(labels))
    figures = (Figure("accuracy", "share right", "higher", 0.0, 1.0),)
    found = TaskScores("x", figures, rows, {}).interval("accuracy")
    assert found is not None
    assert found.low < 0.5 < found.high


# --- the registry ---


class _Point:
    def __init__(self, name: str, loads: object) -> None:
        self.name, self.loads, self.value = name, loads, f"somewhere:{name}"

    def load(self) -> object:
        if isinstance(self.loads, Exception):
            raise self.loads
        return self.loads


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Entry points that installed packages have."""
    given: list[Any] = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: given if group == "trimtab.tasks" else [])
    return given


def test_own_tasks_come_in_by_entry_point(points) -> None:
    class Mine(BehaviorTask):
        name = "mine"

    points += [_Point("mine", Mine), _Point("broken", ImportError("no module")), _Point("odd", 7), _Point("bbq", Mine)]
    assert task_names() == (*BUILT_IN, "broken", "mine", "odd")
    assert task_class("mine") is Mine
    assert task_class("bbq") is BUILT_IN["bbq"]  # nobody takes a built-in name
    with pytest.raises(InputError, match="cannot be loaded: no module"):
        task_class("broken")
    with pytest.raises(InputError, match="is not a Task"):
        task_class("odd")
    with pytest.raises(InputError, match="no task is called 'none'; there are truthfulqa, bbq"):
        task_class("none")


def test_options_are_checked_before_anything_is_read() -> None:
    with pytest.raises(InputError, match="task bbq has no option 'prompt'; it has unknown") as failed:
        load_task("bbq", "none.jsonl", {"prompt": "plain"})
    assert failed.value.field == "options.prompt"
    with pytest.raises(InputError, match="words '6' must be int, as 6 is"):
        load_task("toxicity", "none.csv", {"words": "6"})
    with pytest.raises(InputError, match="no such file"):
        load_task("toxicity", "none.csv", {"words": 6})


def test_options_without_a_default_or_with_none_or_a_fraction_can_be_given(points) -> None:
    class Mine(BehaviorTask):
        name = "mine"

        @classmethod
        def load(  # type: ignore[override]
            cls, source: str, *, limit: int | None = None, scale: float = 1.0, kind: str
        ) -> Any:
            assert (limit, scale, kind) == (3, 2, "a")
            return super().load(source)

    points.append(_Point("mine", Mine))
    assert load_task("mine", "sentiment", {"limit": 3, "scale": 2, "kind": "a"}).units
    with pytest.raises(InputError, match="task mine needs the option 'kind'"):
        load_task("mine", "sentiment", {"limit": 3})
    with pytest.raises(InputError, match="scale True must be float"):
        load_task("mine", "sentiment", {"scale": True, "kind": "a"})


def test_units_have_ids_of_their_own_and_a_part_has_some(task) -> None:
    unit = task.units[0]
    with pytest.raises(InputError, match=r"id '1' was given at .* already"):
        TruthfulQA([unit, replace(unit)])
    with pytest.raises(InputError, match="at least one unit"):
        task.part([])
