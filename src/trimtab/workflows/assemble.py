"""The report of a check, put together from what was measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import transformers

from trimtab import __version__
from trimtab.behaviors import AnswerKind, PromptType, lint, not_measured
from trimtab.models import Site
from trimtab.reliability import cosine_matrix, dose, expected_cosine, pairs_for_cosine, simultaneous_level
from trimtab.reliability.verdict import Decided, Thresholds, decide
from trimtab.reports.record import (
    Base,
    BlockRow,
    Continuation,
    Convergence,
    Cosines,
    Estimate,
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
from trimtab.workflows.measure import SIDES, Floats, Propensity
from trimtab.workflows.stages import Stages
from trimtab.workflows.summary import (
    DISQUALIFYING,
    Geometry,
    Steered,
    base_record,
    bound,
    cosine_types,
    curve_record,
    length_matched_effect,
    requirements,
    reservations,
)


@dataclass(frozen=True, eq=False)
class Found:
    """What the stages measured."""

    site: Site
    chosen: PromptType
    geometry: Mapping[PromptType, Geometry]
    steered: Mapping[PromptType, Steered]
    median_norm: float
    blocks: tuple[BlockRow, ...]
    curve: Mapping[float, Propensity]
    noise: Noise
    projections: Projections
    continuations: tuple[Continuation, ...]


def assemble(
    stages: Stages, found: Found, thresholds: Thresholds, n_dropped: int, notes: list[str], site_given: bool
) -> Report:
    """The report; command, view and time are filled in by the caller."""
    splits, model, behavior = stages.splits, stages.model, stages.behavior
    chosen = found.steered[found.chosen]
    curve, slope = curve_record(found.curve, stages.contrast_of(splits.eval).first(len(found.curve[0.0].m)))
    types = {t.value: _type_result(stages, found, t, slope) for t in stages.prompt_types}
    base = base_record(chosen.base, stages.contrast_of(splits.eval))
    lengths = _lengths(stages)
    findings = [f for f in lint(behavior) if f.code != "derived-instructions"]  # a note says so already
    doubts = reservations(types[found.chosen.value], curve, lengths.auroc, chosen.effect.n_units, findings)
    needs = requirements(chosen, thresholds, stages.instrument.unit)
    decided = decide(needs, doubts, [f"{f.code}: {f.message}" for f in findings if f.code in DISQUALIFYING])
    differences = found.geometry[found.chosen].differences
    names, vectors = cosine_types({t: g.vector for t, g in found.geometry.items()})
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
        site=SiteRecord(**asdict(found.site)), site_chosen="given" if site_given else "dev",
        prompt_type_chosen="given" if len(found.steered) == 1 else "dev",
        n_train=len(splits.train), n_dev=len(splits.dev), n_eval=len(splits.eval),
        n_eval_units=chosen.effect.n_units, n_replication=len(splits.replication), n_dropped=n_dropped,
        strengths=tuple(found.curve), thresholds=asdict(thresholds),
        verdict=Verdict(
            decision=decided.decision, sentence=_sentence(decided, stages, found),
            reasons=(*decided.reasons, *_about_base(base, behavior.answer_kind)),
            prompt_type=found.chosen.value, strength=stages.strength,
            bounds=tuple(bound(r) for r in needs), reservations=tuple(doubts),
            error_rate_reason="how often such verdicts are wrong has not been measured for this model",
        ),
        base=base, noise=found.noise, prompt_types=types,
        prompt_type_cosine=Cosines(types=tuple(names), matrix=tuple(map(tuple, cosine_matrix(vectors).tolist()))),
        curve=curve, blocks=found.blocks, projections=found.projections,
        convergence=Convergence(
            expected_cosine=expected_cosine(differences, len(differences)),
            pairs_for_95=pairs_for_cosine(differences), n=len(differences),
        ),
        length_auroc=lengths.auroc,
        length_matched_effect=lengths.matched(chosen),
        lint=tuple(Lint(severity=f.severity, code=f.code, message=f.message) for f in findings),
        side_effects=_side_effects(),
        examples=_texts(stages, chosen), continuations=found.continuations,
        notes=tuple(notes), rows=_rows(stages, found),
    )  # fmt: skip


def _type_result(stages: Stages, found: Found, t: PromptType, slope: Slope) -> PromptTypeResult:
    why_not = not_measured(stages.behavior, t)
    if why_not is not None:
        return PromptTypeResult.without(why_not)
    is_chosen = t is found.chosen
    level = 0.95 if is_chosen else simultaneous_level(0.95, max(1, len(found.steered) - 1))
    return PromptTypeResult.model_validate(
        {
            **found.geometry[t].summary(stages.seed, level),
            **found.steered[t].summary(found.noise.value, level),
            "dose": dose(found.geometry[t].vector, stages.strength, found.median_norm),
            "exploratory": not is_chosen,
            "steerability": slope if is_chosen else Slope(reason="measured for the chosen prompt type only"),
        }
    )


def _sentence(decided: Decided, stages: Stages, found: Found) -> str:
    what = f"Steering “{stages.behavior.name}” at site {found.site} with the {found.chosen} vector"
    effect = found.steered[found.chosen].effect
    mean, share = effect.mean(), effect.below_zero()
    figures = (
        f"{mean.value:+.2f} {stages.instrument.unit} [{mean.low:.2f}, {mean.high:.2f}] on {effect.n_units} unseen "
        f"examples, {share.value:.0%} [{share.low:.0%}, {share.high:.0%}] pushed the wrong way"
    )
    said = {
        "go": f"{what} moves answers the intended way: {figures}.",
        "caution": f"{what} moves answers the intended way, with reservations: {figures}.",
        "no-go": f"{what} cannot be relied on: {figures}.",
        "inconclusive": f"{what} cannot be judged on this many examples: {figures}.",
    }
    return f"{said[decided.decision]} Judged by likelihood, not by generated text."


def _about_base(base: Base, kind: AnswerKind) -> list[str]:
    """A remark when the plain model answers questions as if by chance."""
    if kind == "text" or not base.accuracy_low <= 0.5 <= base.accuracy_high:
        return []
    return [
        f"the unsteered model gives the matching answer in {base.accuracy:.0%} [{base.accuracy_low:.0%}, "
        f"{base.accuracy_high:.0%}] of the examples, no more often than by chance: it may be unable to read this form "
        "of the question"
    ]


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


def _side_effects() -> dict[str, object]:
    reason = "side effects on neutral text are not part of this check"
    return {
        "kl": {"value": None, "low": None, "high": None, "n_documents": 0, "unit": "nats/token", "reason": reason},
        "perplexity_ratio": {"value": None, "low": None, "high": None, "reason": reason},
    }


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
        if t is found.chosen:
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
