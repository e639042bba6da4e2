"""An outcome: one value of one metric for one request."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from trimtab.errors import InputError
from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.operations.metrics.metric import NAME, SAY_NAME, SOURCES, Source
from trimtab.texts import checked_text

EDIT_DISTANCE: Final = "edit_distance"
"""The metric of corrected texts, which the log computes itself."""

MAX_LABEL: Final = 100
MAX_COMMENT: Final = 10_000
MAX_TEXT: Final = 50_000  # characters; an answer has some thousand tokens at most
MAX_KEY: Final = 300


@dataclass(frozen=True)
class Outcome:
    """What came of a request.

    Args:
        metric: its name; may be left out where there is a corrected text and nothing else.
        request: id of the request.
        unit: id of a unit instead: then it is about the last answer that the store knows of that unit.
        value: a number.
        label: a word instead, which the metric's definition turns into a number.
        source: see `Source`.
        who: gave it, such as the name of an API key, or of a judge.
        happened: in seconds since 1970; None for when it is written.
        consent: whether its texts, and those of the request, may become training examples.
        comment: in words; kept only in a store with texts.
        corrected_text: what the answer should have been; likewise.
        key: by which a repetition of the same call is known and not kept again.

    Raises:
        InputError: fields that are missing, contradict each other or cannot be kept.

    Example:
        >>> from trimtab.operations import Outcome
        >>> Outcome("thumbs", "request-1", label="up", who="the help page").source
        'user'
    """

    metric: str | None = None
    request: str | None = None
    unit: str | None = None
    value: float | None = None
    label: str | None = None
    source: Source = "user"
    who: str = "nobody"
    happened: float | None = None
    consent: bool = False
    comment: str | None = None
    corrected_text: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.request is None) == (self.unit is None):
            raise InputError("give the id of a request or a unit, and not both", code="missing-value", field="request")
        self._check_value()
        self._check_texts()
        if self.source not in SOURCES:
            raise InputError(f"{self.source!r} is no source; give one of {', '.join(SOURCES)}", field="source")
        for name in ("value", "happened"):
            number = getattr(self, name)
            if number is not None and not isfinite(number):
                raise InputError(f"{name} is {number}; give a finite number", code="not-finite", field=name)

    def _check_value(self) -> None:
        if self.metric is None and self.corrected_text is not None and self.value is None and self.label is None:
            return
        if self.metric is None or not NAME.fullmatch(self.metric):
            raise InputError(f"{self.metric!r} is no name of a metric; give {SAY_NAME}", field="metric")
        if self.metric in BUILT_IN:
            raise InputError(
                f"{self.metric!r} is measured by the server itself; give feedback another name",
                code="repeated-name",
                field="metric",
            )
        if (self.value is None) == (self.label is None):
            raise InputError("give a value or a label, and not both", code="missing-value", field="value")

    def _check_texts(self) -> None:
        most = {
            "request": 200, "unit": 200, "label": MAX_LABEL, "who": 200, "comment": MAX_COMMENT,
            "corrected_text": MAX_TEXT, "key": MAX_KEY,
        }  # fmt: skip
        for name, length in most.items():
            text = getattr(self, name)
            if text is None:
                continue
            checked_text(text, "the outcome", name)
            if len(text) > length or not text.strip():
                raise InputError(
                    f"{name} has {len(text):,} characters; give 1 to {length:,}, not all blank", field=name
                )
