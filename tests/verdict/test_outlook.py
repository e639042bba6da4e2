"""Where a verdict is open it says how many further examples would settle it, which way, and what is open."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.instrument import Propensity
from trimtab.measurements.effects import Steered
from trimtab.phrases import Phrase
from trimtab.results.report import Outlook, Report
from trimtab.steering import Steering
from trimtab.verdict.decision import Conclusion, Thresholds, conclude
from trimtab.verdict.looks import undrawn
from trimtab.verdict.outlook import outlook
from trimtab.verdict.requirements import ANTI, EFFECT, requirements

THRESHOLDS = Thresholds(0.05)
ROWS = 40


def propensity(m: NDArray[np.float64]) -> Propensity:
    half = m / 2
    return Propensity(half, -half, half, -half)


def steered(n: int, mean: float, sd: float = 0.3, seed: int = 0) -> Steered:
    """An odd effect with these moments on n questions."""
    rng = np.random.default_rng(seed)
    base, effect = rng.normal(0, 1, n), rng.normal(mean, sd, n)
    clusters = ContrastMaker(tuple(f"q{i}" for i in range(n)), False, 0)
    return Steered(propensity(base), propensity(base + effect), propensity(base - effect), clusters)


def concluded(own: Steered) -> tuple[Conclusion, int]:
    vector = Steering.from_vector(1, [1.0, 0.0])
    needs = requirements(own, THRESHOLDS, Phrase("nats/token"), undrawn(vector), {})
    return conclude(needs, []), len(needs)


def told(own: Steered, conclusion: Conclusion | None = None) -> Outlook | None:
    found, n = concluded(own)
    return outlook(own, conclusion or found, THRESHOLDS, 0.0, n, ROWS, by_odd=True)


def test_an_open_verdict_says_how_many_further_rows_would_settle_it_and_which_way() -> None:
    own = steered(12, 0.4)
    conclusion, _ = concluded(own)
    assert conclusion.decision == "inconclusive"
    found = told(own)
    assert found is not None
    assert found.open == tuple(conclusion.open)
    assert ANTI in found.open
    assert found.n == 12
    assert found.fewest is not None
    assert found.half is not None
    assert 0 < found.fewest <= found.half
    for new, rows in ((found.fewest, found.rows_fewest), (found.half, found.rows_half)):
        assert rows == max(2, -(-new * ROWS // 12))
    assert found.passes > 0.5 > found.fails


def test_a_poor_steering_is_told_to_come_out_as_a_no() -> None:
    every = [told(steered(8, -0.02, seed=seed)) for seed in range(8)]  # some of them are a no already
    open_ = [found for found in every if found is not None]
    assert len(open_) >= 4
    assert np.mean([found.fails for found in open_]) > 2 * np.mean([found.passes for found in open_])


def test_nothing_is_told_where_more_examples_are_not_what_is_missing() -> None:
    own = steered(12, 0.4)
    conclusion, _ = concluded(own)
    divergence = {Phrase("divergence on {name} (KL)", name="neutral text"): 90}
    for other in (
        Conclusion("go", ()),
        Conclusion("no-go", (), failed=(EFFECT,)),
        replace(conclusion, blocking=(Phrase("one-sided"),)),
        replace(conclusion, open={**conclusion.open, **divergence}),
        Conclusion("inconclusive", (), failed=(EFFECT,), unable=True),
    ):
        assert told(own, other) is None
    everywhere = np.ones(12, dtype=bool)
    acting = replace(own, contrast_of=replace(own.contrast_of, acting=(everywhere, everywhere)))
    assert told(acting, conclusion) is None, "it leaves prompts alone: which of the further ones is not known"
    assert told(steered(3, 0.4), conclusion) is None, "three examples show no spread"


@pytest.mark.parametrize("n", [6, 30])
def test_a_report_keeps_it(n: int) -> None:
    found = told(steered(n, 0.3))
    assert found is not None
    assert Outlook.model_validate_json(found.model_dump_json()) == found


def test_a_check_of_few_examples_says_it_in_its_report_and_next_steps(tiny_folder: Path, tmp_path: Path) -> None:
    """A random model moves nothing, which twelve examples leave open where the bound on effects is 0."""
    bounds = {"min_effect": 0.0, "max_anti_steerable": 0.6, "max_kl": 50.0, "max_capability_loss": 0.99}
    report = tt.check(
        tt.load(tiny_folder, dtype="float32"), few("sentiment"), site=1, prompt_types=["prefilled"], strength=0.5,
        train=12, evaluation=12, effort="quick", allow_desired_loss=True, folder=tmp_path, **bounds,
    )  # fmt: skip
    assert report.verdict.decision == "inconclusive"
    found = report.verdict.outlook
    assert found is not None
    assert EFFECT in found.open
    assert found.n == report.n_eval_clusters == 12
    assert found.rows == report.n_train + report.n_dev + report.n_eval
    (step,) = [step for step in report.next_steps if step.code in ("more-rows", "on-its-bound")]
    assert step.what.startswith(f"Still open after {found.rows} rows: the mean steering effect")
    assert Report.load(tmp_path).verdict.outlook == found
    assert f"Still open after {found.rows} rows" in (tmp_path / "report.html").read_text(encoding="utf-8")
