"""Releases with several arms: how their shares of the traffic change, and the epochs in which they do not."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trimtab.errors import InputError
from trimtab.operations.releases.assignment import PLACES, bound, place_of
from trimtab.texts import name_fault

Mode = Literal["test", "adapt", "factorial"]
"""What a release does: it compares treatment with control by stages; it gives more traffic to the arms that do well; or
it finds out which attribute of a steering moves what."""

CONTROL: Final = "control"
EXPLORE: Final = 0.05
HALF_LIFE_DAYS: Final = 14.0
EPOCH_VISITS: Final = 200
MAX_ARMS: Final = 20
TAKEN: Final = (CONTROL, "treatment", "named", "none", "uniform")
"""Names that mean something else already."""


class _Fixed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Adapt(_Fixed):
    """How an adaptive release changes its shares.

    Args:
        explore: least share of every arm that is not excluded, control too, from 0.001. It pays for noticing that
            tastes change, and for estimates of what other arms would have given, which weigh a visit by up to
            1/explore.
        half_life_days: after so long a visit counts half, so that a change of tastes is followed; None counts all
            alike. Two weeks: a week's rhythm is averaged, and what was liked two months ago weighs a sixteenth.
        epoch_visits: visits before shares are set anew: each setting is an entry of the audit.
        scale: spread (standard deviation) of the metric, where it has no bounds that would say it.

    Example:
        >>> from trimtab.operations import Adapt
        >>> Adapt(explore=0.1).half_life_days
        14.0
    """

    explore: Annotated[float, Field(ge=0.001, le=0.5)] = EXPLORE
    half_life_days: Annotated[float, Field(gt=0, le=3650)] | None = HALF_LIFE_DAYS
    epoch_visits: Annotated[int, Field(ge=20, le=10**9)] = EPOCH_VISITS
    scale: Annotated[float, Field(gt=0, lt=1e12)] | None = None


def adapting(**settings: Any) -> Adapt:
    """How an adaptive release changes its shares; faults as errors of the input.

    Args:
        settings: fields of `Adapt`.

    Raises:
        InputError: a value out of range; names the field.

    Example:
        >>> from trimtab.operations import adapting
        >>> adapting(explore=0.1).explore
        0.1
    """
    try:
        return Adapt(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = str(first["loc"][0])
        raise InputError(f"{place}: {first['msg']}", code="out-of-range", field=place.removesuffix("_days")) from None


class Epoch(_Fixed):
    """A time in which the shares of the arms stay the same.

    Args:
        number: version of the release's state that began it. A unit keeps its arm as long as it lasts, on every server
            and after restarts; the next epoch draws anew, so that the probabilities are those that are recorded.
        shares: probability of each arm, control first.
        excluded: arms that get no traffic any more, and why.
        asked_for: arm that somebody asked to keep for everybody, where a second person has yet to agree.

    Raises:
        InputError: shares that are no probabilities.

    Example:
        >>> from trimtab.operations import Epoch
        >>> epoch = Epoch(number=2, shares={"control": 0.5, "bold": 0.5})
        >>> [epoch.arm("salt", user) for user in ("ada", "bob", "eve")]
        ['bold', 'bold', 'control']
    """

    number: Annotated[int, Field(ge=1)]
    shares: Mapping[str, Annotated[float, Field(ge=0, le=1)]]
    excluded: Mapping[str, str] = Field(default={})
    asked_for: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.shares or abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ValueError("shares: they must come to 1")
        return self

    @property
    def treated(self) -> float:
        """Per cent of the traffic that does not get control."""
        return round(100 * (1 - self.shares.get(CONTROL, 0.0)), 9)

    @property
    def bounds(self) -> tuple[tuple[str, int], ...]:
        """Arms and the places below which they begin to be another's, in order; the last reaches to the end."""
        ends = accumulate(self.shares.values())
        found = [
            (name, bound(100 * end)) for (name, share), end in zip(self.shares.items(), ends, strict=True) if share
        ]
        return (*found[:-1], (found[-1][0], PLACES))

    def place(self, salt: str, unit: str) -> int:
        """The place of a unit in this epoch."""
        return place_of(f"{salt} epoch {self.number}", unit)

    def arm(self, salt: str, unit: str) -> str:
        """The arm of a unit: the first whose bound lies above its place."""
        place = self.place(salt, unit)
        return next(name for name, end in self.bounds if place < end)


def even(number: int, arms: Mapping[str, object]) -> Epoch:
    """An epoch in which every arm, control too, has the same share."""
    names = (CONTROL, *arms)
    return Epoch(number=number, shares={name: 1 / len(names) for name in names})


def only(number: int, arm: str, former: Epoch) -> Epoch:
    """An epoch in which one arm has all."""
    return Epoch(number=number, shares={name: float(name == arm) for name in former.shares}, excluded=former.excluded)


def check_arms(arms: Mapping[str, object], adapt: Adapt | None, factors: tuple[str, ...]) -> None:
    """The arms of a release with several.

    Raises:
        ValueError: too few or too many, names that mean something else, or floors that do not fit.
    """
    if adapt is None and not factors:
        raise ValueError("arms: say how they are judged: a release with several either adapts or has factors")
    if adapt is not None and factors:
        raise ValueError("factors: a release either adapts or finds effects of factors; make two")
    if len(arms) > MAX_ARMS:
        raise ValueError(f"arms: {len(arms)} beside control; give at most {MAX_ARMS}")
    if adapt is not None and not arms:
        raise ValueError("arms: an adaptive release needs at least one arm beside control")
    if factors and len(arms) != 2 ** len(factors) - 1:
        raise ValueError(f"arms: {len(factors)} factors need {2 ** len(factors) - 1} arms beside control")
    for name in arms:
        if name in TAKEN or len(name) > 20 or name_fault(name) or set(name) & set("=,"):
            raise ValueError(
                f"arms: {name!r} cannot be an arm's name; give 1 to 20 characters that a folder's name can contain, no "
                f"= or comma, none of {', '.join(TAKEN)}"
            )
    if adapt is not None and adapt.explore * (len(arms) + 1) >= 1:
        most = 1 / (len(arms) + 1)
        raise ValueError(
            f"explore: a floor of {adapt.explore:g} for each of {len(arms) + 1} arms (with control) comes to "
            f"{adapt.explore * (len(arms) + 1):.3g}, which leaves nothing to adapt; give less than {most:.3g}"
        )


def check_metric(adapt: Adapt, bounds: tuple[float, float] | None, kind: str, name: str) -> None:
    """What an adaptive release can learn from.

    Raises:
        InputError: no mean, or neither bounds nor a scale.
    """
    if kind != "mean":
        raise InputError(
            f"{name!r} is a {kind}; an adaptive or factorial release compares means alone: name a metric of the kind "
            "mean", field="metric",
        )  # fmt: skip
    if bounds is None and adapt.scale is None:
        raise InputError(
            f"{name!r} has no bounds, so that nobody knows how much one visit says; give the scale (its "
            "standard deviation), or bounds in the metric's definition", code="missing-value", field="scale",
        )  # fmt: skip
