"""What the page's tables and lists hold, worked out from the record."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trimtab.results.consequences import Divergence
from trimtab.results.figures import Estimate
from trimtab.results.numbers import NO_REASON, centre, given, interval, level, missing, number, share, spread
from trimtab.results.report import AntiSteerable, Bound, Effect, Report, Slope, Text, Verdict

N_WORST: Final = 12
MAX_LENGTH: Final = 600  # characters of a text in a table
N_CONTINUATIONS: Final = 10

HOLDS: Final[Mapping[bool | None, tuple[str, str, str]]] = {
    True: ("yes", "✔", "good"),
    False: ("no", "✘", "bad"),
    None: ("undecided", "?", "open"),
}

GLOSSARY: Final = (
    ("Propensity m", "How much the model prefers the matching answer to the other one: a logit difference for choices, "
     "a difference of mean log-probabilities per token for free text."),
    ("Effect Δ", "Change of an example's propensity by steering; above zero is the intended direction."),
    ("Δ+ and Δ−", "The two sides of an effect: how the desired answers' log-probability changes, and that of the "
     "undesired ones. An effect that is all Δ− means that the model says less of the one without saying more of the "
     "other."),
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
    ("Cluster", "A question with its near-duplicates: rows of one prompt or group, and rows that nearly repeat each "
     "other. Clusters are resampled and counted whole, so that copies do not count as independent examples."),
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


def error_rate(verdict: Verdict) -> str:
    """How often such a verdict is wrong, in one sentence without its full stop, or why that is not known."""
    rate = verdict.error_rate
    if rate is None:
        return missing(verdict.error_rate_reason)
    result = f"{share(rate.value, rate.low, rate.high)} of {rate.n} verdicts {rate.kind} {rate.wrong}"
    return "; ".join((f"{result} ({rate.data}; {rate.model})", *rate.reservations))


def cell_of(value: float | None, twin: Estimate) -> tuple[str, str]:
    """An in-sample figure; where it is missing, the reason is that of its held-out twin."""
    return (missing(twin.reason) if value is None else number(value)), ""


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


def percent_cell(figure: Estimate) -> tuple[str, str]:
    """A share in per cent without sign, over two lines."""
    if figure.value is None:
        return missing(figure.reason), ""
    return _two_lines(figure.value, figure.low, figure.high, 100)


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


# In-sample figures carry no reason of their own; their held-out twins do.
_TWINS: Final = {"directional_agreement": "directional_agreement_loo", "separability": "separability_held_out"}


def footnotes(report: Report) -> dict[str, str]:
    """A letter for each reason why a figure of a measured prompt type is missing."""
    reasons: dict[str, str] = {}
    for result in report.prompt_types.values():
        if result.not_measured:
            continue
        for side in _sides(result.effect):
            if side.value is None:
                reasons.setdefault(side.reason or NO_REASON, chr(ord("a") + len(reasons)))
        for name in type(result).model_fields:
            figure, twin = getattr(result, name), getattr(result, _TWINS.get(name, name))
            absent = figure.value is None if isinstance(figure, Estimate | Slope) else figure is None
            if absent and name not in ("not_measured", "untried", "level", "n_massive"):  # these have no cell
                reason = (twin.reason if isinstance(twin, Estimate | Slope) else result.untried) or NO_REASON
                reasons.setdefault(reason, chr(ord("a") + len(reasons)))
    return reasons


def _sides(effect: Effect | None) -> tuple[Estimate, ...]:
    """What an effect says of its two sides."""
    return () if effect is None else (effect.positive, effect.negative, effect.positive_fell)


def worst(report: Report) -> list[Text]:
    """The examples that steering pushed the wrong way, the hardest first."""
    return sorted((text for text in report.examples if text.effect < 0), key=lambda text: text.effect)[:N_WORST]


def compact(text: str) -> str:
    """A text for a table's cell: no blank lines, and cut where it would fill the page."""
    short = _BLANK_LINES.sub("\n", text.strip())
    return short if len(short) <= MAX_LENGTH else short[: MAX_LENGTH - 2].rstrip() + " …"


def stopping(report: Report) -> list[str]:
    """How far the measurement went, in sentences; nothing for reports of earlier versions."""
    s = report.stopping
    if s is None or s.effort == "thorough":
        return []
    seen, times = s.looks[-1], s.tokens_thorough / max(1, s.tokens)
    said = {
        "success": f"The effects were certain after {seen} of {s.available} evaluation examples, where it stopped.",
        "failure": f"That it cannot be relied on was certain after {seen} of {s.available} evaluation examples, where "
        "it stopped.",
        None: f"All {s.available} evaluation examples were needed.",
    }[s.settled]
    lines = [said] if s.settled is None else [f"{said} The intervals over examples are of {level(s.level)}, since an "
                                              "early end flatters narrower ones."]  # fmt: skip
    if times > 1.05:
        lines.append(f"It computed {s.tokens:,} tokens, a thorough check about {number(times, 2)} times as many.")
    if s.not_measured:
        lines.append(f"Not measured: {', '.join(s.not_measured)} (trimtab check --thorough).")
    return lines


Rows = list[tuple[str, str, str]]  # name, figure, what it rests on


def side_effects(report: Report) -> Rows:
    """Every side effect."""
    e, unit = report.side_effects, "nats/token"
    rows = [
        ("KL divergence from the unsteered model on neutral text", *_diverged(e.kl)),
        ("Perplexity of neutral text, steered over unsteered", *_figure(e.perplexity_ratio, "", "documents")),
        ("KL divergence on the prompts of other behaviors", *_diverged(e.kl_prompts)),
        ("KL divergence on the behavior's own prompts, which it may change", *_diverged(e.kl_own)),
        (
            "Harmless requests that look sensitive: log P(answer) − log P(refusal)",
            *_figure(e.over_refusal, unit, "requests"),
        ),
    ]
    rows += [(f"Effect on “{o.behavior}”", *_figure(o.effect, o.unit, "examples")) for o in e.others]
    return rows


def baselines(report: Report) -> Rows:
    """What steering is compared with: prompting, random directions, another vector, a label, another direction."""
    unit, n = report.unit, "examples"
    prompting, random, direction = report.prompting_baseline, report.random_directions, report.direction
    rows = [
        ("Prompting instead: the instruction in front, unsteered", *_figure(prompting.effect, unit, n)),
        ("Steering minus prompting", *_figure(prompting.beats, unit, n)),
        ("Steering on top of prompting", *_figure(prompting.adds, unit, n)),
    ]
    if random.percentile_95 is None:
        rows.append(("Random directions of the same length", missing(random.reason), ""))
    else:
        basis = f"{len(random.odd)} directions, {random.n} examples"
        figure = f"{number(random.percentile_95)} {unit}"
        what = f"{random.figure.capitalize()} that random directions of the same length reach (95th percentile)"
        rows.append((what, figure, basis))
    retrained = report.training_variability
    rows.append(("Effect of a vector trained on other examples", *_figure(retrained.effect, unit, n)))
    if direction.p_value is None:
        rows.append(("A direction at all", missing(direction.reason), ""))
    else:
        rows.append(("A direction at all: permutation test", f"p = {number(direction.p_value)}", "training examples"))
        halves = f"cosine {number(direction.halves_cosine or 0.0)}, p = {number(direction.halves_p_value or 0.0)}"
        basis = f"random halves: {number(direction.halves_expected or 0.0)}"
        rows.append(("One direction: vectors of two halves that differ in subject", halves, basis))
    rows += _about_words(report)
    noise = report.label_noise.share
    if noise.value is None:
        rows.append(("Labels that look exchanged", missing(noise.reason), ""))
    else:
        figure = share(noise.value, noise.low, noise.high)
        rows.append(("Labels that look exchanged, of the training examples", figure, f"{noise.n} differences"))
    bias = report.answer_bias
    if bias.label:
        rows.append((f"Shift toward “{bias.label}”, whichever matches", *_figure(bias.shift, unit, n)))
        rows.append(("Effect with both labels equally often right", *_figure(bias.adjusted, unit, n)))
    return rows


def _about_words(report: Report) -> Rows:
    """What single words and words in random order do."""
    wording, n = report.wording, "examples"
    if wording.reason is not None:
        return [("What the wording explains", missing(wording.reason), "")]
    words = ", ".join(f"“{word}”" for word in list(wording.words)[:4])
    name = (
        f"Effect on answers without {words}, which tell the sides apart" if words else "Words that tell the sides apart"
    )
    mixed = "Effect of a vector of the same answers with their words in random order"
    return [
        (name, *_figure(wording.without, report.unit, n)),
        (mixed, *_figure(wording.shuffled, report.unit, n)),
    ]


def written(report: Report) -> Rows:
    """What steering did to generated text."""
    g, n = report.generated, "prompts"
    if not g.n:
        return [("Generated text", missing(g.reason), "")]
    rows = [
        ("Log-odds of the behavior by the classifier, steered minus unsteered", *_figure(g.shift, "", n)),
        ("Prompts whose log-odds fell, as a share", *_figure(g.fell, "", n)),
        ("The classifier on evaluation answers, AUROC", *_figure(g.auroc, "", "answers a side")),
        ("Share of repeated 3-grams, steered minus unsteered", *_figure(g.repeated, "", n)),
        ("Perplexity under the unsteered model, steered over unsteered", *_figure(g.perplexity_ratio, "", n)),
    ]
    if g.judge:
        rows.append((f"Preferred by {g.judge}, as a share, ties half", *_figure(g.win_rate, "", n)))
        rows.append(("Conclusion otherwise in the other order, as a share", *_figure(g.inconsistent, "", n)))
    return rows


def _figure(e: Estimate, unit: str, of: str) -> tuple[str, str]:
    """Figure and basis of an estimate."""
    if e.value is None:
        return missing(e.reason), ""
    shown = number(e.value) if e.low is None or e.high is None else spread(e.value, e.low, e.high)
    return f"{shown} {unit}".rstrip(), "" if e.n is None else f"{e.n} {of}"


def _diverged(d: Divergence) -> tuple[str, str]:
    """Figure and basis of a divergence."""
    return _figure(d.estimate, d.unit, "documents")


_BLANK_LINES: Final = re.compile(r"\n\s*\n")
