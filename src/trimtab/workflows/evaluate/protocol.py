"""The protocol: made of what was asked for, checked, and written before the first test run."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.evaluation.lito import Lito
from trimtab.evaluation.tasks import Task
from trimtab.experiment.numbers import above_0, is_whole
from trimtab.experiment.task_parts import LOCKBOX, Sizes, deal_all
from trimtab.interventions import Place, Site
from trimtab.measurements.records import model_record
from trimtab.models import Model
from trimtab.nearest import meant
from trimtab.results.evaluation import FLOORS, UNSTEERED, MethodPlan, Protocol, TaskPlan
from trimtab.steering.methods import method
from trimtab.storage.atomic import whole
from trimtab.storage.keys import check_same_settings
from trimtab.texts import name_fault, shown
from trimtab.workflows.evaluate.contenders import LITO, settings_of
from trimtab.workflows.evaluate.specs import MethodSpec, TaskSpec, units_digest
from trimtab.workflows.evaluate.stacks import checked, stack_plan

FILE: Final = "protocol.json"
MAX_SEEDS: Final = 100
MAX_TRIALS: Final = 64


def protocol_of(
    model: Model,
    specs: Sequence[TaskSpec],
    tasks: Mapping[str, Task[Any]],
    methods: Sequence[MethodSpec],
    *,
    seeds: int,
    damages: Sequence[float],
    trials: int,
    sizes: Sizes,
    site: Place | None,
    contrasts: Sequence[tuple[str, str]] | None,
    damage_texts: int,
    chat_template: bool,
) -> Protocol:
    """What is asked for, all names and numbers checked; arguments as of `evaluate`.

    Raises:
        InputError: names that repeat or are unknown, numbers out of range, too few rows.
    """
    _check_numbers(seeds, damages, trials, damage_texts)
    if site is not None:
        model.anatomy.module(Site.of(site))
    plans = tuple(stack_plan(spec) if spec.stacked else _method(spec, trials) for spec in methods)
    _check_names([p.label for p in plans], "methods", (UNSTEERED, *FLOORS))
    plans = tuple(checked(plan, plans) for plan in plans)
    if contrasts is None:
        contrasts = [(plans[0].label, other.label) for other in plans[1:] if not other.stacked]
        contrasts += [(plan.label, part) for plan in plans for part in plan.stacked]
        contrasts = list(dict.fromkeys(contrasts))
    for label in {name for pair in contrasts for name in pair} - {UNSTEERED, *FLOORS, *(p.label for p in plans)}:
        known = [UNSTEERED, *FLOORS, *(p.label for p in plans)]
        raise InputError(
            f"a contrast names {label!r}; {meant(label, known)}there are {', '.join(known)}",
            code="unknown-choice",
            field="contrasts",
        )
    pairs = Counter(frozenset(pair) for pair in contrasts)
    if any(len(pair) == 1 for pair in pairs) or any(n > 1 for n in pairs.values()):
        raise InputError(
            "a contrast names one label twice, or stands twice; each is a pair of its own", code="repeated-name",
            field="contrasts",
        )  # fmt: skip
    planned = tuple(_task(spec, tasks[spec.label or spec.task]) for spec in specs)
    _check_parts(tasks, [t.label for t in planned if t.fitted], seeds, sizes)
    if not any(t.fitted for t in planned):
        raise InputError("give at least one task to fit to", code="missing-value", field="tasks")
    return Protocol(
        model=model_record(model), dtype=str(model.dtype).removeprefix("torch."), chat_template=chat_template,
        tasks=planned, methods=plans, seeds=tuple(range(1, seeds + 1)), train=sizes.train, dev=sizes.dev,
        test=sizes.test, damages=tuple(damages), trials=trials, site=None if site is None else str(Site.of(site)),
        damage_texts=damage_texts, lockbox=LOCKBOX, contrasts=tuple(contrasts),
    )  # fmt: skip


def loaded(specs: Sequence[TaskSpec]) -> dict[str, Task[Any]]:
    """The tasks by label.

    Raises:
        InputError: no task, labels that repeat, or as loading them.
    """
    _check_names([spec.label or spec.task for spec in specs], "tasks", ())
    return {spec.label or spec.task: spec.load() for spec in specs}


def fixed(folder: Path, protocol: Protocol) -> Protocol:
    """Write the protocol, or find that it is the one that was written there.

    Raises:
        InputError: another one was written there, or the file cannot be read.
    """
    file = folder / FILE
    before = kept(folder)
    if before is not None:
        check_same_settings(
            f"{file} fixed a comparison", before.model_dump(mode="json"), protocol.model_dump(mode="json")
        )
        return protocol  # whose words are phrases still
    text = json.dumps({**protocol.model_dump(mode="json"), "digest": protocol.digest}, indent=1, ensure_ascii=False)
    with whole(file) as work:
        work.write_text(text + "\n", encoding="utf-8")
    return protocol


def kept(folder: Path) -> Protocol | None:
    """The protocol of a folder; None if there is none.

    Raises:
        InputError: the file cannot be read, or was changed since.
    """
    file = folder / FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        digest = data.pop("digest", None)
        protocol = Protocol.model_validate(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError, AttributeError) as error:
        raise InputError(f"{file} cannot be read as a protocol: {error}; give another folder") from error
    if digest != protocol.digest:
        raise InputError(
            f"{file} was changed after it was written: its digest does not fit; give another folder for another "
            "protocol",
            code="damaged-file",
            field="folder",
        )
    return protocol


def _method(spec: MethodSpec, trials: int) -> MethodPlan:
    source = Lito.__doc__ if spec.method == LITO else method(spec.method).source
    settings = settings_of(spec.method, spec.options)
    if spec.options and len(settings) > trials:
        raise InputError(
            f"method {spec.label or spec.method} has {len(settings)} combinations of values and may try {trials}; give "
            "fewer values, or more trials",
            code="out-of-range",
            field="trials",
        )
    first = " ".join((source or "").split("\n\n")[0].split())
    return MethodPlan(label=spec.label or spec.method, method=spec.method, settings=settings[:trials], source=first)


def _check_parts(tasks: Mapping[str, Task[Any]], fitted: Sequence[str], seeds: int, sizes: Sizes) -> None:
    """Check that every seed leaves something to fit, to choose by and to measure damage on."""
    for seed in range(1, seeds + 1):
        parts = deal_all(tasks, seed, sizes)
        for label in fitted:
            for part in (parts[label].train, parts[label].dev, parts[label].test):
                try:
                    part.behavior(label)
                except InputError as error:
                    raise InputError(
                        f"task {label}, as seed {seed} deals it: {error}; give more rows, or fewer seeds",
                        code=error.code,
                        field="tasks",
                    ) from error


def _task(spec: TaskSpec, task: Task[Any]) -> TaskPlan:
    label = spec.label or spec.task
    name = spec.figure or task.primary
    figure = next((f for f in task.figures if f.name == name), None)
    if figure is None or figure.better == "neither":
        better = ", ".join(f.name for f in task.figures if f.better != "neither")
        raise InputError(
            f"task {label}: no figure {name!r} that has a better side; choose {better}", code="unknown-choice",
            field="figure",
        )  # fmt: skip
    return TaskPlan(
        label=label, task=spec.task, source=spec.source, options=spec.options, figure=name, meaning=figure.meaning,
        better=figure.better, chance=figure.chance, digest=units_digest(task), units=len(task.units),
        clusters=len({u.cluster for u in task.units}), fitted=spec.fitted,
    )  # fmt: skip


def _check_names(names: Sequence[str], field: str, taken: Sequence[str]) -> None:
    if not names:
        raise InputError(f"give at least one of the {field}", code="missing-value", field=field)
    for name in names:
        if why := name_fault(name):
            raise InputError(
                f"a label of the {field}, {shown(name, 60)!r}, {why}; give another by ?label=…", field=field
            )
    twice = [name for name, n in Counter(name.casefold() for name in [*names, *taken]).items() if n > 1]
    if twice:
        raise InputError(
            f"two {field} are called {twice[0]!r}, letters' case aside; tell them apart by ?label=…",
            code="repeated-name",
            field=field,
        )


def _check_numbers(seeds: int, damages: Sequence[float], trials: int, damage_texts: int) -> None:
    for field, value, most in (("seeds", seeds, MAX_SEEDS), ("trials", trials, MAX_TRIALS),
                               ("damage_texts", damage_texts, 1000)):  # fmt: skip
        if not is_whole(value) or not 1 <= value <= most:
            raise InputError(f"{field} {value!r}: give 1 to {most}", code="out-of-range", field=field)
    if not damages:
        raise InputError("give at least one damage to compare at", code="missing-value", field="damages")
    for damage in damages:
        above_0("damages", damage)
    if len(set(damages)) < len(damages):
        raise InputError("a damage is given twice", code="repeated-name", field="damages")
