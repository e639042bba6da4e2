"""Eight to eleven examples: nothing falls over, nothing is claimed, and the reader hears how many more it takes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

import trimtab as tt
from trimtab.behaviors import split
from trimtab.errors import InputError
from trimtab.results.report import Report
from trimtab.statistics import share_interval

BOUND = 0.25  # of the share pushed the wrong way


@pytest.fixture(scope="module")
def model(tied_folder: Path) -> tt.Model:
    return tt.load(tied_folder, dtype="float32")


def behavior(n: int) -> tt.Behavior:
    whole = tt.Behavior.builtin("sentiment")
    return replace(whole, examples=whole.examples[:n])


@pytest.mark.parametrize(("n", "effort"), [(8, "thorough"), (11, "quick")])
def test_a_check_of_so_few_leaves_it_open_and_says_how_many_more_it_takes(
    model: tt.Model, n: int, effort: str, tmp_path: Path
) -> None:
    report = tt.check(
        model, behavior(n), site=1, prompt_types=["prefilled", "5-shot"], strength=0.5, max_kl=99.0,
        max_capability_loss=0.99, effort=effort, folder=tmp_path / "out",
    )  # fmt: skip
    parts = split(behavior(n))
    assert (report.n_train, report.n_dev, report.n_eval) == (len(parts.train), len(parts.dev), len(parts.eval))
    assert report.n_train + report.n_dev + report.n_eval == n
    assert report.verdict.decision == "inconclusive"
    assert any("the verdict cannot be go" in note for note in report.notes)
    ahead = report.verdict.outlook
    assert ahead is not None
    assert ahead.rows == n
    assert ahead.rows_half is not None
    steps = {step.code: step for step in report.next_steps}
    assert steps["more-rows"].what.startswith(f"Still open after {n} rows")
    assert steps["shrink"].command == "trimtab fit BEHAVIOR --shrink-toward built-in --out sentiment-shrunk"
    without = report.prompt_types["5-shot"].not_measured
    assert without == "of so few different questions none are set aside as solved examples"
    assert Report.load(tmp_path / "out").verdict.outlook == ahead


def test_a_fit_of_eight_can_be_shrunk_and_what_needs_solved_examples_is_refused(model: tt.Model) -> None:
    options = {"site": 1, "strength": 1.0, "verify": False}
    found = tt.fit(model, [behavior(8)], shrink_toward="instruction", **options)  # type: ignore[arg-type]
    assert found.record is not None
    (shrunk,) = found.record.attributes["sentiment"].shrinkage
    assert 0.5 <= shrunk.examples <= 1
    with pytest.raises(InputError, match=r"prefilled\+5-shot: of so few different questions none are set aside"):
        tt.fit(model, [behavior(8)], prompt_type="prefilled+5-shot", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="none are set aside"):
        tt.fit(model, [behavior(11)], method="in-context-examples", verify=False)


@pytest.mark.parametrize("n", [8, 9, 10, 11])
def test_of_what_is_left_to_evaluate_no_share_passes_and_a_good_one_rarely_fails(n: int) -> None:
    """Over all outcomes, by the binomial distribution; a failure is judged as one of five requirements (Holm)."""
    m = len(split(behavior(n)).eval)
    plain, strict = (
        [share_interval(np.arange(m) < k, level=level) for k in range(m + 1)] for level in (0.95, 1 - 0.05 / 5)
    )
    assert all(i.high > BOUND for i in plain)
    fails = [k for k, i in enumerate(strict) if i.low > BOUND]
    assert m in fails, "all pushed the wrong way is a no"
    assert float(binom.pmf(fails, m, BOUND).sum()) < 0.05
    shares = np.linspace(0.02, 0.98, 97)
    covered = [sum(binom.pmf(k, m, p) for k, i in enumerate(plain) if i.low <= p <= i.high) for p in shares]
    assert np.mean(covered) > 0.94
