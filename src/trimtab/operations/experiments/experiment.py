"""An experiment on a release: its metrics compared between the arms, at every look, from the store alone."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from trimtab.operations.experiments.concluding import concluded
from trimtab.operations.experiments.deciding import decided
from trimtab.operations.experiments.findings import Finding, Look, Role, sample_ratio
from trimtab.operations.experiments.measuring import Measure, bets_on
from trimtab.operations.experiments.scored_by import scored_by
from trimtab.operations.experiments.series import Series
from trimtab.operations.experiments.shares import Shares
from trimtab.operations.experiments.wanted import Wanted
from trimtab.operations.outcomes.past import Past
from trimtab.operations.outcomes.reading import OutcomeReader
from trimtab.operations.releases.plan import Guardrail, Plan
from trimtab.operations.releases.release import Definition, Release
from trimtab.operations.releases.releases import Releases
from trimtab.operations.releases.steps import Step
from trimtab.operations.store.database import Store
from trimtab.statistics.sequential import holm

_ALIKE: Final = "A dry run: both arms were answered alike, so that any difference is chance or a fault of the records."
_NOTHING: Final = "The release names no metric and no guardrail: nothing is compared, and nothing is decided."


class Looking(ABC):
    """A release that is looked at again and again, each time only at what is new; a function of the store alone.

    Args:
        store: see `Store`.
        release: its name.

    Raises:
        InputError: there is no such release.
        TrimtabError: the store cannot be read.
    """

    def __init__(self, store: Store, release: str) -> None:
        self._store, self._name = store, release
        self._releases = Releases(store)
        self._lock = Lock()
        self._begun: tuple[int, bool] | None = None
        self._releases.get(release)

    def look(self) -> Look:
        """Read what is new, and say how everything stands. Nothing is changed; `Watch` acts on decisions.

        Raises:
            TrimtabError: the store cannot be read.
        """
        with self._lock:
            steps = self._releases.history(self._name)
            release = steps[-1].release
            begun = evidence_from(steps), is_dry(steps)
            if begun != self._begun:
                self._begin(release.definition, *begun)
                self._begun = begun
            self._read()
            look = self._told(release, *begun)
            with self._store.reading() as connection:
                return replace(look, scored_by=scored_by(connection, release.definition))

    @abstractmethod
    def _begin(self, definition: Definition, since: int, dry_run: bool) -> None:
        """Nothing was read yet, or evidence begins anew."""

    @abstractmethod
    def _read(self) -> None:
        """Read what is new."""

    @abstractmethod
    def _told(self, release: Release, since: int, dry_run: bool) -> Look:
        """How everything stands, as far as it was read."""


class Experiment(Looking):
    """A release as an experiment.

    It keeps what it read, so that a look reads only what is new, and nothing else: one that begins anew, after a kill
    or on another server, finds the same.

    Args:
        store: see `Store`.
        release: its name.

    Raises:
        InputError: there is no such release.
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Arm, Definition, Exposure, ExposureLog, Releases, Store
        >>> from trimtab.operations.experiments import Experiment
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="a", model="m", treatment=warm, stages=(50, 100), salt="s", guardrails=("errors",))
        >>> with Store("tried.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada"), releases.act("a", "start", by="ada")
        ...     ends = {"control": "stop", "treatment": "error"}
        ...     _ = ExposureLog(store).write([
        ...         Exposure(f"{arm}{i}", 0.0, "m", arm, unit=f"{arm}{i}", release="a", version=2, finish=ends[arm])
        ...         for arm in ends for i in range(100)])
        ...     look = Experiment(store, "a").look()
        >>> look.findings[0].meaning
        'Worse by 1: harm of more than 0.01 is shown, which is not tolerated.'
        >>> look.decision.action
        'pause'
    """

    def _begin(self, definition: Definition, since: int, dry_run: bool) -> None:
        reader = OutcomeReader(self._store, self._name, dry_run=dry_run, after=since)
        self._measures = measures(self._store, reader, definition)
        by_request = definition.without_unit == "request"
        self._shares = Shares(self._store, self._name, by_request=by_request, dry_run=dry_run, after=since)

    def _read(self) -> None:
        for measure in self._measures:
            measure.read()
        self._shares.read()

    def _told(self, release: Release, since: int, dry_run: bool) -> Look:
        plan = release.definition.plan
        ratio = sample_ratio(self._shares.stages)
        findings = () if plan is None else self._findings(release.definition, plan)
        positions = [measure.series.position for measure in self._measures]
        stage_units = self._shares.in_stage(release.share)
        look = Look(
            release=release.name, version=release.version, state=release.state, share=release.share, dry_run=dry_run,
            since=since, alpha=0.0 if plan is None else plan.alpha, exposures=self._shares.position,
            outcomes=max((one.outcomes for one in positions), default=0), stage_units=stage_units, findings=findings,
            sample_ratio=ratio, note=_NOTHING if plan is None else _ALIKE if dry_run else "",
        )  # fmt: skip
        if plan is None:
            return look
        return replace(look, decision=decided(release, plan, findings, ratio, stage_units))

    def _findings(self, definition: Definition, plan: Plan) -> tuple[Finding, ...]:
        now = [measure.now for measure in self._measures]
        adjusted = holm([one.log_e_harm for one in now])
        arms = [[measure.series.arm(treated) for treated in (False, True)] for measure in self._measures]
        return tuple(
            concluded(
                role, rail, measure.wanted.metric, measured, plan, float(together), len(now),
                units=(control.units, treatment.units), requests=(control.requests, treatment.requests),
                left_out=measure.series.left_out,
            )
            for (role, rail), measure, measured, together, (control, treatment) in zip(
                _named(definition, plan), self._measures, now, adjusted, arms, strict=True
            )
        )  # fmt: skip


def evidence_from(steps: Sequence[Step]) -> int:
    """Version from which on evidence counts: that of the last resume after figures had paused the release, else 1.

    Whoever resumes has seen the figures and decided against them; they do not decide a second time.

    Args:
        steps: of the release, in their order.
    """
    since, alarmed = 1, False
    for step in steps:
        if step.entry.what == "release.pause":
            alarmed = alarmed or bool((step.entry.after or {}).get("figures"))
        elif step.entry.what == "release.resume" and alarmed:
            since, alarmed = step.release.version, False
    return since


def measures(store: Store, reader: OutcomeReader, definition: Definition) -> list[Measure]:
    """What is measured of a release, unread; the metric that it is judged by first.

    Args:
        store: see `Store`.
        reader: of its outcomes.
        definition: of the release.
    """
    plan = definition.plan
    named = _named(definition, plan)
    found = []
    for role, rail in named:
        assert plan is not None
        metric = reader.metrics[rail.metric]
        primary = role == "primary"
        alpha = plan.alpha / 2 if primary else plan.alpha
        wanted = Wanted(metric, rail.margin or 0.0, alpha, len(named), plan.decide_by, two_sided=primary)
        past = None if metric.past_days is None else Past(store, definition, metric, dry_run=reader.dry_run)
        firsts = bets_on(wanted)[0] is not None or metric.kind == "quantile"
        found.append(Measure(Series(reader, metric, past, firsts=firsts), wanted))
    return found


def is_dry(steps: Sequence[Step]) -> bool:
    """Whether the release was only tried."""
    states = {step.release.state for step in steps}
    return "dry-run" in states and "running" not in states


def _named(definition: Definition, plan: Plan | None) -> list[tuple[Role, Guardrail]]:
    """The metrics that are compared, with their margins and actions."""
    if plan is None:
        return []
    named: list[tuple[Role, Guardrail]] = [("guardrail", rail) for rail in plan.guardrails]
    if definition.metric is None:
        return named
    return [("primary", Guardrail(metric=definition.metric, margin=plan.margin, action=plan.on_harm)), *named]
