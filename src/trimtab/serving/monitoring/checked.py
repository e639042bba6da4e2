"""The check that a canary is held against: its examples, and what the steering did to each of them then."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from trimtab.behaviors import Example, render_bare
from trimtab.errors import InputError
from trimtab.statistics import Interval
from trimtab.statistics.contrast import Contrast, Flags
from trimtab.statistics.inputs import Floats
from trimtab.texts import Message, Rendered

if TYPE_CHECKING:
    from trimtab.results.report import ExampleRow, Report

ROWS: Final = 100
"""Examples of a canary; the first ones of a check come from as many questions as possible."""
_FEWEST: Final = 10
_ROUNDING: Final = 1e-5  # that batches of other shapes may always differ by; a check may happen to see none
_SIDES: Final = ("positive", "negative")


@dataclass(frozen=True, eq=False)
class Checked:
    """A check of a finished steering.

    Args:
        name: of its folder.
        artifact: id of the steering.
        attributes: strengths that it was checked at.
        scope: which tokens were steered.
        unit: of effects.
        choices: whether answers are choices, of which one token counts.
        chat_template: whether texts went through the chat template.
        examples: rows of the canary.
        clusters: question or template of each.
        pairing: see `Contrast`.
        seed: of resampling.
        base: `[n]` propensities of the plain model then.
        positive, negative: `[n]` effects on either answer then.
        acting: `[n]` of the positive and of the negative answers, where the steering acted; None where it left none
            of them alone.
        noise, largest_noise: what an effect moves by rounding alone, usually and at most.
        effect: mean over all rows of the check, with its interval.
        anti_steerable: share pushed the wrong way of those that it acted on, with its interval.
    """

    name: str
    artifact: str
    attributes: Mapping[str, float]
    scope: str
    unit: str
    choices: bool
    chat_template: bool
    examples: tuple[Example, ...]
    clusters: tuple[str, ...]
    pairing: Literal["natural", "random"]
    seed: int
    base: Floats
    positive: Floats
    negative: Floats
    noise: float
    largest_noise: float
    effect: Interval
    anti_steerable: Interval
    acting: tuple[Flags, Flags] | None = None

    @staticmethod
    def load(folder: Path, rows: int = ROWS) -> "Checked":
        """Read what `trimtab check --steering` wrote.

        Args:
            folder: of the report; its `examples.parquet` is needed too.
            rows: how many examples are taken, from the first one on.

        Raises:
            InputError: no report there, one of no stored steering, or one without its rows.
        """
        from trimtab.results.report_files import load

        try:
            report = load(folder)
        except InputError as error:
            raise InputError(str(error), code=error.code, field="canary") from error
        if report.steering is None or report.steering.id is None:
            raise InputError(
                f"{folder} is not a check of a stored steering; run trimtab check --steering with the one that is "
                "served",
                code="unfit-evidence",
                field="canary",
            )
        return _checked(folder, report, _rows(folder, report)[:rows])

    @property
    def texts(self) -> tuple[Rendered, ...]:
        """Both answers of every row, the positive one first."""
        return tuple(render_bare(example, side) for example in self.examples for side in _SIDES)

    @property
    def before(self) -> Contrast:
        """The effects then."""
        return self.contrast(self.positive, self.negative, self.acting)

    def contrast(self, positive: Floats, negative: Floats, acting: tuple[Flags, Flags] | None = None) -> Contrast:
        """A quantity of either answer, over the rows; `acting` as `Contrast` takes it."""
        return Contrast(positive, negative, self.clusters, self.pairing, self.seed, acting=acting)


def _rows(folder: Path, report: "Report") -> "list[ExampleRow]":
    """Those of the verdict's strength.

    Raises:
        InputError: too few.
    """
    verdict = report.verdict
    of = [r for r in report.rows if r.prompt_type == verdict.prompt_type and r.strength == verdict.strength]
    if len(of) < _FEWEST:
        raise InputError(
            f"{folder} holds {len(of)} rows of its check, and a canary needs {_FEWEST}; copy the whole folder, with "
            "examples.parquet, or check more examples",
            code="too-few-examples",
            field="canary",
        )
    return sorted(of, key=lambda row: row.example)


def _checked(folder: Path, report: "Report", rows: "list[ExampleRow]") -> Checked:
    result = report.prompt_types[report.verdict.prompt_type]
    effect, anti, steering = result.effect, result.anti_steerable, report.steering
    assert effect is not None
    assert anti is not None
    assert steering is not None
    assert steering.id is not None
    return Checked(
        name=folder.name,
        artifact=steering.id,
        attributes={name: report.verdict.strength * default for name, default in steering.attributes.items()},
        scope=report.scope,
        unit=report.unit,
        choices=report.answer_kind == "choice",
        chat_template=report.chat_template,
        examples=tuple(
            Example(r.prompt, r.positive, r.negative, messages=_turns(folder, r), source=r.source) for r in rows
        ),
        clusters=tuple(row.cluster for row in rows),
        pairing=report.pairing,
        seed=report.seed,
        base=np.array([row.base for row in rows]),
        positive=np.array([row.effect_positive for row in rows]),
        negative=np.array([row.effect_negative for row in rows]),
        noise=report.noise.value,
        largest_noise=max(report.noise.maximum, _ROUNDING),
        effect=Interval(effect.mean, effect.low, effect.high),
        anti_steerable=Interval(anti.share, anti.low, anti.high),
        acting=_acting(folder, report, rows),
    )


def _acting(folder: Path, report: "Report", rows: "list[ExampleRow]") -> tuple[Flags, Flags] | None:
    """Where the steering acted; None where it left none of the rows alone.

    Raises:
        InputError: the table does not hold it, as those of earlier versions.
    """
    found = report.prompt_types[report.verdict.prompt_type].acting
    if found is None:
        return None
    left_alone = any(not (row.acts_positive and row.acts_negative) for row in report.rows)
    if not left_alone and found.share.value != 1:
        raise InputError(
            f"{folder} is a check by an earlier version, whose table does not hold which rows the steering left alone; "
            "run the check again",
            code="unfit-evidence",
            field="canary",
        )
    acting = np.array([row.acts_positive for row in rows]), np.array([row.acts_negative for row in rows])
    return None if np.all(acting) else acting


def _turns(folder: Path, row: "ExampleRow") -> tuple[Message, ...]:
    """The turns of a prompt that is a chat.

    Raises:
        InputError: they cannot be read.
    """
    try:
        return tuple(Message(turn["role"], turn["content"]) for turn in json.loads(row.messages or "[]"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{folder}: the turns of row {row.example} are no chat; run the check again",
            code="damaged-file",
            field="canary",
        ) from error
