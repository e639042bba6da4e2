"""The report of a check, put together from what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import transformers

from trimtab import __version__
from trimtab.behaviors import AnswerKind, Finding, PromptType, lint, not_measured
from trimtab.reliability import cosine_matrix, dose, expected_cosine, pairs_for_cosine, simultaneous_level
from trimtab.reliability.verdict import Decided, Thresholds, decide
from trimtab.reports.consequences import (
    AnswerBias,
    Asking,
    Curve,
    CurvePoint,
    Direction,
    Generality,
    Generated,
    Reference,
    SideEffects,
)
from trimtab.reports.figures import Estimate
from trimtab.reports.record import (
    Base,
    Continuation,
    Convergence,
    Cosines,
    ExampleRow,
    Lint,
    ModelRecord,
    Noise,
    Projections,
    PromptTypeResult,
    Report,
    SiteRecord,
    Slope,
    Text,
    Verdict,
)
from trimtab.workflows.choice import Chosen, curve_point
from trimtab.workflows.judging import (
    DISQUALIFYING,
    about_asking,
    bound,
    capability_requirement,
    generated_requirements,
    requirements,
    reservations,
)
from trimtab.workflows.measure import SIDES, Floats, Propensity
from trimtab.workflows.side_effects import Drift
from trimtab.workflows.stages import Stages
from trimtab.workflows.summary import Steered, base_record, cosine_types, curve_record, length_matched_effect


@dataclass(frozen=True, eq=False)
class Found:
    """What the stages measured."""

    chosen: Chosen
    steered: Mapping[PromptType, Steered]
    curve: Mapping[float, Propensity]
    drifts: Mapping[float, Drift]
    prompts: Drift
    side_effects: SideEffects
    noise: Noise
    asking: Asking
    answer_bias: AnswerBias
    reference: Reference
    direction: Direction
    generality: Generality
    generated: Generated
    projections: Projections
    continuations: tuple[Continuation, ...]

    @property
    def own(self) -> Steered:
        """What the chosen prompt type's vector did."""
        return self.steered[self.chosen.prompt_type]


def assemble(
    stages: Stages, found: Found, thresholds: Thresholds, n_dropped: int, notes: list[str], site_given: bool
) -> Report:
    """The report; command, view and time are filled in by the caller."""
    splits, model, behavior, chosen, own = stages.splits, stages.model, stages.behavior, found.chosen, found.own

    def point(strength: float, effect: Estimate) -> CurvePoint:
        return curve_point(stages, chosen, strength, effect, found.drifts[strength], thresholds.max_kl)

    curve, slope = curve_record(found.curve, stages.contrast_of(splits.eval).first(len(found.curve[0.0].m)), point)
    types = {t.value: _type_result(stages, found, t, slope) for t in stages.prompt_types}
    base = base_record(own.base, stages.contrast_of(splits.eval))
    lengths = _lengths(stages)
    findings = [f for f in lint(behavior) if f.code != "derived-instructions"]  # a note says so already
    differences = chosen.geometry[chosen.prompt_type].differences
    names, vectors = cosine_types({t: g.vector for t, g in chosen.geometry.items()})
    if model.tail.not_float32:
        notes.append(f"offloaded and so not raised to float32: {', '.join(model.tail.not_float32)}")
    return Report(
        trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__,
        command="", seconds=0.0, seed=stages.seed,
        dtype=str(model.dtype).removeprefix("torch."), device=model.device.type, threads=torch.get_num_threads(),
        chat_template=stages.instrument.chat_template, first_token=model.tokenizer.decode([model.encoder().first]),
        read=stages.instrument.read, scope=stages.scope,
        behavior=behavior.name, description=behavior.description,
        instructions=(behavior.instruction("positive"), behavior.instruction("negative")),
        answer_kind=behavior.answer_kind, unit=stages.instrument.unit,
        data_digest=behavior.digest, pairing=behavior.pairing,
        model=ModelRecord(
            id=model.id, revision=model.revision, digest=model.digest, architecture=type(model.hf).__name__,
            n_blocks=model.n_blocks, d_model=model.d_model,
        ),
        site=SiteRecord(**asdict(chosen.site)), site_chosen="given" if site_given else "dev",
        prompt_type_chosen="given" if len(found.steered) == 1 else "dev",
        strength_chosen="dev" if chosen.strengths else "given",
        n_train=len(splits.train), n_dev=len(splits.dev), n_eval=len(splits.eval),
        n_eval_units=own.effect.n_units, n_replication=len(splits.replication), n_dropped=n_dropped,
        strengths=tuple(found.curve), thresholds=asdict(thresholds),
        verdict=_verdict(stages, found, thresholds, base, types[chosen.prompt_type.value], curve, lengths, findings),
        base=base, noise=found.noise, prompt_types=types,
        prompt_type_cosine=Cosines(types=tuple(names), matrix=tuple(map(tuple, cosine_matrix(vectors).tolist()))),
        curve=curve, blocks=chosen.blocks, dev_strengths=chosen.strengths, projections=found.projections,
        convergence=Convergence(
            expected_cosine=expected_cosine(differences, len(differences)),
            pairs_for_95=pairs_for_cosine(differences), n=len(differences),
        ),
        length_auroc=lengths.auroc,
        length_matched_effect=lengths.matched(own),
        lint=tuple(Lint(severity=f.severity, code=f.code, message=f.message) for f in findings),
        direction=found.direction, reference=found.reference, generality=found.generality,
        answer_bias=found.answer_bias, asking=found.asking, side_effects=found.side_effects,
        generated=found.generated,
        examples=_texts(stages, own), continuations=found.continuations,
        notes=tuple(notes), rows=_rows(stages, found),
    )  # fmt: skip


def _verdict(
    stages: Stages,
    found: Found,
    thresholds: Thresholds,
    base: Base,
    chosen: PromptTypeResult,
    curve: Curve,
    lengths: "_Lengths",
    findings: Sequence[Finding],
) -> Verdict:
    """Requirements, doubts, decision."""
    kind, unit, at = stages.behavior.answer_kind, stages.instrument.unit, stages.strength
    drifts = {"neutral text": found.drifts[at].kl, "other prompts": found.prompts.kl}
    needs = requirements(found.own, thresholds, unit, found.reference.percentile_95 or 0.0, drifts)
    doubts = reservations(chosen, curve, lengths.auroc, found.own.effect.n_units, findings, found.direction)
    capability = found.side_effects.capability[-1]
    loss = capability_requirement(capability, thresholds)
    if loss is None:
        doubts.append(f"whether capability is lost cannot be told: {capability.change.reason}")
    else:
        needs.append(loss)
    written = generated_requirements(found.generated)
    needs += written
    if found.generated.n and not written:
        doubts.append(f"generated text could not be judged: {found.generated.shift.reason}")
    obstacles = [f"{f.code}: {f.message}" for f in findings if f.code in DISQUALIFYING]
    decided = decide(needs, doubts, obstacles, _unable(base, kind))
    return Verdict(
        decision=decided.decision, sentence=_sentence(decided, stages, found, bool(written)),
        basis="likelihood and generated text" if written else "likelihood",
        reasons=(*decided.reasons, *about_asking(found.asking, unit)),
        prompt_type=found.chosen.prompt_type.value, strength=at,
        bounds=tuple(bound(r) for r in needs), reservations=tuple(doubts),
        error_rate_reason="how often such verdicts are wrong has not been measured for this model",
    )  # fmt: skip


def _type_result(stages: Stages, found: Found, t: PromptType, slope: Slope) -> PromptTypeResult:
    why_not = not_measured(stages.behavior, t)
    if why_not is not None:
        return PromptTypeResult.without(why_not)
    is_chosen = t is found.chosen.prompt_type
    geometry = found.chosen.geometry[t]
    level = 0.95 if is_chosen else simultaneous_level(0.95, max(1, len(found.steered) - 1))
    return PromptTypeResult.model_validate(
        {
            **geometry.summary(stages.seed, level),
            **found.steered[t].summary(found.noise.value, level),
            "dose": dose(geometry.vector, stages.strength, found.chosen.median_norm),
            "exploratory": not is_chosen,
            "steerability": slope if is_chosen else Slope(reason="measured for the chosen prompt type only"),
        }
    )


def _sentence(decided: Decided, stages: Stages, found: Found, written: bool) -> str:
    what = f"Steering “{stages.behavior.name}” at site {found.chosen.site} with the {found.chosen.prompt_type} vector"
    effect = found.own.effect
    mean, share = effect.mean(), effect.below_zero()
    figures = (
        f"{mean.value:+.2f} {stages.instrument.unit} [{mean.low:.2f}, {mean.high:.2f}] on {effect.n_units} unseen "
        f"examples, {share.value:.0%} [{share.low:.0%}, {share.high:.0%}] pushed the wrong way"
    )
    said = {
        "go": f"{what} moves answers the intended way: {figures}.",
        "caution": f"{what} moves answers the intended way, with reservations: {figures}.",
        "no-go": f"{what} cannot be relied on ({'; '.join(decided.failed)}): {figures}.",
        "inconclusive": f"{what} cannot be judged on this many examples: {figures}.",
    }
    how = "by likelihood and by generated text" if written else "by likelihood, not by generated text"
    return f"{said[decided.decision]} Judged {how}."


def _unable(base: Base, kind: AnswerKind) -> str | None:
    """Why a missing effect says nothing: the plain model answers questions as if by chance."""
    if kind == "text" or not base.accuracy_low <= 0.5 <= base.accuracy_high:
        return None
    return (
        f"the unsteered model gives the matching answer in {base.accuracy:.0%} [{base.accuracy_low:.0%}, "
        f"{base.accuracy_high:.0%}] of the examples, no more often than by chance: it may be unable to read this form "
        "of the question; a larger model, or the behavior as free text (--view statements), would settle it"
    )


@dataclass(frozen=True, eq=False)
class _Lengths:
    """How well the answers' lengths alone tell the sides apart, and the evaluation answers' lengths in tokens."""

    auroc: Estimate
    evaluation: tuple[Floats, ...]

    def matched(self, steered: Steered) -> Estimate:
        if not self.evaluation:
            return Estimate(reason=self.auroc.reason)
        return length_matched_effect(steered, self.evaluation)


def _lengths(stages: Stages) -> _Lengths:
    if stages.behavior.answer_kind == "choice":
        return _Lengths(Estimate(reason="the answers are labels"), ())
    train, evaluation = stages.splits.train, stages.splits.eval
    rows = stages.instrument.bare((*train.examples, *evaluation.examples))
    lengths = [np.array([len(r.ids) - r.prompt_len for r in side], dtype=float) for side in rows]
    units = (*train.units, *evaluation.units)
    shorter = replace(stages.contrast_of(evaluation), units=units, arbitrary=True)(*lengths).below_zero()
    auroc = Estimate(value=1 - shorter.value, low=1 - shorter.high, high=1 - shorter.low, n=len(units))
    return _Lengths(auroc, tuple(side[len(train) :] for side in lengths))


def _texts(stages: Stages, steered: Steered) -> tuple[Text, ...]:
    effects, base, after = steered.effect.rows, steered.base.m, steered.plus.m
    return tuple(
        Text(
            prompt=e.prompt, positive=e.positive, negative=e.negative, source=e.source,
            base=float(base[i]), steered=float(after[i]), effect=float(effects[i]),
        )
        for i, e in enumerate(stages.splits.eval.examples)
    )  # fmt: skip


def _rows(stages: Stages, found: Found) -> tuple[ExampleRow, ...]:
    """One row per evaluated example, prompt type and strength."""
    part, out = stages.splits.eval, []
    for t, steered in found.steered.items():
        at = {stages.strength: steered.plus, -stages.strength: steered.minus}
        if t is found.chosen.prompt_type:
            at = {**{s: p for s, p in found.curve.items() if s != 0}, **at}
        for strength, after in sorted(at.items()):
            base = steered.base[slice(len(after.m))]
            change = {side: getattr(after, side) - getattr(base, side) for side in SIDES}
            total_base, total_steered = (p.total_positive - p.total_negative for p in (base, after))
            for i, e in enumerate(part.examples[: len(after.m)]):
                row = ExampleRow(
                    example=i, source=e.source, unit=part.units[i], prompt=e.prompt, positive=e.positive,
                    negative=e.negative, prompt_type=t.value, strength=strength,
                    base=float(base.m[i]), steered=float(after.m[i]), effect=float(after.m[i] - base.m[i]),
                    effect_positive=float(change["positive"][i]), effect_negative=float(change["negative"][i]),
                    total_base=float(total_base[i]), total_steered=float(total_steered[i]),
                )  # fmt: skip
                out.append(row)
    return tuple(out)
