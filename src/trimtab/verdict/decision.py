"""From intervals to a decision in four values, with the sentence and the reasons that go with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from scipy.special import ndtri

from trimtab.decimals import bracketed, decimals
from trimtab.experiment.numbers import between_0_and_1, not_below_0
from trimtab.phrases import Phrase
from trimtab.results.numbers import in_unit
from trimtab.statistics.intervals import Interval

_QUANTILE, _POWER = 1.96, 0.84  # of a 95 % interval, and of a chance of 80 %

Decision = Literal["go", "caution", "no-go", "inconclusive"]


@dataclass(frozen=True)
class Thresholds:
    """What the verdict requires.

    Args:
        min_effect: the mean effect must lie above this, in the propensity's unit. 0.05 nats per token makes
            a twelve-word answer almost twice as likely against its opposite; 0.1 logits change the odds of a
            choice by a tenth.
        max_anti_steerable: at most this share of examples may be pushed the wrong way.
        max_kl: divergence from the unsteered model on texts that have nothing to do with the behavior, at most this
            many nats per token.
        max_capability_loss: at most this share of the capability probe may turn wrong, net.
        allow_desired_loss: whether desired answers may become less likely, as long as undesired ones do more.
    """

    min_effect: float
    max_anti_steerable: float = 0.25
    max_kl: float = 0.1
    max_capability_loss: float = 0.05
    allow_desired_loss: bool = False

    def check(self) -> None:
        """Check that the bounds make sense, before any work.

        Raises:
            InputError: one is not a number, or lies where nothing could be held against it; names it.
        """
        for name in ("min_effect", "max_kl"):
            not_below_0(name, getattr(self, name))
        for name in ("max_anti_steerable", "max_capability_loss"):
            between_0_and_1(name, getattr(self, name))


@dataclass(frozen=True)
class Requirement:
    """One thing that must hold.

    Args:
        name: for messages, such as `share of anti-steerable examples`.
        interval: the estimate.
        threshold: the bound it is held against.
        direction: on which side of the bound it must lie.
        n: clusters that the estimate is based on.
        unit: `share` is written in per cent.
        at: the interval at another level; if missing, its two arms grow like a normal distribution's.
        may_stay_open: whether only its failure counts: an interval across the bound leaves the decision to the others.
        level: of the interval.
    """

    name: Phrase
    interval: Interval
    threshold: float
    direction: Literal["above", "below"]
    n: int
    unit: Phrase
    at: Callable[[float], Interval] | None = None
    may_stay_open: bool = False
    level: float = 0.95

    @property
    def holds(self) -> bool | None:
        """True or False where the whole interval lies on one side, else None."""
        return self._side(self.interval)

    def holds_at(self, level: float) -> bool:
        """Whether the whole interval of this level lies on the right side."""
        return self._side(self._interval_at(level)) is True

    def fails_at(self, level: float) -> bool:
        """Whether the whole interval of this level lies on the wrong side."""
        return self._side(self._interval_at(level)) is False

    def _interval_at(self, level: float) -> Interval:
        if self.at is not None:
            return self.at(level)
        value, factor = self.interval.value, float(ndtri((1 + level) / 2) / ndtri((1 + self.level) / 2))
        return Interval(
            value, value - factor * (value - self.interval.low), value + factor * (self.interval.high - value)
        )

    def _side(self, interval: Interval) -> bool | None:
        low, high = interval.low - self.threshold, interval.high - self.threshold
        if self.direction == "below":
            low, high = -high, -low
        return True if low > 0 else False if high < 0 else None

    @property
    def would_settle(self) -> int | None:
        """Units that would settle it with a chance of 80 %, were the estimate true; None: no affordable number.

        The spread over clusters is read off the interval's width.
        """
        gap = abs(self.interval.value - self.threshold)
        half = (self.interval.high - self.interval.low) / 2 * _QUANTILE / float(ndtri((1 + self.level) / 2))
        if gap <= 0 or half <= 0:
            return None
        needed = ceil(self.n * (half / gap) ** 2 * ((_QUANTILE + _POWER) / _QUANTILE) ** 2)
        return max(needed, self.n + 1) if needed < 100_000 else None

    @property
    def text(self) -> Phrase:
        """`mean steering effect 0.55 [0.49, 0.61] nats/token, needs more than 0.05: holds (n = 72)`."""
        i = self.interval
        if self.unit == "share":
            figure, bound = bracketed(i, ".0%"), decimals(self.threshold, ".0%")
        else:
            figure, bound = in_unit(bracketed(i, ".3g"), self.unit), decimals(self.threshold, ".3g")
        outcome = {True: Phrase("holds"), False: Phrase("fails"), None: Phrase("undecided")}[self.holds]
        if self.direction == "above":
            return Phrase(
                "{name} {figure}, needs more than {bound}: {outcome} (n = {n})",
                name=self.name, figure=figure, bound=bound, outcome=outcome, n=self.n,
            )  # fmt: skip
        return Phrase(
            "{name} {figure}, needs less than {bound}: {outcome} (n = {n})",
            name=self.name, figure=figure, bound=bound, outcome=outcome, n=self.n,
        )  # fmt: skip


@dataclass(frozen=True)
class Conclusion:
    """The decision, and what it comes from.

    Args:
        decision: in one word.
        reasons: one per requirement, and after them what would settle it.
        failed: names of the requirements that fail.
        open: names of those that keep it from being decided, with the units that would settle each; None where no
            affordable number would.
        doubtful: names of those that a success does without, likewise.
        blocking: faults of the examples that keep a success from counting.
        unable: whether the unsteered model could not show the behavior either way.
    """

    decision: Decision
    reasons: tuple[Phrase, ...]
    failed: tuple[Phrase, ...] = ()
    open: Mapping[Phrase, int | None] = field(default_factory=dict)
    doubtful: Mapping[Phrase, int | None] = field(default_factory=dict)
    blocking: tuple[Phrase, ...] = ()
    unable: bool = False


def failing(requirements: Sequence[Requirement], level: float = 0.95) -> list[bool]:
    """Which requirements fail, by Holm's method (1979): the chance of any false failure stays below 1 − level.

    Args:
        requirements: each with the interval at any level.
        level: of confidence for all failures together.
    """
    failed = [False] * len(requirements)
    while not all(failed):
        each = 1 - (1 - level) / failed.count(False)
        new = [not f and r.fails_at(each) for f, r in zip(failed, requirements, strict=True)]
        if not any(new):
            break
        failed = [f or now for f, now in zip(failed, new, strict=True)]
    return failed


def conclude(
    requirements: Sequence[Requirement],
    reservations: Sequence[Phrase],
    blocking: Sequence[Phrase] = (),
    unable: Phrase | None = None,
) -> Conclusion:
    """Four values from requirements and reservations.

    `no-go`: a requirement fails, with its whole interval on the wrong side (Holm over the requirements).
    `inconclusive`: none fails, but an interval lies across its bound, or a blocking reservation keeps a success
    from counting, or the unsteered model is unable to show it either way. `caution`: all hold, with a named
    reservation. `go`: all hold.

    Args:
        requirements: at least one.
        reservations: why a success is to be trusted less.
        blocking: reservations that keep a success from counting, such as faults of the examples.
        unable: why a missing effect says nothing of steering: the unsteered model cannot read the examples.
    """
    failed = failing(requirements)
    reasons = [r.text for r in requirements]
    if any(failed):
        decision: Decision = "inconclusive" if unable else "no-go"
        names = tuple(r.name for r, f in zip(requirements, failed, strict=True) if f)
        said = (*reasons, *([unable] if unable else []), *blocking)
        return Conclusion(decision, said, names, blocking=tuple(blocking), unable=bool(unable))
    reasons += blocking
    open_ = [r for r in requirements if r.holds is False or (r.holds is None and not r.may_stay_open)]
    settled_by = {r.name: r.would_settle for r in open_}
    for r in open_:
        n = settled_by[r.name]
        reasons.append(
            Phrase(
                "to settle the {name}: about {n} evaluation examples (80 % sure, if the estimate is right)",
                name=r.name,
                n=n,
            )
            if n
            else Phrase("the {name} lies on its bound; no affordable number of examples would settle it", name=r.name)
        )
    if blocking or open_:
        return Conclusion("inconclusive", tuple(reasons), open=settled_by, blocking=tuple(blocking))
    doubtful = {r.name: r.would_settle for r in requirements if r.holds is None}
    return Conclusion("caution" if reservations else "go", tuple(reasons), doubtful=doubtful)
