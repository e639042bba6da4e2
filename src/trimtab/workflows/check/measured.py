"""All that a check measures: the evidence of its verdict, and what the report shows besides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from trimtab.behaviors import Behavior, PromptType
from trimtab.errors import NotFiniteError
from trimtab.evaluation import HeldOut, Judge
from trimtab.experiment.effort import DECIDED
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.finite import left_out, those_finite
from trimtab.measurements.activations import evaluated
from trimtab.measurements.baselines import answer_bias, prompting_baseline, training_variability
from trimtab.measurements.continuations import ContinuationPair, continuations
from trimtab.measurements.divergence import Drift, neutral_drifts, own_divergence
from trimtab.measurements.effects import Steered, curve_factors, steered
from trimtab.measurements.generated_text import LIKELIHOOD_ONLY, Scored, generated, looks_at
from trimtab.measurements.geometry import CAME_FINISHED
from trimtab.measurements.other_behaviors import other_effects, over_refusal
from trimtab.phrases import Phrase
from trimtab.results.consequences import (
    AnswerBias,
    Divergence,
    Generated,
    PromptingBaseline,
    SideEffects,
    TrainingVariability,
)
from trimtab.results.figures import Estimate
from trimtab.results.report import Continuation, Projections
from trimtab.statistics import overlap, projection
from trimtab.steering import Steering
from trimtab.verdict.decide import decide
from trimtab.verdict.decision import Thresholds
from trimtab.verdict.evidence import NEEDLESS, NOTHING, Evidence, assess
from trimtab.verdict.looks import Looked, in_full, in_looks
from trimtab.workflows.choice import HOPELESS, Chosen


@dataclass(frozen=True, eq=False)
class Measured:
    """What a check has measured.

    Args:
        on: the experiment with the evaluation examples that were measured.
        chosen: where, how and how strongly it steers.
        looked: how far the evaluation went; None where all of it was measured.
        evidence: what the verdict rests on.
        steered: by prompt type, what each vector does.
        drifts: of neutral text by strength.
        side_effects, asking, answer_bias, training_variability, projections, continuations: shown beside the verdict.
        lost: strengths that give no finite figures, and why.
        classifier: that scored generated text; None where there was none.
    """

    on: Experiment
    chosen: Chosen
    looked: Looked | None
    evidence: Evidence
    steered: Mapping[str, Steered]
    drifts: Mapping[float, Drift]
    side_effects: SideEffects
    prompting_baseline: PromptingBaseline
    answer_bias: AnswerBias
    training_variability: TrainingVariability
    projections: Projections
    continuations: tuple[Continuation, ...]
    lost: Mapping[float, Phrase]
    classifier: HeldOut | None

    @property
    def not_measured(self) -> list[Phrase]:
        """What a thorough check would measure besides."""
        e, effort = self.evidence, self.on.effort
        left_out = {
            Phrase("divergence"): e.neutral is None,
            Phrase("capability"): not e.capability,
            Phrase("random directions"): e.random_directions.reason == DECIDED,
            Phrase("the strength curve"): e.curve is None or not effort.curve,
            Phrase("prompt types that were not chosen"): len(self.steered) == 1 < len(self.chosen.vectors)
            or HOPELESS in self.chosen.lost.values(),
            Phrase("generated text"): e.generated.reason == DECIDED,
            Phrase("the instruction instead of steering"): effort.prompting == 0,
            Phrase("vectors trained anew"): effort.refits == 0 and self.chosen.own_geometry is not None,
            Phrase("harmless requests"): effort.over_refusal == 0,
            Phrase("continuations"): not self.continuations,
        }
        return [name for name, missing in left_out.items() if missing]

    @property
    def notes(self) -> list[Phrase]:
        """On strengths that give no finite figures."""
        return left_out(self.lost, Phrase("the strength curve"))


def measure(
    on: Experiment, chosen: Chosen, thresholds: Thresholds, others: Sequence[Behavior], written: Sequence[int],
    judge: Judge | None,
) -> Measured:  # fmt: skip
    """Run all of it, for what was chosen; what an effort leaves out, or what cannot matter any more, has a reason.

    Args:
        on: the behavior's experiment, at the chosen strength.
        chosen: what is checked.
        thresholds: bounds of the verdict.
        others: further behaviors.
        written: how many evaluation prompts are continued for their text to be scored, after each look; none for none.
        judge: a chat model that compares them, or None.
    """
    vector, whole = chosen.steering, on
    looked = in_looks(on, vector, thresholds) if on.effort.stops else None
    if looked is not None:
        on = looked.on
    evidence, texts, classifier = _evidence(on, whole, chosen, looked, thresholds, others, written, judge)
    if looked is not None and looked.settled == "success" and not _stands(evidence, thresholds, on):
        looked = in_full(whole, looked, vector)  # something besides the effects needs all examples
        on = whole
        evidence, texts, classifier = _evidence(on, whole, chosen, looked, thresholds, others, written, judge)
    if looked is not None and not evidence.capability:  # a no-go before all was measured
        on = replace(on, effort=on.effort.decision_only)
    drifts, lost = _over_strengths(on, vector, evidence)
    by_type, without = _by_type(on, chosen, evidence.steered)
    own, missing = evidence.steered, Estimate(reason=CAME_FINISHED)
    return Measured(
        on=on,
        looked=looked,
        chosen=replace(chosen, lost={**chosen.lost, **without}),
        evidence=evidence,
        steered=by_type,
        drifts=drifts,
        side_effects=_side_effects(on, vector, evidence, others),
        prompting_baseline=prompting_baseline(on, vector, own),
        answer_bias=answer_bias(on, own.effect),
        training_variability=training_variability(on, vector, chosen.own_geometry, own)
        if chosen.own_geometry
        else TrainingVariability(effect=missing),
        projections=_projections(on, chosen),
        continuations=tuple(Continuation(prompt=t.prompt, base=t.base.text, steered=t.steered.text) for t in texts),
        lost={**evidence.lost, **lost},
        classifier=classifier,
    )


def _evidence(
    on: Experiment, whole: Experiment, chosen: Chosen, looked: Looked | None, thresholds: Thresholds,
    others: Sequence[Behavior], written: Sequence[int], judge: Judge | None,
) -> tuple[Evidence, list[ContinuationPair], HeldOut | None]:  # fmt: skip
    """What the decision rests on, continuations, and the classifier that scored them.

    None of what cannot matter where the looks ended in a failure. Prompts are continued of the whole evaluation part,
    however many examples the looks took.
    """
    failed = looked is not None and looked.settled == "failure"
    ends = looks_at(whole, written)
    if failed:
        scored = Scored(Generated.without(DECIDED) if ends else LIKELIHOOD_ONLY)
    elif written:
        scored = generated(whole, partial(continuations, whole, chosen.steering), ends, judge)
    else:
        scored = Scored(LIKELIHOOD_ONLY)
    texts = scored.texts or continuations(whole, chosen.steering, 0, 0 if failed else on.effort.continuations)
    stop, omit = None if looked is None else thresholds, NEEDLESS if failed else NOTHING
    geometry = chosen.own_geometry
    evidence = assess(
        on, chosen.steering, geometry=geometry, generated=scored.figures, others=others, omit=omit, stop=stop
    )  # fmt: skip
    return evidence, list(texts), scored.classifier


def _stands(evidence: Evidence, thresholds: Thresholds, on: Experiment) -> bool:
    """Whether the decision on the examples so far is one that all of them would not change: anything but open."""
    if not evidence.capability:
        return True  # a divergence alone makes it a no-go
    return decide(evidence, thresholds, on.instrument).conclusion.decision in ("go", "caution")


def _by_type(on: Experiment, chosen: Chosen, own: Steered) -> tuple[dict[str, Steered], dict[str, Phrase]]:
    """What the chosen vector does to all evaluation examples and the others to the first ones, by type.

    Returns:
        effects, and for types whose effects are not finite the reason.
    """
    rest = [t for t in chosen.vectors if t != chosen.prompt_type] if on.effort.other_types else []

    def effects_of(some: Sequence[str]) -> Mapping[str, Steered]:
        vectors = [chosen.vectors[t] for t in some]
        return dict(zip(some, steered(on, vectors, rows=on.effort.other_types), strict=True))

    try:
        result, lost = those_finite(rest, effects_of) if rest else ({}, {})
    except NotFiniteError as error:  # of all of them
        result, lost = {}, dict.fromkeys(rest, error.message)
    result[chosen.prompt_type] = own
    return {t: result[t] for t in chosen.vectors if t in result}, lost


def _over_strengths(
    on: Experiment, steering: Steering, evidence: Evidence
) -> tuple[dict[float, Drift], dict[float, Phrase]]:
    """Drift of neutral text at the strengths of the curve, and why there is none at others."""
    if evidence.neutral is None:
        return {}, {}
    known, over = {on.strength: evidence.neutral, 0.0: evidence.neutral.none()}, strengths_of_curve(on, steering)
    if not on.effort.curve_texts:
        return known, {}
    result, lost = neutral_drifts(on, steering, over, on.effort.curve_texts)
    return {**result, **known}, lost


def strengths_of_curve(on: Experiment, steering: Steering) -> tuple[float, ...]:
    """All but the checked one and 0."""
    return tuple(on.strength * f for f in curve_factors(steering) if f not in (0.0, 1.0))


def _side_effects(on: Experiment, steering: Steering, evidence: Evidence, others: Sequence[Behavior]) -> SideEffects:
    """All of them at the checked strength."""
    neutral, prompts, no = evidence.neutral, evidence.prompts, Divergence(reason=DECIDED)
    besides = on.effort.besides
    return SideEffects(
        kl=no if neutral is None else neutral.divergence(on.seed),
        perplexity_ratio=Estimate(reason=DECIDED) if neutral is None else neutral.perplexity_ratio(on.seed),
        kl_prompts=no if prompts is None else prompts.divergence(on.seed),
        kl_own=own_divergence(on, steering) if besides else Divergence(reason=on.effort.reason),
        capability=evidence.capability,
        over_refusal=over_refusal(on, steering).effect(on) if besides else Estimate(reason=on.effort.reason),
        others=other_effects(on, steering, others) if besides else (),
    )


def _projections(on: Experiment, chosen: Chosen) -> Projections:
    """κ of the evaluation examples on the chosen vector; none for a steering that came finished."""
    geometry = chosen.own_geometry
    if geometry is None or chosen.site is None or not on.effort.besides:
        return Projections(prompt_type=chosen.prompt_type, positive=(), negative=())
    centre = geometry.positive.mean(axis=0), geometry.negative.mean(axis=0)
    kappa = [projection(side, *centre) for side in evaluated(on, PromptType(chosen.prompt_type), chosen.site)]
    return Projections(
        prompt_type=str(chosen.prompt_type),
        positive=tuple(kappa[0].tolist()),
        negative=tuple(kappa[1].tolist()),
        overlap=overlap(kappa[0], kappa[1]),
    )
