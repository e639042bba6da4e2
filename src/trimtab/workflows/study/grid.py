"""The whole grid: behaviors × models, each pair a part that is kept when it is finished, in one process or several."""

import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import torch
import transformers

from trimtab.behaviors import Behavior, PromptType
from trimtab.errors import InputError
from trimtab.experiment.executor import LOCAL, Executor, Models, executor_named
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.numbers import above_0
from trimtab.experiment.preparation import each_site, key_of, ready
from trimtab.experiment.progress import Progress, Silent
from trimtab.languages import Code, spoken
from trimtab.measurements.records import model_record
from trimtab.model_source import ModelSource
from trimtab.models import Model
from trimtab.phrases import Phrase
from trimtab.results.study import Study
from trimtab.storage.atomic import output_path
from trimtab.storage.steps import Ledger
from trimtab.version import __version__
from trimtab.workflows.study.cells import absent, cells, tokens
from trimtab.workflows.study.findings import with_findings
from trimtab.workflows.study.parts import Grid, StudyPart, Task


def run_grid(
    sources: Sequence[ModelSource],
    behaviors: Sequence[Behavior],
    grid: Grid,
    folder: str | Path,
    *,
    workers: int | None = None,
    executor: str = LOCAL,
    progress: Progress | None = None,
    command: str = "",
    language: Code = "en",
) -> Study:
    """Measure every behavior on every model, and what they show together.

    Args:
        sources: at least one model; labels differ.
        behaviors: at least one; names differ.
        grid: what is measured of each.
        folder: where finished parts are kept, so that an interrupted study goes on; removed steps leave the result.
            Parts of a model whose weights are others by now are measured anew.
        workers: how many; each loads the model and gets its share of the threads. None for this process alone.
        executor: see `trimtab.experiment.executor.executor_named`.
        progress: is told how far the work is.
        command: recorded.
        language: of the page.

    Raises:
        InputError: names that repeat, no behaviors, a site or a model that is not there.
    """
    start, shown, said = perf_counter(), progress or Silent(), spoken(language)
    _check_arguments(sources, behaviors, grid)
    crew = executor_named(executor, workers)
    folder = output_path(folder)
    ledger = Ledger(folder, _key(sources, behaviors, grid, crew))
    tasks = [Task(source, behavior, grid, ledger) for source in sources for behavior in behaviors]
    models = Models()
    left = _left(tasks, models)
    if left:
        _announce(left, crew.workers, shown, models)
        crew.run(_measure, left, folder, shown, models)
    parts = [part for task in tasks if (part := task.kept()) is not None]
    records = {part.cells[0].model: part.model for part in parts}
    result = with_findings(
        Study(
            trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__,
            command=command, seconds=perf_counter() - start, seed=grid.seed, equal_dose=grid.equal_dose,
            chat_template=grid.chat_template,
            models=tuple(records.values()),
            cells=tuple(cell for part in parts for cell in part.cells),
            cosines=tuple(one for part in parts for one in part.cosines),
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        )
    )  # fmt: skip
    from trimtab.reports.study.files import save_study

    save_study(result, folder, said)
    ledger.close()
    return result


def _left(tasks: Sequence[Task], models: Models) -> list[Task]:
    """Tasks without a finished part, or with one of other weights than the source has now."""
    left = []
    for task in tasks:
        part = task.kept()
        if part is None or part.model.digest != models(task.source).digest:
            left.append(task)
    return left


def _check_arguments(sources: Sequence[ModelSource], behaviors: Sequence[Behavior], grid: Grid) -> None:
    for what, names in (("models", [s.label for s in sources]), ("behaviors", [b.name for b in behaviors])):
        twice = sorted(name for name, n in Counter(names).items() if n > 1)
        if twice:
            raise InputError(
                f"two {what} are called {twice[0]!r}; a study tells its rows apart by these names",
                code="repeated-name",
                field=what,
            )
        if not names:
            raise InputError(f"a study needs {what}", code="missing-value", field=what)
    above_0("equal dose", grid.equal_dose)
    if grid.equal_dose >= 10:
        raise InputError(
            f"equal dose {grid.equal_dose} must lie between 0 and 10 (norms of a typical activation)",
            code="out-of-range",
            field="equal_dose",
        )
    PromptType.named(list(grid.prompt_types))


def _key(sources: Sequence[ModelSource], behaviors: Sequence[Behavior], grid: Grid, crew: Executor) -> str:
    """Names everything that decides the result."""
    settings = [[asdict(s) for s in sources], [[b.name, b.digest] for b in behaviors], asdict(grid), crew.threads]
    versions = [__version__, torch.__version__, transformers.__version__, platform.machine()]
    return json.dumps([settings, versions])


def _experiment(task: Task, model: Model, ledger: Ledger, progress: Progress) -> Experiment:
    grid = task.grid
    on, _ = ready(
        model, task.behavior, list(grid.prompt_types),
        train=grid.train, evaluation=grid.evaluation, seed=grid.seed, ledger=ledger, progress=progress,
        chat_template=grid.chat_template,
    )  # fmt: skip
    return on


def _announce(left: Sequence[Task], workers: int, progress: Progress, models: Models) -> None:
    """Count tokens of what is left, on the first model, time a small batch, say how long it may take."""
    model = models(left[0].source)
    behaviors = {task.behavior.name: task for task in left}
    counted: dict[str, float] = {}
    seconds = 0.0
    for name, task in behaviors.items():
        try:
            on = _experiment(task, model, Ledger(None, ""), Silent())
        except InputError:
            continue  # told as a note when its turn comes
        counted[name] = tokens(on, each_site(model, task.grid.sites), task.grid.slopes)
        seconds = seconds or on.pace()
    total = sum(counted.get(task.behavior.name, 0.0) for task in left)
    progress.begin(round(total), total * seconds / workers)


def _measure(task: Task, progress: Progress, models: Models) -> None:
    """Measure a part and keep it."""
    model, behavior, grid = models(task.source), task.behavior, task.grid
    sites, subject = each_site(model, grid.sites), grid.subject(task.source.label, behavior)
    ledger = task.ledger.inside(key_of(model, behavior, task.name))
    notes: list[Phrase] = []
    try:
        on = _experiment(task, model, ledger, progress)
        rows, cosines = cells(on, sites, subject, notes)
    except InputError as error:
        rows, cosines = (
            absent(model, behavior, sites, PromptType.named(list(grid.prompt_types)), subject, str(error)),
            [],
        )
        notes.append(
            Phrase(
                "{behavior} on {model}: not measured: {why}",
                behavior=behavior.name, model=task.source.label, why=error.message,
            )
        )  # fmt: skip
    part = StudyPart(model=model_record(model), cells=tuple(rows), cosines=tuple(cosines), notes=tuple(notes))
    task.ledger.keep(task.name, part.model_dump_json())
    ledger.close()
