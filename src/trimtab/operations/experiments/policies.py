"""What another policy would have given on the traffic of a release with several arms."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from trimtab.errors import InputError
from trimtab.operations.experiments.experiment import evidence_from, is_dry
from trimtab.operations.experiments.findings import rounded
from trimtab.operations.experiments.visits import Visits
from trimtab.operations.releases.adapting import CONTROL
from trimtab.operations.releases.releases import Releases
from trimtab.operations.store.database import Store
from trimtab.statistics.sequential import POLICY_METHODS, AsymptoticSequence, PolicyMethod, policy_estimate
from trimtab.texts import shown

UNIFORM: Final = "uniform"


@dataclass(frozen=True)
class PolicyEstimate:
    """What a policy would have given, by one method.

    Args:
        method: see `policy_estimate`.
        value: mean of the metric; None where nothing is known.
        low, high: its interval, at all looks together; None for an open end.

    Example:
        >>> from trimtab.operations.experiments import PolicyEstimate
        >>> PolicyEstimate("doubly-robust", 0.5, 0.4, 0.6).value
        0.5
    """

    method: PolicyMethod
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PolicyValue:
    """What a policy would have given.

    Args:
        release: its name.
        metric: by which it is judged.
        policy: probability of each arm.
        visits: at which it could have been followed, and of how many.
        alpha: chance that an interval ever leaves the truth out.
        estimates: by method.

    Example:
        >>> from trimtab.operations.experiments import PolicyValue
        >>> "estimates" in PolicyValue.__dataclass_fields__
        True
    """

    release: str
    metric: str
    policy: Mapping[str, float]
    visits: tuple[int, int]
    alpha: float
    estimates: tuple[PolicyEstimate, ...]

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def policy_value(store: Store, release: str, policy: str) -> PolicyValue:
    """What a fixed policy would have given on the visits of a release, by the metric that it is judged by.

    Right under whatever made the shares, as every visit's are on record (`policy_estimate` has source and assumptions).
    Visits at which an arm of the policy was excluded already do not count.

    Args:
        store: see `Store`.
        release: name of one with several arms.
        policy: an arm (`control` too), `uniform`, or shares such as `mild=0.5,bold=0.5`.

    Raises:
        InputError: no such release, one that has two arms, or a policy that is none.
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Adapt, Arm, Definition, Exposure, ExposureLog, Releases, Store
        >>> from trimtab.operations.experiments import policy_value
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="a", model="m", treatment=warm, stages=(100,), salt="s", metric="errors",
        ...                   arms={"bold": warm}, adapt=Adapt())
        >>> with Store("estimated.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada"), releases.act("a", "start", by="ada")
        ...     arm = releases.get("a").arm
        ...     _ = ExposureLog(store).write([
        ...         Exposure(f"r{i}", 0.0, "m", arm(f"u{i}"), f"u{i}", "a", 2, finish="stop") for i in range(100)])
        ...     policy_value(store, "a", "bold").visits
        (100, 100)
    """
    releases = Releases(store)
    steps = releases.history(release)
    definition = steps[-1].release.definition
    if not definition.arms or definition.metric is None or definition.plan is None:
        raise InputError(
            f"release {release!r} has two arms; its status compares them. Estimates are of releases that adapt",
            field="release",
        )
    names = (CONTROL, *definition.arms)
    weights = _weights(policy, names)
    metric = next(one for one in definition.metrics if one.name == definition.metric)
    visits = Visits(store, definition, metric, dry_run=is_dry(steps), since=evidence_from(steps))
    visits.read()
    draws = visits.now.draws
    sequence = AsymptoticSequence(definition.plan.decide_by, definition.plan.alpha)
    estimates = []
    for method in POLICY_METHODS:
        interval = sequence.interval(policy_estimate(draws, weights, method))
        estimates.append(PolicyEstimate(method, *map(rounded, (interval.value, interval.low, interval.high))))
    able = len(draws.able(weights).value)
    shares = dict(zip(names, map(float, weights), strict=True))
    return PolicyValue(
        release, metric.name, shares, (able, len(draws.value)), definition.plan.alpha, tuple(estimates)
    )  # fmt: skip


def _weights(policy: str, names: tuple[str, ...]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """A policy as probabilities.

    Raises:
        InputError: an unknown arm, or shares that do not come to 1.
    """
    if policy == UNIFORM:
        return np.full(len(names), 1 / len(names))
    pairs = [(policy, "=", "1")] if "=" not in policy else [part.partition("=") for part in policy.split(",")]
    parts = {name: share for name, _, share in pairs}
    unknown = [name for name in parts if name not in names]
    if unknown:
        raise InputError(
            f"there is no arm {shown(unknown[0], 40)!r}; give {UNIFORM}, shares such as {names[-1]}=0.5,{CONTROL}=0.5, "
            f"or one of {', '.join(names)}",
            code="unknown-choice",
            field="policy",
        )
    try:
        found = np.array([float(parts.get(name, "0")) for name in names])
    except ValueError:
        found = np.full(len(names), np.nan)
    if len(parts) < len(pairs) or not (np.all(found >= 0) and abs(found.sum() - 1) < 1e-6):
        raise InputError(
            f"{shown(policy, 100)!r}: give shares from 0 that come to 1, one of each arm",
            code="out-of-range",
            field="policy",
        )
    return found
