"""What a check measures beside the effect, each against a plain loop; and the strength that dev chooses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import trimtab as tt
from trimtab.behaviors import Behavior, Example, Probe, split
from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import Instrument, Treatment
from trimtab.experiment.progress import Silent
from trimtab.measurements.baselines import RANDOM_DIRECTIONS, answer_bias, prompting_baseline, random_directions
from trimtab.measurements.capability import capability
from trimtab.measurements.divergence import NEUTRAL_ROWS, SCREENING_ROWS, NeutralDrift, PromptsDrift
from trimtab.measurements.effects import Steered
from trimtab.measurements.other_behaviors import over_refusal
from trimtab.measurements.probe_margins import margins
from trimtab.models import Encoded, steer
from trimtab.models.divergence import AnswerDivergence, divergences
from trimtab.models.scoring import Variant
from trimtab.statistics import odd_even
from trimtab.storage.steps import Ledger

SITE = tt.Site(1)


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


def experiment_for(model: tt.Model, behavior: Behavior, strength: float = 2.0) -> Experiment:
    parts = split(behavior, train=12, evaluation=16, seed=0)
    instrument = Instrument(model, behavior, False, "mean")
    return Experiment(instrument, parts, (), strength, "all", 0, Ledger(None, ""), Silent())


@pytest.fixture(scope="module")
def on(tiny: tt.Model) -> Experiment:
    return experiment_for(tiny, Behavior.builtin("sentiment"))


@pytest.fixture(scope="module")
def steering() -> tt.Steering:
    return tt.Steering.from_vector(SITE, torch.randn(32, generator=torch.Generator().manual_seed(3)))


def test_drift_of_neutral_text_is_that_of_a_plain_loop(tiny: tt.Model, on: Experiment, steering: tt.Steering) -> None:
    strengths = (2.0, -1.0)
    result = NeutralDrift(steering, strengths, 3).drifts(on)
    texts = Probe.builtin("neutral").texts[0::2][:3]
    for strength, drift in zip(strengths, result, strict=True):
        for i, text in enumerate(texts):
            ids = torch.tensor([[1, *tiny.tokenizer(text, add_special_tokens=False)["input_ids"]]])
            with torch.no_grad():
                base = tiny.hf(ids).logits[0, :-1].log_softmax(-1)
                with tiny.steered(steering, strength=strength):
                    after = tiny.hf(ids).logits[0, :-1].log_softmax(-1)
            kl = (base.exp() * (base - after)).sum(-1).mean().item()
            surprise = (base - after).gather(1, ids[0, 1:, None]).mean().item()
            assert drift.kl[i] == pytest.approx(kl, rel=1e-3, abs=1e-6)
            assert drift.surprise[i] == pytest.approx(surprise, rel=1e-3, abs=1e-5)


def test_a_share_of_the_tokens_is_a_step_of_its_own_and_costs_less(on: Experiment, steering: tt.Steering) -> None:
    whole, some = (NeutralDrift(steering, (2.0,), 6, share=share) for share in (1.0, 0.25))
    assert whole.key != some.key
    assert whole.key == NeutralDrift(steering, (2.0,), 6).key
    assert some.cost(on) < whole.cost(on)
    (exact,), (estimated,) = whole.drifts(on), some.drifts(on)
    assert not np.array_equal(exact.kl, estimated.kl)
    assert estimated.kl.mean() == pytest.approx(exact.kl.mean(), rel=0.3)


def test_every_part_sees_other_documents_and_other_prompts(
    on: Experiment, steering: tt.Steering, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimtab.measurements import divergence

    seen: list[set[tuple[int, ...]]] = []

    def recorded(
        model: tt.Model, rows: Sequence[Encoded], variants: Sequence[Variant], *, share: float, seed: int
    ) -> list[AnswerDivergence]:
        seen.append({row.ids for row in rows})
        return divergences(model, rows, variants, share=share, seed=seed)

    monkeypatch.setattr(divergence, "divergences", recorded)
    parts: tuple[Split, ...] = ("eval", "dev", "replication")
    for part, n in zip(parts, (NEUTRAL_ROWS, SCREENING_ROWS, NEUTRAL_ROWS), strict=True):
        NeutralDrift(steering, (2.0,), n, part).drifts(on)
        PromptsDrift(steering, (2.0,), (), part).drifts(on)
    for texts in (seen[::2], seen[1::2]):
        assert all(texts)
        assert len(set.union(*texts)) == sum(map(len, texts))
    own = {e.prompt for e in on.behavior.examples}
    assert not any(on.model.encoder().decode(ids) in own for ids in seen[1])


def test_capability_counts_what_margins_say(tiny: tt.Model, on: Experiment, steering: tt.Steering) -> None:
    probe = Probe.builtin("capability")
    treatments = [Treatment(), Treatment((steer(steering, 2.0),))]
    before, after = margins(tiny, probe, treatments) > 0
    some = probe.examples[:20]
    prompts, right, wrong = ([getattr(e, k) for e in some] for k in ("prompt", "positive", "negative"))
    loop = tiny.score(prompts, right).total - tiny.score(prompts, wrong).total
    assert np.allclose(margins(tiny, probe)[0][:20], loop.numpy(), rtol=1e-4, atol=1e-4)
    rows = {str(row.kind): row for row in capability(on, steering)}
    assert list(rows) == ["grammar", "facts", "cloze", "all"]
    whole = rows["all"]
    assert (whole.gained, whole.lost) == (int((~before & after).sum()), int((before & ~after).sum()))
    assert whole.base == pytest.approx(before.mean())
    if whole.change.value is None:  # a random model answers by chance
        assert "no headroom" in str(whole.change.reason)
    else:
        assert whole.change.value == pytest.approx((whole.gained - whole.lost) / whole.n)


def test_over_refusal_is_the_mean_change_of_a_plain_loop(tiny: tt.Model, on: Experiment, steering: tt.Steering) -> None:
    examples = Probe.builtin("over-refusal").examples
    prompts, answers, refusals = ([getattr(e, k) for e in examples] for k in ("prompt", "positive", "negative"))
    by = {}
    for name, options in (("base", {}), ("steered", {"steering": steering, "strength": 2.0})):
        both = (tiny.score(prompts, side, **options).mean for side in (answers, refusals))
        by[name] = next(both) - next(both)
    result = over_refusal(on, steering).effect(on)
    assert result.value == pytest.approx((by["steered"] - by["base"]).mean().item(), rel=1e-3, abs=1e-5)
    assert result.n == len(examples)


def steered_for(on: Experiment, steering: tt.Steering) -> Steered:
    treatments = [Treatment(), on.treatment((steering, 2.0)), on.treatment((steering, -2.0))]
    base, plus, minus = on.instrument.propensities(on.splits.eval.examples, treatments)
    return Steered(base, plus, minus, on.contrast_of(on.splits.eval))


def test_asking_puts_the_positive_instruction_in_front(tiny: tt.Model, on: Experiment, steering: tt.Steering) -> None:
    own = steered_for(on, steering)
    result = prompting_baseline(on, steering, own)
    examples = on.splits.eval.examples
    prompts = [f"{on.behavior.instruction('positive')}\n\n{e.prompt}" for e in examples]

    def m(**options: object) -> torch.Tensor:
        both = (
            tiny.score(prompts, [getattr(e, s) for e in examples], **options).mean for s in ("positive", "negative")
        )
        return next(both) - next(both)

    asked, both = m().numpy(), m(steering=steering, strength=2.0).numpy()
    assert result.effect.value == pytest.approx((asked - own.base.m).mean(), rel=1e-3, abs=1e-5)
    assert result.beats.value == pytest.approx((own.plus.m - asked).mean(), rel=1e-3, abs=1e-5)
    assert result.adds.value == pytest.approx((both - asked).mean(), rel=1e-3, abs=1e-5)


def test_random_directions_are_as_long_as_the_vector_and_scored_by_their_odd_part(
    tiny: tt.Model, on: Experiment, steering: tt.Steering
) -> None:
    result = random_directions(on, steering)
    assert len(result.odd) == RANDOM_DIRECTIONS
    first = steering.randomised(0)
    assert float(first.vector(SITE).norm()) == pytest.approx(float(steering.vector(SITE).norm()), rel=1e-5)
    own = steered_for(on, first)
    odd, _ = odd_even(own.base.m, own.plus.m, own.minus.m)
    assert result.odd[0] == pytest.approx(odd.mean(), rel=1e-3, abs=1e-6)
    assert result.percentile_95 == pytest.approx(np.quantile(np.abs(result.odd), 0.95))


def test_a_shift_toward_one_label_is_told_from_an_effect(tiny: tt.Model) -> None:
    rows = [
        Example(f"Is number {i} odd?", *((" Yes", " No") if i % 3 else (" No", " Yes")), group=str(i))
        for i in range(60)
    ]
    on = experiment_for(tiny, Behavior("odd", rows))
    examples = on.splits.eval.examples
    yes = np.array([e.positive == " Yes" for e in examples])
    effect = 0.3 + np.where(yes, 1.0, -1.0)  # 0.3 in the intended direction, and everything 1.0 toward Yes
    contrast = ContrastMaker(tuple(map(str, range(len(examples)))), False, 0)(effect, np.zeros(len(effect)))
    result = answer_bias(on, contrast)
    assert result.label == "Yes"
    assert result.shift.value == pytest.approx(1.0)
    assert result.adjusted.value == pytest.approx(0.3)


def test_free_text_has_no_label_to_shift_to(on: Experiment) -> None:
    n = len(on.splits.eval.examples)
    contrast = on.contrast_of(on.splits.eval)(np.ones(n), np.zeros(n))
    assert "free text" in str(answer_bias(on, contrast).shift.reason)


def test_dev_chooses_the_strength_within_the_bound_and_the_report_shows_what_it_saw(tiny: tt.Model) -> None:
    options = {"train": 16, "evaluation": 20, "site": 1, "prompt_types": "prefilled"}
    free = tt.check(tiny, Behavior.builtin("sentiment"), **options, max_kl=10.0)
    assert free.strength_chosen == "dev"
    best = max(free.dev_strengths, key=lambda p: p.effect.low or 0.0)
    assert free.verdict.strength == best.strength
    kls = sorted(p.kl.high or 0.0 for p in free.dev_strengths)
    bound = (kls[1] + kls[2]) / 2
    tight = tt.check(tiny, Behavior.builtin("sentiment"), **options, max_kl=bound)
    allowed = {p.strength for p in tight.dev_strengths if (p.kl.high or 0.0) < bound}
    assert tight.verdict.strength in allowed
    assert len(allowed) == 2
    assert all(p.overdosed == ((p.kl.low or 0.0) > bound) for p in tight.dev_strengths)
    report = tt.check(tiny, Behavior.builtin("sentiment"), **options, strength=0.7)
    assert (report.strength_chosen, report.dev_strengths, report.verdict.strength) == ("given", (), 0.7)


def test_other_behaviors_get_an_effect_each(tiny: tt.Model) -> None:
    own, other = Behavior.builtin("sentiment"), Behavior.builtin("politeness")
    report = tt.check(
        tiny, own, train=16, evaluation=20, site=1, prompt_types="prefilled", strength=1.0, others=[own, other],
        effort="thorough",
    )  # fmt: skip
    assert [o.behavior for o in report.side_effects.others] == ["politeness"]
    assert report.side_effects.others[0].effect.n == 60
    names = [b.name for b in report.verdict.bounds]
    assert any("neutral text" in name for name in names)
    assert any("other prompts" in name for name in names)
