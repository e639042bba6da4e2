"""A store with releases in several states and an experiment under way, as if it had run for hours."""

from random import Random
from time import time
from typing import Any
from unittest.mock import patch

from trimtab.operations import (
    Adapt,
    Arm,
    Definition,
    Exposure,
    ExposureLog,
    Metric,
    Outcome,
    OutcomeLog,
    Releases,
    Store,
    import_metrics,
    planned,
)
from trimtab.operations.experiments import Watch

LIKED = Metric.made(
    name="liked", feedback="thumbs", labels={"up": 1, "down": 0}, bounds=(0, 1), description="thumbs up, of all thumbs"
)
HOUR = 3600.0


def seed(store: Store, warm: Arm, *, units: int = 600, harm: bool = False, name: str = "cheerful") -> Releases:
    """One release under way, judged by thumbs.

    Args:
        store: empty, or with releases of other models.
        warm: the treatment.
        units: of both arms, with one answer each.
        harm: whether treatment fails far more often.
        name: of the release and, for another than the usual one, of its model.
    """
    import_metrics(store, [LIKED], by="ada")
    releases = Releases(store, artifact_now=lambda arm: arm.artifact)
    began, random = time() - 6 * HOUR, Random(1)
    with (
        patch("trimtab.operations.releases.releases.time", lambda: began),
        patch("trimtab.operations.releases.rows.time", lambda: began - HOUR),
    ):
        made = Definition.made(
            name=name, model="tiny", treatment=warm, stages=(50, 100), salt="s",
            **planned("liked:0.03:0.05", ["errors:0.01:rollback", "latency"], decide_by=1000),
        )  # fmt: skip
        releases.add(made, by="ada", why="a pilot for the newsletter")
        running = releases.act(name, "start", by="ada", why="on Monday")
    log, outcomes = ExposureLog(store), OutcomeLog(store)
    rate = {"control": 0.0, "treatment": 0.15 if harm else 0.0}
    for batch in range(0, units, 20):
        now = began + 6 * HOUR * (batch + 1) / units
        made_of = [(f"{name}-{i}", running.arm(f"u{i}")) for i in range(batch, min(units, batch + 20))]
        log.write(
            [
                Exposure(
                    request, now, "tiny", arm, unit=f"u{batch + i}", release=name, version=2,
                    finish="error" if random.random() < rate[arm] else "stop", seconds=random.gauss(2.0, 0.4),
                )
                for i, (request, arm) in enumerate(made_of)
            ]
        )  # fmt: skip
        with patch("trimtab.operations.outcomes.log.time", lambda now=now: now + 1):
            outcomes.write(
                [
                    Outcome(
                        "thumbs",
                        request=request,
                        label="up" if random.random() < (0.8 if arm == "treatment" else 0.55) else "down",
                    )
                    for request, arm in made_of
                ]
            )
    return releases


FAILS = {
    "control": 0.6,
    "unsteered": 0.4,
    "bold": 0.1,
    "cell-01": 0.6,
    "cell-10": 0.3,
    "cell-11": 0.3,
}  # of answers, by arm


def seed_several(store: Store, warm: Arm, *, visits: int = 1200) -> Releases:
    """An adaptive release and a factorial one, each on half of the traffic; `bold` is best, and `kind` helps.

    An arm is called as a text of the page is: it must stay the name that people gave it.

    Args:
        store: without a release that is open.
        warm: what all arms are answered with.
        visits: of users who each ask once, in each release.
    """
    releases, random = Releases(store, artifact_now=lambda arm: arm.artifact), Random(1)
    kinds: dict[str, dict[str, Any]] = {
        "which": {
            "arms": dict.fromkeys(("cell-01", "cell-10", "cell-11"), warm), "factors": ("kind", "brief"),
            "traffic": (50, 100),
        },
        "tone": {"arms": {"unsteered": warm, "bold": warm}, "adapt": Adapt(explore=0.1), "traffic": (0, 50)},
    }  # fmt: skip
    for name, kind in kinds.items():
        fields = {**planned("errors", ["cancelled"]), **kind}
        releases.add(
            Definition.made(name=name, model="tiny", treatment=warm, stages=(100,), salt=name, **fields), by="ada"
        )
        releases.act(name, "start", by="ada")
        for batch in range(2):
            release = releases.get(name)
            arms = {f"{name}-{batch}-{i}": release.arm(f"{name}-{batch}-{i}") for i in range(visits // 2)}
            ExposureLog(store).write([
                Exposure(
                    unit, time(), "tiny", arm, unit, name, release.version,
                    finish="error" if random.random() < FAILS[arm] else "stop",
                )
                for unit, arm in arms.items()
            ])  # fmt: skip
            Watch(releases).once()
    return releases


SCORER = "classifier of 'kind': AUROC 0.93 [0.90, 0.95] on 200 unseen answers"
SCORED = [
    Metric.made(name="kindness", feedback="classified.kind", source="classifier", bounds=(0, 1)),
    Metric.made(name="calm", outcome="latency", bounds=(0, 60), direction="lower", past_days=7),
]


def seed_scored(store: Store, warm: Arm, *, units: int = 200) -> Releases:
    """A release that a classifier judges, with a guardrail from which the users' past is taken out.

    Args:
        store: without a release that is open.
        warm: the treatment.
        units: with two answers each, one from before the release; the same are slow in both.
    """
    import_metrics(store, SCORED, by="ada")
    releases, random, now = Releases(store, artifact_now=lambda arm: arm.artifact), Random(1), time()
    plan = planned("kindness:0.03:0.05", ["calm:2"])
    releases.add(Definition.made(name="scored", model="tiny", treatment=warm, stages=(50,), salt="s", **plan), by="ada")
    running = releases.act("scored", "start", by="ada")
    made, scores = [], []
    for i in range(units):
        own, arm, unit = random.uniform(1, 9), running.arm(f"u{i}"), f"u{i}"
        then, since = (max(0.0, own + random.gauss(0, 0.5)) for _ in range(2))
        made.append(Exposure(f"before-{i}", now - 86_400, "tiny", "none", unit=unit, finish="stop", seconds=then))
        made.append(
            Exposure(f"scored-{i}", now, "tiny", arm, unit, "scored", running.version, finish="stop", seconds=since)
        )
        kind = 0.5 + 0.3 * (arm == "treatment") + 0.1 * random.random()
        scores.append(Outcome("classified.kind", f"scored-{i}", value=kind, source="classifier", who=SCORER))
    ExposureLog(store).write(made)
    OutcomeLog(store).write(scores)
    return releases
