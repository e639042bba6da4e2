"""Methods against each other on tasks: fitted on train, chosen on dev, measured once on test."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import torch
import transformers

from trimtab.errors import InputError
from trimtab.evaluation.tasks import Task, Treatment, run
from trimtab.experiment.executor import LOCAL, Models, executor_named
from trimtab.experiment.progress import Progress, Silent
from trimtab.experiment.task_parts import Sizes
from trimtab.interventions import Place
from trimtab.languages import Code, spoken
from trimtab.model_source import ModelSource
from trimtab.models import Model
from trimtab.phrases import untranslated
from trimtab.results.evaluation import Cell, Evaluation, Part, Protocol
from trimtab.storage.atomic import output_path, whole
from trimtab.storage.steps import Ledger
from trimtab.version import __version__
from trimtab.workflows.evaluate.cell_task import CellTask
from trimtab.workflows.evaluate.cells import measure
from trimtab.workflows.evaluate.protocol import fixed, loaded, protocol_of
from trimtab.workflows.evaluate.specs import MethodSpec, TaskSpec, method_spec, task_spec
from trimtab.workflows.evaluate.summary import Summary

DAMAGES: Final = (0.05, 0.2)  # nats per token
LOCK: Final = "lockbox.json"
_TIMED = 12  # units of each task that the estimate times
_TRIES = 3  # of a search for a damage, on average
_WHOLE = 2.0  # times that comparing a text's whole distributions takes longer than scoring its answer


def evaluate(
    model: str | Path | ModelSource,
    tasks: Sequence[str | TaskSpec],
    methods: Sequence[str | MethodSpec],
    *,
    folder: str | Path,
    side: Sequence[str | TaskSpec] = (),
    seeds: int = 5,
    damages: Sequence[float] = DAMAGES,
    trials: int = 4,
    site: Place | None = None,
    train: int = 150,
    dev: int = 40,
    test: int = 120,
    contrasts: Sequence[tuple[str, str]] | None = None,
    damage_texts: int = 16,
    chat_template: bool = False,
    open_lockbox: bool = False,
    workers: int | None = None,
    executor: str = LOCAL,
    progress: Progress | None = None,
    command: str = "",
    language: Code = "en",
) -> Evaluation:
    """Compare methods on tasks, by a protocol that is written into the folder before the first test run.

    Every seed deals each task's questions or templates anew. A method is fitted to all fitted tasks together, an
    attribute for each; of its candidates the one that gains most on dev is taken, all of them at the strength that
    does the first damage there; then it is measured once on test, at every damage. Beside the methods stand the
    unsteered model and three floors at the same damages: a temperature, a random direction, a direction fitted to
    shuffled labels.

    Example:
        >>> import trimtab as tt
        >>> found = tt.evaluate("smollm2", ["behavior:sentiment"], ["mean-difference"], folder="compared", seeds=1,
        ...                     damages=(0.05,), trials=1, site=17, train=8, dev=4, test=6, damage_texts=2)
        >>> [row.contender for row in found.overall]  # doctest: +NORMALIZE_WHITESPACE
        ['unsteered', 'temperature', 'random direction', 'shuffled labels', 'mean-difference']

    Args:
        model: name as `trimtab.load` takes it, or a `ModelSource` that says dtype and adapter too.
        tasks: `NAME:SOURCE?option=value&…` or `TaskSpec`s that steerings are fitted to; see `trimtab.evaluation.tasks`.
        methods: `NAME?option=value&…` or `MethodSpec`s; see `trimtab.steering.methods`. `LABEL+LABEL` puts two others
            together: the edits of one and the text of the other.
        folder: protocol, results and chosen steerings go there; an interrupted comparison goes on.
        side: tasks that are measured too and nothing is fitted to.
        seeds: how many, from 1 on.
        damages: nats per token at which all are compared.
        trials: candidates of each method on dev, at most.
        site: where to steer; None tries the blocks that do best on dev.
        train, dev, test: sizes of the parts, at most.
        contrasts: named pairs of labels; by default the first method against every other.
        damage_texts: texts of each group behind a damage.
        chat_template: put prompts through the tokenizer's chat template.
        open_lockbox: measure the quarter of the units that was locked away, once, after test; it is recorded.
        workers: how many; each loads the model and gets its share of the threads. None for this process alone.
        executor: `local` for processes of this machine, `ray` or `ray://HOST:PORT` for a Ray cluster; see
            `trimtab.experiment.executor.executor_named`.
        progress: is told how far the work is.
        command: recorded.
        language: of the page.

    Raises:
        InputError: names or numbers that make no sense, too few rows, a folder with another protocol.
    """
    shown, said = progress or Silent(), spoken(language)
    crew = executor_named(executor, workers)
    home = output_path(folder)
    source = model if isinstance(model, ModelSource) else ModelSource(str(model), str(model))
    specs = [task_spec(t, True) for t in tasks] + [task_spec(t, False) for t in side]
    ready, models = loaded(specs), Models()
    protocol = protocol_of(
        models(source), specs, ready, [method_spec(m) for m in methods],
        seeds=seeds, damages=damages, trials=trials, sizes=Sizes(train, dev, test), site=site, contrasts=contrasts,
        damage_texts=damage_texts, chat_template=chat_template,
    )  # fmt: skip
    protocol = fixed(home, protocol)
    part: Part = "lockbox" if open_lockbox else "test"
    opened = _opened(home, protocol, command) if open_lockbox else None
    key = json.dumps([protocol.digest, __version__, torch.__version__, transformers.__version__, crew.threads])
    ledger = Ledger(home, key)
    cells = [
        CellTask(source, protocol, ready, contender, seed, part, home, ledger)
        for seed in protocol.seeds
        for contender in protocol.contenders
    ]
    left = [cell for cell in cells if cell.kept() is None]
    if left:
        _announce(left, models(source), shown, crew.workers)
    for some in ([c for c in left if not c.is_stack], [c for c in left if c.is_stack]):  # these are made of the others
        if some:
            crew.run(measure, some, home, shown, models)
    found = [cell for task in cells if (cell := task.kept()) is not None]
    result = _evaluation(protocol, ready, found, part, opened, command, _spent(found))
    from trimtab.reports.evaluate.files import save_evaluation

    meanings = {(label, f.name): (f.meaning, f.better) for label, own in ready.items() for f in own.figures}
    save_evaluation(result, found, meanings, home, said)
    ledger.close()
    return result


def _opened(home: Path, protocol: Protocol, command: str) -> str:
    """When the lock-box was opened, and by what; put down before anything in it is looked at.

    Raises:
        InputError: nothing was measured on test yet.
    """
    file = home / LOCK
    if file.is_file():
        try:
            known = json.loads(file.read_text(encoding="utf-8"))
            return f"{known['opened']} by: {known['command']}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} cannot be read: {error}; the lock-box was opened before") from error
    if not (home / "evaluation.json").is_file():
        raise InputError(
            "the lock-box is opened once, after everything was measured on test; run the same command without it first",
            code="conflict",
            field="open_lockbox",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"opened": now, "command": command or "Python", "protocol": protocol.digest}, indent=1)
    with whole(file) as work:
        work.write_text(text + "\n", encoding="utf-8")
    return f"{now} by: {command or 'Python'}"


def _announce(left: Sequence[CellTask], model: Model, progress: Progress, workers: int) -> None:
    """Count what is scored, time a few units of each task, and say how long it may take besides fitting."""
    protocol, tasks = left[0].protocol, left[0].tasks
    a_unit, a_text = _paces(model, tasks, protocol.chat_template)
    fitted = [t.label for t in protocol.tasks if t.fitted]
    texts = protocol.damage_texts * (1 + 2 * len(fitted))
    n = len(protocol.damages)
    total, seconds = 0, 0.0
    for cell in left:
        trials = protocol.trials if cell.is_method and not cell.is_stack else 0
        points = 1 if cell.is_stack else n
        tries = points if cell.is_stack else _TRIES * (trials + n) + n
        units = {label: protocol.test * points + (protocol.dev * trials if label in fitted else 0) for label in tasks}
        total += sum(units.values()) + texts * tries
        seconds += sum(a_unit[label] * k for label, k in units.items()) + a_text * texts * tries
    progress.begin(total, seconds / workers, "texts to score, besides fitting")


def _paces(model: Model, tasks: Mapping[str, Task[Any]], chat_template: bool) -> tuple[dict[str, float], float]:
    """Seconds a unit of each task, and seconds a text of which the whole distributions are compared."""
    a_unit, a_text = {}, 0.0
    for label, task in tasks.items():
        some = task.part(task.units[:_TIMED])
        run(some.part(some.units[:1]), model, Treatment(chat_template=chat_template))  # what is slow the first time
        start = perf_counter()
        run(some, model, Treatment(chat_template=chat_template))
        spent = perf_counter() - start
        a_unit[label] = spent / len(some.units)
        if task.asks != "text":
            a_text = max(a_text, _WHOLE * spent / sum(len(u.texts) for u in some.units))
    return a_unit, a_text


def _spent(cells: Sequence[Cell]) -> float:
    """Seconds of all cells, also of those that were finished before."""
    return sum(cell.seconds for cell in cells)


def _evaluation(
    protocol: Protocol, tasks: Mapping[str, Task[Any]], cells: Sequence[Cell], part: Part, opened: str | None,
    command: str, seconds: float,
) -> Evaluation:  # fmt: skip
    summary = Summary(protocol, tasks, cells)
    tried: dict[str, dict[str, Any]] = {}
    for cell in cells:
        if cell.tried and len(cell.tried) > 1:
            tried.setdefault(cell.contender, {})[str(cell.seed)] = cell.tried
    notes = [untranslated(note) for task in tasks.values() for note in task.notes]
    notes += [note for cell in cells for note in cell.notes]
    return Evaluation(
        trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__, command=command,
        seconds=seconds, seed=protocol.seeds[0], part=part, opened=opened, protocol=protocol,
        protocol_digest=protocol.digest, figures=tuple(summary.figures()), overall=tuple(summary.overall()),
        contrasts=summary.contrasts(), tried=tried,
        samples={cell.contender: cell.samples for cell in cells if cell.samples}, notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip
