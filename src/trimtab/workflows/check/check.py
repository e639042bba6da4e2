"""Check a behavior: from contrast examples to a verdict on steering it, in one report."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

from trimtab.behaviors import Behavior, PromptType
from trimtab.errors import InputError
from trimtab.evaluation import Judge
from trimtab.evaluation.held_out import NAME as CLASSIFIER
from trimtab.experiment.effort import THOROUGH, Effort, EffortName
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.numbers import above_0, is_whole, plain
from trimtab.experiment.preparation import decidable, key_of, prepare, where
from trimtab.experiment.progress import Progress, Silent, Tally
from trimtab.experiment.steps import Step
from trimtab.interventions import POSITION_SCOPES, SCOPES, Scope, Site
from trimtab.languages import Code, spoken
from trimtab.measurements.capability import about_context
from trimtab.measurements.edit_size_ratio import edit_size_ratio
from trimtab.models import Model, ensure_fits
from trimtab.nearest import meant
from trimtab.phrases import Phrase
from trimtab.results.report import Report, Stopping
from trimtab.steering import Steering
from trimtab.storage.atomic import output_path
from trimtab.storage.steps import Ledger
from trimtab.verdict.decision import Thresholds
from trimtab.verdict.next_steps import CommandWords
from trimtab.workflows.check.forecast import check_steps, like_the_chosen
from trimtab.workflows.check.measured import Measured, measure
from trimtab.workflows.check.report import assemble
from trimtab.workflows.choice import choice_steps, choose, finished

MIN_EFFECT: Mapping[str, float] = {"text": 0.05, "choice": 0.1}  # nats per token, logits


def check(
    model: Model,
    behavior: Behavior,
    *,
    site: Site | int | str | None = None,
    prompt_types: Sequence[str] | str = "all",
    steering: Steering | None = None,
    strength: float | Literal["auto"] = "auto",
    scope: Scope = "all",
    train: int | None = None,
    evaluation: int | None = None,
    seed: int = 0,
    chat_template: bool = False,
    read: Literal["last", "mean"] | None = None,
    min_effect: float | None = None,
    max_anti_steerable: float = 0.25,
    max_kl: float = 0.1,
    max_capability_loss: float = 0.05,
    allow_desired_loss: bool = False,
    others: Sequence[Behavior] = (),
    generate: int | None = None,
    judge: Judge | None = None,
    effort: EffortName = "default",
    folder: str | Path | None = None,
    progress: Progress | None = None,
    command: str = "",
    named: CommandWords | None = None,
    language: Code = "en",
) -> Report:
    """Will steering this behavior hold? Mean-difference vectors of the seven prompt types, judged on unseen examples.

    Site, prompt type and strength are chosen on the dev split (the largest lower bound of the mean effect), unless
    given; the evaluation split decides once, for the chosen ones. Method: Braun et al. 2505.22637; intervals, side
    effects and the decision are described in docs/verdict.md.

    Example:
        >>> import trimtab as tt
        >>> model, behavior = tt.load("smollm2"), tt.Behavior.builtin("sentiment")
        >>> report = tt.check(
        ...     model, behavior, site=14, prompt_types="prefilled", strength=1.0, train=40, evaluation=20, folder="mine"
        ... )
        >>> report.verdict.decision in ("go", "caution", "no-go", "inconclusive"), report.place
        (True, 'block 14 residual')
        >>> tt.Report.load("mine").verdict == report.verdict
        True

    Args:
        model: see `trimtab.load`.
        behavior: see `Behavior.load`.
        site: where to steer, such as 14 or `attention:14`; None chooses a block's residual on dev, `10-18` one
            of these blocks. The choice goes by the prefilled vectors.
        prompt_types: name or names of the types to measure, or `all`; a single one is also the chosen one.
        steering: a finished steering to check instead of vectors of the prompt types, at its own sites.
        strength: λ, above 0; of a finished steering the factor on its default strengths, 1 by default.
        scope: which tokens are steered.
        train: training examples; by default as many as the set affords.
        evaluation: evaluation examples, likewise.
        seed: of splits, folds and resampling.
        chat_template: put prompts through the tokenizer's chat template.
        read: for prefilled types the `last` token of the answer (default for choices) or the `mean` over its
            tokens (default for free text).
        min_effect: bound on the mean effect; 0.05 nats per token or 0.1 logits by default.
        max_anti_steerable: bound on the share of examples pushed the wrong way.
        max_kl: bound on the divergence on neutral text and on other prompts, nats per token.
        max_capability_loss: bound on the share of the capability probe that turns wrong, net.
        allow_desired_loss: whether an effect counts though desired answers become less likely, since undesired ones do
            so even more; then this is a reservation, not a no-go.
        others: further behaviors, on which the steering's effect is measured too.
        generate: so many evaluation prompts are continued with and without steering, and the texts scored by a
            classifier trained on the training answers; 0 judges by likelihood alone. By default 80 or, where these
            leave it open, 160; none for `quick` or where answers are labels.
        judge: a chat model that compares the continuations too.
        effort: `default` ends as soon as the decision is certain and measures what the report shows besides on fewer
            rows; `thorough` measures all of it on all rows; `quick` measures only what the decision rests on.
        folder: keeps finished steps there, so that an interrupted check resumes.
        progress: is told how far the work is.
        command: recorded in the report.
        named: how behavior and model are named in the commands that the report proposes as next steps.
        language: of the page in `folder`.

    Returns:
        The report; `report.save(folder)` writes it.

    Raises:
        InputError: too few examples, a site out of range, a text that is too long, non-finite activations.
    """
    start = perf_counter()
    strength, train, evaluation, seed = map(plain, (strength, train, evaluation, seed))
    kind = behavior.answer_kind if isinstance(behavior, Behavior) else "text"
    least = MIN_EFFECT[kind] if min_effect is None else min_effect
    thresholds = Thresholds(least, max_anti_steerable, max_kl, max_capability_loss, allow_desired_loss)
    extent = Effort.named(effort)
    continued = extent.written if generate is None else _explicit(plain(generate))
    home = None if folder is None else output_path(folder)
    fixed = None if isinstance(strength, str) and strength == "auto" else strength
    _check_arguments(model, behavior, fixed, scope, thresholds)
    spoken(language)
    if steering is not None:
        _check_steering(model, steering, site, prompt_types)
    if judge is not None and not continued:
        raise InputError("a judge compares texts: generate at least 2", code="out-of-range", field="generate")
    instrument = Instrument(model, behavior, chat_template, read or ("last" if kind == "choice" else "mean"))
    instrument, splits, n_dropped, notes = prepare(instrument, train, evaluation, seed)
    types = PromptType.named(prompt_types)
    notes.append(decidable(splits, max_anti_steerable))
    (progress or Silent()).say(notes[-1])
    given, blocks = where(model, site)
    decides: list[object] = [blocks, strength, scope, train, evaluation, seed, chat_template, instrument.read, max_kl]
    decides += [extent.name, *astuple(thresholds)]
    decides += [other.digest for other in others]
    decides += [] if steering is None else [steering.id if home is not None else "", steering.allow_mismatch]
    ledger = Ledger(home, key_of(model, instrument.behavior, *decides))
    start_at = 1.0 if fixed is None else fixed
    tally = Tally(progress or Silent())
    on = Experiment(instrument, splits, types, start_at, scope, seed, ledger, tally, blocks, extent)
    notes += about_context(on)
    if steering is None:
        _check_measurable(on)
        like = like_the_chosen(on, given)
        whole = _announce(on, like, (given is None, fixed is None), others, continued)
        chosen = choose(on, given, fixed, thresholds)
        on = replace(on, strength=chosen.strength)
    else:
        chosen = finished(steering, start_at)
        notes.append(_about_training(steering, instrument.behavior))
        whole = _announce(on, steering, None, others, continued)
    edit_size_ratio(on, chosen.steering, chosen.strength)  # refuses what would fail in the end
    result = measure(on, chosen, thresholds, others, continued, judge)
    notes += [*chosen.notes, *result.notes]
    site_given = given is not None or steering is not None
    stopping = _stopping(on, result, tally.amount, whole)
    report = assemble(result, thresholds, n_dropped, notes, site_given, stopping, named or CommandWords())
    report = report.model_copy(update={"command": command, "seconds": perf_counter() - start})
    if home is not None:
        (home / CLASSIFIER).unlink(missing_ok=True)
        if result.classifier is not None:
            result.classifier.save(home)
        report.save(home, language)
    ledger.close()
    return report


def _explicit(generate: int) -> tuple[int, ...]:
    """So many prompts, in one look."""
    if not is_whole(generate) or generate < 0 or generate == 1:
        raise InputError(
            f"generate {generate!r}: give at least 2 prompts to continue, or 0 for none",
            code="out-of-range",
            field="generate",
        )
    return (generate,) if generate else ()


def _check_arguments(
    model: Model, behavior: Behavior, strength: float | None, scope: Scope, thresholds: Thresholds
) -> None:
    """Options that make no sense are refused before any work."""
    if not isinstance(model, Model):
        raise InputError(
            f"check takes a loaded model, not {type(model).__name__}; see trimtab.load",
            code="wrong-type",
            field="model",
        )
    if not isinstance(behavior, Behavior):
        raise InputError(
            f"check takes a Behavior, not {type(behavior).__name__}; see Behavior.load and Behavior.builtin",
            code="wrong-type",
            field="behavior",
        )
    if strength is not None:
        above_0("strength", strength, "; to steer away from a behavior, swap its two sides")
    if scope not in POSITION_SCOPES:
        what, near = f"unknown scope {scope!r}", meant(str(scope), POSITION_SCOPES)
        if scope in SCOPES:
            what, near = f"scope {scope!r} cannot be checked, since the answers of examples hold no thinking", ""
        raise InputError(f"{what}; {near}one of {', '.join(POSITION_SCOPES)}", code="unknown-scope", field="scope")
    thresholds.check()


def _check_measurable(on: Experiment) -> None:
    """At least one prompt type has a meaning."""
    if not on.measured_types:
        raise InputError(
            f"nothing to measure: {on.not_measured(on.prompt_types[0])}",
            code="unusable-examples",
            field="behavior",
        )


def _announce(
    on: Experiment,
    steering: Steering,
    choosing: tuple[bool, bool] | None,
    others: Sequence[Behavior],
    written: Sequence[int],
) -> float:
    """Announce how long the check may take.

    Args:
        on: the behavior's experiment.
        steering: what is checked, or one like it.
        choosing: whether site and strength are chosen; None for a finished steering.
        others: further behaviors.
        written: how many evaluation prompts are continued and scored, after each look.

    Returns:
        tokens of a thorough check.
    """

    def steps(at: Experiment) -> list[Step]:
        before = [] if choosing is None else choice_steps(at, steering, *choosing)
        return [*before, *check_steps(at, steering, others, written, trained=choosing is not None)]

    own = steps(on)
    on.announce(own)
    return on.cost(own if on.effort == THOROUGH else steps(replace(on, effort=THOROUGH)))


def _stopping(on: Experiment, result: Measured, tokens: int, whole: float) -> Stopping:
    """How far the measurement went."""
    looked, available = result.looked, len(on.splits.eval)
    return Stopping(
        effort=on.effort.name, available=available, looks=(available,) if looked is None else looked.ends,
        settled=None if looked is None else looked.settled, not_measured=tuple(result.not_measured),
        level=result.on.level, tokens=tokens, tokens_thorough=round(whole),
    )  # fmt: skip


def _about_training(steering: Steering, behavior: Behavior) -> Phrase:
    """What is known of whether the steering has seen the evaluation examples."""
    data = steering.origin.data
    if not data:
        return Phrase(
            "the steering does not say what it was trained on; if it has seen these examples, the figures flatter it"
        )
    if behavior.digest in data.values():
        return Phrase(
            "the steering was trained on this set: the figures hold if train, eval and seed are those of its training"
        )
    return Phrase("the steering was trained on other data than these examples")


def _check_steering(
    model: Model, steering: Steering, site: Site | int | str | None, prompt_types: Sequence[str] | str
) -> None:
    """A finished steering has its sites and needs no prompt types; it must fit the model."""
    if not isinstance(steering, Steering):
        raise InputError(
            f"check takes a Steering, not {type(steering).__name__}; see Steering.load",
            code="wrong-type",
            field="steering",
        )
    if site is not None or prompt_types not in ("all", ["all"], ("all",)):
        raise InputError(
            "a finished steering has its own sites and no prompt types; leave out site and prompt_types",
            code="conflicting-arguments",
            field="prompt_types" if site is None else "site",
        )
    for place in steering.edits:
        model.anatomy.module(place)
    ensure_fits(steering, model)
