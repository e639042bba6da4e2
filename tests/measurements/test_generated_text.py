"""Generated text is scored by a classifier that shows that it can, by a judge, and by its flow; the verdict asks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from tests.chat_server import Reply, serving

import trimtab as tt
from trimtab.behaviors import Behavior, builtin, split
from trimtab.clients.chat import Endpoint
from trimtab.errors import InputError
from trimtab.evaluation import Judge
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.progress import Silent
from trimtab.measurements.continuations import Continuation, ContinuationPair
from trimtab.measurements.generated_text import JudgeAnswers, Scored, generated, looks_at
from trimtab.storage.steps import Ledger
from trimtab.texts import Rendered
from trimtab.verdict.requirements import generated_requirements


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


def experiment_for(model: tt.Model, behavior: Behavior, folder: Path | None = None) -> Experiment:
    parts = split(behavior, train=150, evaluation=60, seed=0)
    instrument = Instrument(model, behavior, False, "mean")
    return Experiment(instrument, parts, (), 1.0, "all", 0, Ledger(folder, "k"), Silent())


def as_written(on: Experiment, prompt: str, base: str, steered: str) -> ContinuationPair:
    """Texts as if the model had written them behind the prompt."""
    rows = on.instrument.encode([Rendered("", prompt, text) for text in (base, steered)])
    answered = [Continuation(text, row.ids[row.prompt_len :]) for text, row in zip((base, steered), rows, strict=True)]
    return ContinuationPair(prompt, rows[0].prompt.ids, *answered)


def swapped(on: Experiment, n: int, way: int = 1) -> list[ContinuationPair]:
    """Continuations as if steering turned the negative into the positive answer (or the other way round)."""
    return [as_written(on, e.prompt, *(e.negative, e.positive)[::way]) for e in on.splits.eval.examples[:n]]


def scored(on: Experiment, texts: Sequence[ContinuationPair], judge: Judge | None) -> Scored:
    """The scores of given texts, in one look."""
    return generated(on, lambda start, stop: texts[start:stop], looks_at(on, (len(texts),)), judge)


def test_texts_are_written_in_looks_until_it_is_certain_which_way_they_go(tiny: tt.Model) -> None:
    """Half of the first twenty go the wrong way: open. The next thirty go the right way."""
    on = experiment_for(tiny, builtin("sentiment"))
    right, wrong = swapped(on, 50), swapped(on, 50, -1)
    mixed = [*(wrong[i] if i % 2 else right[i] for i in range(20)), *right[20:]]
    written: list[tuple[int, int]] = []

    def write(texts: Sequence[ContinuationPair]) -> Any:
        def some(start: int, stop: int) -> Sequence[ContinuationPair]:
            written.append((start, stop))
            return texts[start:stop]

        return some

    early = generated(on, write(right), (20, 50), None)
    assert (written, early.figures.n, len(early.texts)) == ([(0, 20)], 20, 20)
    written.clear()
    late = generated(on, write(mixed), (20, 50), None)
    assert (written, late.figures.n, len(late.texts)) == ([(0, 20), (20, 50)], 50, 50)
    assert late.figures.level == early.figures.level > 0.95
    whole = scored(on, mixed, None)
    assert whole.figures.level == 0.95
    assert late.figures.shift.value == whole.figures.shift.value
    wider, narrower = late.figures.shift.interval, whole.figures.shift.interval
    assert wider is not None
    assert narrower is not None
    assert wider.low < narrower.low
    both = bivariate_normal_rejections(late.figures.level, 20 / 50)
    assert both == pytest.approx(0.05, abs=0.006)  # no more than five in a hundred at either look


def bivariate_normal_rejections(level: float, share: float) -> float:
    """P(|z1| or |z2| beyond the level's quantile) of means over a first share and over all, with no true change."""
    end = float(norm.ppf((1 + level) / 2))
    box = multivariate_normal([0, 0], [[1, share**0.5], [share**0.5, 1]])
    inside = box.cdf([end, end]) - box.cdf([-end, end]) - box.cdf([end, -end]) + box.cdf([-end, -end])
    return 1 - float(inside)


def test_a_shift_of_the_text_is_found_in_its_direction(tiny: tt.Model) -> None:
    on = experiment_for(tiny, builtin("sentiment"))
    toward, away = (scored(on, swapped(on, 40, way), None).figures for way in (1, -1))
    assert toward.n == 40
    assert toward.auroc.low is not None
    assert toward.auroc.low > 0.6
    assert toward.shift.value == pytest.approx(-(away.shift.value or 0.0))
    needs = generated_requirements(toward)
    assert [(r.name, r.holds) for r in needs] == [("generated text, by a classifier", True)]
    assert generated_requirements(away)[0].holds is False
    some = on.splits.eval.examples[:40]
    prompts, base, steered = ([getattr(e, name) for e in some] for name in ("prompt", "negative", "positive"))
    rise = tiny.score(prompts, base).mean - tiny.score(prompts, steered).mean
    assert toward.perplexity_ratio.value == pytest.approx(float(np.exp(rise.mean().item())), rel=1e-3)


def test_a_classifier_that_cannot_judge_says_so_and_asks_nothing_of_the_verdict(tiny: tt.Model) -> None:
    on = experiment_for(tiny, builtin("null"))
    result = scored(on, swapped(on, 40), None).figures
    assert result.shift.value is None
    assert "AUROC" in str(result.shift.reason)
    assert generated_requirements(result) == []


def test_empty_continuations_are_left_out_and_labels_are_not_text(tiny: tt.Model) -> None:
    on = experiment_for(tiny, builtin("sentiment"))
    texts = [
        *swapped(on, 20),
        *(as_written(on, e.prompt, "", " x") for e in on.splits.eval.examples[20:24]),
    ]
    assert scored(on, texts, None).figures.shift.n == 20
    rows = [replace(e, positive=" Yes", negative=" No") for e in builtin("sentiment").examples]
    choice = experiment_for(tiny, Behavior("choice", rows))
    assert "labels" in str(scored(choice, texts, None).figures.reason)


def test_a_judge_is_asked_in_both_orders_and_not_again_after_an_interruption(tiny: tt.Model, tmp_path: Path) -> None:
    on = experiment_for(tiny, builtin("sentiment"), tmp_path)
    texts = swapped(on, 6)

    def fair(request: dict[str, Any], k: int) -> Reply:
        conversation = " ".join(turn["content"] for turn in request["messages"])
        first = next(
            conversation.find(t.steered.text.strip()) < conversation.find(t.base.text.strip())
            for t in texts
            if t.base.text.strip() in conversation
        )
        return Reply("A" if first else "B")

    with serving(fair) as server:
        judge = Judge(Endpoint(server.url, "judge-1"), builtin("sentiment"))
        result = scored(on, texts, judge).figures
        asked = len(server.requests)
        assert scored(on, texts, judge).figures == result
        assert len(server.requests) == asked == 12
    assert result.judge.startswith("judge-1 at ")
    assert result.win_rate.value == 1.0
    assert result.inconsistent.value == 0.0
    assert [r.holds for r in generated_requirements(result)][-1] is not False


def test_what_a_judge_could_not_be_asked_is_asked_again_and_another_judge_is_another_step(
    tiny: tt.Model, tmp_path: Path
) -> None:
    on = experiment_for(tiny, builtin("sentiment"), tmp_path)
    texts, down = swapped(on, 6), [True]

    def answers(request: dict[str, Any], k: int) -> Reply:
        return Reply(status=500) if down[0] and k % 3 == 0 else Reply("tie")

    with serving(answers) as server:
        judge = Judge(Endpoint(server.url, "judge-1", attempts=1), builtin("sentiment"), parallel=1)
        scored(on, texts, judge)
        asked, down[0] = len(server.requests), False
        assert scored(on, texts, judge).figures.win_rate.value == 0.5
        assert len(server.requests) > asked
    others = [
        replace(judge, tries=judge.tries + 1),
        replace(judge, max_tokens=7),
        replace(judge, behavior=replace(judge.behavior, description="another")),
    ]
    steps = [JudgeAnswers(j, tuple(texts), ("a",) * 6) for j in (judge, *others)]
    assert len({step.key for step in steps}) == 4


def test_a_check_with_generated_text_says_on_what_it_rests(tiny: tt.Model) -> None:
    options: dict[str, Any] = {"train": 60, "evaluation": 24, "site": 1, "prompt_types": "prefilled", "strength": 1.0}
    report = tt.check(tiny, builtin("sentiment"), **options, generate=12)
    assert report.generated.n == 12
    judged = report.generated.shift.value is not None
    assert report.verdict.basis == ("likelihood and generated text" if judged else "likelihood")
    assert any("generated text" in bound.name for bound in report.verdict.bounds) == judged
    assert str(report.generated.shift.reason) in report.verdict.sentence or judged
    assert len(report.continuations) == 12
    plain = tt.check(tiny, builtin("sentiment"), **options, effort="thorough", generate=0)
    assert (plain.generated.n, plain.verdict.basis, len(plain.continuations)) == (0, "likelihood", 10)
    for bad in (
        {"generate": 1},
        {"generate": -1},
        {"judge": Judge(Endpoint("http://127.0.0.1:9", "m"), builtin("null")), "effort": "quick"},
    ):
        with pytest.raises(InputError, match="generate"):
            tt.check(tiny, builtin("sentiment"), **options, **bad)


@pytest.mark.parametrize(
    ("effort", "behavior", "n"),
    [("thorough", "sentiment", 24), ("quick", "sentiment", 0), ("thorough", "labels", 0)],
)
def test_by_default_text_is_written_where_it_can_show_the_behavior(
    effort: Any, behavior: str, n: int, tiny: tt.Model
) -> None:
    """All prompts that there are, up to 80; none for labels or in a hurry, and then the verdict says why."""
    of = builtin("sentiment")
    if behavior == "labels":
        rows = [replace(e, prompt=f"{e.prompt} (A) or (B)?", positive=" (A)", negative=" (B)") for e in of.examples]
        of = replace(of, examples=rows)
    options: dict[str, Any] = {"train": 60, "evaluation": 24, "site": 1, "prompt_types": "prefilled", "strength": 1.0}
    report = tt.check(tiny, of, **options, effort=effort)
    assert report.generated.n == n
    if n == 0:
        why = "no text was asked for" if effort == "quick" else "the answers are labels"
        assert why in str(report.generated.reason)
        assert why in report.verdict.sentence or report.verdict.decision == "no-go"
