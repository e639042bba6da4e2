"""From tasks to the best trade-off: steerings fitted or given, searched on dev, the chosen one measured on test."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Final

from trimtab.errors import InputError
from trimtab.evaluation.tasks import figure_of
from trimtab.experiment.preparation import circumstances
from trimtab.experiment.progress import Progress, Silent
from trimtab.experiment.task_parts import Sizes, TaskParts, deal_all, experiment_of
from trimtab.interventions import Place, Scope
from trimtab.languages import Code, spoken
from trimtab.models import Model, ensure_fits
from trimtab.phrases import Phrase, untranslated
from trimtab.reports.tune.files import save_tuning
from trimtab.results.tuning import Tuning
from trimtab.steering import Steering
from trimtab.storage.atomic import output_path
from trimtab.storage.steps import Ledger, workplace
from trimtab.workflows.evaluate.protocol import loaded
from trimtab.workflows.evaluate.specs import MethodSpec, TaskSpec, method_spec, task_spec
from trimtab.workflows.tune.candidates import Candidate, distinct, fitted, given, with_gates
from trimtab.workflows.tune.record import Findings, recorded
from trimtab.workflows.tune.saving import with_presets
from trimtab.workflows.tune.search import Search
from trimtab.workflows.tune.settings import Settings
from trimtab.workflows.tune.space import Space
from trimtab.workflows.tune.yardstick import Limits, Yardstick, examples_of

EVERY: Final = 5  # each so many-th pair of the capability probe is asked in a trial; the chosen one is asked all
_TRIALS: Final = "trials"  # folder of finished trials
_ELSEWHERE: Final = Phrase(
    "the steering was made elsewhere: if it was fitted to rows that are dev or test here, their gains are too good; a "
    "method in its place is fitted to the training part alone"
)


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Args:
        steering: the recommended one, with the preset `recommended` and one for each trial of the front that shares its
            tensors; None where the model is best left alone.
        record: everything that was found, as the page shows it.
    """

    steering: Steering | None
    record: Tuning


def tune(
    model: Model,
    tasks: Sequence[str | TaskSpec],
    *,
    methods: Sequence[str | MethodSpec] = (),
    site: Place | Sequence[Place] | None = None,
    steering: Steering | Sequence[Steering] = (),
    side: Sequence[str | TaskSpec] = (),
    sampler: str = "tpe",
    trials: int = 60,
    max_factor: float = 2.0,
    gates: Sequence[float] = (0.0,),
    max_damage: float = 0.1,
    max_capability_loss: float = 0.05,
    max_loss: float = 0.01,
    train: int = 150,
    dev: int = 40,
    test: int = 120,
    damage_texts: int = 16,
    seed: int = 0,
    scope: Scope = "all",
    chat_template: bool = False,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    command: str = "",
    language: Code = "en",
) -> Tuned:
    """Search the best trade-offs between attributes, and measure the recommended one on units that chose nothing.

    A trial is a steering, its gates and a strength for each attribute. It is pruned as soon as it is broken or does too
    much damage; those that are left are scored on the dev units of every task. Trials depend only on those before them:
    the same seed gives the same search, an interrupted one goes on, and a larger budget begins with the trials of a
    smaller one, so that its front is never worse on dev.

    Example:
        >>> import trimtab as tt
        >>> model = tt.load("smollm2")
        >>> strict = tt.tune(model, ["behavior:sentiment"], methods=["mean-difference"], site=14, trials=1, train=20,
        ...                  dev=6, test=8, damage_texts=2, max_damage=0.0001)
        >>> [trial.state for trial in strict.record.trials], strict.record.recommended
        (['complete', 'damage'], None)

    Args:
        model: to be steered.
        tasks: `NAME:SOURCE?option=value&…` or `TaskSpec`s, as of `trimtab.evaluate`; the label of each is the name of
            the attribute that is fitted to it.
        methods: `NAME?option=value,value&…` or `MethodSpec`s, fitted to the training parts of all tasks together; each
            value of an option is searched.
        site: of the methods; each one is searched, `10-18` stands for all these blocks; None leaves it to the method.
        steering: finished ones with the same attributes, in the place of methods.
        side: tasks that count like the others, but nothing is fitted to.
        sampler: `tpe`, `gp` (slower proposals), `sobol` or `random`.
        trials: budget, pruned ones counted.
        max_factor: largest strength of an attribute, over its default; the smallest is 0.
        gates: shifts of the log-odds that gates open, for each attribute one of these; one alone is not searched.
        max_damage: bound on the worst of divergence on neutral text and on prompts, and rise of the negative
            log-likelihood of desired answers, nats per token.
        max_capability_loss: bound on the share of trimtab's capability probe that turns wrong, net.
        max_loss: what the recommended trial may lose on a task at most, on the common scale.
        train, dev, test: sizes of the parts, at most.
        damage_texts: texts of each group behind a damage.
        seed: of the parts, the fit and the search.
        scope: which tokens are edited.
        chat_template: put prompts into user turns.
        folder: gets the page, the record and the steerings, and keeps finished trials, so that the same call goes on;
            None keeps nothing.
        progress: is told of the trials.
        command: recorded.
        language: of the page in `folder`.

    Raises:
        InputError: no tasks, neither or both of methods and steerings, arguments out of range, optuna or moocore is not
            installed, too few rows.
    """
    start, shown, said = perf_counter(), progress or Silent(), spoken(language)
    settings = Settings(
        sampler, trials, max_factor, tuple(gates), Limits(max_damage, max_capability_loss, max_loss),
        Sizes(train, dev, test), damage_texts, seed, scope, chat_template,
    )  # fmt: skip
    steerings = [steering] if isinstance(steering, Steering) else list(steering)
    specs = [task_spec(t, True) for t in tasks] + [task_spec(t, False) for t in side]
    _check(methods, steerings, site)
    home, ready = None if folder is None else output_path(folder), loaded(specs)
    parts = deal_all(ready, seed, settings.sizes)
    taught = [label for label, spec in zip(ready, specs, strict=True) if spec.fitted]
    notes = [untranslated(note) for task in ready.values() for note in task.notes]
    with workplace(None if home is None else home / _TRIALS) as work:
        if steerings:
            candidates = given(steerings)
            notes.append(_ELSEWHERE)
        else:
            candidates = _fitted(model, {k: parts[k] for k in taught}, methods, site, settings, work, shown, notes)
        _check_candidates(candidates, model, settings.gates)
        figures = {label: spec.figure or ready[label].primary for label, spec in zip(ready, specs, strict=True)}
        ledger = Ledger(work, _key(model, parts, settings, figures, candidates))
        on_dev, on_test = (_yardstick(model, parts, taught, p, figures, settings, ledger) for p in ("dev", "test"))
        _check_base(on_dev)
        space = Space(len(candidates), len(candidates[0].steering.attributes), max_factor, settings.gates)
        search = Search(space, candidates, sampler, seed, on_dev, ledger)
        found = Findings(search, search.run(trials, shown), on_test, settings, notes)
        record = recorded(found, command=command, seconds=perf_counter() - start)
        best, record = with_presets(found, record, home)
    if home is not None:
        save_tuning(record, home, said)
    return Tuned(best, record)


def _check(methods: Sequence[str | MethodSpec], steerings: Sequence[Steering], site: object) -> None:
    """What makes no sense, before any work."""
    if bool(methods) is bool(steerings):
        raise InputError(
            "give either methods to fit, or finished steerings", code="conflicting-arguments", field="methods"
        )
    if steerings and site is not None:
        raise InputError(
            "sites are of methods to fit; a finished steering has its own", code="conflicting-arguments", field="site"
        )


def _fitted(
    model: Model, parts: Mapping[str, TaskParts], methods: Sequence[str | MethodSpec],
    site: Place | Sequence[Place] | None, settings: Settings, home: Path, progress: Progress, notes: list[Phrase],
) -> list[Candidate]:  # fmt: skip
    """What the methods make of the training parts."""
    experiments = {
        label: experiment_of(
            model, label, own, settings.seed, settings.sizes, home=home, progress=progress,
            chat_template=settings.chat_template,
        )
        for label, own in parts.items()
    }  # fmt: skip
    specs = [method_spec(m) for m in methods]
    found = [c for spec in specs for c in fitted(experiments, spec.method, spec.options, site, home, notes)]
    for on in experiments.values():
        on.ledger.close()
    return distinct(found)


def _check_candidates(candidates: Sequence[Candidate], model: Model, gates: Sequence[float]) -> None:
    """Steerings of this model, with strengths to scale and, where they are searched, gates."""
    for candidate in candidates:
        steering = candidate.steering
        ensure_fits(steering, model)
        with_gates(steering, dict.fromkeys(steering.attributes, max(gates, key=abs)))
        off = [name for name, default in steering.attributes.items() if default == 0]
        if off:
            raise InputError(
                f"{candidate.name}: attribute {off[0]!r} has the default strength 0, which no factor makes stronger; "
                "give it another default",
                code="out-of-range",
                field="steering",
            )


def _yardstick(
    model: Model, parts: Mapping[str, TaskParts], taught: Sequence[str], part: str, figures: Mapping[str, str],
    settings: Settings, ledger: Ledger,
) -> Yardstick:  # fmt: skip
    tasks = {label: getattr(own, part) for label, own in parts.items()}
    examples = examples_of(model, {label: tasks[label] for label in taught}, settings.chat_template)
    dev = part == "dev"
    return Yardstick(
        model, tasks, figures, examples, dev, settings.limits, settings.scope, settings.chat_template, ledger,
        EVERY if dev else 1, settings.damage_texts,
    )  # fmt: skip


def _check_base(dev: Yardstick) -> None:
    """The unsteered model has every figure.

    Raises:
        InputError: a figure that the task does not have, that has no better side, or that no unit has.
    """
    for label, scores in dev.base.items():
        if scores.mean(figure_of(scores, dev.figures[label]).name) is None:
            raise InputError(
                f"task {label}: no unit of its dev part has the figure {dev.figures[label]}; give more rows",
                code="too-few-examples",
                field="tasks",
            )


def _key(
    model: Model, parts: Mapping[str, TaskParts], settings: Settings, figures: Mapping[str, str],
    candidates: Sequence[Candidate],
) -> str:  # fmt: skip
    """All that decides the trials besides their number."""
    units = [
        [label, [repr((u.id, u.cluster, u.texts)) for part in (own.dev, own.test) for u in part.units]]
        for label, own in parts.items()
    ]
    versions = [version(name) for name in ("optuna", "moocore")]
    chosen = [
        repr(replace(settings, trials=1, limits=replace(settings.limits, loss=0.0))),
        dict(figures),
        [c.steering.id for c in candidates],
    ]
    return json.dumps(["tune", *circumstances(model), *versions, units, *chosen])
