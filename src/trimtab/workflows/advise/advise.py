"""Try remedies on train and dev in the order of their price, and check the best of them once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import torch
import transformers

from trimtab.behaviors import Behavior
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.numbers import above_0, plain
from trimtab.experiment.preparation import decidable, key_of, ready, where
from trimtab.experiment.progress import Progress, Silent
from trimtab.interventions import Place
from trimtab.languages import Code, spoken
from trimtab.measurements.records import model_record
from trimtab.models import Model
from trimtab.phrases import Phrase, with_commas
from trimtab.reports.advise.files import save_advice
from trimtab.results.advice import Advice, AdvisedRequirement, Attempt
from trimtab.results.figures import Estimate, Told, estimate
from trimtab.results.report import Report
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering
from trimtab.steering.methods import method
from trimtab.storage.atomic import output_path
from trimtab.storage.steps import Ledger
from trimtab.verdict.decision import Requirement, Thresholds
from trimtab.verdict.evidence import Omitted, assess
from trimtab.verdict.looks import undrawn
from trimtab.verdict.next_steps import CommandWords
from trimtab.verdict.requirements import requirements
from trimtab.version import __version__
from trimtab.workflows.advise.remedies import REMEDIES, SEARCHED, VECTOR, Remedy
from trimtab.workflows.check.check import MIN_EFFECT, check
from trimtab.workflows.fit.fit import fit

TRIED, STEERING, REPORT = "tried", "steering", "check"  # folders
ENOUGH: Final = 1.0  # margin at which nothing dearer is tried
OPEN: Final = 2.0  # half widths by which a requirement that may stay open is nearer to holding
WITHOUT: Final[tuple[Omitted, ...]] = ("curve", "noise", "random directions", "capability", "wording")


@dataclass(frozen=True)
class Advised:
    """The record, the steering that was chosen, and its check."""

    record: Advice
    steering: Steering | None
    report: Report | None


def advise(
    model: Model,
    behavior: Behavior,
    *,
    folder: str | Path,
    site: Place | None = None,
    train: int | None = None,
    evaluation: int | None = None,
    seed: int = 0,
    chat_template: bool = False,
    min_effect: float | None = None,
    max_anti_steerable: float = 0.25,
    max_kl: float = 0.1,
    every: bool = False,
    minutes: float | None = None,
    instructions: str = "",
    progress: Progress | None = None,
    command: str = "",
    named: CommandWords | None = None,
    language: Code = "en",
) -> Advised:
    """What else would work: remedies are made on train and measured on dev, the best is checked once on evaluation.

    Example:
        >>> import trimtab as tt
        >>> model, behavior = tt.load("smollm2"), tt.Behavior.builtin("formality")
        >>> advised = tt.advise(model, behavior, folder="advice", site=14, train=30, evaluation=20, minutes=0.1)
        >>> advised.record.attempts[0].name, (advised.report is None) == (advised.steering is None)
        ('vector', True)

    Args:
        model: see `trimtab.load`.
        behavior: see `Behavior.load`.
        folder: of the result, of every remedy (`tried/NAME`), of the steering that was chosen (`steering`) and its
            check (`check`). Finished remedies are not made again when an interrupted run goes on.
        site: of the vector, and of other remedies at one site; None chooses it on dev.
        train, evaluation, seed, chat_template, min_effect, max_anti_steerable, max_kl: as in `check`.
        every: try all remedies; else none that is dearer than the first whose requirements hold on dev.
        minutes: start no further remedy after so many; the vector is always tried.
        instructions: further wordings to try for the instruction, one a line; behind a tab the opposite one.
        progress: is told how far the work is.
        command: recorded.
        named: how behavior and model are named in the commands of the check's next steps.
        language: of the pages.

    Raises:
        InputError: too few examples, bounds that make no sense, a folder that cannot be written.
    """
    start, shown, told = perf_counter(), progress or Silent(), spoken(language)
    train, evaluation, seed = map(plain, (train, evaluation, seed))
    kind = behavior.answer_kind if isinstance(behavior, Behavior) else "text"
    least = MIN_EFFECT[kind] if min_effect is None else min_effect
    thresholds = Thresholds(least, max_anti_steerable, max_kl)
    thresholds.check()
    if minutes is not None:
        above_0("minutes", minutes)
    where(model, site)
    home = output_path(folder)
    parts: dict[str, Any] = {"train": train, "evaluation": evaluation, "seed": seed, "chat_template": chat_template}
    decides = [repr(site), *parts.values(), least, max_anti_steerable, max_kl, *filter(None, [instructions])]
    ledger = Ledger(home, key_of(model, behavior, "advise", *decides))
    on, notes = ready(model, behavior, ["prefilled"], ledger=ledger, progress=shown, **parts)
    notes.append(decidable(on.splits, max_anti_steerable))
    work = _Work(model, behavior, on, home, thresholds, site, parts, shown, instructions)
    attempts = _attempts(work, every, None if minutes is None else start + 60 * minutes)
    made = [a for a in attempts if a.margin is not None]
    chosen = min(made, key=_rank, default=None)
    steering, report = None, None
    if chosen is not None and chosen.folder is not None:
        steering = Steering.load(home / chosen.folder)
        shown.say(f"{chosen.name} comes nearest; it is checked on examples that nothing was chosen by")
        report = check(
            model, behavior, steering=steering, folder=home / REPORT, progress=shown, command=command, named=named,
            min_effect=least, max_anti_steerable=max_anti_steerable, max_kl=max_kl, language=language,
            **parts,
        )  # fmt: skip
        steering.save(home / STEERING)
    record = Advice(
        trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__, command=command,
        seconds=perf_counter() - start, seed=seed, behavior=behavior.name, description=behavior.description,
        model=model_record(model), dtype=str(model.dtype).removeprefix("torch."),
        n_train=len(on.splits.train), n_dev=len(on.splits.dev), n_eval=len(on.splits.eval),
        attempts=tuple(attempts), chosen=chosen.name if chosen else None,
        decision=report.verdict.decision if report else None,
        sentence=report.verdict.sentence if report else Phrase("None of the remedies could be made."),
        acts=_acts(report), folder=STEERING if report else None, report=REPORT if report else None,
        notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip
    save_advice(record, home, told)
    ledger.close()
    return Advised(record, steering, report)


def _acts(report: Report | None) -> Estimate | None:
    if report is None:
        return None
    acting = report.prompt_types[report.verdict.prompt_type].acting
    return None if acting is None else acting.share


def _rank(attempt: Attempt) -> tuple[int, int, float]:
    """The best first: by what fails, then by what is undecided, then by the margin; ties go to the cheaper one."""
    assert attempt.margin is not None
    return len(attempt.failed), len(attempt.undecided), -attempt.margin


@dataclass(frozen=True)
class _Work:
    """What every remedy needs."""

    model: Model
    behavior: Behavior
    on: Experiment
    home: Path
    thresholds: Thresholds
    site: Place | None
    parts: Mapping[str, Any]
    progress: Progress
    instructions: str


def _attempts(work: _Work, every: bool, deadline: float | None) -> list[Attempt]:
    """Every remedy, tried or with the reason why not."""
    attempts: list[Attempt] = []
    steerings: dict[str, Steering] = {}
    for remedy in REMEDIES:
        held = next((a.name for a in attempts if (a.margin or 0.0) >= ENOUGH), None)
        late = deadline is not None and perf_counter() > deadline and bool(attempts)
        if held is not None and not every:
            attempts.append(
                Attempt(
                    name=remedy.name, what=remedy.what, reason=Phrase("not tried: {remedy} holds on dev", remedy=held)
                )
            )
        elif late:
            attempts.append(Attempt(name=remedy.name, what=remedy.what, reason=Phrase("not tried: the time was up")))
        elif not every and (why := _no_cure(remedy, attempts)) is not None:
            attempts.append(Attempt(name=remedy.name, what=remedy.what, reason=why))
        else:
            attempts.append(_attempt(work, remedy, steerings))
    return attempts


def _no_cure(remedy: Remedy, attempts: Sequence[Attempt]) -> Phrase | None:
    """Why a weaker dose cannot help: the whole one does too little. None where it may, or the remedy is none."""
    whole = next((a for a in attempts if a.name == remedy.half_of), None)
    if whole is None:
        return None
    too_little = [r.name for r in whole.requirements if r.direction == "above" and r.holds is False]
    if not too_little:
        return None
    return Phrase(
        "not tried: {remedy} does too little as it is: {what}", remedy=whole.name, what=with_commas(too_little)
    )


def _attempt(work: _Work, remedy: Remedy, steerings: dict[str, Steering]) -> Attempt:
    """A remedy made and measured, or taken from an interrupted run."""
    step, folder = f"remedy {remedy.name}", Path(TRIED) / remedy.name
    kept = work.on.ledger.text(step)
    if kept is not None:
        known = _Kept.model_validate_json(kept).attempt
        try:
            if known.folder is not None:
                steerings[remedy.name] = Steering.load(work.home / known.folder)
            return known
        except InputError:  # removed or changed since
            pass
    begin = perf_counter()
    work.progress.say(f"trying {remedy.name}: {remedy.what}")
    try:
        steering, notes = _made(work, remedy, steerings)
        attempt = _measured(work, remedy, steering, notes)
    except InputError as error:
        attempt = Attempt(
            name=remedy.name, what=remedy.what, reason=Phrase("could not be made: {why}", why=error.message)
        )
    else:
        steering.save(work.home / folder / STEERING)
        steerings[remedy.name] = steering
        attempt = attempt.model_copy(update={"folder": str(folder / STEERING), "seconds": perf_counter() - begin})
    work.progress.say(f"{remedy.name}: {attempt.reason or said(attempt)}")
    work.on.ledger.keep(step, _Kept(attempt=attempt).model_dump_json())
    return attempt


class _Kept(Told):
    """A remedy that was tried, for the case that the work is interrupted."""

    attempt: Attempt


def said(attempt: Attempt) -> str:
    """How it did on dev, in a few words."""
    if attempt.failed:
        return f"fails on dev: {', '.join(attempt.failed)}"
    return f"undecided on dev: {', '.join(attempt.undecided)}" if attempt.undecided else "all requirements hold on dev"


def _made(work: _Work, remedy: Remedy, steerings: Mapping[str, Steering]) -> tuple[Steering, tuple[Phrase, ...]]:
    needed = remedy.stacked or (() if remedy.half_of is None else (remedy.half_of,))
    missing = [name for name in needed if name not in steerings]
    if missing:
        raise InputError(
            Phrase("{remedy} could not be made", remedy=missing[0]), code="missing-value", field="behavior"
        )
    if remedy.stacked is not None:
        first, second = remedy.stacked
        return steerings[first].changed(prompts=steerings[second].prompts), ()
    if remedy.half_of is not None:
        whole = steerings[remedy.half_of]
        return whole.changed(attributes={name: 0.5 * value for name, value in whole.attributes.items()}), ()
    options = dict(remedy.options)
    if remedy.name == SEARCHED:
        options["own"] = work.instructions
    maker = method(options["method"])
    if maker.routes:  # where the one vector does best says little of where several do
        options["site"] = work.site
    elif maker.material != "text" and not maker.all_blocks and maker.reads is None:
        options["site"] = next(iter(steerings[VECTOR].edits)) if VECTOR in steerings else work.site
    if remedy.careful:
        options["backfire"] = work.thresholds.max_anti_steerable
        if VECTOR in steerings:  # the same vector, whose strength is chosen
            options["strength"] = next(iter(steerings[VECTOR].attributes.values()))
    result = fit(
        work.model,
        [work.behavior],
        verify=False,
        folder=work.home / TRIED / remedy.name,
        max_kl=work.thresholds.max_kl,
        progress=work.progress,
        **work.parts,
        **options,
    )
    return result.steering, result.notes


def _measured(work: _Work, remedy: Remedy, steering: Steering, notes: Sequence[Phrase]) -> Attempt:
    """Its requirements on dev."""
    on = work.on
    evidence = assess(on, steering, "dev", omit=WITHOUT)
    own = evidence.steered
    needs = requirements(own, work.thresholds, on.instrument.unit, undrawn(steering), evidence.drifts)
    return Attempt(
        name=remedy.name, what=remedy.what, options=json.loads(json.dumps(dict(remedy.options))),
        strength=next(iter(steering.attributes.values())), acts=_share(own.effect),
        requirements=tuple(map(_advised, needs)), margin=min(map(margin, needs)), notes=tuple(notes),
    )  # fmt: skip


def _share(effect: Contrast) -> Estimate | None:
    acts = effect.acts()
    return None if acts is None else estimate(acts, effect.n_clusters)


def _advised(r: Requirement) -> AdvisedRequirement:
    return AdvisedRequirement(
        name=r.name, figure=estimate(r.interval, r.n), threshold=r.threshold, direction=r.direction, unit=r.unit,
        holds=r.holds,
    )  # fmt: skip


def margin(r: Requirement) -> float:
    """How far inside its bound a requirement lies, in half widths of its interval on the side of the bound.

    Below −1 it fails, above 1 it holds, each with the whole interval. One that counts only where it fails is moved by
    2, so that it is below 1 where it fails.
    """
    above = r.direction == "above"
    gap = r.interval.value - r.threshold if above else r.threshold - r.interval.value
    half = r.interval.value - r.interval.low if (gap > 0) is above else r.interval.high - r.interval.value
    found = gap / half if half > 0 else (float("inf") if gap > 0 else float("-inf"))
    return float(min(max(found, -99.0), 99.0)) + (OPEN if r.may_stay_open else 0.0)
