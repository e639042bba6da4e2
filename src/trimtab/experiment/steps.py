"""A step of long work: it knows its key, what it costs, and how it is computed."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from trimtab.behaviors import Behavior
from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays

if TYPE_CHECKING:
    from trimtab.experiment.experiment import Experiment


_PROCESS: Final = uuid4().hex  # so that what another process kept under the same address is never taken


class Step(ABC):
    """Something to be computed on the model; a frozen dataclass, whose fields decide the result.

    What else decides it is the experiment's: its model is named beside the key, and behavior, parts, seed and scope are
    in the key of its ledger.
    """

    @property
    @abstractmethod
    def title(self) -> str:
        """What progress calls it."""

    @abstractmethod
    def cost(self, on: "Experiment") -> float:
        """About how many tokens run through all blocks."""

    @abstractmethod
    def compute(self, on: "Experiment") -> Arrays:
        """The arrays."""

    @property
    def key(self) -> str:
        """Names the kind of the step and all its fields."""
        return json.dumps(identity(self))


def identity(value: object) -> Any:
    """What identifies a value, as JSON can hold it.

    Raises:
        TypeError: a kind of value that has no identity.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Site):
        return str(value)
    if isinstance(value, Behavior):
        return ["behavior", value.digest]
    if isinstance(value, Steering):
        return _steering(value)
    if isinstance(value, Mapping):
        return [[identity(k), identity(v)] for k, v in value.items()]
    if isinstance(value, Sequence | frozenset | set):
        return [identity(v) for v in (value if isinstance(value, Sequence) else sorted(value))]
    if is_dataclass(value):
        return [type(value).__name__, *(identity(getattr(value, f.name)) for f in fields(value))]
    raise TypeError(f"a {type(value).__name__} has no identity")


def _steering(steering: Steering) -> list[str]:
    try:
        return ["steering", steering.id]
    except InputError:  # edits of one's own class have no stored form; the cache keeps the object alive in this process
        return ["steering in memory", _PROCESS, hex(id(steering))]
