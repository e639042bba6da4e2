"""What Prometheus reads of the releases and exposures of a server."""

from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trimtab.operations.releases.view import Condition
from trimtab.serving.live.judging import VERDICTS
from trimtab.serving.live.operations import Operations


class Figures(Collector):
    """Read from a server's operations whenever it is asked for metrics."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        said = self._operations.record
        condition = GaugeMetricFamily(
            "trimtab_release_condition", "1 for the condition that the server follows releases in, else 0.",
            labels=["condition"],
        )  # fmt: skip
        for name in get_args(Condition):
            condition.add_metric([name], float(said["condition"] == name))
        yield condition
        yield GaugeMetricFamily(
            "trimtab_store_age_seconds", "Since the store was read last.", value=said["seconds_since_store"]
        )
        stage = GaugeMetricFamily(
            "trimtab_release_stage_percent", "Of a release's traffic that treatment has.", labels=["release", "state"]
        )
        faults = GaugeMetricFamily(
            "trimtab_release_fault", "1 if this server cannot serve a release and leaves its requests unsteered.",
            labels=["release"],
        )  # fmt: skip
        for one in said["releases"]:
            stage.add_metric([one["name"], one["state"]], one["share"])
            faults.add_metric([one["name"]], float(one["name"] in said["faults"]))
        yield from (stage, faults)
        assigned = CounterMetricFamily(
            "trimtab_assignments", "Requests that a release decided for.", labels=["release", "arm"]
        )
        for (release, arm), n in list(self._operations.assigned.items()):
            assigned.add_metric([release, arm], n)
        unsteered = CounterMetricFamily(
            "trimtab_release_unsteered", "Requests that this server left unsteered, against a release.",
            labels=["release"],
        )  # fmt: skip
        for release, n in list(self._operations.unsteered.items()):
            unsteered.add_metric([release], n)
        yield from (assigned, unsteered)
        yield from self._experiments()
        yield from self._judging()
        yield from self._classifying()
        kept = said["exposures"]
        yield CounterMetricFamily("trimtab_exposures_written", "Exposures in the store.", value=kept["written"])
        yield CounterMetricFamily("trimtab_exposures_lost", "Exposures that were left out.", value=kept["left_out"])
        yield GaugeMetricFamily("trimtab_exposures_waiting", "Exposures on their way.", value=kept["waiting"])

    def _judging(self) -> Iterator[Metric]:
        """What became of the answers that a judge was to rate, and whether it has moved; nothing without a judge."""
        judging = self._operations.judging
        if judging is None:
            return
        counts = CounterMetricFamily(
            "trimtab_judge_ratings", "Answers that a judge was to rate, by what became of them.", labels=["outcome"]
        )
        for outcome, n in list(judging.counts.items()):
            counts.add_metric([outcome], n)
        yield counts
        yield GaugeMetricFamily("trimtab_judge_waiting", "Answers that wait for the judge.", value=judging.waiting)
        drift = GaugeMetricFamily(
            "trimtab_judge_drift", "1 for what has moved, the system or the judge; no 1 while there is no reference.",
            labels=["verdict"],
        )  # fmt: skip
        for verdict in VERDICTS:
            drift.add_metric([verdict], float(judging.drift.verdict == verdict))
        yield drift

    def _classifying(self) -> Iterator[Metric]:
        """What became of the answers that classifiers were to score, and how well these separate; nothing without."""
        classifying = self._operations.classifying
        if classifying is None:
            return
        counts = CounterMetricFamily(
            "trimtab_classifier_scores", "Answers that classifiers were to score, by what became of them.",
            labels=["outcome"],
        )  # fmt: skip
        for outcome, n in list(classifying.counts.items()):
            counts.add_metric([outcome], n)
        yield counts
        yield GaugeMetricFamily(
            "trimtab_classifier_waiting", "Answers that wait for the classifiers.", value=classifying.waiting
        )
        auroc = GaugeMetricFamily(
            "trimtab_classifier_auroc", "How well a classifier separates answers that it was not fitted to.",
            labels=["metric", "bound"],
        )  # fmt: skip
        for name, one in classifying.classifiers.items():
            interval = one.quality.auroc
            assert interval is not None  # of one that can judge
            for bound in ("value", "low", "high"):
                auroc.add_metric([name, bound], getattr(interval, bound))
        yield auroc

    def _experiments(self) -> Iterator[Metric]:
        """What the last looks at releases that run found, and what was decided here."""
        watching = self._operations.watching
        state = GaugeMetricFamily(
            "trimtab_release_metric_state", "1 for the state that a release's metric is in.",
            labels=["release", "metric", "state", "arm"],
        )  # fmt: skip
        mismatch = GaugeMetricFamily(
            "trimtab_release_share_mismatch", "1 where the arms of a release do not get their shares of units.",
            labels=["release"],
        )  # fmt: skip
        for release, look in list(watching.looks.items()):
            mismatch.add_metric([release], float(look.sample_ratio.mismatch))
            for one in look.findings:
                state.add_metric([release, one.metric, one.state, one.arm], 1.0)
        decided = CounterMetricFamily(
            "trimtab_release_decisions", "What this server's watch did to releases.", labels=["release", "action"]
        )
        for (release, action), n in list(watching.done.items()):
            decided.add_metric([release, action], n)
        share = GaugeMetricFamily(
            "trimtab_release_arm_share", "Probability by which a release with several arms draws each.",
            labels=["release", "arm"],
        )  # fmt: skip
        for release, look in list(watching.looks.items()):
            for arm in look.arms:
                share.add_metric([release, arm.arm], arm.share)
        yield from (state, mismatch, decided, share)
