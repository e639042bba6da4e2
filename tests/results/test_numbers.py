"""Figures as people read them."""

import pytest

from trimtab.results.figures import Estimate
from trimtab.results.numbers import THIN, estimate, given, interval, level, number, plain, share, spread


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.12345, "0.123"),
        (-1.5, "−1.50"),
        (1234.5, "1234"),
        (None, "not measured: no reason was recorded"),
        (float("nan"), "not measured: no reason was recorded"),
        (3.2e-7, f"3.20{THIN}×{THIN}10⁻⁷"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ((0.1312, 0.1012, 0.1612), "0.13 [0.10, 0.16]"),  # half width 0.03: one digit
        ((0.1312, 0.1192, 0.1432), "0.131 [0.119, 0.143]"),  # half width 0.012: two digits
        ((-0.001, -0.301, 0.301), "0.0 [−0.3, 0.3]"),  # no minus zero
        ((1.0, 1.0, 1.0), "1.00 [1.00, 1.00]"),
        ((0.5, None, None), "0.500 (no interval)"),
        ((2.4e-6, 1.9e-6, 3.1e-6), f"2.4 [1.9, 3.1]{THIN}×{THIN}10⁻⁶"),
    ],
)
def test_an_interval_decides_the_digits(figures: tuple[float, float | None, float | None], text: str) -> None:
    assert spread(*figures).replace("\N{NO-BREAK SPACE}", " ") == text


def test_shares_are_per_cent() -> None:
    assert share(0.1214, 0.08, 0.18) == f"12{THIN}% " + interval(8, 18)
    assert share(0.5) == f"50.0{THIN}%"
    assert level(0.95) == f"95{THIN}%"
    assert level(0.993) == f"99.3{THIN}%"


def test_what_was_set_has_no_trailing_zeros() -> None:
    assert [given(x) for x in (1.0, -1.5, 0.021)] == ["1", "−1.5", "0.021"]


def test_a_missing_estimate_gives_its_own_reason_first() -> None:
    assert estimate(Estimate(reason="own"), "other") == "not measured: own"
    assert estimate(Estimate(), "other") == "not measured: other"


def test_control_and_override_characters_become_visible() -> None:
    assert plain("a\x1b[31m\u202eb\x00\x85\n\tc") == "a␛[31m\ufffdb␀\ufffd\n\tc"
    assert plain("مرحبا 方向 🚢") == "مرحبا 方向 🚢"
