"""From contrast examples to a steering: activations, a method, strengths chosen on dev, a check of every attribute."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from trimtab.behaviors import Behavior, PromptType
from trimtab.decimals import bracketed
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.finite import left_out
from trimtab.experiment.numbers import above_0, not_below_0, plain
from trimtab.experiment.preparation import check_sides_differ, key_of, ready, where_all
from trimtab.experiment.progress import Progress, Silent
from trimtab.experiment.steps import identity
from trimtab.interventions import Place, Site, places
from trimtab.languages import Code, spoken
from trimtab.measurements.divergence import SCREENING_ROWS, neutral_drifts, within
from trimtab.measurements.edit_size_ratio import edit_size_ratio
from trimtab.models import Model
from trimtab.phrases import Phrase
from trimtab.reports.fit.files import save_fit
from trimtab.results.figures import estimate
from trimtab.results.fit import Abstention, Candidate, Fit, Shrinkage, TrainedSite, Training, TriedInstruction
from trimtab.results.report import IN_WORDS, Report
from trimtab.steering import Steering
from trimtab.steering.methods import Learned, Method, TriedText, configured
from trimtab.storage.atomic import output_path
from trimtab.storage.steps import Ledger, workplace
from trimtab.workflows.check.check import check
from trimtab.workflows.choice import finished, with_strength
from trimtab.workflows.fit.abstention import abstaining
from trimtab.workflows.fit.conditions import by_attribute, conditioned
from trimtab.workflows.fit.directions import Toward, shrinkages, told
from trimtab.workflows.fit.forecast import announce_choice, announce_making
from trimtab.workflows.fit.gates import with_texts
from trimtab.workflows.fit.materials import FitMaterials, those_that_work
from trimtab.workflows.fit.record import attributes_of, recorded
from trimtab.workflows.fit.selection import Scored, best, gains, grid, scored

TOGETHER = (1.0, 0.75, 0.5, 0.25)  # factors on all strengths, where attributes together disturb too much


@dataclass(frozen=True)
class Fitted:
    """A steering with what was found out about it.

    Args:
        steering: with default strengths.
        reports: the check of every attribute with the others off, by its name; empty if none was asked for.
        notes: what was chosen, and what to mind.
        training: curves and gate statistics by site, what the choice between candidates saw, and texts that gates look
            at; empty for methods without any of them.
        record: all of it, as the page of the fit shows it.
    """

    steering: Steering
    reports: Mapping[str, Report]
    notes: tuple[Phrase, ...]
    training: Training = field(default_factory=Training)
    record: Fit | None = None

    @property
    def reliability(self) -> dict[str, Any]:
        """Verdicts by attribute and the training, for the artifact and its card."""
        gists = {name: _gist(report) for name, report in self.reports.items()}
        verdicts = {own: gist for name, gist in gists.items() for own in attributes_of(self.steering, name)}
        training = self.training.model_dump(mode="json", by_alias=True) if self.training else {}
        return {"attributes": verdicts, "training": training} if verdicts or training else {}

    @property
    def reservations(self) -> tuple[Phrase, ...]:
        """Attributes whose check did not pass."""
        poor = (
            (name, r.verdict) for name, r in self.reports.items() if r.verdict.decision in ("no-go", "inconclusive")
        )
        return tuple(
            Phrase(
                "{name}: {decision}: {sentence}",
                name=name, decision=IN_WORDS[verdict.decision], sentence=verdict.sentence,
            )
            for name, verdict in poor
        )  # fmt: skip


def fit(
    model: Model,
    behaviors: Sequence[Behavior],
    *,
    method: str = "mean-difference",
    site: Place | Sequence[Place] | None = None,
    prompt_type: str = "prefilled",
    strength: float | None = None,
    train: int | None = None,
    evaluation: int | None = None,
    seed: int = 0,
    max_kl: float = 0.1,
    chat_template: bool = False,
    condition: Behavior | Mapping[str, Behavior] | None = None,
    backfire: float | None = None,
    shrink_toward: Sequence[str | Steering] | str | Steering = (),
    verify: bool = True,
    folder: str | Path | None = None,
    save_to: str | Path | None = None,
    progress: Progress | None = None,
    command: str = "",
    language: Code = "en",
    **options: Any,
) -> Fitted:
    """Make a steering with an attribute for every behavior, and check each of them.

    Activations are those of the training examples; site and strengths are chosen on dev; the checks are on the
    evaluation examples, which nothing was chosen on.

    Example:
        >>> import trimtab as tt
        >>> model, behavior = tt.load("smollm2"), tt.Behavior.builtin("sentiment")
        >>> result = tt.fit(model, [behavior], site=14, strength=1.0, train=40, evaluation=20, verify=False)
        >>> result.steering.attributes, sorted(result.steering.edits)
        ({'sentiment': 1.0}, [Site(block=14, component='residual')])

    Args:
        model: see `trimtab.load`.
        behaviors: at least one; their names become the attributes'.
        method: see `trimtab.steering.methods`.
        site: where to steer, one place or several; None or `auto` takes the block that does best on dev, by the mean
            over behaviors of the share that its lower bound of the effect has of the best block's, `10-18` one of these
            blocks. Methods that look at all blocks look at those of the range.
        prompt_type: how training examples are put to the model.
        strength: default strength of every attribute; None chooses each on dev, within the bound on divergence, and
            then lowers all of them together until the bound holds for all at once.
        train, evaluation, seed: as in `check`.
        max_kl: bound on the divergence, nats per token.
        chat_template: put prompts through the tokenizer's chat template, in the checks too.
        condition: prompts that attributes shall act on (positive) and leave alone (negative); for all, or by attribute.
        backfire: leave prompts alone, so that at most this share of the examples acted on is pushed the wrong way, with
            95 % confidence; which ones, the training examples teach, and the threshold is chosen on dev.
        shrink_toward: directions known beforehand that a mean difference of few examples is shrunk toward:
            `instruction` (what the behavior's instruction does against its opposite), `built-in` (the built-in
            behaviors), finished steerings of the same model. How much weight they get, the examples decide
            (`trimtab.statistics.shrinkage`); it is never more than half.
        verify: check every attribute by itself.
        folder: keeps finished steps there, so that an interrupted fit goes on; the page of the fit and reports by
            attribute go into it.
        save_to: folder that the steering is saved in, with its verdicts.
        progress: is told how far the work is.
        command: recorded in the reports.
        language: of the pages in `folder`.
        options: hyperparameters of the method; a list is one of values to choose from on dev.

    Raises:
        InputError: no behaviors, names that repeat, an unknown method or hyperparameter, a prompt type without meaning
            for a behavior, too few examples, a share that cannot be promised.
    """
    start, shown, said = perf_counter(), progress or Silent(), spoken(language)
    strength, train, evaluation, seed, backfire = map(plain, (strength, train, evaluation, seed, backfire))
    home = None if folder is None else output_path(folder)
    choices, names = grid(options), [b.name for b in behaviors]
    makers = makers_of(
        method, choices, names, strength=strength, max_kl=max_kl, conditional=by_attribute(names, condition),
        backfire=backfire,
    )  # fmt: skip
    toward = Toward.of(shrink_toward, model, method)
    sites, blocks = _where(makers[0], model, places(site))
    PromptType.named([prompt_type])
    notes: list[Phrase] = []
    with workplace(home) as work:
        experiments = {
            b.name: _experiment(model, b, prompt_type, train, evaluation, seed, work, shown, blocks, chat_template)
            for b in behaviors
        }
        notes += [note for s in experiments.values() for note in s.instrument.notes(s.behavior.examples)]
        announce_making(makers, experiments, sites, toward)
        materials = [FitMaterials(experiments, sites, notes, toward=toward) for _ in makers]
        attempts = [
            (str(choice), partial(_learned, maker, own))
            for maker, choice, own in zip(makers, choices, materials, strict=True)
        ]
        candidates = [candidate for some in those_that_work(attempts, notes) for candidate in some]
        announce_choice(experiments, [own.steering for _, own in candidates], strength is None)
        maker, steering, training = _chosen(candidates, experiments, max_kl, notes)
        shrunk: dict[str, tuple[Shrinkage, ...]] = {}
        if toward:
            shrunk = shrinkages(materials[makers.index(maker)].shrunk, list(steering.edits))
            notes += [told(name, found) for name, by_site in shrunk.items() for found in by_site]
            asked = {**steering.origin.hyperparameters, "shrink_toward": toward.recorded}
            steering = steering.changed(origin=replace(steering.origin, hyperparameters=asked))
        steering, about_conditions = conditioned(model, steering, by_attribute(names, condition), seed, chat_template)
        notes += about_conditions
        strengths = _strengths(experiments, steering, strength, max_kl, notes)
        attributes = {own: value for name, value in strengths.items() for own in attributes_of(steering, name)}
        steering = steering.changed(attributes=attributes)
        abstentions: dict[str, Abstention] = {}
        for name in names if backfire is not None else ():
            again = partial(_learned_alone, maker, list(steering.edits), name, toward)
            found = abstaining(experiments, name, alone(steering, name), again, backfire)
            notes.append(Phrase("{name}: {note}", name=name, note=found.note))
            abstentions[name] = found.record
            if found.condition is not None:
                steering = steering.changed(conditions={**steering.conditions, name: found.condition})
        for name, s in experiments.items():
            edit_size_ratio(s, alone(steering, name), 1.0)
        training = with_texts(training, experiments, steering)
    reports = {}
    for b in behaviors if verify else ():
        own = alone(steering, b.name)
        own_folder = None if home is None else home / "checks" / b.name
        run_check = partial(
            check, model, b, steering=own, folder=own_folder, progress=shown, command=command, train=train,
            evaluation=evaluation, seed=seed, max_kl=max_kl, chat_template=chat_template, effort="thorough",
            language=language,
        )  # fmt: skip
        reports[b.name] = _once(run_check, own_folder, experiments[b.name].ledger, own, max_kl)
    result = Fitted(steering, reports, tuple(dict.fromkeys(notes)), training)
    record = recorded(
        steering, experiments, reports, result.notes, training, abstentions, shrunk,
        command=command, seconds=perf_counter() - start, max_kl=max_kl,
    )  # fmt: skip
    if home is not None:
        save_fit(record, home, said)
    if save_to is not None:
        steering.save(save_to, result.reliability or None)
    for s in experiments.values():
        s.ledger.close()
    return replace(result, record=record)


def makers_of(
    method: str,
    choices: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    strength: float | None,
    max_kl: float,
    conditional: Collection[str],
    backfire: float | None,
) -> list[Method]:
    """The method with each choice of its hyperparameters; refuses what makes no sense before any work.

    Args:
        method, strength, max_kl, backfire: as `fit` takes them.
        choices: hyperparameters, of which the best are taken.
        names: of the behaviors.
        conditional: names of those that have a condition.

    Raises:
        InputError: names that repeat, an unknown method or hyperparameter, numbers out of range, a method that cannot
            go with a condition or a promise.
    """
    makers = [configured(method, choice) for choice in choices]
    _check_arguments(makers[0], names, conditional, strength, max_kl)
    if makers[0].routes:
        _check_routes(makers[0], names, bool(conditional), backfire)
    if backfire is not None:
        _check_backfire(makers[0], names, backfire, conditional)
    return makers


def _check_arguments(
    maker: Method, names: Sequence[str], conditional: Collection[str], strength: float | None, max_kl: float
) -> None:
    """What makes no sense, before any work."""
    if conditional and maker.material == "text":
        raise InputError(
            f"method {maker.name} puts text in front of every prompt, whatever conditions say; leave the condition out",
            code="conflicting-arguments",
            field="condition",
        )
    if maker.needs_condition and not conditional:
        raise InputError(
            f"method {maker.name} acts on prompts that meet a condition; give one, prompts of both kinds",
            code="missing-value",
            field="condition",
        )
    if not names or len(set(names)) < len(names):
        raise InputError(
            "give at least one behavior, each with a name of its own", code="repeated-name", field="behaviors"
        )
    if strength is not None:
        above_0("strength", strength)
    not_below_0("max_kl", max_kl)


def _check_backfire(maker: Method, names: Sequence[str], backfire: float, conditional: Collection[str]) -> None:
    """A share that may be promised, of a steering that can leave prompts alone and has no other condition."""
    if not 0 < backfire < 1:
        raise InputError(
            f"backfire {backfire!r}: give a share between 0 and 1, such as 0.1", code="out-of-range", field="backfire"
        )
    if maker.material == "text":
        raise InputError(
            f"method {maker.name} puts text in front of every prompt and cannot leave any alone",
            code="conflicting-arguments",
            field="backfire",
        )
    taken = [name for name in names if name in conditional]
    if taken or maker.needs_condition:
        raise InputError(
            f"attribute {(taken or names)[0]!r} has a condition of its own already; give one of the two",
            code="conflicting-arguments",
            field="backfire",
        )


def _check_routes(maker: Method, names: Sequence[str], conditional: bool, backfire: float | None) -> None:
    """One behavior, of which the prompt decides how it is steered, and so nothing else does."""
    if len(names) > 1:
        raise InputError(
            f"method {maker.name} learns one behavior at a time; fit each by itself and combine the steerings",
            code="conflicting-arguments",
            field="behaviors",
        )
    if conditional or backfire is not None:
        raise InputError(
            f"method {maker.name} has conditions of its own, which say what acts on a prompt; leave out others",
            code="conflicting-arguments",
            field="condition" if conditional else "backfire",
        )


def _where(
    maker: Method, model: Model, given: Sequence[Place] | None
) -> tuple[Sequence[Place] | None, tuple[int, int] | None]:
    """The sites that were given, or the first and last block that they may be chosen from."""
    sites, blocks = where_all(model, given)
    if maker.material == "text" and (sites is not None or blocks is not None):
        raise InputError(
            f"method {maker.name} puts text in front of prompts; leave out the sites",
            code="conflicting-arguments",
            field="site",
        )
    for site in () if sites is None or maker.reads is not None else Site.several(sites):
        if site.component == "heads":
            raise InputError(
                f"site {site}: heads are read, not edited; give attention:{site.block}",
                code="no-such-site",
                field="site",
            )
    if blocks is not None and maker.all_blocks:
        return list(range(blocks[0], blocks[1] + 1)), blocks
    return sites, blocks


def _once(
    run_check: Callable[[], Report], folder: Path | None, ledger: Ledger, steering: Steering, max_kl: float
) -> Report:
    """The check of an attribute; the report in its folder, if an interrupted fit had finished it."""
    if folder is None:
        return run_check()
    name = json.dumps(["check", identity(steering), max_kl])
    if ledger.text(name) is not None:
        try:
            return Report.load(folder)
        except InputError:  # removed or changed since
            pass
    report = run_check()
    ledger.keep(name, "finished")
    return report


def alone(steering: Steering, name: str) -> Steering:
    """The steering with the attributes of one behavior on and the others off."""
    on = attributes_of(steering, name)
    return steering.changed(attributes={other: 0.0 for other in steering.attributes if other not in on})


def _learned(maker: Method, materials: FitMaterials) -> list[tuple[Method, Learned]]:
    return [(maker, own) for own in maker.learn(materials)]


def _learned_alone(
    maker: Method, sites: Sequence[Site], name: str, toward: Toward, experiments: Mapping[str, Experiment]
) -> Steering:
    """The same steering from the training examples of other experiments, with one attribute on."""
    return alone(maker.learn(FitMaterials(experiments, sites, toward=toward))[0].steering, name)


def _chosen(
    candidates: Sequence[tuple[Method, Learned]],
    experiments: Mapping[str, Experiment],
    max_kl: float,
    notes: list[Phrase],
) -> tuple[Method, Steering, Training]:
    """The candidate that does best on dev, with its method, and what its training and the choice have seen."""
    rows = []
    if len(candidates) > 1:
        for _, own in candidates:
            told = own.steering.origin.hyperparameters
            settings = {**told, "sites": [str(site) for site in own.steering.edits]}
            row, without = scored(experiments, own.steering, settings, max_kl)
            rows.append(row)
            notes += without
    taken = 0
    if rows and any(own.rival for _, own in candidates):
        taken = _over_the_rival([own for _, own in candidates], experiments, rows, notes)
    elif rows:
        taken = best(rows)
        notes.append(
            Phrase(
                "chosen on dev among {n} by the mean standardised effect within the bound on divergence", n=len(rows)
            )
        )
    maker, chosen = candidates[taken]
    notes += chosen.notes
    training = Training(
        sites={str(site): TrainedSite.model_validate(trained.as_record) for site, trained in chosen.by_site.items()},
        candidates=tuple(Candidate(**asdict(row), score=row.score, chosen=i == taken) for i, row in enumerate(rows)),
        instructions={name: tuple(map(_instruction, some)) for name, some in chosen.tried.items()},
    )
    return maker, chosen.steering, training


def _instruction(tried: TriedText) -> TriedInstruction:
    effect, wrong = (estimate(i, tried.n) for i in (tried.effect, tried.wrong))
    return TriedInstruction(text=tried.text[0].strip(), n=tried.n, effect=effect, wrong=wrong, taken=tried.taken)


def _over_the_rival(
    candidates: Sequence[Learned], experiments: Mapping[str, Experiment], rows: Sequence[Scored], notes: list[Phrase]
) -> int:
    """Index of the candidate that does the most beyond the best plain one, if one does so for certain; else of that."""
    (on,) = experiments.values()
    rival = max((i for i, own in enumerate(candidates) if own.rival), key=lambda i: rows[i].score)
    found = gains(on, [own.steering for own in candidates], rows, rival)
    certain = [gain for gain in found if gain.certain]
    if not found:
        return rival
    closest = max(certain or found, key=lambda gain: gain.more.value)
    n = len(candidates[closest.index].steering.attributes)
    said = Phrase(
        "{effect} of effect and {fewer} fewer examples pushed the wrong way than by one vector, on dev",
        effect=bracketed(closest.more, plus=True, unit=on.instrument.unit), fewer=bracketed(closest.fewer, ".0%"),
    )  # fmt: skip
    notes.append(
        Phrase("{n} directions, by groups of prompts: {figures}", n=n, figures=said)
        if certain
        else Phrase("one vector: groups of prompts do not do more for certain ({figures})", figures=said)
    )
    return closest.index if certain else rival


def _experiment(
    model: Model, behavior: Behavior, prompt_type: str, train: int | None, evaluation: int | None, seed: int,
    home: Path | None, progress: Progress, blocks: tuple[int, int] | None, chat_template: bool,
) -> Experiment:  # fmt: skip
    key = key_of(model, behavior, prompt_type, chat_template, train, evaluation, seed)
    on, _ = ready(
        model, behavior, [prompt_type],
        train=train, evaluation=evaluation, seed=seed, ledger=Ledger(home, key), progress=progress,
        chat_template=chat_template,
    )  # fmt: skip
    if (reason := on.not_measured(PromptType(prompt_type))) is not None:
        raise InputError(
            f"behavior {behavior.name!r} under {prompt_type}: {reason}", code="unusable-examples", field="behaviors"
        )
    parts = on.splits
    sides = on.instrument.contexts(parts.train.examples, parts.shots.examples, PromptType(prompt_type))
    check_sides_differ(*sides, f"behavior {behavior.name!r} under {prompt_type}")
    return replace(on, blocks=blocks)


def _strengths(
    experiments: Mapping[str, Experiment], steering: Steering, given: float | None, max_kl: float, notes: list[Phrase]
) -> dict[str, float]:
    """Default strengths: those given, or each chosen on dev by itself and then all lowered until they go together."""
    if given is not None or not steering.edits:  # text is as strong at any strength
        return dict.fromkeys(experiments, 1.0 if given is None else given)
    strengths = {}
    for name, s in experiments.items():
        own = alone(steering, name)
        chosen = with_strength(s, finished(own, 1.0), max_kl)
        notes += [Phrase("{name}: {note}", name=name, note=note) for note in chosen.notes]
        strengths[name] = chosen.strength
    if len(strengths) == 1:
        return strengths
    first, together = next(iter(experiments.values())), steering.changed(attributes=strengths)
    drifts, lost = neutral_drifts(first, together, TOGETHER, SCREENING_ROWS, "dev")
    notes += left_out(lost, Phrase("the choice of strengths that go together"), "factor")
    kept = within(drifts, max_kl, first.seed)
    factor = max(kept, default=min(drifts))
    if factor < 1:
        notes.append(
            Phrase(
                "strengths lowered to {factor} of what each attribute takes alone, for all of them to go together",
                factor=f"{factor:g}",
            )
        )
    if not kept:
        notes.append(
            Phrase("all attributes together diverge by more than {bound} nats per token even so", bound=f"{max_kl:g}")
        )
    return {name: value * factor for name, value in strengths.items()}


def _gist(report: Report) -> dict[str, Any]:
    result = report.prompt_types[report.verdict.prompt_type]
    return {
        "decision": report.verdict.decision,
        "strength": report.verdict.strength,
        "scope": report.scope,
        "chat_template": report.chat_template,
        "sentence": report.verdict.sentence,
        "reasons": list(report.verdict.reasons),
        "reservations": list(report.verdict.reservations),
        "unit": report.unit,
        "effect": result.effect.model_dump(mode="json") if result.effect else None,
        "anti_steerable": result.anti_steerable.model_dump(mode="json") if result.anti_steerable else None,
        "kl": report.side_effects.kl.model_dump(mode="json"),
    }
