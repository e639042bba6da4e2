"""The report of a check, put together from what was measured."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
import transformers

from trimtab.behaviors import Example, PromptType
from trimtab.decimals import bracketed
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import SIDES, Propensity
from trimtab.measurements.effects import Steered, curve_record
from trimtab.measurements.geometry import CAME_FINISHED, cosine_types
from trimtab.measurements.records import model_record, steering_record
from trimtab.phrases import Phrase, with_commas, with_semicolons
from trimtab.results.consequences import CurvePoint, Grouping
from trimtab.results.report import (
    IN_WORDS,
    Convergence,
    Cosines,
    ErrorRate,
    ExampleRow,
    Lint,
    Outlook,
    PromptTypeResult,
    Report,
    SiteRecord,
    Slope,
    Stopping,
    Text,
    Verdict,
)
from trimtab.statistics import cosine_matrix, expected_cosine, pairs_for_cosine, simultaneous_level
from trimtab.statistics.contrast import Contrast
from trimtab.verdict.decide import DecisionWithGrounds, about_groups, about_prompting, decide
from trimtab.verdict.decision import Conclusion, Decision, Thresholds
from trimtab.verdict.error_rates import ErrorRates
from trimtab.verdict.evidence import type_result
from trimtab.verdict.next_steps import CommandWords, next_steps
from trimtab.verdict.outlook import outlook
from trimtab.verdict.requirements import GENERATED, bound
from trimtab.version import __version__
from trimtab.workflows.check.measured import Measured
from trimtab.workflows.choice import Chosen, curve_point


def assemble(
    found: Measured,
    thresholds: Thresholds,
    n_dropped: int,
    notes: list[Phrase],
    site_given: bool,
    stopping: Stopping,
    named: CommandWords,
) -> Report:
    """The report; runs no model. Command and time are filled in by the caller."""
    on, chosen = found.on, found.chosen
    splits, model, behavior = on.splits, on.model, on.behavior
    evidence, own = found.evidence, found.evidence.steered

    def point(strength: float, effect: Contrast) -> CurvePoint:
        return curve_point(on, chosen, strength, effect, found.drifts.get(strength), thresholds.max_kl, on.level)

    assert evidence.noise is not None
    over = _over(found)
    contrast_of = on.contrast_of(splits.eval).first(len(over[0.0].m))
    curve = curve_record(over, contrast_of, point, evidence.linearity)
    asked = on.prompt_types if chosen.own_geometry else (chosen.prompt_type,)
    types = {str(t): _type_result(on, found, t) for t in asked}
    if model.tail.not_float32:
        notes.append(
            Phrase("offloaded and so not raised to float32: {modules}", modules=with_commas(model.tail.not_float32))
        )
    decided = decide(evidence, thresholds, on.instrument)
    report = Report(
        trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__,
        command="", seconds=0.0, seed=on.seed,
        dtype=str(model.dtype).removeprefix("torch."), device=model.device.type, threads=torch.get_num_threads(),
        chat_template=on.instrument.chat_template, first_token=_first_token(on),
        read=on.instrument.read, scope=on.scope,
        behavior=behavior.name, description=behavior.description,
        instructions=(behavior.instruction("positive"), behavior.instruction("negative")),
        answer_kind=behavior.answer_kind, unit=on.instrument.unit,
        data_digest=behavior.digest, pairing=behavior.pairing,
        model=model_record(model),
        site=SiteRecord(**asdict(chosen.site)) if chosen.site else None, site_chosen="given" if site_given else "dev",
        prompt_type_chosen="given" if len(found.steered) + len(chosen.lost) == 1 else "dev",
        steering=None if chosen.own_geometry else steering_record(chosen.steering, behavior.digest),
        strength_chosen="dev" if chosen.strengths else "given",
        n_train=len(splits.train), n_dev=len(splits.dev), n_eval=len(splits.eval),
        n_eval_clusters=own.effect.n_clusters, n_replication=len(splits.replication), n_dropped=n_dropped,
        strengths=tuple(over), thresholds=asdict(thresholds),
        verdict=_verdict(on, found, decided, thresholds),
        base=evidence.base, noise=evidence.noise, prompt_types=types,
        prompt_type_cosine=_cosines(chosen),
        curve=curve, blocks=chosen.blocks, dev_strengths=chosen.strengths, projections=found.projections,
        convergence=_convergence(chosen),
        length_auroc=evidence.length,
        length_matched_effect=evidence.matched, wording=evidence.wording, label_noise=evidence.label_noise,
        lint=tuple(Lint(severity=f.severity, code=f.code, message=f.message) for f in evidence.lint),
        direction=evidence.direction, random_directions=evidence.random_directions,
        training_variability=found.training_variability, answer_bias=found.answer_bias,
        prompting_baseline=found.prompting_baseline, side_effects=found.side_effects, generated=evidence.generated,
        examples=_texts(on, own), continuations=found.continuations,
        notes=(*notes, *_about_groups(evidence.direction.grouping, decided.reservations)),
        stopping=stopping, rows=_rows(on, found),
    )  # fmt: skip
    chats = bool(getattr(model.tokenizer, "chat_template", None))
    return report.model_copy(update={"next_steps": next_steps(report, decided.conclusion, named, chats)})


def _about_groups(grouping: Grouping, reservations: Sequence[Phrase]) -> list[Phrase]:
    """Groups with directions of their own, where no reservation names them."""
    said = about_groups(grouping)
    return [] if said is None or any(said in reservation for reservation in reservations) else [said]


def _over(found: Measured) -> dict[float, Propensity]:
    """Propensities by strength, where the divergence is finite; the three that are known anyway without a curve."""
    at, own, strength = found.evidence.curve, found.evidence.steered, found.on.strength
    if at is None:
        known = {-strength: own.minus, 0.0: own.base, strength: own.plus}
        return {s: p for s, p in known.items() if s >= 0 or found.chosen.steering.is_odd}
    return {s: p for s, p in at.items() if s not in found.lost}


def _first_token(on: Experiment) -> str:
    """What the evaluation texts begin with: the token in front of them, or a chat template's own."""
    row = on.instrument.bare(on.splits.eval.examples[:1])[0][0]
    first: str = on.model.tokenizer.decode([row.ids[0]])
    return first


def _verdict(on: Experiment, found: Measured, decided: DecisionWithGrounds, thresholds: Thresholds) -> Verdict:
    """The decision as a record."""
    written = any(r.name.startswith(GENERATED) for r in decided.requirements)
    conclusion = decided.conclusion
    return Verdict(
        decision=conclusion.decision, sentence=_sentence(conclusion, on, found, written),
        basis="likelihood and generated text" if written else "likelihood",
        reasons=(*conclusion.reasons, *about_prompting(found.prompting_baseline, on.instrument.unit)),
        prompt_type=str(found.chosen.prompt_type), strength=on.strength,
        bounds=tuple(bound(r) for r in decided.requirements), reservations=decided.reservations,
        outlook=_outlook(on, found, decided, thresholds),
        **_error_rate(on, conclusion.decision, thresholds, found.chosen.own_geometry is None),
    )  # fmt: skip


def _outlook(on: Experiment, found: Measured, decided: DecisionWithGrounds, thresholds: Thresholds) -> Outlook | None:
    """What further examples would settle."""
    evidence, splits = found.evidence, on.splits
    rows = sum(map(len, (splits.train, splits.dev, splits.eval, splits.replication)))
    random = evidence.random_directions
    return outlook(
        evidence.steered, decided.conclusion, thresholds, random.percentile_95 or 0.0, len(decided.requirements), rows,
        by_odd=random.figure == "odd part",
    )  # fmt: skip


def _error_rate(on: Experiment, decision: Decision, thresholds: Thresholds, was_finished: bool) -> Mapping[str, Any]:
    """How often such verdicts are wrong, or why there is no figure."""
    known = ErrorRates.shipped(on.effort.stops)
    rate = known.decisions.get(decision)
    if decision == "inconclusive":
        return {"error_rate_reason": Phrase("a verdict that decides nothing cannot be wrong")}
    if rate is None:
        return {
            "error_rate_reason": Phrase(
                "none of the verdicts that were looked at again was {decision}", decision=IN_WORDS[decision]
            )
        }
    differs = {
        Phrase("this model has not been measured"): on.model.digest != known.digest,
        Phrase("with other bounds than here"): asdict(thresholds) != known.thresholds,
        Phrase("on free text, not on choices"): on.behavior.answer_kind == "choice",
        Phrase("on unpaired statements, not on pairs"): on.behavior.pairing == "natural",
        Phrase("on vectors that the check trained, not on finished steerings"): was_finished,
    }
    failed = decision == "no-go"
    return {
        "error_rate": ErrorRate(
            value=rate.wrong / rate.n, low=rate.low, high=rate.high, n=rate.n,
            kind=Phrase("“no-go”") if failed else Phrase("“go” or “caution”"),
            wrong=Phrase("kept every bound on the half of the examples that was kept back")
            if failed
            else Phrase("missed a bound on the half of the examples that was kept back"),
            data=known.data, model=Phrase("{model} in {dtype}", model=known.model, dtype=known.dtype),
            reservations=tuple(text for text, applies in differs.items() if applies),
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


def _type_result(on: Experiment, found: Measured, t: str) -> PromptTypeResult:
    why_not = on.not_measured(t) if isinstance(t, PromptType) else None
    if why_not is not None:
        return PromptTypeResult.without(why_not)
    if t in found.chosen.lost:
        return PromptTypeResult.without(found.chosen.lost[t])
    if t == found.chosen.prompt_type:
        return found.evidence.result
    if t not in found.steered:
        return _geometry_alone(on, found, t)
    level = simultaneous_level(on.level, max(1, len(found.steered) - 1))
    none = Slope(reason=Phrase("measured for the chosen prompt type only"))
    vector, geometry = found.chosen.vectors[t], found.chosen.geometry.get(t)
    return type_result(on, vector, found.steered[t], geometry, found.evidence.noise, none, level, exploratory=True)


def _geometry_alone(on: Experiment, found: Measured, t: str) -> PromptTypeResult:
    """A type whose vector was not tried on evaluation examples."""
    why = on.effort.reason
    vector, geometry = found.chosen.vectors[t], found.chosen.geometry.get(t)
    level = simultaneous_level(on.level, max(1, len(found.chosen.vectors) - 1))
    result = type_result(on, vector, None, geometry, None, Slope(reason=why), level, exploratory=True)
    return result.model_copy(update={"untried": why})


def _sentence(conclusion: Conclusion, on: Experiment, found: Measured, written: bool) -> Phrase:
    what = _what(on, found.chosen)
    effect = found.evidence.steered.effect
    mean, share = effect.mean(), effect.below_zero()
    figures = Phrase(
        "{effect} on {n} unseen examples (desired answers {plus}, undesired {minus}), {share} pushed the wrong way",
        effect=bracketed(mean, plus=True, unit=on.instrument.unit),
        n=effect.n_clusters,
        plus=bracketed(effect.side("positive"), plus=True),
        minus=bracketed(effect.side("negative"), plus=True),
        share=bracketed(share, ".0%"),
    )
    acts = effect.acts()
    if acts is not None:
        figures = Phrase(
            "{figures} among those that it acts on ({acts} of all)", figures=figures, acts=bracketed(acts, ".0%")
        )
    found_that = {
        "go": Phrase("{what} moves answers the intended way: {figures}.", what=what, figures=figures),
        "caution": Phrase(
            "{what} moves answers the intended way, with reservations: {figures}.", what=what, figures=figures
        ),
        "no-go": Phrase(
            "{what} cannot be relied on ({failed}): {figures}.",
            what=what, failed=with_semicolons(conclusion.failed), figures=figures,
        ),
        "inconclusive": Phrase("{what} cannot be judged on this many examples: {figures}.", what=what, figures=figures),
    }[conclusion.decision]  # fmt: skip
    if written:
        return Phrase("{found} Judged by likelihood and by generated text.", found=found_that)
    scores = found.evidence.generated
    why = scores.reason if not scores.n else scores.shift.reason
    if conclusion.decision == "no-go" or why is None:
        return Phrase("{found} Judged by likelihood, not by generated text.", found=found_that)
    return Phrase("{found} Judged by likelihood, not by generated text: {why}.", found=found_that, why=why)


def _what(on: Experiment, chosen: Chosen) -> Phrase:
    name, site, prompt_type = on.behavior.name, str(chosen.site), str(chosen.prompt_type)
    if chosen.own_geometry:
        return Phrase(
            "Steering “{name}” at site {site} with the {prompt_type} vector",
            name=name, site=site, prompt_type=prompt_type,
        )  # fmt: skip
    sites, method = with_commas([str(place) for place in sorted(chosen.steering.edits)]), chosen.steering.method
    if not sites:
        how = Phrase("{method}, text in front of prompts", method=method)
    elif len(chosen.steering.edits) == 1:
        how = Phrase("{method}, site {site}", method=method, site=sites)
    else:
        how = Phrase("{method}, sites {sites}", method=method, sites=sites)
    return Phrase("Steering “{name}” with a finished steering ({how})", name=name, how=how)


def _texts(on: Experiment, steered: Steered) -> tuple[Text, ...]:
    effects, base, after = steered.effect.rows, steered.base.m, steered.plus.m
    return tuple(
        Text(
            prompt=e.prompt, positive=e.positive, negative=e.negative, source=e.source,
            base=float(base[i]), steered=float(after[i]), effect=float(effects[i]),
        )
        for i, e in enumerate(on.splits.eval.examples)
    )  # fmt: skip


def _rows(on: Experiment, found: Measured) -> tuple[ExampleRow, ...]:
    """One row per evaluated example, prompt type and strength."""
    part, out = on.splits.eval, []
    at_strengths = _over(found)
    for t, steered in found.steered.items():
        at = {on.strength: steered.plus, -on.strength: steered.minus}
        acting = steered.contrast_of.acting
        if t == found.chosen.prompt_type:
            at = {**{s: p for s, p in at_strengths.items() if s != 0}, **at}
        for strength, after in sorted(at.items()):
            base = steered.base[slice(len(after.m))]
            change = {side: getattr(after, side) - getattr(base, side) for side in SIDES}
            total_base, total_steered = (p.total_positive - p.total_negative for p in (base, after))
            for i, e in enumerate(part.examples[: len(after.m)]):
                row = ExampleRow(
                    example=i, source=e.source, cluster=part.clusters[i], prompt=e.prompt, positive=e.positive,
                    negative=e.negative, prompt_type=str(t), strength=strength,
                    base=float(base.m[i]), steered=float(after.m[i]), effect=float(after.m[i] - base.m[i]),
                    effect_positive=float(change["positive"][i]), effect_negative=float(change["negative"][i]),
                    total_base=float(total_base[i]), total_steered=float(total_steered[i]), messages=_turns(e),
                    acts_positive=acting is None or bool(acting[0][i]),
                    acts_negative=acting is None or bool(acting[1][i]),
                )  # fmt: skip
                out.append(row)
    return tuple(out)


def _turns(example: Example) -> str:
    """The turns of a chat as JSON; empty for plain text."""
    said = [{"role": turn.role, "content": turn.content} for turn in example.messages]
    return json.dumps(said, ensure_ascii=False) if said else ""
