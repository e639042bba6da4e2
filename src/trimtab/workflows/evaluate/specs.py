"""Tasks and methods as one line each: `truthfulqa:mc_task.json?prompt=plain`, `mat-steer?c=0.1,1`."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from trimtab.errors import InputError
from trimtab.evaluation.tasks import Task, load_task

_QUERY = re.compile(r"[A-Za-z_]\w*=[^&]*(?:&[A-Za-z_]\w*=[^&]*)*")


@dataclass(frozen=True)
class TaskSpec:
    """A task to measure.

    Args:
        task: its name, see `trimtab.evaluation.tasks.task_names`.
        source: file, folder or dataset.
        options: of the task.
        label: its name in tables, and of the attribute that is fitted to it; the task's name by default.
        figure: the one that is compared; None for the task's own.
        fitted: whether steerings are fitted to it.

    Example:
        >>> from trimtab.workflows.evaluate import TaskSpec
        >>> TaskSpec.parse("bbq:Age.jsonl?unknown=Hard to say&label=reworded").options
        {'unknown': 'Hard to say'}
    """

    task: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    figure: str | None = None
    fitted: bool = True

    @classmethod
    def parse(cls, text: str, *, fitted: bool = True) -> "TaskSpec":
        """Read `NAME:SOURCE?option=value&…`, where `label` and `figure` are not the task's options.

        Raises:
            InputError: it does not have this form.
        """
        place, options = _split(text)
        name, sign, source = place.partition(":")
        if not sign or not name.strip() or not source.strip():
            raise InputError(
                f"task {text!r}: write NAME:SOURCE, such as truthfulqa:mc_task.json or bbq:data?label=fair",
                code="invalid-input",
                field="tasks",
            )
        label, figure = (options.pop(key, None) for key in ("label", "figure"))
        return cls(name, source, options, name if label is None else str(label), figure, fitted)

    def load(self) -> Task[Any]:
        """The task.

        Raises:
            InputError: as `load_task`.
        """
        return load_task(self.task, self.source, self.options)


def task_spec(given: str | TaskSpec, fitted: bool) -> TaskSpec:
    """A task as it was given, or read from its line.

    Raises:
        InputError: a line that does not have the form of `TaskSpec.parse`.
    """
    return given if isinstance(given, TaskSpec) else TaskSpec.parse(given, fitted=fitted)


@dataclass(frozen=True)
class MethodSpec:
    """A method to compare.

    Args:
        method: its name, see `trimtab.steering.methods.method_names`.
        options: hyperparameters; a list is one of values that dev chooses from. None take those that the method
            names as worth trying.
        label: its name in tables; the method's by default.
        stacked: labels of two other methods of the comparison whose edits and text are put together instead.

    Example:
        >>> from trimtab.workflows.evaluate import MethodSpec
        >>> MethodSpec.parse("mat-steer+instruction").stacked
        ('mat-steer', 'instruction')
        >>> MethodSpec.parse("exclusive-gates?c=0.1,1").options
        {'c': [0.1, 1]}
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    stacked: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "MethodSpec":
        """Read `NAME?option=value&…`; values with commas are lists, `label` is not an option of the method.

        `LABEL+LABEL` puts two others together.

        Raises:
            InputError: it does not have this form.
        """
        name, options = _split(text, lists=True)
        if not name.strip() or "?" in name:
            raise InputError(
                f"method {text!r}: write NAME, or NAME?option=value&option=value,value", code="invalid-input",
                field="methods",
            )  # fmt: skip
        label = options.pop("label", None)
        stacked = tuple(part.strip() for part in name.split("+")) if "+" in name else ()
        return cls(name, options, name if label is None else str(label), stacked)


def method_spec(given: str | MethodSpec) -> MethodSpec:
    """A method as it was given, or read from its line.

    Raises:
        InputError: a line that does not have the form of `MethodSpec.parse`.
    """
    return given if isinstance(given, MethodSpec) else MethodSpec.parse(given)


def _split(text: str, lists: bool = False) -> tuple[str, dict[str, Any]]:
    """What stands before the last question mark, and the options behind it; a path may hold question marks itself."""
    before, sign, query = text.rpartition("?")
    if not sign or not _QUERY.fullmatch(query):
        return text, {}
    pairs = [pair.partition("=") for pair in query.split("&")]
    if len({key for key, _, _ in pairs}) < len(pairs):
        raise InputError(f"{text!r}: an option is given twice; give each once", code="repeated-name")
    return before, {key: _value(value, lists) for key, _, value in pairs}


def _value(text: str, lists: bool) -> Any:
    """JSON where it is, a list where that is asked for and there are commas, else words."""
    try:
        return json.loads(text)
    except ValueError:
        parts = text.split(",") if lists else []
        return [_value(part, False) for part in parts] if len(parts) > 1 else text


def units_digest(task: Task[Any]) -> str:
    """SHA-256 of all that a task's units ask, of what is right, and of how they are dealt; not of where they lay."""
    rows = [{**asdict(unit), "source": ""} for unit in task.units]
    how = [task.name, task.asks, task.max_new_tokens, task.stops]
    return sha256(json.dumps([how, rows], default=str, sort_keys=True).encode()).hexdigest()
