"""What the verdict requires, and its reservations."""

from dataclasses import dataclass

from trimtab.decimals import bracketed, decimals
from trimtab.experiment.instrument import Instrument
from trimtab.measurements.effects import Steered
from trimtab.phrases import Phrase, with_commas, with_semicolons
from trimtab.results.consequences import Direction, ExampleGroup, Grouping, PromptingBaseline
from trimtab.results.numbers import NO_REASON, in_unit
from trimtab.results.report import LabelNoise
from trimtab.verdict import blocking
from trimtab.verdict.decision import Conclusion, Requirement, Thresholds, conclude
from trimtab.verdict.evidence import Evidence
from trimtab.verdict.requirements import (
    ENOUGH_CLUSTERS,
    SHARE,
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
    reservations: tuple[Phrase, ...]


def decide(evidence: Evidence, thresholds: Thresholds, instrument: Instrument) -> DecisionWithGrounds:
    """Requirements, reservations, decision."""
    steered = evidence.steered
    needs = requirements(steered, thresholds, instrument.unit, evidence.random_directions, evidence.drifts)
    listed = reservations(evidence, thresholds)
    if evidence.capability:
        every_kind = evidence.capability[-1]
        loss = capability_requirement(every_kind, thresholds)
        if loss is None:
            why = every_kind.change.reason or NO_REASON
            listed.append(Phrase("whether capability is lost is not known: {why}", why=why))
        else:
            needs.append(loss)
    written = generated_requirements(evidence.generated)
    listed += [_about_written(r) for r in written if r.holds is None]
    if evidence.generated.judge and evidence.generated.win_rate.value is None:
        judge, why = evidence.generated.judge, evidence.generated.win_rate.reason or NO_REASON
        listed.append(Phrase("generated text could not be judged by {judge}: {why}", judge=judge, why=why))
    needs += written
    blocking_reservations = [
        *blocking.of_lint(evidence.lint),
        *blocking.of_wording(evidence.wording, thresholds.min_effect),
        *blocking.of_length(evidence.length, evidence.matched, evidence.expected),
        *blocking.of_mixture(evidence.direction),
    ]
    conclusion = conclude(needs, listed, blocking_reservations, unable(evidence.base, instrument.behavior.answer_kind))
    return DecisionWithGrounds(conclusion, tuple(needs), tuple(listed))


def reservations(evidence: Evidence, thresholds: Thresholds) -> list[Phrase]:
    """Why a success is to be trusted less, each reason with its figure; the gravest first."""
    chosen, line, length, tests = evidence.result, evidence.linearity, evidence.length, evidence.direction
    n_clusters = evidence.steered.effect.n_clusters
    listed = [*_about_desired(evidence.steered), *_about_labels(evidence.label_noise)]
    listed += [
        Phrase("{code}: {message}", code=f.code, message=f.message) for f in evidence.lint if f.code in RESERVATIONS
    ]
    acts = evidence.steered.effect.acts()
    if acts is not None and acts.value < MOST:
        listed.append(
            Phrase(
                "it acts on {share} of the examples and leaves the others alone: their prompts do not meet its "
                "condition",
                share=bracketed(acts, ".0%"),
            )
        )
    left, effect = evidence.wording.without, chosen.effect
    if left.value is not None and effect is not None and left.value < effect.mean / 2:
        listed.append(
            Phrase(
                "more than half of the effect comes from {words}: without, it is {left}",
                words=blocking.named(evidence.wording),
                left=bracketed(left),
            )
        )
    if tests.p_value is not None and tests.p_value > 0.05:
        listed.append(
            Phrase(
                "no direction tells the two sides apart better than chance (permutation p = {p})",
                p=f"{tests.p_value:.2g}",
            )
        )
    elif (
        tests.halves_p_value is not None
        and tests.halves_p_value < 0.05
        and (tests.halves_cosine or 0.0) < SAME_DIRECTION
    ):
        listed.append(about_subjects(tests))
    agreement = chosen.directional_agreement_loo
    if agreement.value is not None and agreement.low is not None and agreement.low <= MIN_AGREEMENT:
        listed.append(
            Phrase(
                "the examples hardly agree on one direction: leave-one-out agreement {agreement} is not above "
                "{least} for certain",
                agreement=bracketed(agreement),
                least=f"{MIN_AGREEMENT}",
            )
        )
    if chosen.effect is not None and abs(chosen.effect.even) > abs(chosen.effect.odd):
        listed.append(
            Phrase(
                "the even part of the effect ({even}) exceeds the odd part ({odd}): more damage or answer "
                "bias than direction",
                even=decimals(chosen.effect.even),
                odd=decimals(chosen.effect.odd),
            )
        )
    if chosen.edit_size_ratio is not None and chosen.edit_size_ratio > 1:
        listed.append(
            Phrase(
                "the edit is {ratio} times as large as a typical activation",
                ratio=decimals(chosen.edit_size_ratio, ".1f"),
            )
        )
    if length.value is not None and not 0.3 <= length.value <= 0.7:
        listed.append(
            Phrase(
                "length alone tells the two sides apart (AUROC {auroc}), so the vector may hold length",
                auroc=decimals(length.value),
            )
        )
    if line.spearman is not None and line.spearman < 0.7:
        listed.append(
            Phrase(
                "the effect does not grow steadily with strength (mean Spearman ρ {rho})",
                rho=decimals(line.spearman),
            )
        )
    if n_clusters < ENOUGH_CLUSTERS:
        listed.append(Phrase("only {n} independent evaluation examples", n=n_clusters))
    return listed


def _about_desired(steered: Steered) -> list[Phrase]:
    """A reservation where the effect does not come from desired answers."""
    plus, minus = steered.effect.side("positive"), steered.effect.side("negative")
    figures = ", ".join(f"{name} {bracketed(i)}" for name, i in (("Δ+", plus), ("Δ−", minus)))
    if plus.high < 0:
        return [Phrase("desired answers become less likely, undesired ones even more so ({figures})", figures=figures)]
    if plus.low <= 0:
        return [
            Phrase(
                "it is not certain that desired answers become likelier: the effect comes from undesired "
                "ones ({figures})",
                figures=figures,
            )
        ]
    return []


def _about_written(r: Requirement) -> Phrase:
    """A reservation where generated text leaves open whether it follows."""
    figure = bracketed(r.interval, ".0%") if r.unit == SHARE else in_unit(bracketed(r.interval, plus=True), r.unit)
    return Phrase(
        "it is not certain that what the model writes goes the intended way: {name} {figure} on {n} prompts",
        name=r.name, figure=figure, n=r.n,
    )  # fmt: skip


def about_subjects(tests: Direction) -> Phrase:
    """The direction depends on what the example is about, and on what."""
    depends = Phrase(
        "the direction depends on what the example is about: two halves of the examples give vectors "
        "at a cosine of {cosine}, random halves {expected} (p = {p})",
        cosine=decimals(tests.halves_cosine),
        expected=decimals(tests.halves_expected),
        p=f"{tests.halves_p_value:.2g}",
    )
    groups = about_groups(tests.grouping)
    return depends if groups is None else Phrase("{depends}; {groups}", depends=depends, groups=groups)


def about_groups(grouping: Grouping) -> Phrase | None:
    """Whether these are several behaviors, where groups of prompts have directions of their own; None where not."""
    groups, p_value = grouping.groups, grouping.p_value
    if p_value is None or p_value >= 0.05 or min(group.cosine for group in groups) >= SAME_DIRECTION:
        return None
    return Phrase(
        "by their prompts the training examples fall into {k} groups, whose directions differ (p = {p}): {groups}. Are "
        "these {k} behaviors in one file?",
        k=len(groups),
        p=f"{p_value:.2g}",
        groups=with_semicolons([_about_group(group) for group in groups]),
    )


def _about_group(group: ExampleGroup) -> Phrase:
    """What a group is about, and what the one vector does in it."""
    effect, wrong = group.effect, group.anti_steerable
    about = group.prompts[0]
    if effect.value is None or wrong.value is None:
        why = effect.reason or NO_REASON
        return Phrase("{share} like “{prompt}” ({why})", share=decimals(group.share, ".0%"), prompt=about, why=why)
    return Phrase(
        "{share} like “{prompt}”, where the one vector has an effect of {effect} and pushes {wrong} the wrong way",
        share=decimals(group.share, ".0%"),
        prompt=about,
        effect=bracketed(effect, plus=True),
        wrong=bracketed(wrong, ".0%"),
    )


def _about_labels(noise: LabelNoise) -> list[Phrase]:
    """A reservation where labels look exchanged."""
    share = noise.share
    if share.value is None or share.low is None or share.high is None or not share.value:
        return []
    about = bracketed(share, ".0%")
    if not noise.examples:
        return [
            Phrase(
                "label noise: about {share} of the training examples look as if their two sides were exchanged; look "
                "at these and correct them",
                share=about,
            )
        ]
    return [
        Phrase(
            "label noise: about {share} of the training examples look as if their two sides were exchanged, such as "
            "{rows}; look at these and correct them",
            share=about,
            rows=with_commas(noise.examples),
        )
    ]


def about_prompting(prompting_baseline: PromptingBaseline, unit: Phrase) -> list[Phrase]:
    """A sentence on whether steering beats prompting, and whether it adds to it."""
    effect, beats, adds = prompting_baseline.effect, prompting_baseline.beats, prompting_baseline.adds
    if effect.value is None or beats.low is None or beats.high is None or adds.low is None or adds.high is None:
        return []
    by, on_top = bracketed(beats, plus=True), bracketed(adds, plus=True)
    if beats.low > 0:
        better = Phrase("steering beats prompting (by {by})", by=by)
    elif beats.high < 0:
        better = Phrase("steering falls short of prompting (by {by})", by=by)
    else:
        better = Phrase("steering does about as much as prompting (by {by})", by=by)
    if adds.low > 0:
        more = Phrase("adds to it ({by})", by=on_top)
    elif adds.high < 0:
        more = Phrase("takes from it ({by})", by=on_top)
    else:
        more = Phrase("adds nothing certain to it ({by})", by=on_top)
    return [
        Phrase(
            "prompting instead moves answers by {effect}: {better} and {more}",
            effect=bracketed(effect, plus=True, unit=unit),
            better=better,
            more=more,
        )
    ]
