"""What the verdict requires, and its reservations."""

from dataclasses import dataclass

from trimtab.decimals import bracketed, decimals
from trimtab.experiment.instrument import Instrument
from trimtab.measurements.effects import Steered
from trimtab.results.consequences import PromptingBaseline
from trimtab.results.report import LabelNoise
from trimtab.verdict import blocking
from trimtab.verdict.decision import Conclusion, Requirement, Thresholds, conclude
from trimtab.verdict.evidence import Evidence
from trimtab.verdict.requirements import (
    ENOUGH_CLUSTERS,
    capability_requirement,
    generated_requirements,
    requirements,
    unable,
)

# Findings of lint that are reservations.
RESERVATIONS = frozenset({"both-classes", "answer-position", "answer-token", "template-positive", "template-negative"})
# Below this agreement the differences hardly share a direction; it lies well above what random labels give.
MIN_AGREEMENT = 0.05
# Above this cosine two halves' directions are one for any purpose, whatever the test says.
SAME_DIRECTION = 0.7
# A steering that acts on a smaller share of the examples than this leaves too much undone to go unsaid.
MOST = 0.9


@dataclass(frozen=True)
class DecisionWithGrounds:
    """A decision, with its requirements and reservations."""

    conclusion: Conclusion
    requirements: tuple[Requirement, ...]
    reservations: tuple[str, ...]


def decide(evidence: Evidence, thresholds: Thresholds, instrument: Instrument) -> DecisionWithGrounds:
    """Requirements, reservations, decision."""
    steered = evidence.steered
    needs = requirements(steered, thresholds, instrument.unit, evidence.random_directions, evidence.drifts)
    listed = reservations(evidence, thresholds)
    if evidence.capability:
        every_kind = evidence.capability[-1]
        loss = capability_requirement(every_kind, thresholds)
        if loss is None:
            listed.append(f"whether capability is lost is not known: {every_kind.change.reason}")
        else:
            needs.append(loss)
    written = generated_requirements(evidence.generated)
    if evidence.generated.n and not written:
        listed.append(f"generated text could not be judged: {evidence.generated.shift.reason}")
    needs += written
    blocking_reservations = [
        *blocking.of_lint(evidence.lint),
        *blocking.of_wording(evidence.wording, thresholds.min_effect),
        *blocking.of_length(evidence.length, evidence.matched, evidence.expected),
        *blocking.of_mixture(evidence.direction),
    ]
    conclusion = conclude(needs, listed, blocking_reservations, unable(evidence.base, instrument.behavior.answer_kind))
    return DecisionWithGrounds(conclusion, tuple(needs), tuple(listed))


def reservations(evidence: Evidence, thresholds: Thresholds) -> list[str]:
    """Why a success is to be trusted less, each reason with its figure; the gravest first."""
    chosen, line, length, tests = evidence.result, evidence.linearity, evidence.length, evidence.direction
    n_clusters = evidence.steered.effect.n_clusters
    listed = [*_about_desired(evidence.steered), *_about_labels(evidence.label_noise)]
    listed += [f"{f.code}: {f.message}" for f in evidence.lint if f.code in RESERVATIONS]
    acts = evidence.steered.effect.acts()
    if acts is not None and acts.value < MOST:
        listed.append(
            f"it acts on {bracketed(acts, '.0%')} of the examples and leaves the others alone: their prompts do not "
            "meet its condition"
        )
    left, effect = evidence.wording.without, chosen.effect
    if left.value is not None and effect is not None and left.value < effect.mean / 2:
        listed.append(
            f"more than half of the effect comes from {blocking.named(evidence.wording)}: without, it is "
            f"{bracketed(left)}"
        )
    if tests.p_value is not None and tests.p_value > 0.05:
        listed.append(
            f"no direction tells the two sides apart better than chance (permutation p = {tests.p_value:.2g})"
        )
    elif (
        tests.halves_p_value is not None
        and tests.halves_p_value < 0.05
        and (tests.halves_cosine or 0.0) < SAME_DIRECTION
    ):
        listed.append(
            f"the direction depends on what the example is about: two halves of the examples give vectors at a cosine "
            f"of {decimals(tests.halves_cosine)}, random halves {decimals(tests.halves_expected)} "
            f"(p = {tests.halves_p_value:.2g})"
        )
    agreement = chosen.directional_agreement_loo
    if agreement.value is not None and agreement.low is not None and agreement.low <= MIN_AGREEMENT:
        listed.append(
            f"the examples hardly agree on one direction: leave-one-out agreement "
            f"{bracketed(agreement)} reaches down to {MIN_AGREEMENT}"
        )
    if chosen.effect is not None and abs(chosen.effect.even) > abs(chosen.effect.odd):
        listed.append(
            f"the even part of the effect ({decimals(chosen.effect.even)}) exceeds the odd part "
            f"({decimals(chosen.effect.odd)}): "
            "more damage or answer bias than direction"
        )
    if chosen.edit_size_ratio is not None and chosen.edit_size_ratio > 1:
        listed.append(f"the edit is {decimals(chosen.edit_size_ratio, '.1f')} times as large as a typical activation")
    if length.value is not None and not 0.3 <= length.value <= 0.7:
        listed.append(
            f"length alone tells the two sides apart (AUROC {decimals(length.value)}), so the vector may hold length"
        )
    if line.spearman is not None and line.spearman < 0.7:
        listed.append(f"the effect does not grow steadily with strength (mean Spearman ρ {decimals(line.spearman)})")
    if n_clusters < ENOUGH_CLUSTERS:
        listed.append(f"only {n_clusters} independent evaluation examples")
    return listed


def _about_desired(steered: Steered) -> list[str]:
    """A reservation where the effect does not come from desired answers."""
    plus, minus = steered.effect.side("positive"), steered.effect.side("negative")
    figures = ", ".join(f"{name} {bracketed(i)}" for name, i in (("Δ+", plus), ("Δ−", minus)))
    if plus.high < 0:
        return [f"desired answers become less likely, undesired ones even more so ({figures})"]
    if plus.low <= 0:
        return [
            f"it is not certain that desired answers become likelier: the effect comes from undesired ones ({figures})"
        ]
    return []


def _about_labels(noise: LabelNoise) -> list[str]:
    """A reservation where labels look exchanged."""
    share = noise.share
    if share.value is None or share.low is None or share.high is None or not share.value:
        return []
    rows = f", such as {', '.join(noise.examples)}" if noise.examples else ""
    return [
        f"label noise: about {bracketed(share, '.0%')} of the training examples look as if "
        f"their two sides were exchanged{rows}; look at these and correct them"
    ]


def about_prompting(prompting_baseline: PromptingBaseline, unit: str) -> list[str]:
    """A sentence on whether steering beats prompting, and whether it adds to it."""
    effect, beats, adds = prompting_baseline.effect, prompting_baseline.beats, prompting_baseline.adds
    if effect.value is None or beats.low is None or beats.high is None or adds.low is None or adds.high is None:
        return []
    better = "beats" if beats.low > 0 else "falls short of" if beats.high < 0 else "does about as much as"
    more = "adds to it" if adds.low > 0 else "takes from it" if adds.high < 0 else "adds nothing certain to it"
    return [
        f"prompting instead moves answers by {bracketed(effect, plus=True, unit=unit)}: steering "
        f"{better} prompting (by {bracketed(beats, plus=True)}) and {more} "
        f"({bracketed(adds, plus=True)})"
    ]
