"""No figure of any sentence reads as minus zero."""

import doctest
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trimtab
import trimtab.decimals
from trimtab.decimals import bracketed
from trimtab.decimals import decimals as shown
from trimtab.reports.check.plots import _cell
from trimtab.results.consequences import PromptingBaseline
from trimtab.results.figures import Estimate
from trimtab.results.numbers import given as described
from trimtab.results.numbers import level, number, share, spread
from trimtab.statistics import Interval
from trimtab.verdict.decide import about_prompting
from trimtab.verdict.decision import Requirement

ZERO = re.compile(r"[-−]0(\.0*)?(?![.\d])")


def test_the_examples_hold() -> None:
    assert doctest.testmod(trimtab.decimals).failed == 0


@given(
    st.floats(-2, 2) | st.floats(-0.006, 0.006), st.sampled_from([".2f", "+.2f", ".0f", ".3g", ".0%", "+.0%", ".4g"])
)
def test_no_zero_has_a_minus_sign_and_all_else_is_python_s_own(value: float, spec: str) -> None:
    text, plain = shown(value, spec), format(value, spec)
    assert not ZERO.search(text)
    assert text == plain or (float(plain.rstrip("%")) == 0 and plain == f"-{text}")


@pytest.mark.parametrize("value", [-0.0, -1e-9, -0.0004])
def test_nor_has_one_of_those_in_reports(value: float) -> None:
    texts = [spread(value, -0.3, 0.3), share(value), share(value, -0.3, 0.3)]
    texts += [described(-0.0), level(-0.0), number(-0.0), bracketed(Interval(value, value, value), plus=True)]
    assert not [text for text in texts if ZERO.search(text)]


def test_nor_has_one_of_a_verdict_s_sentences() -> None:
    tiny = Estimate(value=-0.001, low=-0.004, high=0.003, n=40)
    texts = about_prompting(PromptingBaseline(instruction="Be kind.", effect=tiny, beats=tiny, adds=tiny), "nats/token")
    zero = Interval(-0.0, -0.002, 0.004)
    texts += [Requirement("the figure", zero, 0.05, "above", 40, unit=unit).text for unit in ("share", "nats/token")]
    texts += [_cell(0, 0, -0.001)["text"]]
    assert len(texts) == 4
    assert not [text for text in texts if ZERO.search(text)]


def test_figures_that_may_be_negative_are_formatted_in_one_place() -> None:
    """A fixed number of digits outside of it is for what cannot be below 0, and says so by standing in this list."""
    bare = re.compile(r":\+?\.[0-9][f%]\}")
    never_negative = {
        "evaluation/classifier.py", "evaluation/judge.py", "doctor.py", "experiment/progress.py",
        "experiment/preparation.py", "behaviors/lint_answers.py", "steering/mat_steer/diagnostics.py",
        "workflows/fit/materials.py", "workflows/fit/conditions.py", "workflows/fit/abstention.py",
        "measurements/capability.py",
        "reports/fit/tables.py", "cli/release_watch.py", "evaluation/tasks/toxicity.py",
        "workflows/tune/record.py", "workflows/tune/yardstick.py", "evaluation/held_out.py",
        "experiment/executor/ray_cluster.py",
    }  # fmt: skip
    root = Path(trimtab.__file__).parent
    formatted = {str(f.relative_to(root)) for f in root.rglob("*.py") if bare.search(f.read_text(encoding="utf-8"))}
    plotly = {
        f"reports/{name}.py" for name in ("check/distributions", "check/plots", "evaluate/curves", "fit/left_alone")
    }
    formatted -= {"decimals.py", *plotly}  # which has formats of its own
    assert formatted <= never_negative
