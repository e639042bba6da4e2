"""Figures as people read them: sensible digits, intervals in brackets, and "not measured" with its reason."""

import math
from typing import Final

from trimtab.decimals import decimals
from trimtab.phrases import Phrase
from trimtab.results.figures import Estimate

MINUS: Final = "−"
# Keeps a number and its unit or sign on one line.
THIN: Final = "\N{NARROW NO-BREAK SPACE}"
NO_REASON: Final = Phrase("no reason was recorded")
SPACE: Final = "\N{NO-BREAK SPACE}"
# Exponents of ten of what is written out in full.
_EXPONENTS: Final = (-4, 6)
_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    """A figure without interval, to significant digits; very small and very large ones as powers of ten.

    Args:
        value: the figure; None or NaN reads "not measured".
        digits: significant digits, at least the integer part is shown whole.
    """
    if value is None or not math.isfinite(value):
        return missing(None)
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not _EXPONENTS[0] <= exponent <= _EXPONENTS[1]:
        return _signed(value / 10.0**exponent, digits - 1) + _power(exponent)
    return _signed(value, max(0, digits - 1 - exponent))


def interval(low: float, high: float) -> str:
    """`[low, high]`, to the digits that its width deserves."""
    places = _places(low, high)
    ends = (number(low), number(high)) if places is None else (_signed(low, places), _signed(high, places))
    return f"[{ends[0]},{SPACE}{ends[1]}]"


def centre(value: float, low: float | None, high: float | None) -> str:
    """An estimate to the digits that its interval's width deserves."""
    places = None if low is None or high is None else _places(low, high)
    return number(value) if places is None else _signed(value, places)


def spread(value: float, low: float | None, high: float | None) -> str:
    """`value [low, high]`, or the value and "no interval"."""
    if low is None or high is None:
        return Phrase("{figure} (no interval)", figure=number(value))
    largest = max(abs(value), abs(low), abs(high))
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    if not _EXPONENTS[0] <= exponent <= _EXPONENTS[1]:  # one power of ten for all three
        return spread(*(x / 10.0**exponent for x in (value, low, high))) + _power(exponent)
    return f"{centre(value, low, high)} {interval(low, high)}"


def estimate(figure: Estimate, otherwise: Phrase | None = None) -> str:
    """An estimate in one line; `otherwise` is the reason where it carries none itself."""
    if figure.value is None:
        return missing(figure.reason or otherwise)
    return spread(figure.value, figure.low, figure.high)


def share(value: float, low: float | None = None, high: float | None = None) -> Phrase:
    """A share in per cent, such as `12 % [8, 18]`."""
    if low is None or high is None:
        return _percent(_signed(100 * value, 0 if value in (0, 1) else 1))
    percent = _percent(centre(100 * value, 100 * low, 100 * high))
    return Phrase("{percent} {ends}", percent=percent, ends=interval(100 * low, 100 * high))


def _percent(figure: str) -> Phrase:
    return Phrase("{figure}\N{NARROW NO-BREAK SPACE}%", figure=figure)


def given(value: float) -> str:
    """A figure that was set and not measured: a strength, a threshold; without trailing zeros."""
    return decimals(value, ".4g").replace("-", MINUS)


def level(value: float) -> Phrase:
    """A confidence level or a threshold in per cent, without needless digits: `95 %`, `99.3 %`."""
    return _percent(decimals(100 * value, ".3g"))


def missing(reason: Phrase | None) -> Phrase:
    """What stands where a figure would."""
    return Phrase("not measured: {reason}", reason=reason or NO_REASON)


def reason_of(text: str) -> str | None:
    """The reason that `missing` gave where this figure would stand; None where there is a figure."""
    return text.values["reason"] if isinstance(text, Phrase) and text.template == "not measured: {reason}" else None


def in_unit(figure: str, unit: str) -> Phrase:
    """A figure with its unit behind it."""
    return Phrase("{figure} {unit}", figure=figure, unit=unit)


def plain(text: str) -> str:
    """Text with control and direction-override characters made visible, so that it cannot disguise itself."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20 and character not in "\n\t":
        return chr(0x2400 + code)
    if 0x7F <= code <= 0x9F or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069:
        return "\N{REPLACEMENT CHARACTER}"
    if code in (0x2028, 0x2029):  # line and paragraph separator
        return " "
    return character


def _power(exponent: int) -> str:
    return f"{THIN}×{THIN}10{str(exponent).translate(_SUPERSCRIPT)}"


def _signed(value: float, places: int) -> str:
    return decimals(value, f".{places}f").replace("-", MINUS)


def _places(low: float, high: float) -> int | None:
    """Decimals for an interval: one significant digit of its half width, two if that digit is 1 or 2."""
    half = (high - low) / 2
    if not (half > 0 and math.isfinite(half)) or max(abs(low), abs(high)) < 1e-4:
        return None
    exponent = math.floor(math.log10(half))
    leading = round(half / 10.0**exponent, 6)
    return min(6, max(0, -exponent + (1 if leading < 3 else 0)))
