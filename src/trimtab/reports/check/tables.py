"""What the page's tables and lists hold, worked out from the record."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from trimtab.phrases import Phrase, with_commas, with_semicolons
from trimtab.results.consequences import Divergence
from trimtab.results.figures import Estimate
from trimtab.results.numbers import NO_REASON, centre, given, in_unit, interval, level, missing, number, share, spread
from trimtab.results.report import AntiSteerable, Bound, Effect, Report, Slope, Text, Verdict

N_WORST: Final = 12
MAX_LENGTH: Final = 600  # characters of a text in a table
N_CONTINUATIONS: Final = 10

HOLDS: Final[Mapping[bool | None, tuple[Phrase, str, str]]] = {
    True: (Phrase("yes"), "✔", "good"),
    False: (Phrase("no"), "✘", "bad"),
    None: (Phrase("undecided"), "?", "open"),
}

GLOSSARY: Final = (
    (
        Phrase("Propensity m"),
        Phrase(
            "How much the model prefers the matching answer to the other one: a logit difference for choices, a "
            "difference of mean log-probabilities per token for free text."
        ),
    ),
    (
        Phrase("Effect Δ"),
        Phrase("Change of an example's propensity by steering; above zero is the intended direction."),
    ),
    (
        Phrase("Δ+ and Δ−"),
        Phrase(
            "The two sides of an effect: how the desired answers' log-probability changes, and that of the "
            "undesired ones. An effect that is all Δ− means that the model says less of the one without saying "
            "more of the other."
        ),
    ),
    (
        Phrase("Odd and even part"),
        Phrase(
            "The odd part of an effect turns round when the strength does, which is steering; the even part does "
            "not, which is damage or a bias toward one answer."
        ),
    ),
    (
        Phrase("Anti-steerable"),
        Phrase(
            "An example that steering pushes the wrong way (Δ < 0); an undecided one moves by no more than "
            "numerical noise."
        ),
    ),
    (
        Phrase("Agreement"),
        Phrase(
            "Mean cosine between each example's own difference and the steering vector; leave-one-out uses a "
            "vector trained without that example, so it is not flattered by it."
        ),
    ),
    (
        Phrase("κ"),
        Phrase("An activation's projection on the steering vector, scaled so that the training class means lie at ±1."),
    ),
    (
        Phrase("d′"),
        Phrase(
            "Distance between the two classes' mean κ in units of their common standard deviation; held out "
            "means that direction and score come from different examples."
        ),
    ),
    (
        Phrase("AUROC"),
        Phrase("Probability that a positive answer's κ (or length) exceeds a negative one's; 0.5 is chance."),
    ),
    (
        Phrase("Dose"),
        Phrase("Norm of the steering vector times strength, over the median norm of an activation at the site."),
    ),
    (
        Phrase("Cluster"),
        Phrase(
            "A question with its near-duplicates: rows of one prompt or group, and rows that nearly repeat each "
            "other. Clusters are resampled and counted whole, so that copies do not count as independent "
            "examples."
        ),
    ),
    (
        Phrase("Steerability"),
        Phrase("Slope of the propensity over strengths: what one more unit of strength brings."),
    ),
    (
        Phrase("Exploratory"),
        Phrase(
            "Measured, but not what the verdict rests on; the interval is wider so that all such intervals hold "
            "together."
        ),
    ),
)

# What stands where a prompt type does and is no name.
TYPES: Final[Mapping[str, Phrase]] = {"finished steering": Phrase("finished steering")}
PAIRINGS: Final = {"natural": Phrase("natural"), "random": Phrase("random")}
ANSWER_KINDS: Final = {"choice": Phrase("choice"), "text": Phrase("text")}
SEVERITIES: Final = {"error": Phrase("error"), "warning": Phrase("warning"), "info": Phrase("info")}
_THRESHOLDS: Final = {
    "min_effect": Phrase("min effect"),
    "max_anti_steerable": Phrase("max anti steerable"),
    "max_kl": Phrase("max kl"),
    "max_capability_loss": Phrase("max capability loss"),
    "allow_desired_loss": Phrase("allow desired loss"),
}


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
        return share(bound.value, bound.low, bound.high), Phrase(
            "{sign} {bound}", sign=sign, bound=level(bound.threshold)
        )
    figure = spread(bound.value, bound.low, bound.high)
    return in_unit(figure, bound.unit) if bound.unit else figure, f"{sign} {given(bound.threshold)}"


def thresholds(report: Report) -> Phrase:
    """What was asked for."""
    shown = [
        Phrase("{name} {bound}", name=_THRESHOLDS.get(name) or name.replace("_", " "), bound=given(limit))
        for name, limit in report.thresholds.items()
    ]
    return with_commas(shown) if shown else Phrase("none")


def error_rate(verdict: Verdict) -> Phrase:
    """How often such a verdict is wrong, in one sentence without its full stop, or why that is not known."""
    rate = verdict.error_rate
    if rate is None:
        return missing(verdict.error_rate_reason)
    result = Phrase(
        "{share} of {n} verdicts {kind} {wrong} ({data}; {model})",
        share=share(rate.value, rate.low, rate.high), n=rate.n, kind=rate.kind, wrong=rate.wrong, data=rate.data,
        model=rate.model,
    )  # fmt: skip
    return with_semicolons((result, *rate.reservations))


def cell_of(value: float | None, twin: Estimate) -> tuple[str, str]:
    """An in-sample figure; where it is missing, the reason is that of its held-out twin."""
    return (missing(twin.reason) if value is None else number(value)), ""


def cell(figure: Estimate | Slope | Effect | AntiSteerable | None, otherwise: Phrase | None = None) -> tuple[str, str]:
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
        return number(scale * value), Phrase("no interval")
    return centre(scale * value, scale * low, scale * high), interval(scale * low, scale * high)


# In-sample figures carry no reason of their own; their held-out twins do.
_TWINS: Final = {"directional_agreement": "directional_agreement_loo", "separability": "separability_held_out"}


def footnotes(report: Report) -> dict[Phrase, str]:
    """A letter for each reason why a figure of a measured prompt type is missing."""
    reasons: dict[Phrase, str] = {}
    for result in report.prompt_types.values():
        if result.not_measured:
            continue
        for side in _sides(result.effect):
            if side.value is None:
                reasons.setdefault(side.reason or NO_REASON, chr(ord("a") + len(reasons)))
        for name in type(result).model_fields:
            figure, twin = getattr(result, name), getattr(result, _TWINS.get(name, name))
            absent = figure.value is None if isinstance(figure, Estimate | Slope) else figure is None
            if absent and name not in ("not_measured", "untried", "level", "n_massive", "acting"):  # without a cell
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


def stopping(report: Report) -> list[Phrase]:
    """How far the measurement went, in sentences; nothing for reports of earlier versions."""
    s = report.stopping
    if s is None or s.effort == "thorough":
        return []
    seen, times = s.looks[-1], s.tokens_thorough / max(1, s.tokens)
    said = {
        "success": Phrase(
            "The effects were certain after {n} of {available} evaluation examples, where it stopped.",
            n=seen, available=s.available,
        ),
        "failure": Phrase(
            "That it cannot be relied on was certain after {n} of {available} evaluation examples, where it stopped.",
            n=seen, available=s.available,
        ),
        None: Phrase("All {available} evaluation examples were needed.", available=s.available),
    }[s.settled]  # fmt: skip
    if s.settled is not None:
        said = Phrase(
            "{said} The intervals over examples are of {level}, since an early end flatters narrower ones.",
            said=said, level=level(s.level),
        )  # fmt: skip
    lines = [said]
    if times > 1.05:
        lines.append(
            Phrase(
                "It computed {tokens} tokens, a thorough check about {times} times as many.",
                tokens=f"{s.tokens:,}", times=number(times, 2),
            )
        )  # fmt: skip
    if s.not_measured:
        left_out = with_commas(s.not_measured)
        lines.append(Phrase("Not measured: {left_out} (trimtab check --thorough).", left_out=left_out))
    return lines


Rows = list[tuple[Phrase, str, str]]  # name, figure, what it rests on


def side_effects(report: Report) -> Rows:
    """Every side effect."""
    e = report.side_effects
    rows: Rows = [
        (Phrase("KL divergence from the unsteered model on neutral text"), *_diverged(e.kl)),
        (Phrase("Perplexity of neutral text, steered over unsteered"), *_figure(e.perplexity_ratio, _documents)),
        (Phrase("KL divergence on the prompts of other behaviors"), *_diverged(e.kl_prompts)),
        (Phrase("KL divergence on the behavior's own prompts, which it may change"), *_diverged(e.kl_own)),
        (
            Phrase("Harmless requests that look sensitive: log P(answer) − log P(refusal)"),
            *_figure(e.over_refusal, _requests, Phrase("nats/token")),
        ),
    ]
    for other in e.others:
        name = Phrase("Effect on “{behavior}”", behavior=other.behavior)
        rows.append((name, *_figure(other.effect, _examples, other.unit)))
    return rows


def baselines(report: Report) -> Rows:
    """What steering is compared with: prompting, random directions, another vector, a label, another direction."""
    prompting, direction, retrained = report.prompting_baseline, report.direction, report.training_variability

    def in_propensity(name: Phrase, e: Estimate) -> tuple[Phrase, str, str]:
        return name, *_figure(e, _examples, report.unit)

    rows: Rows = [
        in_propensity(Phrase("Prompting instead: the instruction in front, unsteered"), prompting.effect),
        in_propensity(Phrase("Steering minus prompting"), prompting.beats),
        in_propensity(Phrase("Steering on top of prompting"), prompting.adds),
        _about_random(report),
        in_propensity(Phrase("Effect of a vector trained on other examples"), retrained.effect),
    ]
    if direction.p_value is None:
        rows.append((Phrase("A direction at all"), missing(direction.reason), ""))
    else:
        p = f"p = {number(direction.p_value)}"
        rows.append((Phrase("A direction at all: permutation test"), p, Phrase("training examples")))
        halves = Phrase(
            "cosine {cosine}, p = {p}",
            cosine=number(direction.halves_cosine or 0.0), p=number(direction.halves_p_value or 0.0),
        )  # fmt: skip
        basis = Phrase("random halves: {cosine}", cosine=number(direction.halves_expected or 0.0))
        rows.append((Phrase("One direction: vectors of two halves that differ in subject"), halves, basis))
    rows += _about_words(report)
    noise = report.label_noise.share
    if noise.value is None:
        rows.append((Phrase("Labels that look exchanged"), missing(noise.reason), ""))
    else:
        figure, basis = share(noise.value, noise.low, noise.high), Phrase("{n} differences", n=noise.n or 0)
        rows.append((Phrase("Labels that look exchanged, of the training examples"), figure, basis))
    bias = report.answer_bias
    if bias.label:
        rows.append(in_propensity(Phrase("Shift toward “{label}”, whichever matches", label=bias.label), bias.shift))
        rows.append(in_propensity(Phrase("Effect with both labels equally often right"), bias.adjusted))
    return rows


def _about_random(report: Report) -> tuple[Phrase, str, str]:
    """What random directions do."""
    random = report.random_directions
    if random.percentile_95 is None:
        return Phrase("Random directions of the same length"), missing(random.reason), ""
    what = (
        Phrase("Odd part that random directions of the same length reach (95th percentile)")
        if random.figure == "odd part"
        else Phrase("Effect that random directions of the same length reach (95th percentile)")
    )
    basis = Phrase("{directions} directions, {n} examples", directions=len(random.odd), n=random.n or 0)
    return what, in_unit(number(random.percentile_95), report.unit), basis


def _about_words(report: Report) -> Rows:
    """What single words and words in random order do."""
    wording = report.wording
    if wording.reason is not None:
        return [(Phrase("What the wording explains"), missing(wording.reason), "")]
    words = with_commas([Phrase("“{word}”", word=word) for word in list(wording.words)[:4]])
    name = (
        Phrase("Effect on answers without {words}, which tell the sides apart", words=words)
        if words
        else Phrase("Words that tell the sides apart")
    )
    mixed = Phrase("Effect of a vector of the same answers with their words in random order")
    return [
        (name, *_figure(wording.without, _examples, report.unit)),
        (mixed, *_figure(wording.shuffled, _examples, report.unit)),
    ]


def written_caption(report: Report) -> Phrase:
    """What the table of generated text holds."""
    g = report.generated
    caption = Phrase("Continuations of evaluation prompts, unsteered and steered")
    if g.level <= 0.95:
        return caption
    return Phrase(
        "{caption}; log-odds were looked at once or, where that left it open, twice, so their intervals are of {level}",
        caption=caption, level=level(g.level),
    )  # fmt: skip


def written(report: Report) -> Rows:
    """What steering did to generated text."""
    g = report.generated
    if not g.n:
        return [(Phrase("Generated text"), missing(g.reason), "")]
    change = Phrase("Log-odds of the behavior by the classifier, steered minus unsteered")
    rows: Rows = [
        (change, *_figure(g.shift, _prompts)),
        (Phrase("Prompts whose log-odds fell, as a share"), *_figure(g.fell, _prompts)),
        (Phrase("The classifier on evaluation answers, AUROC"), *_figure(g.auroc, _answers)),
        (Phrase("Share of repeated 3-grams, steered minus unsteered"), *_figure(g.repeated, _prompts)),
        (
            Phrase("Perplexity under the unsteered model, steered over unsteered"),
            *_figure(g.perplexity_ratio, _prompts),
        ),
    ]
    if g.judge:
        preferred = Phrase("Preferred by {judge}, as a share, ties half", judge=g.judge)
        rows.append((preferred, *_figure(g.win_rate, _prompts)))
        other = Phrase("Conclusion otherwise in the other order, as a share")
        rows.append((other, *_figure(g.inconsistent, _prompts)))
    return rows


def _figure(e: Estimate, basis: Callable[[int], Phrase], unit: Phrase | None = None) -> tuple[str, str]:
    """Figure and basis of an estimate."""
    if e.value is None:
        return missing(e.reason), ""
    figure = number(e.value) if e.low is None or e.high is None else spread(e.value, e.low, e.high)
    return figure if unit is None else in_unit(figure, unit), "" if e.n is None else basis(e.n)


def _diverged(d: Divergence) -> tuple[str, str]:
    """Figure and basis of a divergence."""
    return _figure(d.estimate, _documents, Phrase("nats/token"))


def _examples(n: int) -> Phrase:
    return Phrase("{n} examples", n=n)


def _documents(n: int) -> Phrase:
    return Phrase("{n} documents", n=n)


def _requests(n: int) -> Phrase:
    return Phrase("{n} requests", n=n)


def _prompts(n: int) -> Phrase:
    return Phrase("{n} prompts", n=n)


def _answers(n: int) -> Phrase:
    return Phrase("{n} answers a side", n=n)


_BLANK_LINES: Final = re.compile(r"\n\s*\n")
