"""What a look at an experiment found: records that say the figures, and what they mean."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite, log
from typing import Any, Final, Literal

from trimtab.operations.releases.plan import OnHarm
from trimtab.operations.releases.release import State as ReleaseState
from trimtab.statistics.sequential import ShareCounts, State, log_sample_ratio

SHARE_ALPHA: Final = 0.01
"""Chance that shares which are kept are ever said not to be."""

_DIGITS: Final = 10


def rounded(value: float | None) -> float | None:
    """To ten significant digits, so that the order in which sums were read does not show; None for what is unknown."""
    return None if value is None or not isfinite(value) else float(f"{value:.{_DIGITS}g}")


Role = Literal["primary", "guardrail"]
"""Whether a release is judged by a metric, or must not do harm by it."""


@dataclass(frozen=True)
class Finding:
    """A metric at a look.

    Args:
        metric: its name.
        role: `primary`, by which the release is judged, or `guardrail`.
        direction: whether `higher` or `lower` is better.
        control, treatment: of either arm; None without a unit.
        units, requests: of control and treatment with a value.
        difference, low, high: treatment minus control and its interval, which holds at all looks together; None where
            nothing is known. Two-sided for the primary metric; of a guardrail either end holds by itself.
        effect: that matters.
        margin: of harm that is tolerated.
        state: see `state_of`.
        harm: whether harm beyond the margin is shown among all metrics of the release together.
        log_e_harm: evidence of it, as the logarithm of an e-value.
        log_e_harm_adjusted: the same among all metrics (Holm); log(1/alpha) shows it.
        log_e_better: evidence of any improvement.
        method: asymptotic, betting or quantile.
        action: what harm leads to.
        left_out: values that do not count, by reason.
        meaning: in a sentence.
        arm: that is compared with control, of a release with several.
        variance_removed: share of the difference's variance that was explained by what the units did before the
            release began, and is gone from its interval; None where it was not adjusted.

    Example:
        >>> from trimtab.operations.experiments import Finding
        >>> "meaning" in Finding.__dataclass_fields__
        True
    """

    metric: str
    role: Role
    direction: Literal["higher", "lower"]
    control: float | None
    treatment: float | None
    units: tuple[int, int]
    requests: tuple[int, int]
    difference: float | None
    low: float | None
    high: float | None
    effect: float
    margin: float
    state: State
    harm: bool
    log_e_harm: float
    log_e_harm_adjusted: float
    log_e_better: float
    method: str
    action: OnHarm
    left_out: Mapping[str, int]
    meaning: str
    arm: str = "treatment"
    variance_removed: float | None = None


@dataclass(frozen=True)
class Standing:
    """How an arm of a release with several does by the metric that it is judged by.

    Args:
        arm: its name.
        share: of the traffic, from 0 to 1, in this epoch.
        visits: that have a value; a visit is what a unit asked in one epoch, and counts by its mean.
        mean: that a policy of this arm alone would have had, doubly robust; None where nothing is known.
        low, high: its interval at all looks together.
        best: chance that it is the best, as it is believed; old visits count less.
        excluded: why it gets no traffic any more; None where it does.

    Example:
        >>> from trimtab.operations.experiments import Standing
        >>> Standing("bold", 0.5, 0, None, None, None, 0.5).excluded is None
        True
    """

    arm: str
    share: float
    visits: int
    mean: float | None
    low: float | None
    high: float | None
    best: float
    excluded: str | None = None


@dataclass(frozen=True)
class Effect:
    """What an attribute of a steering, or two together, moves.

    Args:
        metric: that is moved.
        attributes: one, or two whose effects depend on each other.
        difference, low, high: how far it moves when the attribute is switched on, over all settings of the others; of
            two, how much more the first moves it where the second is on. The interval holds at all looks together.
        log_e: evidence that it moves at all.
        log_e_adjusted: the same among all effects of the release (Holm); log(1/alpha) shows it.
        shown: whether it is.
        meaning: in a sentence.

    Example:
        >>> from trimtab.operations.experiments import Effect
        >>> "meaning" in Effect.__dataclass_fields__
        True
    """

    metric: str
    attributes: tuple[str, ...]
    difference: float | None
    low: float | None
    high: float | None
    log_e: float
    log_e_adjusted: float
    shown: bool
    meaning: str


@dataclass(frozen=True)
class SampleRatio:
    """Whether the arms get their shares of the units.

    Args:
        stages: per cent of treatment, and units of control and treatment that were first seen in this stage.
        log_e: evidence that a share is not kept; log(100) shows it.
        mismatch: whether it does.
        meaning: in a sentence.

    Example:
        >>> from trimtab.operations.experiments import SampleRatio
        >>> "mismatch" in SampleRatio.__dataclass_fields__
        True
    """

    stages: tuple[tuple[float, int, int], ...]
    log_e: float
    mismatch: bool
    meaning: str


@dataclass(frozen=True)
class Decision:
    """What a look leads to.

    Args:
        action: `pause`, `rollback`, `promote` or `adapt`.
        why: in words, for the audit.
        figures: on which it rests, for the audit.
        to: the stage, of `promote`.
        shares: of the arms in the next epoch, of `adapt`.
        excluded: arms that get no traffic any more, and why, of `adapt`.

    Example:
        >>> from trimtab.operations.experiments import Decision
        >>> Decision("pause", "errors: harm", {}).to is None
        True
    """

    action: Literal["pause", "rollback", "promote", "adapt"]
    why: str
    figures: Mapping[str, Any]
    to: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What a look found: a function of the store alone.

    Args:
        release: its name.
        version: of its state, which a decision is meant for.
        state: of the release.
        share: per cent of its traffic that treatment has.
        dry_run: whether what was recorded in a dry run is compared, where both arms were answered alike.
        since: version of the state from which on evidence counts: a resume after a guardrail paused it begins anew.
        alpha: error rate of the plan.
        exposures, outcomes: numbers of the last that were read.
        stage_units: units of control and treatment seen in this stage.
        findings: of each metric, the primary one first.
        sample_ratio: see `SampleRatio`.
        decision: what it leads to; None for nothing.
        note: what somebody should know beside; empty for nothing.
        arms: of a release with several, how each does.
        effects: of a factorial release, what each attribute moves.
        scored_by: who scored the values of a metric, where it was a classifier (with how well it separates unseen
            answers) or a judge.

    Example:
        >>> from trimtab.operations.experiments import Look
        >>> "findings" in Look.__dataclass_fields__
        True
    """

    release: str
    version: int
    state: ReleaseState
    share: float
    dry_run: bool
    since: int
    alpha: float
    exposures: int
    outcomes: int
    stage_units: tuple[int, int]
    findings: tuple[Finding, ...]
    sample_ratio: SampleRatio
    decision: Decision | None = None
    note: str = field(default="")
    arms: tuple[Standing, ...] = ()
    effects: tuple[Effect, ...] = ()
    scored_by: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def sample_ratio(stages: Sequence[ShareCounts]) -> SampleRatio:
    """The test of shares.

    Args:
        stages: expected shares and counts, control first.
    """
    counts = tuple((100 * stage.shares[1], int(stage.counts[0]), int(stage.counts[1])) for stage in stages)
    said = tuple((float(f"{share:.6g}"), control, treatment) for share, control, treatment in counts)
    evidence = log_sample_ratio(stages) if stages else 0.0
    mismatch = evidence >= log(1 / SHARE_ALPHA)
    return SampleRatio(said, rounded(evidence) or 0.0, mismatch, _of_shares(said, mismatch))


def _of_shares(stages: tuple[tuple[float, int, int], ...], mismatch: bool) -> str:
    units = sum(control + treatment for _, control, treatment in stages)
    if not units:
        return "No unit was seen yet."
    if not mismatch:
        return f"The arms get their shares of the {units:,} units."
    seen = "; ".join(
        f"at {share:g} %: {treatment:,} of {control + treatment:,} ({100 * treatment / (control + treatment):.3g} %)"
        for share, control, treatment in stages
    )
    return (
        f"Treatment does not get its share of the units ({seen}): records are lost or arms are given wrongly. No other "
        "figure here can be trusted until that is mended."
    )
