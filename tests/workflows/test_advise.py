"""Remedies on the tiny random model: tried in order, stopped when one holds, resumed, the best checked once."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import Run
from tests.workflows.test_fit import MIXED, two_kinds
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.errors import InputError
from trimtab.models import Model
from trimtab.results.advice import Advice, AdvisedRequirement, Attempt
from trimtab.results.figures import Estimate
from trimtab.statistics import Interval
from trimtab.steering import Steering
from trimtab.verdict.decision import Requirement
from trimtab.workflows.advise.advise import Advised, advise, margin
from trimtab.workflows.advise.remedies import REMEDIES, Remedy

module = sys.modules["trimtab.workflows.advise.advise"]  # its name in the package is the function's
SIZES: dict[str, Any] = {"train": 12, "evaluation": 16}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def found(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Advised, Path]:
    folder = tmp_path_factory.mktemp("advice")
    own = "Say that all is well.\tSay that nothing is."
    return advise(model, few("sentiment"), folder=folder, site=1, every=True, instructions=own, **SIZES), folder


def test_every_remedy_is_measured_or_says_why_not(found: tuple[Advised, Path]) -> None:
    result, folder = found
    attempts = {a.name: a for a in result.record.attempts}
    assert list(attempts) == [r.name for r in REMEDIES]
    for a in attempts.values():
        assert (a.reason is None) == (a.margin is not None) == (a.folder is not None)
        if a.folder is not None:
            assert Steering.load(folder / a.folder).attributes.keys() == {"sentiment"}
            assert len(a.requirements) >= 5
    assert attempts["careful-vector"].reason is not None  # twelve training examples promise nothing
    made = {name: Steering.load(folder / a.folder) for name, a in attempts.items() if a.folder is not None}
    for words in ("instruction", "searched-instruction"):
        stacked = made[f"vector-and-{words}"]
        assert stacked.edits
        assert stacked.prompts == made[words].prompts
        assert stacked.attributes == made["vector"].attributes
    assert "all is well" in str(made["searched-instruction"].origin.hyperparameters["own"])
    half = made["half-vector"]
    assert half.attributes["sentiment"] == made["vector"].attributes["sentiment"] / 2
    assert half.vector(tt.Site(1)).equal(made["vector"].vector(tt.Site(1)))
    assert attempts["half-vector"].strength == half.attributes["sentiment"]


@pytest.mark.parametrize(
    ("failing", "tried"),
    [
        ([("mean steering effect", "above")], False),
        ([("share of anti-steerable examples", "below")], True),
        ([("share of anti-steerable examples", "below"), ("mean steering effect", "above")], False),
        ([("divergence on neutral text (KL)", "below")], True),
        ([], True),
    ],
)
def test_half_the_strength_is_tried_where_the_whole_does_not_too_little(
    failing: list[tuple[str, Any]], tried: bool
) -> None:
    (remedy,) = [r for r in REMEDIES if r.half_of]
    needs = tuple(
        AdvisedRequirement(name=name, figure=Estimate(), threshold=0.1, direction=way, unit="", holds=False)
        for name, way in failing
    )
    open_ = AdvisedRequirement(name="open", figure=Estimate(), threshold=0.1, direction="above", unit="", holds=None)
    whole = Attempt(name=str(remedy.half_of), what="", requirements=(*needs, open_), margin=-2.0)
    why = module._no_cure(remedy, [whole])
    assert (why is None) == tried
    assert why is None or "mean steering effect" in why
    assert module._no_cure(REMEDIES[0], [whole]) is None


def test_the_best_on_dev_is_checked_on_evaluation_and_saved(found: tuple[Advised, Path], model: Model) -> None:
    result, folder = found
    margins = {a.name: a.margin for a in result.record.attempts if a.margin is not None}
    ranks = {
        a.name: ([r.holds for r in a.requirements].count(False), [r.holds for r in a.requirements].count(None))
        for a in result.record.attempts
        if a.margin is not None
    }
    assert result.record.chosen == min(margins, key=lambda name: (*ranks[name], -margins[name]))
    assert result.steering is not None
    assert result.report is not None
    assert Steering.load(folder / "steering").id == result.steering.id
    assert tt.Report.load(folder / "check") == result.report
    assert result.record.decision == result.report.verdict.decision
    assert Advice.load(folder) == result.record
    page = (folder / "advice.html").read_text()
    assert all(name in page for name in margins)
    direct = tt.check(model, few("sentiment"), steering=result.steering, **SIZES)
    assert direct.verdict.sentence == result.report.verdict.sentence


def test_nothing_dearer_is_tried_once_one_holds(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "margin", lambda r: 3.0)
    result = advise(model, few("sentiment"), folder=tmp_path / "a", site=1, **SIZES)
    first, *rest = result.record.attempts
    assert first.margin == 3.0
    assert {a.reason for a in rest} == {"not tried: vector holds on dev"}


def test_time_may_be_bounded(model: Model, tmp_path: Path) -> None:
    result = advise(model, few("sentiment"), folder=tmp_path / "a", site=1, minutes=1e-9, **SIZES)
    first, *rest = result.record.attempts
    assert first.margin is not None
    assert {a.reason for a in rest} == {"not tried: the time was up"}


def test_an_interrupted_run_makes_no_remedy_twice(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"folder": tmp_path / "a", "site": 1, "every": True, **SIZES}
    some = REMEDIES[:3]
    monkeypatch.setattr(module, "REMEDIES", some)
    real, made = module._made, list[str]()

    def broken(work: Any, remedy: Remedy, steerings: Any) -> Any:
        if remedy.name == some[2].name and len(made) == 2:
            made.append("interrupted")
            raise KeyboardInterrupt
        made.append(remedy.name)
        return real(work, remedy, steerings)

    monkeypatch.setattr(module, "_made", broken)
    with pytest.raises(KeyboardInterrupt):
        advise(model, few("sentiment"), **options)
    result = advise(model, few("sentiment"), **options)
    assert made == [some[0].name, some[1].name, "interrupted", some[2].name]
    monkeypatch.setattr(module, "_made", real)
    whole = advise(model, few("sentiment"), **{**options, "folder": tmp_path / "b"})
    timeless = [[_without_time(a) for a in r.record.attempts] for r in (result, whole)]
    assert timeless[0] == timeless[1]
    assert result.record.sentence == whole.record.sentence


def _without_time(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"seconds": None})


def test_a_behavior_of_two_kinds_is_helped_by_leaving_one_alone(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ("vector", "careful-vector")
    monkeypatch.setattr(module, "REMEDIES", tuple(r for r in REMEDIES if r.name in wanted))
    sizes = {"train": MIXED["train"], "evaluation": MIXED["evaluation"]}
    result = advise(
        model, two_kinds(), folder=tmp_path / "a", site=2, max_anti_steerable=0.3, max_kl=50.0, every=True, **sizes
    )
    plain, careful = result.record.attempts
    assert careful.acts is not None
    assert careful.acts.value is not None
    assert 0 < careful.acts.value < 0.5
    wrong = [next(r for r in a.requirements if "anti-steerable" in r.name).figure.value for a in (plain, careful)]
    assert wrong[0] is not None
    assert wrong[1] is not None
    assert wrong[1] < 0.3 < wrong[0]
    assert result.record.chosen == "careful-vector"
    assert result.record.acts is not None


@pytest.mark.parametrize(
    ("value", "low", "high", "threshold", "direction", "expected"),
    [
        (0.3, 0.2, 0.5, 0.1, "above", 2.0),
        (0.3, 0.2, 0.5, 0.7, "above", -2.0),
        (0.3, 0.2, 0.5, 0.7, "below", 2.0),
        (0.3, 0.2, 0.5, 0.1, "below", -2.0),
        (0.3, 0.3, 0.3, 0.1, "above", 99.0),
    ],
)
def test_margins_are_in_half_widths_toward_the_bound(
    value: float, low: float, high: float, threshold: float, direction: Any, expected: float
) -> None:
    r = Requirement("one", Interval(value, low, high), threshold, direction, 50, "nats")
    assert margin(r) == pytest.approx(expected)
    rng = np.random.default_rng(0)
    for _ in range(200):
        low, value, high = np.sort(rng.normal(size=3)).tolist()
        bound = float(rng.normal())
        r = Requirement("one", Interval(value, low, high), bound, direction, 50, "nats")
        assert r.holds == (True if margin(r) > 1 else False if margin(r) < -1 else None)
        open_ = Requirement("one", r.interval, bound, direction, 50, "nats", may_stay_open=True)
        assert (open_.holds is False) == (margin(open_) < 1)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"site": 99}, "site"),
        ({"minutes": 0.0}, "minutes"),
        ({"max_kl": -1.0}, "max_kl"),
        ({"max_anti_steerable": 2.0}, "max_anti_steerable"),
    ],
)
def test_bounds_without_meaning_are_refused(options: dict[str, Any], word: str, model: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        advise(model, few("sentiment"), folder=tmp_path / "a", **options)
    assert refused.value.field == word
    assert not (tmp_path / "a").exists()


def test_the_command_line_prints_a_table_and_demands_a_verdict(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "advice"
    arguments = ["advise", "sentiment", "--model", str(tiny_folder), "--dtype", "float32", "--site", "1"]
    arguments += ["--train", "12", "--eval", "16", "--minutes", "0.0001", "--out", str(out)]
    code, text, error = run(*arguments, "--require", "go")
    assert code == 3, error
    assert "vector" in text
    assert "Nothing that was tried holds" in text
    assert str(out / "advice.html") in text.replace("\n", "")
    code, text, _ = run(*arguments, "--json")
    assert code == 0
    assert Advice.model_validate(json.loads(text)).behavior == "sentiment"
    assert run("advise", "sentiment", "--require", "maybe")[0] == 2
    code, _, error = run(*arguments, "--instructions", str(tmp_path / "none.txt"))
    assert code == 2
    assert "--instructions" in error
    assert "cannot be read" in error.replace("\n", " ")


@pytest.mark.parametrize("text", [None, "{}", "no json"])
def test_what_is_no_advice_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "advice.json").write_text(text)
    with pytest.raises(InputError, match=r"advice\.json"):
        Advice.load(tmp_path)
