"""The report of a check, put together from what was measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import transformers

from trimtab.behaviors import PromptType, lint, not_measured
from trimtab.decimals import bracketed
from trimtab.experiment.instrument import SIDES, Propensity
from trimtab.experiment.stages import Stages
from trimtab.experiment.summary import Steered, base_record, cosine_types, curve_record, model_record, steering_record
from trimtab.measurements.edit_size import dose
from trimtab.measurements.lengths import lengths as lengths_of
from trimtab.measurements.side_effects import Drift
from trimtab.results.consequences import (
    AnswerBias,
    Asking,
    CurvePoint,
    Direction,
    Generality,
    Generated,
    Reference,
    SideEffects,
)
from trimtab.results.report import (
    Continuation,
    Convergence,
    Cosines,
    ErrorRate,
    ExampleRow,
    LabelNoise,
    Lint,
    Noise,
    Projections,
    PromptTypeResult,
    Report,
    SiteRecord,
    Slope,
    Text,
    Verdict,
    Wording,
)
from trimtab.statistics import cosine_matrix, expected_cosine, pairs_for_cosine, simultaneous_level
from trimtab.statistics.contrast import Contrast
from trimtab.verdict.decision import Decided, Decision, Thresholds
from trimtab.verdict.error_rates import ErrorRates
from trimtab.verdict.judging import GENERATED, Evidence, Judged, about_asking, bound, judge
from trimtab.version import __version__
from trimtab.workflows.choice import CAME_FINISHED, NO_GEOMETRY, Chosen, curve_point


@dataclass(frozen=True, eq=False)
class Found:
    """What the stages measured."""

    chosen: Chosen
    steered: Mapping[str, Steered]
    curve: Mapping[float, Propensity]
    drifts: Mapping[float, Drift]
    prompts: Drift
    side_effects: SideEffects
    noise: Noise
    asking: Asking
    answer_bias: AnswerBias
    reference: Reference
    direction: Direction
    label_noise: LabelNoise
    wording: Wording
    generality: Generality
    generated: Generated
    projections: Projections
    continuations: tuple[Continuation, ...]
    notes: tuple[str, ...] = ()

    @property
    def own(self) -> Steered:
        """What the chosen prompt type's vector did."""
        return self.steered[self.chosen.prompt_type]


def assemble(
    stages: Stages, found: Found, thresholds: Thresholds, n_dropped: int, notes: list[str], site_given: bool
) -> Report:
    """The report; command, view and time are filled in by the caller."""
    splits, model, behavior, chosen, own = stages.splits, stages.model, stages.behavior, found.chosen, found.own

    def point(strength: float, effect: Contrast) -> CurvePoint:
        return curve_point(stages, chosen, strength, effect, found.drifts[strength], thresholds.max_kl)

    curve, slope = curve_record(found.curve, stages.contrast_of(splits.eval).first(len(found.curve[0.0].m)), point)
    asked = stages.prompt_types if chosen.own_geometry else (chosen.prompt_type,)
    types = {str(t): _type_result(stages, found, t, slope) for t in asked}
    base = base_record(own.base, stages.contrast_of(splits.eval))
    lengths = lengths_of(stages)
    findings = [f for f in lint(behavior) if f.code != "derived-instructions"]  # a note says so already
    evidence = Evidence(
        steered=own, result=types[str(chosen.prompt_type)], base=base, reference=found.reference,
        drifts={"neutral text": found.drifts[stages.strength].kl, "other prompts": found.prompts.kl},
        capability=found.side_effects.capability[-1], generated=found.generated, curve=curve, length=lengths.auroc,
        matched=lengths.matched(own), direction=found.direction, label_noise=found.label_noise, wording=found.wording,
        lint=findings, expected=frozenset(behavior.expected),
    )  # fmt: skip
    if model.tail.not_float32:
        notes.append(f"offloaded and so not raised to float32: {', '.join(model.tail.not_float32)}")
    return Report(
        trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__,
        command="", seconds=0.0, seed=stages.seed,
        dtype=str(model.dtype).removeprefix("torch."), device=model.device.type, threads=torch.get_num_threads(),
        chat_template=stages.instrument.chat_template, first_token=_first_token(stages),
        read=stages.instrument.read, scope=stages.scope,
        behavior=behavior.name, description=behavior.description,
        instructions=(behavior.instruction("positive"), behavior.instruction("negative")),
        answer_kind=behavior.answer_kind, unit=stages.instrument.unit,
        data_digest=behavior.digest, pairing=behavior.pairing,
        model=model_record(model),
        site=SiteRecord(**asdict(chosen.site)) if chosen.site else None, site_chosen="given" if site_given else "dev",
        prompt_type_chosen="given" if len(found.steered) == 1 else "dev",
        steering=None if chosen.own_geometry else steering_record(chosen.steering, behavior.digest),
        strength_chosen="dev" if chosen.strengths else "given",
        n_train=len(splits.train), n_dev=len(splits.dev), n_eval=len(splits.eval),
        n_eval_units=own.effect.n_units, n_replication=len(splits.replication), n_dropped=n_dropped,
        strengths=tuple(found.curve), thresholds=asdict(thresholds),
        verdict=_verdict(stages, found, judge(evidence, thresholds, stages.instrument), thresholds),
        base=base, noise=found.noise, prompt_types=types,
        prompt_type_cosine=_cosines(chosen),
        curve=curve, blocks=chosen.blocks, dev_strengths=chosen.strengths, projections=found.projections,
        convergence=_convergence(chosen),
        length_auroc=lengths.auroc,
        length_matched_effect=evidence.matched, wording=found.wording, label_noise=found.label_noise,
        lint=tuple(Lint(severity=f.severity, code=f.code, message=f.message) for f in findings),
        direction=found.direction, reference=found.reference, generality=found.generality,
        answer_bias=found.answer_bias, asking=found.asking, side_effects=found.side_effects,
        generated=found.generated,
        examples=_texts(stages, own), continuations=found.continuations,
        notes=tuple(notes), rows=_rows(stages, found),
    )  # fmt: skip


def _first_token(stages: Stages) -> str:
    """What the evaluation texts begin with: the token in front of them, or a chat template's own."""
    row = stages.instrument.bare(stages.splits.eval.examples[:1])[0][0]
    first: str = stages.model.tokenizer.decode([row.ids[0]])
    return first


def _verdict(stages: Stages, found: Found, judged: Judged, thresholds: Thresholds) -> Verdict:
    """The decision as a record."""
    written = any(r.name.startswith(GENERATED) for r in judged.requirements)
    decided = judged.decided
    return Verdict(
        decision=decided.decision, sentence=_sentence(decided, stages, found, written),
        basis="likelihood and generated text" if written else "likelihood",
        reasons=(*decided.reasons, *about_asking(found.asking, stages.instrument.unit)),
        prompt_type=str(found.chosen.prompt_type), strength=stages.strength,
        bounds=tuple(bound(r) for r in judged.requirements), reservations=judged.reservations,
        **_error_rate(stages, decided.decision, thresholds, found.chosen.own_geometry is None),
    )  # fmt: skip


def _error_rate(stages: Stages, decision: Decision, thresholds: Thresholds, was_finished: bool) -> Mapping[str, Any]:
    """How often such verdicts are wrong, or why there is no figure."""
    known = ErrorRates.shipped()
    rate = known.decisions.get(decision)
    if decision == "inconclusive":
        return {"error_rate_reason": "a verdict that decides nothing cannot be wrong"}
    if rate is None:
        return {"error_rate_reason": f"none of the verdicts that were looked at again was {decision}"}
    differs = {
        known.earlier: bool(known.earlier),
        "this model has not been measured": stages.model.digest != known.digest,
        "with other bounds than here": asdict(thresholds) != known.thresholds,
        "on free text, not on choices": stages.behavior.answer_kind == "choice",
        "on unpaired statements, not on pairs": stages.behavior.pairing == "natural",
        "on vectors that the check trained, not on finished steerings": was_finished,
    }
    failed = decision == "no-go"
    return {
        "error_rate": ErrorRate(
            value=rate.wrong / rate.n, low=rate.low, high=rate.high, n=rate.n,
            kind="“no-go”" if failed else "“go” or “caution”",
            wrong=f"{'kept every' if failed else 'missed a'} bound on the half of the examples that was kept back",
            data=known.data, model=f"{known.model} in {known.dtype}",
            caveats=tuple(text for text, applies in differs.items() if applies),
        )
    }  # fmt: skip


def _cosines(chosen: Chosen) -> Cosines:
    if not chosen.geometry:
        return Cosines(types=(), matrix=())
    names, vectors = cosine_types({t: g.vector for t, g in chosen.geometry.items()})
    return Cosines(types=tuple(names), matrix=tuple(map(tuple, cosine_matrix(vectors).tolist())))


def _convergence(chosen: Chosen) -> Convergence:
    if chosen.own_geometry is None:
        return Convergence(reason=CAME_FINISHED)
    differences = chosen.own_geometry.differences
    return Convergence(
        expected_cosine=expected_cosine(differences, len(differences)),
        pairs_for_95=pairs_for_cosine(differences),
        n=len(differences),
    )


def _type_result(stages: Stages, found: Found, t: str, slope: Slope) -> PromptTypeResult:
    why_not = not_measured(stages.behavior, t) if isinstance(t, PromptType) else None
    if why_not is not None:
        return PromptTypeResult.without(why_not)
    is_chosen = t == found.chosen.prompt_type
    geometry = found.chosen.geometry.get(t)
    level = 0.95 if is_chosen else simultaneous_level(0.95, max(1, len(found.steered) - 1))
    return PromptTypeResult.model_validate(
        {
            **(geometry.summary(stages.seed, level) if geometry else NO_GEOMETRY),
            **found.steered[t].summary(found.noise.value, level),
            "dose": dose(stages, found.chosen.vectors[t], stages.strength),
            "exploratory": not is_chosen,
            "steerability": slope if is_chosen else Slope(reason="measured for the chosen prompt type only"),
        }
    )


def _sentence(decided: Decided, stages: Stages, found: Found, written: bool) -> str:
    what = _what(stages, found.chosen)
    effect = found.own.effect
    mean, share = effect.mean(), effect.below_zero()
    figures = (
        f"{bracketed(mean, plus=True, unit=stages.instrument.unit)} on {effect.n_units} unseen examples (desired "
        f"answers {bracketed(effect.side('positive'), plus=True)}, undesired "
        f"{bracketed(effect.side('negative'), plus=True)}), {bracketed(share, '.0%')} pushed the wrong way"
    )
    said = {
        "go": f"{what} moves answers the intended way: {figures}.",
        "caution": f"{what} moves answers the intended way, with reservations: {figures}.",
        "no-go": f"{what} cannot be relied on ({'; '.join(decided.failed)}): {figures}.",
        "inconclusive": f"{what} cannot be judged on this many examples: {figures}.",
    }
    how = "by likelihood and by generated text" if written else "by likelihood, not by generated text"
    return f"{said[decided.decision]} Judged {how}."


def _what(stages: Stages, chosen: Chosen) -> str:
    what = f"Steering “{stages.behavior.name}” at site {chosen.site} with the {chosen.prompt_type} vector"
    if chosen.own_geometry:
        return what
    sites = ", ".join(map(str, sorted(chosen.steering.edits)))
    where = f", site{'' if len(chosen.steering.edits) == 1 else 's'} {sites}" if sites else ", text in front of prompts"
    return f"Steering “{stages.behavior.name}” with a finished steering ({chosen.steering.method}{where})"


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
        if t == found.chosen.prompt_type:
            at = {**{s: p for s, p in found.curve.items() if s != 0}, **at}
        for strength, after in sorted(at.items()):
            base = steered.base[slice(len(after.m))]
            change = {side: getattr(after, side) - getattr(base, side) for side in SIDES}
            total_base, total_steered = (p.total_positive - p.total_negative for p in (base, after))
            for i, e in enumerate(part.examples[: len(after.m)]):
                row = ExampleRow(
                    example=i, source=e.source, unit=part.units[i], prompt=e.prompt, positive=e.positive,
                    negative=e.negative, prompt_type=str(t), strength=strength,
                    base=float(base.m[i]), steered=float(after.m[i]), effect=float(after.m[i] - base.m[i]),
                    effect_positive=float(change["positive"][i]), effect_negative=float(change["negative"][i]),
                    total_base=float(total_base[i]), total_steered=float(total_steered[i]),
                )  # fmt: skip
                out.append(row)
    return tuple(out)
