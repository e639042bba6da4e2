"""Figures in plain sentences: so many digits, and never a minus sign in front of zero."""

from typing import Protocol

from trimtab.phrases import Phrase


class Spread(Protocol):
    """An estimate with its interval: `Interval`, or a record with these three."""

    @property
    def value(self) -> float | None:
        """The estimate."""
        ...

    @property
    def low(self) -> float | None:
        """Lower end."""
        ...

    @property
    def high(self) -> float | None:
        """Upper end."""
        ...


def decimals(value: float | None, spec: str = ".2f") -> str:
    """A figure in a format of Python's; what rounds to zero has no minus sign.

    Args:
        value: the figure; None, where a record could hold it, reads as 0.
        spec: such as `.2f`, `+.2f`, `.3g` or `.0%`.

    Example:
        >>> decimals(-0.004), decimals(-0.004, "+.2f"), decimals(0.004, "+.2f"), decimals(-0.014)
        ('0.00', '0.00', '+0.00', '-0.01')
    """
    text = format(0.0 if value is None else value, spec)
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def bracketed(figure: Spread, spec: str = ".2f", *, plus: bool = False, unit: str = "") -> str:
    """`value [low, high]` or `value unit [low, high]`; with `plus` the value carries its sign.

    Example:
        >>> from trimtab.statistics import Interval
        >>> bracketed(Interval(0.07, -0.001, 0.1), plus=True, unit="logits")
        '+0.07 logits [0.00, 0.10]'
    """
    value, low, high = decimals(figure.value, f"+{spec}" if plus else spec), figure.low, figure.high
    ends = f"[{decimals(low, spec)}, {decimals(high, spec)}]"
    return Phrase("{value} {unit} {ends}", value=value, unit=unit, ends=ends) if unit else f"{value} {ends}"
