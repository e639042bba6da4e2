"""The error rates that come with the package: sane, and of the embedded model."""

import pytest

import trimtab as tt
from trimtab.verdict.decision import Thresholds
from trimtab.verdict.error_rates import ErrorRates


def test_every_share_lies_in_its_interval_and_rests_on_verdicts() -> None:
    known = ErrorRates.shipped()
    assert set(known.decisions) <= {"go", "caution", "no-go"}
    assert known.decisions
    for rate in known.decisions.values():
        assert 0 <= rate.wrong <= rate.n
        assert 0 <= rate.low <= rate.wrong / rate.n <= rate.high <= 1
        assert rate.high - rate.low > 0.01, "so few verdicts cannot be known so well"
    assert sum(rate.n for rate in known.decisions.values()) >= 20


def test_they_were_measured_with_the_default_bounds() -> None:
    default = Thresholds(0.05)
    assert ErrorRates.shipped().thresholds == vars(default)


@pytest.mark.embedded
def test_they_are_of_the_embedded_model(embedded: tt.Model) -> None:
    assert ErrorRates.shipped().digest == embedded.digest
