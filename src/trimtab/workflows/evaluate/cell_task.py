"""A cell to measure, and where its result is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from trimtab.evaluation.tasks import Task
from trimtab.model_source import ModelSource
from trimtab.results.evaluation import Cell, Part, Protocol
from trimtab.storage.keys import name_of
from trimtab.storage.steps import Ledger
from trimtab.version import __version__


@dataclass(frozen=True)
class CellTask:
    """A cell to measure.

    Args:
        source: the model.
        protocol: what was fixed.
        tasks: by label.
        contender: label.
        seed: the seed.
        part: what is measured.
        folder: of the comparison; steerings are saved in it.
        ledger: keeps finished steps.
    """

    source: ModelSource
    protocol: Protocol
    tasks: Mapping[str, Task[Any]]
    contender: str
    seed: int
    part: Part
    folder: Path
    ledger: Ledger

    @property
    def name(self) -> str:
        """Of the cell, as a step of the comparison."""
        versions = [__version__, torch.__version__, transformers.__version__]
        return json.dumps([self.protocol.digest, self.contender, self.seed, self.part, versions])

    @property
    def home(self) -> Path:
        """Of the chosen steering."""
        return self.folder / "steerings" / f"seed-{self.seed}" / self.contender

    @property
    def is_method(self) -> bool:
        """Whether a steering of it is saved, which the unsteered model and the floors have none of."""
        return self.protocol.method(self.contender) is not None

    @property
    def is_stack(self) -> bool:
        """Whether it is made of two others of its seed, which must be measured before."""
        plan = self.protocol.method(self.contender)
        return plan is not None and bool(plan.stacked)

    @property
    def file(self) -> Path:
        """Of the result, which outlasts the steps."""
        return self.folder / "cells" / f"{name_of(self.name, length=24)}.json"

    def kept(self) -> Cell | None:
        """The result, if it was finished before."""
        try:
            return Cell.model_validate_json(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
