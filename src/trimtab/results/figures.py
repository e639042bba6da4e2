"""What every record is made of: the base class, and a figure with its interval."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from trimtab.phrases import Message, Phrase, messages, recalled
from trimtab.statistics.intervals import Interval

EARLIER: Final = Phrase("the report is of an earlier version")


class Record(BaseModel):
    """Base: unknown fields are errors, NaN is not JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class _Recalling(Record):
    """Base of records with a field `messages`: what their sentences are made of is written and found again."""

    @model_validator(mode="after")
    def _recall(self) -> Self:
        """Sentences of a file get back what they are made of."""
        known: Mapping[str, Message] = getattr(self, "messages", {})
        if known:
            for name in type(self).model_fields:
                object.__setattr__(self, name, _recalled(getattr(self, name), known))
            object.__setattr__(self, "messages", {})
        return self

    @field_serializer("messages", check_fields=False)
    def _messages(self, _: Mapping[str, Message]) -> Mapping[str, Message]:
        """Of the phrases that it holds."""
        return messages(_phrases(self))


class Told(_Recalling):
    """Base of what is kept until it becomes part of a document.

    Args:
        messages: of what its sentences are made, by their text, so that they can be said in another language when it is
            read again. Sentences without figures or names are not among them.
    """

    messages: Mapping[str, Message] = Field(default={}, repr=False)


class Document(_Recalling):
    """Base of what stands alone in a file: which version of it, and how it was made.

    Args:
        schema_version: of the document.
        trimtab, torch, transformers: versions that made it.
        command: that was given; empty from Python.
        seconds: that it took.
        seed: of every random choice.
        messages: of what its sentences are made, by their text, so that they can be said in another language; written
            with the document. Sentences without figures or names are not among them.
    """

    schema_version: Literal[2] = Field(default=2, alias="schema")
    trimtab: str
    torch: str
    transformers: str
    command: str
    seconds: float
    seed: int
    messages: Mapping[str, Message] = Field(default={}, repr=False)


def _phrases(value: object) -> Iterator[Phrase]:
    """The phrases that a value holds, in their order."""
    if isinstance(value, Phrase):
        yield value
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            if not _is_excluded(value, field):
                yield from _phrases(getattr(value, field))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _phrases(key)
            yield from _phrases(each)
    elif isinstance(value, tuple) and not (value and isinstance(value[0], float)):
        for each in value:
            yield from _phrases(each)


def _recalled(value: Any, known: Mapping[str, Message]) -> Any:
    """The value with its phrases as they were made; the same object where it holds none of them."""
    if isinstance(value, Phrase):
        return value if value.values or value not in known else recalled(value, known)
    if isinstance(value, BaseModel):
        changed = {}
        for field in type(value).model_fields:
            old = getattr(value, field)
            new = old if _is_excluded(value, field) else _recalled(old, known)
            if new is not old:
                changed[field] = new
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, Mapping):
        entries = {_recalled(key, known): _recalled(each, known) for key, each in value.items()}
        same = all(k is j and v is w for (k, v), (j, w) in zip(entries.items(), value.items(), strict=True))
        return value if same else entries
    if isinstance(value, tuple) and not (value and isinstance(value[0], float)):
        parts = tuple(_recalled(each, known) for each in value)
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
    return value


def _is_excluded(record: BaseModel, field: str) -> bool:
    """Whether files of the record lack the field, as `report.json` lacks the rows."""
    return bool(type(record).model_fields[field].exclude)


class Estimate(Record):
    """A figure with its interval.

    Args:
        value: the estimate; None if it was not measured.
        low: lower end of the interval.
        high: upper end.
        n: clusters behind it.
        reason: why there is no value.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: Phrase | None = None

    @property
    def interval(self) -> Interval | None:
        """Estimate and both ends; None where one of them is missing."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return Interval(self.value, self.low, self.high)


def estimate(interval: Interval, n: int) -> Estimate:
    """An interval as a record."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high, n=n)
