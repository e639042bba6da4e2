"""Several behaviors checked one after another or in parallel, and ranked."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch
import transformers

from trimtab.behaviors import Behavior
from trimtab.clients.chat import Endpoint
from trimtab.errors import TrimtabError
from trimtab.evaluation import Judge
from trimtab.experiment.executor import LOCAL, Executor, Models, check_workers, executor_named
from trimtab.experiment.progress import Progress, Silent
from trimtab.languages import Code, spoken
from trimtab.model_source import ModelSource
from trimtab.models import Model
from trimtab.reports.check.files import speak
from trimtab.reports.check.ranking import save_index
from trimtab.results.report import Report
from trimtab.steering import Steering
from trimtab.storage.atomic import output_path
from trimtab.storage.steps import Ledger
from trimtab.verdict.next_steps import CommandWords
from trimtab.version import __version__
from trimtab.workflows.check.check import check

RUNTIME: Final = 2**30  # bytes that a process takes besides weights and activations


@dataclass(frozen=True)
class CheckTask:
    """A behavior to check.

    Args:
        source: the model.
        behavior: what is checked.
        others: what its steering's effect is measured on too.
        folder: of its report.
        judge: that compares texts, if any.
        settings: further arguments of `check`.
        ledger: knows the finished ones.
        named: how it is named on a command line.
        language: of its page.
    """

    source: ModelSource
    behavior: Behavior
    others: tuple[Behavior, ...]
    folder: Path
    judge: Endpoint | None
    settings: Mapping[str, Any]
    ledger: Ledger
    named: CommandWords | None
    language: Code

    @property
    def name(self) -> str:
        """Of the check, as a step of all of them."""
        return json.dumps([self.behavior.name, self.behavior.digest])

    def kept(self) -> Report | None:
        """The report, if it was finished before and is still there as it was written."""
        try:
            text = (self.folder / "report.json").read_bytes()
        except OSError:
            return None
        return Report.load(self.folder) if self.ledger.text(self.name) == sha256(text).hexdigest() else None

    def keep(self) -> None:
        """Put down that the report is finished."""
        self.ledger.keep(self.name, sha256((self.folder / "report.json").read_bytes()).hexdigest())


def check_several(
    source: ModelSource,
    behaviors: Sequence[Behavior],
    *,
    folder: str | Path,
    workers: int | None = None,
    executor: str = LOCAL,
    steering: Steering | None = None,
    judge: Endpoint | None = None,
    progress: Progress | None = None,
    finished: Callable[[Report], None] = lambda report: None,
    named: Mapping[str, CommandWords] | None = None,
    language: Code = "en",
    **settings: Any,
) -> tuple[Report, ...]:
    """Check behaviors, each with its report in a folder of its name, and rank them in `index.html`.

    Args:
        source: the model.
        behaviors: at least one; names differ and can be names of folders.
        folder: of the folders; finished reports are not measured again when an interrupted command goes on.
        workers: processes; each loads the model and gets its share of the threads, which reports record. None takes
            as many as there are threads and behaviors and memory allows, and one on a GPU. A number of threads for
            each is part of what decides figures: with another one, interrupted checks begin anew.
        executor: `local` for processes of this machine, `ray` or `ray://HOST:PORT` for a Ray cluster, which needs the
            number of workers; see `trimtab.experiment.executor.executor_named`.
        steering: a finished steering to check instead of vectors.
        judge: a chat model that compares texts.
        progress: is told how far the work is, of each behavior by its name.
        finished: is told each report when it is there.
        named: how each behavior and the model are named on a command line, by the behavior's name.
        language: of the pages.
        settings: further arguments of `check`.

    Returns:
        The reports, in the order of the behaviors.

    Raises:
        TrimtabError: of a check, with the behavior's name in front; a process was killed.
    """
    shown, home, models = progress or Silent(), output_path(folder), Models()
    said = spoken(language)
    if workers is None and executor == LOCAL:
        workers = workers_for(len(behaviors), models(source))
    if workers is not None:
        check_workers(workers)
        workers = min(workers, len(behaviors))
    crew = executor_named(executor, workers)
    if crew.workers > 1:
        models = Models()  # lets go of the model, of which every process loads its own
    given = {**settings, "steering": steering}
    ledger = Ledger(home, _key(source, behaviors, judge, given, crew))
    tasks = [
        CheckTask(
            source,
            b,
            tuple(o for o in behaviors if o is not b),
            home / b.name,
            judge,
            given,
            ledger,
            (named or {}).get(b.name),
            language,
        )
        for b in behaviors
    ]

    found: dict[str, Report] = {}

    def done(task: CheckTask) -> None:
        shown.of(task.behavior.name).end()
        found[task.behavior.name] = Report.load(task.folder)
        finished(found[task.behavior.name])

    crew.run(_check, tasks, home, shown, models, done)
    reports = tuple(found[behavior.name] for behavior in behaviors)
    save_index(reports, home, said)
    ledger.close()
    return reports


def workers_for(n: int, model: Model) -> int:
    """Processes that so many checks on a model are shared out among.

    Returns:
        One for each thread of this process, as far as there are checks and memory for so many models; one on a GPU.
    """
    if model.device.type != "cpu":
        return 1
    from accelerate.utils import get_max_memory

    weights: int = sum(t.numel() * t.element_size() for t in (*model.hf.parameters(), *model.hf.buffers()))
    room = int(get_max_memory()["cpu"]) // (RUNTIME + 2 * weights)
    return max(1, min(n, torch.get_num_threads(), room))


def _key(
    source: ModelSource,
    behaviors: Sequence[Behavior],
    judge: Endpoint | None,
    settings: Mapping[str, Any],
    crew: Executor,
) -> str:
    """Names everything that decides the reports."""
    asked = None if judge is None else judge.identity
    steering = settings["steering"]
    others = {name: value for name, value in settings.items() if name not in ("steering", "command")}
    made = None if steering is None else [steering.id, steering.allow_mismatch]
    versions = [__version__, torch.__version__, transformers.__version__, platform.machine()]
    names = [[b.name, b.digest, b.positive_instruction, b.negative_instruction] for b in behaviors]
    return json.dumps([asdict(source), names, asked, made, others, crew.threads, versions], default=repr)


def _check(task: CheckTask, progress: Progress, models: Models) -> None:
    """Check a behavior, unless the report of it on these weights is there."""
    model, kept = models(task.source), task.kept()
    if kept is not None and kept.model.digest == model.digest:
        speak(kept, task.folder, spoken(task.language))
        return
    judge = None if task.judge is None else Judge(task.judge, task.behavior)
    try:
        check(
            model,
            task.behavior,
            others=task.others,
            judge=judge,
            folder=task.folder,
            progress=progress.of(task.behavior.name),
            named=task.named,
            language=task.language,
            **task.settings,
        )
    except TrimtabError as error:
        raise error.at(task.behavior.name) from error
    task.keep()
