"""What every record is made of: the base class, and a figure with its interval."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trimtab.statistics.intervals import Interval


class Record(BaseModel):
    """Base: unknown fields are errors, NaN is not JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Document(Record):
    """Base of what stands alone in a file: which version of it, and how it was made.

    Args:
        schema_version: of the document.
        trimtab, torch, transformers: versions that made it.
        command: that was given; empty from Python.
        seconds: that it took.
        seed: of every random choice.
    """

    schema_version: Literal[2] = Field(default=2, alias="schema")
    trimtab: str
    torch: str
    transformers: str
    command: str
    seconds: float
    seed: int


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
    reason: str | None = None

    @property
    def interval(self) -> Interval | None:
        """Estimate and both ends; None where one of them is missing."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return Interval(self.value, self.low, self.high)


def estimate(interval: Interval, n: int) -> Estimate:
    """An interval as a record."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high, n=n)
