"""The error rates that come with the package: sane, and of the embedded model."""

import pytest

import trimtab as tt
from trimtab.verdict.decision import Thresholds
from trimtab.verdict.error_rates import ErrorRates

BOTH = pytest.mark.parametrize("stops", [True, False])


@BOTH
def test_every_share_lies_in_its_interval_and_rests_on_verdicts(stops: bool) -> None:
    known = ErrorRates.shipped(stops)
    assert set(known.decisions) <= {"go", "caution", "no-go"}
    assert known.decisions
    for rate in known.decisions.values():
        assert 0 <= rate.wrong <= rate.n
        assert 0 <= rate.low <= rate.wrong / rate.n <= rate.high <= 1
        assert rate.high - rate.low > 0.01, "so few verdicts cannot be known so well"
    assert sum(rate.n for rate in known.decisions.values()) >= 20


@BOTH
def test_they_were_measured_with_the_default_bounds(stops: bool) -> None:
    default = Thresholds(0.05)
    assert ErrorRates.shipped(stops).thresholds == vars(default)


def test_each_rule_has_its_own_study() -> None:
    stopping, thorough = ErrorRates.shipped(True), ErrorRates.shipped(False)
    assert (stopping.command, thorough.command) == ("benchmarks/stopped.py", "benchmarks/verdict.py")


@pytest.mark.embedded
@BOTH
def test_they_are_of_the_embedded_model(embedded: tt.Model, stops: bool) -> None:
    assert ErrorRates.shipped(stops).digest == embedded.digest
