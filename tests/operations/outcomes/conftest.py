"""A release that runs at 50 %, and exposures of it."""

from collections.abc import Callable
from time import time
from typing import Any

import pytest

from trimtab.operations import Arm, Definition, Exposure, Metric, Releases, Store, import_metrics

Release = Callable[..., Releases]

METRICS = [
    Metric.made(name="liked", feedback="thumbs", labels={"up": 1, "down": 0}, bounds=(0, 1), window_days=1),
    Metric.made(name="rating", feedback="rating", bounds=(1, 5)),
    Metric.made(name="judged", feedback="rating", source="judge"),
    Metric.made(name="slow", outcome="latency", kind="quantile", q=0.9),
    Metric.made(name="complaint", feedback="complaint"),
    Metric.made(name="complaints_per_request", kind="ratio", numerator="complaint", denominator="requests"),
]
NAMES = (*tuple(metric.name for metric in METRICS), "length", "latency", "errors", "edit_distance")


@pytest.fixture
def release(store: Store) -> Release:
    """Make a release with all metrics, and start it."""

    def make(name: str = "first", metrics: tuple[str, ...] = NAMES, **fields: Any) -> Releases:
        import_metrics(store, METRICS, by="ada")
        warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        given = {"model": name, "treatment": warm, "stages": (50, 100), "salt": name, "guardrails": metrics}
        releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        releases.add(Definition.made(name=name, **(given | fields)), by="ada")
        releases.act(name, "start", by="ada")
        return releases

    return make


def exposed(number: int, unit: str | None = "ada", arm: Any = "treatment", **fields: Any) -> Exposure:
    given: dict[str, Any] = {"release": "first", "version": 2, "time": time(), "finish": "stop"}
    return Exposure(request=f"r{number}", model="tiny", arm=arm, unit=unit, **(given | fields))
