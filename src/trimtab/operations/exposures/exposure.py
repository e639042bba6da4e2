"""An exposure: what one request was given, and what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trimtab.interventions import Scope
from trimtab.operations.exposures.measures import measured
from trimtab.texts import checked_text

OF_UNIT = "of_unit"
"""In what is kept: the request named its unit, though it is forgotten since."""

ArmTaken = str
"""The arm of a release: control, treatment, or one of several by name; `named` for the steering that the request named
itself; `none` for neither."""


@dataclass(frozen=True)
class Exposure:
    """What one request was given.

    Args:
        request: its id; a second exposure of the same id is not counted.
        time: when it came, in seconds since 1970.
        model: that was asked for.
        arm: see `ArmTaken`.
        unit: id of its unit, as the request says it; kept as a hash alone.
        release, version: the release that decided, and its state.
        dry_run: whether control was applied whatever the arm.
        propensity: probability by which the arm was drawn, where a release with several drew it.
        artifact: of the steering that was applied; None if none was.
        strength: by attribute.
        scope: which tokens it acted on.
        gates: by attribute, the mean over the tokens in scope.
        selected: tokens in scope.
        touched: tokens that were changed.
        edit_size_ratio: mean over the tokens in scope of an edit's length over the activation's; None without one.
        prompt_tokens, answer_tokens: of the request and its answer.
        first_token_seconds, seconds: from its arrival to the first token, and to the end.
        finish: why the answer ended; `error` or `cancelled` where it did not come to its end.
        prompt, answer: texts; leave them out unless they are to be kept.
        answers: texts to measure (see `measures`) when it is written; not kept.

    Raises:
        InputError: the id of the request or the model's name holds what no database can.

    Example:
        >>> from trimtab.operations import Exposure
        >>> Exposure("request-1", 0.0, "smollm2", "treatment", unit="ada", artifact="5f2c").touched
        0
    """

    request: str
    time: float
    model: str
    arm: ArmTaken
    unit: str | None = None
    release: str | None = None
    version: int | None = None
    dry_run: bool = False
    propensity: float | None = None
    artifact: str | None = None
    strength: Mapping[str, float] = field(default_factory=dict)
    scope: Scope | None = None
    gates: Mapping[str, float] = field(default_factory=dict)
    selected: int = 0
    touched: int = 0
    edit_size_ratio: float | None = None
    prompt_tokens: int = 0
    answer_tokens: int = 0
    first_token_seconds: float | None = None
    seconds: float = 0.0
    finish: str | None = None
    prompt: str | None = None
    answer: str | None = None
    answers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, text in (("request", self.request), ("model", self.model)):
            checked_text(text, "the exposure", name)

    @property
    def details(self) -> dict[str, Any]:
        """What is kept as JSON, beside the columns that are searched by; takes as long as its texts are long."""
        given = {name: getattr(self, name) for name in _DETAILS}
        given |= {"strength": dict(self.strength), "gates": dict(self.gates)}
        given |= {name: value for name in _OF_FEW if (value := getattr(self, name)) is not None}
        if self.unit is not None and self.release is not None:
            given[OF_UNIT] = True
        return given | measured(self.answers)


_OF_FEW = ("propensity", "edit_size_ratio")
_ELSEWHERE = {
    "request", "time", "model", "arm", "unit", "release", "version", "dry_run", "artifact",  # columns
    "prompt", "answer", "answers",  # texts
    *_OF_FEW,
}  # fmt: skip
_DETAILS = tuple(one.name for one in fields(Exposure) if one.name not in _ELSEWHERE)  # asdict takes ten times as long
