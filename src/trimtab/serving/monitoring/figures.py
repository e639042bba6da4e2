"""What Prometheus reads of canary, shadow and drift."""

import time
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trimtab.serving.monitoring.canary import CanaryVerdict
from trimtab.serving.monitoring.observations import Observations

_OF = ("steering", "setup")  # its name, and what tells its strengths and scopes apart


class Watched(Collector):
    """Read from a server's observations whenever it is asked for metrics."""

    def __init__(self, observations: Observations) -> None:
        self._observations = observations

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        seen = self._observations
        alarms = CounterMetricFamily("trimtab_alarms", "Alarms of monitoring.", labels=["kind"])
        for kind, n in seen.raised.items():
            alarms.add_metric([kind], n)
        dropped = CounterMetricFamily("trimtab_shadow_dropped", "Answers that are in no figure.", labels=["reason"])
        for why, n in list(seen.dropped.items()):
            dropped.add_metric([why], n)
        yield from (alarms, dropped)
        yield from self._canaries()
        yield from self._live()

    def _canaries(self) -> Iterator[Metric]:
        verdicts = _gauge("canary_verdict", "1 for what the last look of a canary came to, else 0.", "check", "verdict")
        effect = _gauge("canary_effect", "Mean effect at the last look, in the check's unit.", "check")
        anti = _gauge(
            "canary_anti_steerable", "Share of rows pushed the wrong way at the last look, of those acted on.", "check"
        )
        acts = _gauge("canary_acts", "Share of rows that the steering acts on at the last look.", "check")
        age = _gauge("canary_age_seconds", "Since the last look that did not fail.", "check")
        for (check, key), looked in list(self._observations.canaries.items()):
            of, run = [looked.setup.name, key, check], looked.run
            for verdict in get_args(CanaryVerdict):
                verdicts.add_metric([*of, verdict], float(run is not None and run.verdict == verdict))
            if run is not None:
                effect.add_metric(of, run.effect.value)
                anti.add_metric(of, run.anti_steerable.value)
                acts.add_metric(of, 1.0 if run.acts is None else run.acts.value)
                age.add_metric(of, time.time() - looked.time)
        yield from (verdicts, effect, anti, acts, age)

    def _live(self) -> Iterator[Metric]:
        n = _gauge("shadow_answers", "Answers that were scored, one a unit.")
        kl = _gauge("shadow_kl", "Mean divergence on live answers, nats per token.")
        floor = _gauge("shadow_random_kl", "The same of random directions of the same size.")
        index = _gauge("drift_stability_index", "Population stability index; it only describes.", "figure", "reference")
        drifted = _gauge("drift_alarm", "1 once a live figure has moved from its reference.", "figure", "reference")
        for key, setup in list(self._observations.setups.items()):
            of = [setup.name, key]
            if (shadow := self._observations.shadows.get(key)) is not None:
                n.add_metric(of, float(shadow.gain.n))
                kl.add_metric(of, float(shadow.kl.mean))
                floor.add_metric(of, float(shadow.random_kl.mean))
            for one in self._observations.drift.record(key):
                where = [*of, one["figure"], one["reference"]]
                drifted.add_metric(where, float(one["alarm"]))
                if one["stability_index"] is not None:
                    index.add_metric(where, one["stability_index"])
        yield from (n, kl, floor, index, drifted)


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trimtab_{name}", what, labels=[*_OF, *labels])
