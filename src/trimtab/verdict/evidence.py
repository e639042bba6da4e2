"""What a decision rests on. Checks, fits and the benchmarks of the verdict measure it here and nowhere else."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trimtab.behaviors import Behavior, Finding, lint
from trimtab.experiment.effort import DECIDED
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.instrument import Propensity
from trimtab.experiment.steps import Step
from trimtab.measurements.baselines import random_directions, random_steps
from trimtab.measurements.capability import CapabilityMargins, capability
from trimtab.measurements.coherence import direction, label_noise
from trimtab.measurements.divergence import NEUTRAL_ROWS, Drift, NeutralDrift, PromptsDrift
from trimtab.measurements.edit_size_ratio import edit_size_ratio
from trimtab.measurements.effects import (
    Linearity,
    Steered,
    base_record,
    both_signs,
    curve,
    curve_steps,
    slope_record,
    steered,
    sweep_steps,
)
from trimtab.measurements.generated_text import LIKELIHOOD_ONLY
from trimtab.measurements.geometry import CAME_FINISHED, NO_GEOMETRY, Geometry
from trimtab.measurements.groups import group_steps, with_groups
from trimtab.measurements.lengths import lengths
from trimtab.measurements.noise import NoisyEffects, noise
from trimtab.measurements.wording import wording, wording_steps
from trimtab.phrases import Phrase
from trimtab.results.consequences import Capability, Direction, Generated, RandomDirectionBaseline
from trimtab.results.figures import Estimate
from trimtab.results.report import Base, LabelNoise, Noise, PromptTypeResult, Slope, Wording
from trimtab.steering import Steering
from trimtab.verdict.decision import Thresholds
from trimtab.verdict.looks import (
    capability_in_looks,
    capability_steps,
    enough_directions,
    foregone,
    neutral_in_looks,
    neutral_steps,
    undrawn,
)
from trimtab.verdict.requirements import requirements

Omitted = Literal["curve", "noise", "random directions", "divergence", "capability", "wording"]
NOTHING: Collection[Omitted] = frozenset()
LEFT_OUT = Phrase("left out")
NEUTRAL_TEXT, OTHER_PROMPTS = Phrase("neutral text"), Phrase("other prompts")
# What cannot change a decision that is certain already; the noise of effects costs little and belongs to every figure.
NEEDLESS: Collection[Omitted] = frozenset({"curve", "random directions", "divergence", "capability", "wording"})


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a decision rests on; figures are of one steering at one strength, on one part of the examples.

    Args:
        steered: propensities of the part's examples.
        result: geometry and effects.
        base: the unsteered model.
        noise: of effects; None where it was left out.
        random_directions: what random directions reach.
        neutral, prompts: drift on neutral text and on other prompts; None where it was left out.
        capability: by kind and, last, of all kinds together; empty where it was left out.
        generated: scores of generated text, if any was asked for.
        curve: propensities over strengths; None where they were left out.
        linearity: how steadily effects grow with strength.
        length: how well length alone separates the sides.
        matched: the effect on pairs of equal length.
        direction: permutation tests.
        label_noise: how many labels look exchanged.
        wording: what single words and words in random order explain.
        lint: findings on the examples.
        expected: codes of findings that are the point of the set.
        lost: strengths of the curve that give no finite figures, and why.
    """

    steered: Steered
    result: PromptTypeResult
    base: Base
    noise: Noise | None
    random_directions: RandomDirectionBaseline
    neutral: Drift | None
    prompts: Drift | None
    capability: tuple[Capability, ...]
    generated: Generated
    curve: Mapping[float, Propensity] | None
    linearity: Linearity
    length: Estimate
    matched: Estimate
    direction: Direction
    label_noise: LabelNoise
    wording: Wording
    lint: Sequence[Finding]
    expected: frozenset[str]
    lost: Mapping[float, Phrase]

    @property
    def drifts(self) -> dict[Phrase, Drift]:
        """By name of the texts."""
        named = {NEUTRAL_TEXT: self.neutral, OTHER_PROMPTS: self.prompts}
        return {name: drift for name, drift in named.items() if drift is not None}


def assess(
    on: Experiment,
    steering: Steering,
    part: Split = "eval",
    *,
    geometry: Geometry | None = None,
    generated: Generated = LIKELIHOOD_ONLY,
    others: Sequence[Behavior] = (),
    omit: Collection[Omitted] = NOTHING,
    stop: Thresholds | None = None,
) -> Evidence:
    """Measure what a decision on a steering rests on.

    Args:
        on: the behavior's experiment, at the strength in question.
        steering: a vector of the experiment's training examples, or any other.
        part: the examples it is measured on.
        geometry: the training activations it was computed from; None for a given steering.
        generated: scores of what it makes the model write.
        others: further behaviors whose prompts belong to the other prompts.
        omit: what is not measured; a decision without it may be milder than a check's.
        stop: bounds of the verdict: each figure is measured only until it is certain on which side of its bound it
            lies, and none once one of them makes a no-go; None measures all in full.

    Raises:
        InputError: a figure is not finite, or there are too few examples.
    """
    (own,) = steered(on, [steering], part)
    base = base_record(own.base, own.contrast_of)
    neutral, prompts = None, None
    wrong = stop is not None and _certain(on, steering, own, base, stop, {})
    if "divergence" not in omit and not wrong:
        (prompts,) = PromptsDrift(steering, (on.strength,), tuple(others), part).drifts(on)
        if stop is None:
            (neutral,) = NeutralDrift(steering, (on.strength,), NEUTRAL_ROWS, part).drifts(on)
        else:
            neutral = neutral_in_looks(on, steering, part, stop.max_kl)
        drifts = {NEUTRAL_TEXT: neutral, OTHER_PROMPTS: prompts}
        wrong = stop is not None and _certain(on, steering, own, base, stop, drifts)
    omit, why = (NEEDLESS, DECIDED) if wrong else (omit, LEFT_OUT if stop is None else DECIDED)
    noisy = None if "noise" in omit else noise(on, steering, part)
    at, lost = (None, {}) if "curve" in omit else curve(on, steering, own, part)
    slope, linearity = Slope(reason=why), Linearity(None, None)
    if at is not None and len(at) < 3:
        slope = Slope(reason=on.effort.reason)
    elif at is not None:
        slope, linearity = slope_record(at, on.contrast_of(on.part(part)).first(len(at[0.0].m)))
    random = undrawn(steering, why)
    if "random directions" not in omit:
        enough = None if stop is None else enough_directions(own, "odd part" if steering.is_odd else "effect")
        random = random_directions(on, steering, part, enough)
    able: tuple[Capability, ...] = ()
    if "capability" not in omit:
        able = capability(on, steering) if stop is None else capability_in_looks(on, steering, stop)
    answer_lengths = lengths(on, part)
    tests, labels = Direction(reason=CAME_FINISHED), LabelNoise(reason=CAME_FINISHED)
    if geometry is not None:
        (site,) = steering.edits
        tests = direction(geometry, on.seed, on.splits.train.examples)
        tests = with_groups(tests, on, geometry, own, part, site)
        labels = label_noise(geometry, on.splits.train, on.seed)
    return Evidence(
        steered=own,
        result=type_result(on, steering, own, geometry, noisy, slope),
        base=base,
        noise=noisy,
        random_directions=random,
        neutral=neutral,
        prompts=prompts,
        capability=able,
        generated=generated,
        curve=at,
        linearity=linearity,
        length=answer_lengths.auroc,
        matched=answer_lengths.matched(own),
        direction=tests,
        label_noise=labels,
        wording=Wording(reason=why, without=Estimate(reason=why), shuffled=Estimate(reason=why))
        if "wording" in omit
        else wording(on, steering, own, trained=geometry is not None, part=part),
        lint=[f for f in lint(on.behavior) if f.code != "derived-instructions"],  # a note covers it
        expected=frozenset(on.behavior.expected),
        lost=lost,
    )


def _certain(
    on: Experiment, steering: Steering, own: Steered, base: Base, stop: Thresholds, drifts: Mapping[Phrase, Drift]
) -> bool:
    """Whether it is a no-go already."""
    return foregone(requirements(own, stop, on.instrument.unit, undrawn(steering), drifts), base, on)


def type_result(
    on: Experiment, steering: Steering, own: Steered | None, geometry: Geometry | None, noisy: Noise | None,
    slope: Slope,
    level: float | None = None, exploratory: bool = False,
) -> PromptTypeResult:  # fmt: skip
    """Geometry and effects of a steering as a record.

    Args:
        on: the behavior's experiment.
        steering: what was measured.
        own: what it did; None where it was not tried.
        geometry: training activations it was computed from, or None.
        noisy: noise of effects; None counts as none.
        slope: its steerability.
        level: of the intervals; None for the experiment's.
        exploratory: whether nothing rests on it.
    """
    level = level or on.level
    return PromptTypeResult.model_validate(
        {
            **(geometry.summary(on.seed, level) if geometry else NO_GEOMETRY),
            **({"level": level} if own is None else own.summary(noisy.value if noisy else 0.0, level)),
            "edit_size_ratio": edit_size_ratio(on, steering, on.strength),
            "exploratory": exploratory,
            "steerability": slope,
        }
    )


def evidence_steps(on: Experiment, steering: Steering, others: Sequence[Behavior], trained: bool) -> list[Step]:
    """Of `assess` on the evaluation examples, for a forecast: with a steering of the same kind."""
    at = on.strength
    steps: list[Step] = [*sweep_steps(on, "eval", both_signs([steering], at)), NoisyEffects(steering, at)]
    steps += curve_steps(on, steering)
    steps += neutral_steps(on, steering) if on.effort.stops else [NeutralDrift(steering, (at,), NEUTRAL_ROWS)]
    steps += capability_steps(on, steering) if on.effort.stops else [CapabilityMargins(steering, at)]
    steps.append(PromptsDrift(steering, (at,), tuple(others)))
    if trained:
        (site,) = steering.edits
        steps += group_steps(on, site)
    return [*steps, *random_steps(on, steering), *wording_steps(on, steering, trained)]
