"""The options of `trimtab serve` by which a judge rates a sample of answers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli import options
from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.serving.live import Operations

Judge = Annotated[
    str | None,
    typer.Option(
        "--judge", metavar="URL",
        help="Base URL of a chat model that rates a sample of answers; prompts and answers are sent there.",
    ),
]  # fmt: skip
JudgeModel = Annotated[str | None, typer.Option(help="Name of the model there.")]
JudgeBehavior = Annotated[
    str | None, typer.Option(help="What it rates: a file of a behavior, or a built-in one (trimtab check --list).")
]
JudgeShare = Annotated[float, typer.Option(help="Share of answers that it rates, drawn by the request's id.")]
JudgePerMinute = Annotated[float, typer.Option(help="Ratings a minute at most.")]
JudgeADay = Annotated[int, typer.Option(help="Ratings a day (UTC) at most.")]
JudgeAnchors = Annotated[
    Path | None,
    typer.Option(
        help="JSONL of answers that people have rated (prompt, answer, score from 0 to 1): rated again and again, they "
        "tell a judge that has moved from a system that has."
    ),
]


def add_judge(
    operations: "Operations | None",
    url: str | None,
    model: str | None,
    key_env: str | None,
    behavior: str | None,
    share: float,
    per_minute: float,
    a_day: int,
    anchors: Path | None,
) -> None:
    """Let a judge rate a sample of a server's answers, where one is named.

    Raises:
        InputError: a part of it is missing or means nothing.
    """
    endpoint = options.endpoint("--judge", url, "--judge-model", model, key_env, timeout=30.0)
    if endpoint is None:
        if behavior is not None or anchors is not None:
            raise InputError("--judge-behavior and --judge-anchors belong to --judge, which is missing")
        return
    if behavior is None:
        raise InputError("--judge needs --judge-behavior, which says what is rated")
    if operations is None:
        raise InputError("ratings are outcomes of a store; name it", code="missing-value", field="store")
    from dataclasses import replace

    from trimtab.behaviors import load
    from trimtab.evaluation import Rater
    from trimtab.serving.live.anchors import read_anchors
    from trimtab.serving.live.judging import Judging, Sampling
    from trimtab.serving.logs import logger

    sampling = Sampling(share, per_minute, a_day)
    rater = Rater(replace(endpoint, attempts=3), load(behavior))
    rated = () if anchors is None else read_anchors(anchors)
    operations.judging = Judging(rater, operations.outcomes, logger(sys.stderr), sampling, rated)
