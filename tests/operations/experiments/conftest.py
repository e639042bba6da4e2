"""Releases with units that come and go, in the real store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from time import time
from typing import Any

import pytest

from trimtab.operations import (
    Arm,
    Definition,
    Exposure,
    ExposureLog,
    Metric,
    Release,
    Releases,
    Store,
    import_metrics,
    planned,
)
from trimtab.operations.experiments import Experiment

METRICS = [
    Metric.made(name="liked", feedback="thumbs", labels={"up": 1, "down": 0}, bounds=(0, 1)),
    Metric.made(name="complaint", feedback="complaint", direction="lower"),
    Metric.made(
        name="complaints_per_request", kind="ratio", numerator="complaint", denominator="requests", direction="lower"
    ),
    Metric.made(name="mean_latency", outcome="latency", direction="lower", per="request", bounds=(0, 60)),
    Metric.made(name="slow", outcome="latency", kind="quantile", q=0.9, direction="lower", per="request"),
    Metric.made(name="slow_users", outcome="latency", kind="quantile", q=0.5, direction="lower"),
    Metric.made(name="kindness", feedback="classified.kind", source="classifier", bounds=(0, 1)),
    Metric.made(name="taste", feedback="judged", source="judge", bounds=(0, 1)),
]


Answers = Callable[[str], dict[str, Any]]


@dataclass
class Live:
    """A release in a store, and requests to it."""

    store: Store
    releases: Releases
    name: str
    numbers: Iterator[int]

    @property
    def release(self) -> Release:
        return self.releases.get(self.name)

    @property
    def experiment(self) -> Experiment:
        return Experiment(self.store, self.name)

    def act(self, action: Any, **more: Any) -> Release:
        return self.releases.act(self.name, action, by="ada", **more)

    def exposure(self, unit: str | None, **fields: Any) -> Exposure:
        """One answer to a unit, by the arm that it has now."""
        release, number = self.release, next(self.numbers)
        arm = "control" if unit is None else release.arm(unit)
        given = {"time": time(), "finish": "stop", "dry_run": release.state == "dry-run", "arm": arm}
        return Exposure(
            request=f"{self.name}-{number}", model="tiny", unit=unit, release=self.name, version=release.version,
            **(given | fields),
        )  # fmt: skip

    def answer(self, units: int, of: Answers = lambda arm: {}, first: int = 0) -> list[Exposure]:
        """One answer to each of many units; `of` says by arm what came of it."""
        release = self.release
        made = [self.exposure(f"u{i}", **of(release.arm(f"u{i}"))) for i in range(first, first + units)]
        ExposureLog(self.store).write(made)
        return made


Launch = Callable[..., Live]


@pytest.fixture
def launch(store: Store) -> Launch:
    """Make a release that is judged, and start it."""

    def make(
        name: str = "first", metric: str | None = None, guardrails: tuple[str, ...] = (), action: Any = "start",
        four_eyes: bool = False, stages: tuple[float, ...] = (50, 100), without_unit: Any = "control", **plan: Any,
    ) -> Live:  # fmt: skip
        import_metrics(store, METRICS, by="ada")
        warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        made = Definition.made(
            name=name, model=name, treatment=warm, stages=stages, salt=name, four_eyes=four_eyes,
            without_unit=without_unit, **planned(metric, guardrails, **plan),
        )  # fmt: skip
        releases.add(made, by="ada")
        if action is not None:
            releases.act(name, action, by="ada")
        return Live(store, releases, name, count())

    return make


def errors(random: Random, rates: dict[str, float]) -> Answers:
    """Answers of which some fail, at a rate of either arm."""
    return lambda arm: {"finish": "error" if random.random() < rates[arm] else "stop"}
