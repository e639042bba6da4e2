"""What every record is made of: the base class, and a figure with its interval."""

from pydantic import BaseModel, ConfigDict

from trimtab.reliability.intervals import Interval


class Record(BaseModel):
    """Base: unknown fields are errors, NaN is not JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Estimate(Record):
    """A figure with its interval.

    Args:
        value: the estimate; None if it was not measured.
        low: lower end of the interval.
        high: upper end.
        n: units behind it.
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
