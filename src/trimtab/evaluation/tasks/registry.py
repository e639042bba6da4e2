"""Tasks by name; other packages add their own through the entry point `trimtab.tasks`."""

import inspect
from collections.abc import Mapping
from typing import Any

from trimtab.errors import InputError
from trimtab.evaluation.tasks.base import Task
from trimtab.evaluation.tasks.bbq import BBQ
from trimtab.evaluation.tasks.behavior import BehaviorTask
from trimtab.evaluation.tasks.preferences import Preferences
from trimtab.evaluation.tasks.toxicity import Toxicity
from trimtab.evaluation.tasks.truthfulqa import TruthfulQA
from trimtab.nearest import meant
from trimtab.plugins import plugin, plugin_names

GROUP = "trimtab.tasks"
BUILT_IN: dict[str, type[Task[Any]]] = {cls.name: cls for cls in (TruthfulQA, BBQ, Toxicity, Preferences, BehaviorTask)}


def task_names() -> tuple[str, ...]:
    """The tasks that come with trimtab, and those of installed packages.

    Example:
        >>> from trimtab.evaluation.tasks import task_names
        >>> task_names()[:2]
        ('truthfulqa', 'bbq')
    """
    return plugin_names(GROUP, BUILT_IN)


def task_class(name: str) -> type[Task[Any]]:
    """A task by its name.

    Raises:
        InputError: there is none, or what a package registers under this name is not a `Task`.

    Example:
        >>> from trimtab.evaluation.tasks import task_class
        >>> task_class("bbq").source
        'Parrish et al. 2022, 2110.08193'
    """
    wanted = "a Task of trimtab.evaluation.tasks"
    return plugin(GROUP, BUILT_IN, name, Task, "task", wanted=wanted, code="unknown-choice")


def task_options(cls: type[Task[Any]]) -> dict[str, Any]:
    """The options that a task's `load` takes, with their defaults (`inspect.Parameter.empty` where there is none).

    Example:
        >>> from trimtab.evaluation.tasks import task_class, task_options
        >>> task_options(task_class("truthfulqa"))
        {'prompt': 'published', 'form': 'choices'}
    """
    parameters = inspect.signature(cls.load).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def load_task(name: str, source: str, options: Mapping[str, Any] | None = None) -> Task[Any]:
    """A task with its rows.

    Args:
        name: see `task_names`.
        source: file, folder or Hugging Face dataset; for `behavior` also the name of a built-in one.
        options: of the task, see `task_options`.

    Raises:
        InputError: no such task or option, an option of another type, or a source that cannot be read.

    Example:
        >>> from trimtab.evaluation.tasks import load_task
        >>> len(load_task("behavior", "sentiment").units)
        260
    """
    cls, given = task_class(name), dict(options or {})
    known = task_options(cls)
    for key, value in given.items():
        if key not in known:
            raise InputError(
                f"task {name} has no option {key!r}; {meant(key, known)}it has {', '.join(known) or 'none'}",
                code="unknown-choice",
                field=f"options.{key}",
            )  # fmt: skip
        if not _fits(value, known[key]):
            raise InputError(
                f"task {name}: {key} {value!r} must be {type(known[key]).__name__}, as {known[key]!r} is",
                code="wrong-type",
                field=f"options.{key}",
            )
    if lacking := [key for key, default in known.items() if default is inspect.Parameter.empty and key not in given]:
        raise InputError(
            f"task {name} needs the option {lacking[0]!r}", code="missing-value", field=f"options.{lacking[0]}"
        )
    return cls.load(str(source), **given)


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of the default's type; anything is where that is None or there is none."""
    if default is None or default is inspect.Parameter.empty:
        return True
    return type(value) is type(default) or (type(default) is float and type(value) is int)
