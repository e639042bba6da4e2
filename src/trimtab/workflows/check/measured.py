"""All that a check measures: the evidence of its verdict, and what the report shows besides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trimtab.behaviors import Behavior, PromptType
from trimtab.errors import NotFiniteError
from trimtab.evaluation import Judge
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.finite import left_out, those_finite
from trimtab.measurements.activations import evaluated
from trimtab.measurements.baselines import answer_bias, prompting_baseline, training_variability
from trimtab.measurements.continuations import N_CONTINUATIONS, continuations
from trimtab.measurements.divergence import SCREENING_ROWS, Drift, neutral_drifts, own_divergence
from trimtab.measurements.effects import Steered, curve_factors, steered
from trimtab.measurements.generated_text import LIKELIHOOD_ONLY, generated
from trimtab.measurements.geometry import CAME_FINISHED
from trimtab.measurements.other_behaviors import other_effects, over_refusal
from trimtab.results.consequences import AnswerBias, PromptingBaseline, SideEffects, TrainingVariability
from trimtab.results.figures import Estimate
from trimtab.results.report import Continuation, Projections
from trimtab.statistics import overlap, projection
from trimtab.steering import Steering
from trimtab.verdict.evidence import Evidence, assess
from trimtab.workflows.choice import Chosen

EXPLORATORY_ROWS = 80  # evaluation examples behind the prompt types that were not chosen


@dataclass(frozen=True, eq=False)
class Measured:
    """What a check has measured.

    Args:
        chosen: where, how and how strongly it steers.
        evidence: what the verdict rests on.
        steered: by prompt type, what each vector does.
        drifts: of neutral text by strength.
        side_effects, asking, answer_bias, training_variability, projections, continuations: shown beside the verdict.
        notes: on strengths that give no finite figures.
    """

    chosen: Chosen
    evidence: Evidence
    steered: Mapping[str, Steered]
    drifts: Mapping[float, Drift]
    side_effects: SideEffects
    prompting_baseline: PromptingBaseline
    answer_bias: AnswerBias
    training_variability: TrainingVariability
    projections: Projections
    continuations: tuple[Continuation, ...]
    notes: tuple[str, ...]


def measure(on: Experiment, chosen: Chosen, others: Sequence[Behavior], generate: int, judge: Judge | None) -> Measured:
    """Run all of it, for what was chosen.

    Args:
        on: the behavior's experiment, at the chosen strength.
        chosen: what is checked.
        others: further behaviors.
        generate: how many evaluation prompts are continued for their text to be scored; 0 for none.
        judge: a chat model that compares them, or None.
    """
    vector, geometry = chosen.steering, chosen.own_geometry
    texts = continuations(on, vector, max(generate, N_CONTINUATIONS))
    scores = generated(on, texts[:generate], judge) if generate else LIKELIHOOD_ONLY
    evidence = assess(on, vector, geometry=geometry, generated=scores, others=others)
    drifts, lost = _over_strengths(on, vector, evidence)
    by_type, without = _by_type(on, chosen, evidence.steered)
    own, missing = evidence.steered, Estimate(reason=CAME_FINISHED)
    return Measured(
        chosen=replace(chosen, lost={**chosen.lost, **without}),
        evidence=evidence,
        steered=by_type,
        drifts=drifts,
        side_effects=_side_effects(on, vector, evidence, others),
        prompting_baseline=prompting_baseline(on, vector, own),
        answer_bias=answer_bias(on, own.effect),
        training_variability=training_variability(on, vector, geometry, own)
        if geometry
        else TrainingVariability(effect=missing),
        projections=_projections(on, chosen),
        continuations=tuple(Continuation(prompt=t.prompt, base=t.base.text, steered=t.steered.text) for t in texts),
        notes=tuple(left_out("strength", {**evidence.lost, **lost}, "the strength curve")),
    )


def _by_type(on: Experiment, chosen: Chosen, own: Steered) -> tuple[dict[str, Steered], dict[str, str]]:
    """What the chosen vector does to all evaluation examples and the others to the first ones, by type.

    Returns:
        effects, and for types whose effects are not finite the reason.
    """
    rest = [t for t in chosen.vectors if t != chosen.prompt_type]

    def effects_of(some: Sequence[str]) -> Mapping[str, Steered]:
        return dict(zip(some, steered(on, [chosen.vectors[t] for t in some], rows=EXPLORATORY_ROWS), strict=True))

    try:
        result, lost = those_finite(rest, effects_of) if rest else ({}, {})
    except NotFiniteError as error:  # of all of them
        result, lost = {}, dict.fromkeys(rest, str(error))
    result[chosen.prompt_type] = own
    return {t: result[t] for t in chosen.vectors if t in result}, lost


def _over_strengths(
    on: Experiment, steering: Steering, evidence: Evidence
) -> tuple[dict[float, Drift], dict[float, str]]:
    """Drift of neutral text at the strengths of the curve, and why there is none at others."""
    assert evidence.neutral is not None
    result, lost = neutral_drifts(on, steering, strengths_of_curve(on, steering), SCREENING_ROWS)
    return {**result, on.strength: evidence.neutral, 0.0: evidence.neutral.none()}, lost


def strengths_of_curve(on: Experiment, steering: Steering) -> tuple[float, ...]:
    """All but the checked one and 0."""
    return tuple(on.strength * f for f in curve_factors(steering) if f not in (0.0, 1.0))


def _side_effects(on: Experiment, steering: Steering, evidence: Evidence, others: Sequence[Behavior]) -> SideEffects:
    """All of them at the checked strength."""
    assert evidence.neutral is not None
    assert evidence.prompts is not None
    return SideEffects(
        kl=evidence.neutral.divergence(on.seed),
        perplexity_ratio=evidence.neutral.perplexity_ratio(on.seed),
        kl_prompts=evidence.prompts.divergence(on.seed),
        kl_own=own_divergence(on, steering),
        capability=evidence.capability,
        over_refusal=over_refusal(on, steering).effect(on),
        others=other_effects(on, steering, others),
    )


def _projections(on: Experiment, chosen: Chosen) -> Projections:
    """κ of the evaluation examples on the chosen vector; none for a steering that came finished."""
    geometry = chosen.own_geometry
    if geometry is None or chosen.site is None:
        return Projections(prompt_type=chosen.prompt_type, positive=(), negative=())
    centre = geometry.positive.mean(axis=0), geometry.negative.mean(axis=0)
    kappa = [projection(side, *centre) for side in evaluated(on, PromptType(chosen.prompt_type), chosen.site)]
    return Projections(
        prompt_type=str(chosen.prompt_type),
        positive=tuple(kappa[0].tolist()),
        negative=tuple(kappa[1].tolist()),
        overlap=overlap(kappa[0], kappa[1]),
    )
