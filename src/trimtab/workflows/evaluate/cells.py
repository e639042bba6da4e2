"""One contender under one seed, kept as soon as it is measured."""

from time import perf_counter

from trimtab.errors import InputError
from trimtab.experiment.executor import Models
from trimtab.experiment.progress import Progress
from trimtab.results.evaluation import UNSTEERED, Cell
from trimtab.storage.atomic import whole
from trimtab.workflows.evaluate.cell_task import CellTask
from trimtab.workflows.evaluate.contenders import PASSING
from trimtab.workflows.evaluate.room import Room


def measure(task: CellTask, progress: Progress, models: Models) -> None:
    """Measure a cell and keep it; one that cannot be made is kept with its reason.

    Raises:
        InputError: the unsteered model cannot be measured, which all others are compared with; or a fault of the
            moment, such as a folder that another process is writing to.
    """
    start, model = perf_counter(), models(task.source)
    room: Room | None = None
    try:
        room = Room(task, model, progress)
        cell = room.cell()
    except InputError as error:
        if task.contender == UNSTEERED or error.code in PASSING:
            raise
        refused = () if room is None else room.refused
        cell = Cell(contender=task.contender, seed=task.seed, tried=refused, reason=error.message)
    cell = cell.model_copy(update={"seconds": perf_counter() - start})
    with whole(task.file) as work:
        work.write_text(cell.model_dump_json(), encoding="utf-8")
