"""A metric: which values count, and how they are summed up."""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trimtab.errors import InputError

Source = Literal["user", "system", "classifier", "judge"]
"""Where a value comes from: somebody who used the answer; the server itself; a trained classifier; a chat model."""
SOURCES: Final[tuple[Source, ...]] = get_args(Source)
MACHINES: Final[tuple[Source, ...]] = ("classifier", "judge")
"""Sources that may be wrong in ways of their own, so that who scored stands beside what was scored."""

Outcome = Literal[
    "requests", "length", "latency", "first_token_latency", "errors", "cancelled", "repetition", "refusal",
    "degenerate", "edit_distance",
]  # fmt: skip
"""What is recorded of every answer without anybody's label; see `built_in`."""

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
SAY_NAME: Final = "lower-case letters, digits, _ . and -, 64 at most, beginning with a letter or digit"


class Metric(BaseModel):
    """What a metric is. Exactly one of `outcome`, `feedback` and `numerator` says where its values come from.

    Args:
        name: by which releases and requests name it.
        version: from 1; raised with every change.
        description: in words.
        outcome: a built-in outcome.
        feedback: the metric's name in feedback.
        labels: of feedback that is labels: what each counts as.
        source: whose feedback counts.
        numerator, denominator: names of two metrics of the kind mean, of whose sums this is the ratio.
        kind: `mean` of the values, `ratio` of two sums, or `quantile`.
        q: of a quantile, between 0 and 1.
        bounds: of a value; values beyond count as the bound. Inference on bounded values needs them.
        direction: whether `higher` or `lower` is better.
        per: what is averaged over: `unit`, whose requests are averaged first, or `request`.
        window_days: feedback that came later than this after its request does not count.
        past_days: differences are adjusted by what the same units did in so many days before the release began; None
            for not. For means over units alone.

    Raises:
        InputError: fields that do not fit together; names the field.

    Example:
        >>> from trimtab.operations import Metric
        >>> liked = Metric.made(name="liked", feedback="thumbs", labels={"up": 1, "down": 0}, bounds=(0, 1))
        >>> liked.kind, liked.source, liked.direction, liked.value(None, "up")
        ('mean', 'user', 'higher', 1.0)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    version: Annotated[int, Field(ge=1)] = 1
    description: str = ""
    outcome: Outcome | None = None
    feedback: str | None = None
    labels: Mapping[str, float] = Field(default={})
    source: Source = "user"
    numerator: str | None = None
    denominator: str | None = None
    kind: Literal["mean", "ratio", "quantile"] = "mean"
    q: Annotated[float, Field(gt=0, lt=1)] | None = None
    bounds: tuple[float, float] | None = None
    direction: Literal["higher", "lower"] = "higher"
    per: Literal["unit", "request"] = "unit"
    window_days: Annotated[float, Field(gt=0, le=3650)] = 7.0
    past_days: Annotated[float, Field(gt=0, le=3650)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for field in ("name", "feedback", "numerator", "denominator"):
            value = getattr(self, field)
            if value is not None and not NAME.fullmatch(value):
                raise ValueError(f"{field}: {value!r} is no name; give {SAY_NAME}")
        given = [field for field in ("outcome", "feedback", "numerator") if getattr(self, field) is not None]
        if len(given) != 1:
            raise ValueError("outcome: give exactly one of outcome, feedback and numerator (with denominator)")
        if (self.kind == "ratio") != (self.numerator is not None) or (self.kind == "ratio") != (
            self.denominator is not None
        ):
            raise ValueError("kind: a ratio needs numerator and denominator, and nothing else has them")
        if (self.kind == "quantile") != (self.q is not None):
            raise ValueError("q: a quantile needs q, such as 0.95, and nothing else has it")
        if self.labels and self.feedback is None:
            raise ValueError("labels: they belong to feedback")
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError("bounds: give the lower and the upper, such as [0, 1]")
        if self.past_days is not None and (self.kind != "mean" or self.per != "unit"):
            raise ValueError("past_days: only means over units are adjusted by what the units did before")
        return self

    @staticmethod
    def made(**fields: Any) -> "Metric":
        """A definition, its faults as errors of the input.

        Raises:
            InputError: as above.
        """
        try:
            return Metric(**fields)
        except ValidationError as error:
            first = error.errors()[0]
            said = str(first["msg"]).removeprefix("Value error, ")
            place = ".".join(map(str, first["loc"])) or said.partition(":")[0]
            of = f"metric {fields.get('name')!r}: "
            raise InputError(of + (f"{place}: {said}" if first["loc"] else said), field=place) from None

    @property
    def digest(self) -> str:
        """SHA-256 of the definition as canonical JSON, in hexadecimal."""
        return digest_of([self])

    @property
    def is_final(self) -> bool:
        """Whether values never change: the server measures them, with every answer."""
        return self.outcome not in (None, "edit_distance")

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the metrics that it is a ratio of."""
        return tuple(name for name in (self.numerator, self.denominator) if name is not None)

    def value(self, score: float | None, label: str | None) -> float | None:
        """What a score or label of feedback counts as, before `bounds`; None where the definition knows no such one."""
        if self.labels:
            return None if label is None or label not in self.labels else float(self.labels[label])
        return score


def digest_of(metrics: Sequence[Metric]) -> str:
    """SHA-256 of definitions, in hexadecimal, whatever their order."""
    said = [metric.model_dump(mode="json") for metric in sorted(metrics, key=lambda one: one.name)]
    for one in said:
        if one["past_days"] is None:  # as definitions were before there was one
            del one["past_days"]
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
