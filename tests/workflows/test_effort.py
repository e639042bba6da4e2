"""How much a check measures: what stops early agrees with what does not, and says what it left out."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.workflows.test_check import walk

import trimtab as tt
from trimtab.behaviors import Example
from trimtab.errors import InputError, NotFiniteError
from trimtab.experiment.effort import DECIDED, DEFAULT, EFFORTS
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Propensity
from trimtab.experiment.preparation import ready
from trimtab.experiment.progress import Silent
from trimtab.interventions import Site
from trimtab.measurements.capability import CapabilityMargins
from trimtab.measurements.effects import effects_on_dev, steered
from trimtab.results.figures import Estimate
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering
from trimtab.steering.edits import Gated
from trimtab.storage.steps import Ledger
from trimtab.verdict.decision import Thresholds
from trimtab.verdict.evidence import Evidence
from trimtab.verdict.looks import capability_in_looks, enough_directions, in_looks, settled
from trimtab.workflows.choice import HOPELESS
from trimtab.workflows.racing import by_race, rounds

FIXED: dict[str, Any] = {"site": 1, "strength": 0.5, "prompt_types": "prefilled"}


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


def obvious(n: int = 420) -> tt.Behavior:
    """Any vector that makes one word likelier moves all of these."""
    rng = np.random.default_rng(0)

    def words(k: int) -> str:
        return " ".join("".join(rng.choice(list("abdegiklmnoprstu"), 5)) for _ in range(k))

    rows = [Example(f"{words(5)}:", f" good {words(1)} good", f" bad {words(1)} bad") for _ in range(n)]
    return tt.Behavior("obvious", rows)


def experiment(tiny: tt.Model, behavior: tt.Behavior, **sizes: int) -> Experiment:
    chosen = {"train": None, "evaluation": None, **sizes}
    on, _ = ready(tiny, behavior, ["prefilled"], **chosen, seed=0, ledger=Ledger(None, ""), progress=Silent())  # type: ignore[arg-type]
    return on


def toward(tiny: tt.Model, sign: float = 1.0) -> Steering:
    """Behind the last block, along the difference of the two words' rows of the head."""
    ids = [tiny.tokenizer.encode(word, add_special_tokens=False) for word in (" good", " bad")]
    rows = [tiny.hf.lm_head.weight[i].detach().float().mean(dim=0) for i in ids]
    return Steering.from_vector(Site(2), sign * (rows[0] - rows[1]))


def test_a_clear_effect_ends_the_evaluation_at_a_look(tiny: tt.Model) -> None:
    on = experiment(tiny, obvious())
    looked = in_looks(on, toward(tiny), Thresholds(0.01))
    (whole,) = steered(on, [toward(tiny)])
    assert looked.settled == "success"
    assert looked.ends == (64,)
    assert looked.available == len(on.splits.eval) > 64
    assert np.allclose(looked.steered.effect.rows, whole.effect.rows[:64], atol=1e-6)
    assert len(looked.on.splits.eval) == 64


def test_a_vector_turned_round_fails_at_a_look(tiny: tt.Model) -> None:
    on = experiment(tiny, obvious())
    looked = in_looks(on, toward(tiny, -1), Thresholds(0.01))
    assert looked.settled == "failure"
    assert looked.ends == (64,)


def test_what_lies_near_its_bound_is_measured_in_full(tiny: tt.Model) -> None:
    on = experiment(tiny, obvious())
    (whole,) = steered(on, [toward(tiny)])
    looked = in_looks(on, toward(tiny), Thresholds(whole.effect.mean().value))
    assert looked.settled is None
    assert looked.ends[-1] == looked.available
    assert settled(whole, Thresholds(whole.effect.mean().value), on, toward(tiny)) is None


@pytest.mark.parametrize("effort", ["default", "quick"])
def test_every_figure_that_is_missing_has_a_reason(tiny: tt.Model, effort: Any) -> None:
    for behavior in (obvious(), tt.Behavior.builtin("null")):
        report = tt.check(tiny, behavior, **FIXED, effort=effort, min_effect=0.0001)
        assert report.stopping is not None
        assert report.stopping.effort == effort
        for path, value in walk(report):
            if isinstance(value, Estimate) and value.value is None:
                assert value.reason, path


def test_the_three_efforts_decide_alike_and_do_less_and_less(tiny: tt.Model, tmp_path: Path) -> None:
    behavior = obvious()
    reports = {
        effort: tt.check(tiny, behavior, steering=toward(tiny), effort=effort, max_kl=9, folder=tmp_path / effort)  # type: ignore[arg-type]
        for effort in EFFORTS
    }
    assert len({r.verdict.decision for r in reports.values()}) == 1
    tokens = [r.stopping.tokens for r in reports.values() if r.stopping]
    assert tokens == sorted(tokens)
    assert tokens[0] < tokens[1] < tokens[2] / 1.5
    thorough = reports["thorough"].stopping
    assert thorough is not None
    assert thorough.not_measured == ()
    assert thorough.looks == (thorough.available,)
    assert abs(thorough.tokens - thorough.tokens_thorough) < 0.15 * thorough.tokens
    for effort, report in reports.items():
        assert tt.Report.load(tmp_path / effort) == report.model_copy(
            update={"rows": tt.Report.load(tmp_path / effort).rows}
        )


def test_a_no_go_that_is_certain_measures_nothing_besides(tiny: tt.Model) -> None:
    report = tt.check(tiny, obvious(), **FIXED, effort="default", min_effect=50.0)
    assert report.verdict.decision == "no-go"
    assert report.random_directions.reason == DECIDED
    assert report.side_effects.kl.reason == DECIDED
    assert report.side_effects.over_refusal.reason == DECIDED
    assert report.continuations == ()
    assert [p.strength for p in report.curve.points] == [-0.5, 0.0, 0.5]
    assert report.stopping is not None
    assert {"divergence", "capability", "random directions", "continuations"} <= set(report.stopping.not_measured)


def test_without_a_direction_other_prompt_types_are_not_tried(tiny: tt.Model) -> None:
    report = tt.check(tiny, obvious(), strength=0.5, effort="default", min_effect=50.0)
    tried = {t for t, r in report.prompt_types.items() if r.effect is not None}
    assert tried == {"prefilled"}
    assert HOPELESS in {r.not_measured for r in report.prompt_types.values()}


def test_a_race_finds_the_candidate_that_all_examples_find(tiny: tt.Model) -> None:
    on = experiment(tiny, obvious())
    vector = toward(tiny)
    candidates = {k / 10: (vector, k / 10) for k in range(-8, 9) if k}
    raced, lost = by_race(on, candidates, len(on.splits.dev))
    every = dict(zip(candidates, effects_on_dev(on, list(candidates.values())), strict=True))
    best = max(every, key=lambda k: every[k].mean().value)
    first = next(iter(raced))
    longest = [k for k, e in raced.items() if len(e.rows) == len(on.splits.dev)]
    assert not lost
    assert best in longest
    assert first in longest
    assert 2 <= len(longest) < len(candidates) / 2
    assert np.allclose(raced[best].rows, every[best].rows, atol=1e-6)


def test_who_is_plainly_behind_is_dropped_and_nobody_else(tiny: tt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: the best leads by 1.5 standard errors of the paired difference, or does not."""
    on = experiment(tiny, obvious())
    n = len(on.splits.dev)
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 5, n)  # what makes an example easy for all
    noise = {k: rng.normal(0, 1, n) for k in range(5)}
    tops = {k: shared + noise[k] + gain for k, gain in enumerate((1.0, 0.9, 0.6, 0.0, -2.0))}
    seen: dict[int, int] = {}
    room = import_module("trimtab.workflows.racing")

    def made(on: Any, part: Any, variants: Any, rows: int, first: int = 0) -> list[Propensity]:
        found = []
        for _, strength in variants:
            k = round(strength * 10) - 1
            values = tops[k][first:rows] if k >= 0 else np.zeros(rows - first)
            seen[k] = rows
            zeros = np.zeros(rows - first)
            found.append(Propensity(positive=values, negative=zeros, total_positive=values, total_negative=zeros))
        return found

    monkeypatch.setattr(room, "sweep", made)
    candidates = {k: (toward(tiny), (k + 1) / 10) for k in range(5)}
    by_race(on, candidates, n)
    left, end = set(range(5)), 12
    expected = dict.fromkeys(range(5), n)
    while end < n:
        means = {k: tops[k][:end].mean() for k in left}
        order = sorted(left, key=lambda k: -means[k])
        for k in order[2:]:
            d = tops[order[0]][:end] - tops[k][:end]
            if d.mean() > 1.514 * d.std(ddof=1) / np.sqrt(end):
                left.discard(k)
                expected[k] = end
        end *= 2
    assert {k: seen[k] for k in range(5)} == expected
    assert expected[4] == 12
    assert expected[0] == n


def test_rounds_double_and_end_with_all() -> None:
    assert rounds(31, 16) == [12, 24, 31]
    assert rounds(60, 7) == [12, 24, 48, 60]
    assert rounds(60, 2) == [60]
    assert rounds(5, 16) == [5]


def test_rows_that_share_clusters_are_looked_at_once(tiny: tt.Model) -> None:
    on = experiment(tiny, obvious())
    names = tuple(f"g{k // 8}" if k >= 64 else f"s{k}" for k in range(len(on.splits.eval)))
    grouped = replace(on, splits=replace(on.splits, eval=replace(on.splits.eval, clusters=names)))
    looked = in_looks(grouped, toward(tiny), Thresholds(0.01))
    assert looked.settled is None
    assert looked.ends == (len(names),)


def test_headroom_that_a_third_of_the_probe_does_not_show_is_looked_for_in_all(
    tiny: tt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def margins(self: CapabilityMargins, on: Experiment) -> dict[str, np.ndarray]:
        n = len(self.probe(on).examples)
        right = np.arange(n) < 0.56 * n  # not above chance for 200 pairs, but for 600
        after = right & (np.arange(n) >= 0.2 * n)
        return {"margins": np.stack([right, after]).astype(float) - 0.5}

    monkeypatch.setattr(CapabilityMargins, "compute", margins)
    on = replace(experiment(tiny, obvious()), effort=DEFAULT)
    found = capability_in_looks(on, toward(tiny), Thresholds(0.01))[-1]
    assert found.n > 200
    assert found.change.high is not None
    assert found.change.high < -0.05


def test_what_stays_open_beside_settled_effects_is_measured_on_all_examples(
    tiny: tt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = import_module("trimtab.workflows.check.measured")
    seen: list[int] = []

    def never(evidence: Evidence, thresholds: Thresholds, on: Experiment) -> bool:
        seen.append(len(on.splits.eval))
        return False

    monkeypatch.setattr(room, "_stands", never)
    report = tt.check(tiny, obvious(), steering=toward(tiny), max_kl=9)
    assert seen == [64]
    assert report.stopping is not None
    assert report.stopping.looks == (64, report.stopping.available)
    assert (report.stopping.settled, report.stopping.level) == (None, 0.95)
    assert report.n_eval == report.stopping.available


def test_a_steering_without_an_opposite_can_be_checked_quickly(tiny: tt.Model) -> None:
    vector = toward(tiny).vector(Site(2))
    gated = Steering(
        {Site(2): Gated(vector[None], torch.zeros_like(vector)[None], torch.tensor([5.0]))}, {"gated": 1.0}
    )
    assert not gated.is_odd
    report = tt.check(tiny, obvious(120), steering=gated, effort="quick", max_kl=9)
    assert report.prompt_types[report.verdict.prompt_type].steerability.reason


def test_a_race_goes_back_where_the_better_candidates_are_not_finite(
    tiny: tt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = experiment(tiny, obvious())
    candidates = {k / 10: (toward(tiny), k / 10) for k in range(1, 10)}
    room = import_module("trimtab.workflows.racing")
    real = room.sweep

    def broken(on: Any, part: Any, variants: Any, rows: Any, first: int = 0) -> Any:
        if first and any(s >= 0.7 for _, s in variants):
            raise NotFiniteError("too strong", field="dtype")
        return real(on, part, variants, rows, first=first)

    monkeypatch.setattr(room, "sweep", broken)
    raced, lost = by_race(on, candidates, len(on.splits.dev))
    assert set(lost) == {0.7, 0.8, 0.9}
    assert not set(lost) & set(raced)
    assert {k for k, e in raced.items() if len(e.rows) == len(on.splits.dev)} == {0.6}


def test_random_directions_are_enough_when_the_own_effect_lies_far_above(tiny: tt.Model) -> None:
    on = experiment(tiny, obvious())
    (own,) = steered(on, [toward(tiny)])
    enough, low = enough_directions(own, "odd part"), own.odd.mean(0.9973).low
    assert low > 0
    assert enough([low / 100, -low / 100, low / 90, low / 200])
    assert not enough([low / 2, -low / 2, low / 2, low / 2])


def test_an_unknown_effort_is_refused(tiny: tt.Model) -> None:
    with pytest.raises(InputError, match="unknown effort 'fast'"):
        tt.check(tiny, obvious(), effort="fast")  # type: ignore[arg-type]


def test_a_block_that_left_the_race_is_not_chosen_however_few_its_clusters(
    tiny: tt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve rows of ten clusters count as many clusters as forty rows of them."""
    on = experiment(tiny, obvious())
    rng = np.random.default_rng(0)

    def effects(on: Experiment, candidates: Any, rows: int) -> Any:
        found = {}
        for k, site in enumerate(candidates):
            n, gain = (12, 5.0) if k == 0 else (40, 1.0)
            change = gain + rng.normal(0, 0.1, n)
            found[site] = Contrast(change, np.zeros(n), tuple(f"c{i % 10}" for i in range(n)), "natural")
        return found, {}

    monkeypatch.setattr(room := import_module("trimtab.workflows.choice"), "_effects", effects)
    blocks, finalists = room._mapped(on)
    assert [b.effect.n for b in blocks] == [10] * len(blocks)
    assert max(blocks, key=lambda b: b.effect.low).block == blocks[0].block
    assert finalists == blocks[1:]
