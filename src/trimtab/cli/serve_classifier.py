"""The options of `trimtab serve` by which the classifiers of checks score a sample of answers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from trimtab.serving.live import Operations

Classifier = Annotated[
    list[Path] | None,
    typer.Option(
        "--classifier",
        help="Folder that trimtab check --generate wrote: its classifier scores a sample of answers. Repeatable.",
    ),
]
ClassifierShare = Annotated[float, typer.Option(help="Share of answers that are scored, drawn by the request's id.")]
ClassifierPerMinute = Annotated[float, typer.Option(help="Answers a minute that are scored, at most.")]


def add_classifiers(
    operations: "Operations | None", folders: list[Path], share: float, per_minute: float, console: "Console"
) -> None:
    """Let classifiers score a sample of a server's answers, where some are named, and say how well they separate.

    Raises:
        InputError: there is no store, a folder without a classifier, or one that cannot judge.
    """
    if not folders:
        return
    if operations is None:
        raise InputError("scores are outcomes of a store; name it", code="missing-value", field="store")
    from trimtab.evaluation import HeldOut
    from trimtab.serving.live.classifying import Classifying, Scoring
    from trimtab.serving.logs import logger

    scoring = Scoring(share, per_minute)
    read = [HeldOut.load(folder) for folder in folders]
    operations.classifying = Classifying(read, operations.outcomes, logger(sys.stderr), scoring)
    for name, one in operations.classifying.classifiers.items():
        console.print(f"outcome {name}: {one.said}", highlight=False, markup=False)
