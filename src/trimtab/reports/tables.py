"""What the page's tables and lists hold, worked out from the record."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from trimtab.reports.numbers import NO_REASON, centre, given, interval, level, missing, number, share, spread
from trimtab.reports.record import AntiSteerable, Bound, Effect, Estimate, Report, Slope, Text

WORST: Final = 12
LONGEST: Final = 600  # characters of a text in a table
CONTINUATIONS: Final = 10

HOLDS: Final[Mapping[bool | None, tuple[str, str, str]]] = {
    True: ("yes", "✔", "good"),
    False: ("no", "✘", "bad"),
    None: ("undecided", "?", "open"),
}

GLOSSARY: Final = (
    ("Propensity m", "How much the model prefers the matching answer to the other one: a logit difference for choices, "
     "a difference of mean log-probabilities per token for free text."),
    ("Effect Δ", "Change of an example's propensity by steering; above zero is the intended direction."),
    ("Odd and even part", "The odd part of an effect turns round when the strength does, which is steering; the even "
     "part does not, which is damage or a bias toward one answer."),
    ("Anti-steerable", "An example that steering pushes the wrong way (Δ < 0); an undecided one moves by no more than "
     "numerical noise."),
    ("Agreement", "Mean cosine between each example's own difference and the steering vector; leave-one-out "
     "uses a vector trained without that example, so it is not flattered by it."),
    ("κ", "An activation's projection on the steering vector, scaled so that the training class means lie at ±1."),
    ("d′", "Distance between the two classes' mean κ in units of their common standard deviation; held out means that "
     "direction and score come from different examples."),
    ("AUROC", "Probability that a positive answer's κ (or length) exceeds a negative one's; 0.5 is chance."),
    ("Dose", "Norm of the steering vector times strength, over the median norm of an activation at the site."),
    ("Steerability", "Slope of the propensity over strengths: what one more unit of strength brings."),
    ("Exploratory", "Measured, but not what the verdict rests on; the interval is wider so that all such intervals "
     "hold together."),
)  # fmt: skip


@dataclass(frozen=True)
class IntervalBar:
    """An interval against a threshold, in the units of a drawing 0…100 wide."""

    low: float
    value: float
    high: float
    threshold: float
    above: bool


def interval_bar(bound: Bound) -> IntervalBar:
    """Places of a bound's interval and threshold in a drawing 100 wide."""
    ends = (bound.low, bound.high, bound.value, bound.threshold)
    low, span = min(ends), max(ends) - min(ends)

    def place(value: float) -> float:
        return round(8 + 84 * (value - low) / span, 2) if span > 0 else 50.0

    return IntervalBar(
        place(bound.low), place(bound.value), place(bound.high), place(bound.threshold), bound.direction == "above"
    )


def bound_figures(bound: Bound) -> tuple[str, str]:
    """Estimate with interval and unit, and the threshold that it is held against in the same unit."""
    sign = ">" if bound.direction == "above" else "<"
    if bound.unit == "share":
        return share(bound.value, bound.low, bound.high), f"{sign} {level(bound.threshold)}"
    unit = f" {bound.unit}" if bound.unit else ""
    return spread(bound.value, bound.low, bound.high) + unit, f"{sign} {given(bound.threshold)}"


def cell(figure: Estimate | Slope | Effect | AntiSteerable | None, otherwise: str | None = None) -> tuple[str, str]:
    """A figure over two lines of a table's cell: the value, then the interval; shares in per cent without sign."""
    if figure is None:
        return missing(otherwise), ""
    if isinstance(figure, AntiSteerable):
        return _two_lines(figure.share, figure.low, figure.high, 100)
    value = figure.mean if isinstance(figure, Effect) else figure.value
    if value is None:
        return missing((None if isinstance(figure, Effect) else figure.reason) or otherwise), ""
    return _two_lines(value, figure.low, figure.high, 1)


def odd_cell(effect: Effect) -> tuple[str, str]:
    """The effect's odd part over two lines."""
    return _two_lines(effect.odd, effect.odd_low, effect.odd_high, 1)


def even_cell(effect: Effect) -> tuple[str, str]:
    """The effect's even part over two lines."""
    return _two_lines(effect.even, effect.even_low, effect.even_high, 1)


def _two_lines(value: float, low: float | None, high: float | None, scale: float) -> tuple[str, str]:
    if low is None or high is None:
        return number(scale * value), "no interval"
    return centre(scale * value, scale * low, scale * high), interval(scale * low, scale * high)


def footnotes(report: Report) -> dict[str, str]:
    """A letter for each reason why a figure of a measured prompt type is missing."""
    reasons: dict[str, str] = {}
    for result in report.prompt_types.values():
        if result.not_measured:
            continue
        for name in type(result).model_fields:
            figure = getattr(result, name)
            absent = figure.value is None if isinstance(figure, Estimate | Slope) else figure is None
            if absent and name not in ("not_measured", "level", "n_massive"):  # these have no cell
                reason = (figure.reason if isinstance(figure, Estimate | Slope) else None) or NO_REASON
                reasons.setdefault(reason, chr(ord("a") + len(reasons)))
    return reasons


def worst(report: Report) -> list[Text]:
    """The examples that steering pushed the wrong way, the hardest first."""
    return sorted((text for text in report.examples if text.effect < 0), key=lambda text: text.effect)[:WORST]


def compact(text: str) -> str:
    """A text for a table's cell: no blank lines, and cut where it would fill the page."""
    short = _BLANK_LINES.sub("\n", text.strip())
    return short if len(short) <= LONGEST else short[: LONGEST - 2].rstrip() + " …"


def side_effects(report: Report) -> list[tuple[str, str, str]]:
    """Name, figure and what it rests on of every side effect."""
    return list(_side_rows("", report.side_effects))


def _side_rows(name: str, value: Any) -> Iterator[tuple[str, str, str]]:
    """Rows of a mapping of any depth; a mapping with a `value` or a `reason` is one figure."""
    if not isinstance(value, Mapping):
        yield _words(name), _scalar(value), ""
        return
    if "value" not in value and "reason" not in value:
        for key, inner in value.items():
            yield from _side_rows(f"{name}.{key}" if name else str(key), inner)
        return
    figure, low, high = (_finite(value.get(key)) for key in ("value", "low", "high"))
    if figure is None:
        yield _words(name), missing(value.get("reason")), ""
        return
    unit = f" {value['unit']}" if value.get("unit") else ""
    rest = [_basis(key, v) for key, v in value.items() if key not in _SHOWN and v is not None]
    yield _words(name), spread(figure, low, high) + unit, ", ".join(rest)


_SHOWN: Final = frozenset({"value", "low", "high", "unit", "reason"})
_NAMES: Final = {"kl": "KL divergence from the plain model"}
_BLANK_LINES: Final = re.compile(r"\n\s*\n")


def _basis(key: str, value: Any) -> str:
    """What a figure rests on: `40 documents`, `n = 140`."""
    if key == "n":
        return f"n = {_scalar(value)}"
    return f"{_scalar(value)} {_words(key[2:])}" if key.startswith("n_") else f"{_words(key)} {_scalar(value)}"


def _words(name: str) -> str:
    last = name.rsplit(".", 1)
    head = f"{_words(last[0])}: " if len(last) > 1 else ""
    return head + (_NAMES.get(last[-1]) or last[-1].replace("_", " "))


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value == value and abs(value) != float("inf") else None


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return missing(None) if value is None else str(value)
