"""A release with several arms as an experiment: how each does, which are excluded, and the shares of the next epoch."""

from collections.abc import Mapping
from math import log
from typing import Any, Final

from trimtab.operations.experiments.arm_measures import ArmMeasure, finding_of
from trimtab.operations.experiments.attribution import effects_of, told
from trimtab.operations.experiments.experiment import Experiment, Looking
from trimtab.operations.experiments.findings import Decision, Effect, Finding, Look, SampleRatio, Standing, rounded
from trimtab.operations.experiments.learning import next_shares
from trimtab.operations.experiments.standings import Standings
from trimtab.operations.experiments.visits import SLACK_DAYS, Visited, Visits
from trimtab.operations.experiments.wanted import Wanted
from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.operations.releases.adapting import Epoch
from trimtab.operations.releases.plan import Plan
from trimtab.operations.releases.release import Definition, Release
from trimtab.operations.releases.releases import Releases
from trimtab.operations.store.database import Store
from trimtab.statistics.sequential import ShareCounts, holm, log_sample_ratio

SHARE_ALPHA: Final = 0.01
_MOVED: Final = 0.01  # by which some share must change to be worth an epoch
_MOST: Final = 1900  # characters of a reason


def experiment_of(store: Store, name: str) -> "Experiment | SeveralArms":
    """The experiment of a release, whether it has two arms or several.

    Args:
        store: see `Store`.
        name: of the release.

    Raises:
        InputError: there is no such release.

    Example:
        >>> from trimtab.operations import Adapt, Arm, Definition, Releases, Store
        >>> from trimtab.operations.experiments import experiment_of
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="a", model="m", treatment=warm, stages=(100,), salt="s", metric="errors",
        ...                   arms={"bold": warm}, adapt=Adapt())
        >>> with Store("several.db", create=True) as store:
        ...     _ = Releases(store).add(made, by="ada")
        ...     [(one.arm, one.best) for one in experiment_of(store, "a").look().arms]
        [('control', 0.5), ('bold', 0.5)]
    """
    several = Releases(store).get(name).definition.arms
    return SeveralArms(store, name) if several else Experiment(store, name)


class SeveralArms(Looking):
    """A release with several arms as an experiment; like `Experiment`, a function of the store alone.

    Args:
        store: see `Store`.
        release: its name.

    Raises:
        InputError: there is no such release.
        TrimtabError: the store cannot be read.
    """

    def __init__(self, store: Store, release: str) -> None:
        super().__init__(store, release)
        self._slack = SLACK_DAYS

    def _begin(self, definition: Definition, since: int, dry_run: bool) -> None:
        self._definition = definition
        plan, metrics = definition.plan, {one.name: one for one in definition.metrics}
        assert plan is not None
        assert definition.metric is not None
        slack = None if definition.adapt is None else self._slack  # of a factorial release the epoch never ends

        def of(name: str) -> Visits:
            return Visits(
                self._store, definition, metrics.get(name, BUILT_IN["requests"]), dry_run=dry_run, since=since,
                slack_days=slack, firsts=name in {rail.metric for rail in plan.guardrails},
            )  # fmt: skip

        self._all, self._primary = of(""), of(definition.metric)
        self._rails = {rail.metric: of(rail.metric) for rail in plan.guardrails}
        n = len(plan.guardrails) * len(definition.arms)
        self._measures = [
            (rail, ArmMeasure(self._rails[rail.metric], Wanted(
                metrics[rail.metric], rail.margin or 0.0, plan.alpha, n, plan.decide_by, two_sided=False
            ), place, name))
            for rail in plan.guardrails for place, name in enumerate(definition.arms, 1)
        ]  # fmt: skip
        for rail, measure in self._measures:
            self._rails[rail.metric].takers.append(measure.take)
        self._standings = Standings(definition, self._primary, plan)

    def _read(self) -> None:
        while True:
            read = (self._all, self._primary, *self._rails.values())
            for visits in read:
                visits.read()
            if not any(visits.is_contradicted for visits in read):
                return
            self._slack *= 2  # something came of an epoch that was taken for over: all is read anew
            assert self._begun is not None
            self._begin(self._definition, *self._begun)

    def _told(self, release: Release, since: int, dry_run: bool) -> Look:
        definition, plan = release.definition, release.definition.plan
        assert plan is not None
        seen = self._primary.now
        rails = {name: visits.now for name, visits in self._rails.items()}
        findings = self._findings(plan, rails)
        ratio = _ratio(self._all)
        effects: tuple[Effect, ...] = ()
        if definition.factors:
            draws = {self._primary.metric.name: seen.draws} | {name: one.draws for name, one in rails.items()}
            effects = effects_of(draws, definition, plan)
        arms = self._standings.of(release, seen)
        mine = self._all.counts.get(0 if release.epoch is None else release.epoch.number, [0, 0])
        decision = None
        if release.state == "running" and release.epoch is not None:
            decision = _decided(release, release.epoch, findings, ratio, arms, sum(mine))
        dry = "A dry run: all arms were answered alike. " if dry_run else ""
        return Look(
            release=release.name, version=release.version, state=release.state, share=release.share, dry_run=dry_run,
            since=since, alpha=plan.alpha, exposures=self._all.position.exposures,
            outcomes=self._primary.position.outcomes, stage_units=(mine[0], sum(mine[1:])), findings=findings,
            sample_ratio=ratio, decision=decision, note=(dry + told(effects)).strip(), arms=arms, effects=effects,
        )  # fmt: skip

    def _findings(self, plan: Plan, seen: Mapping[str, Visited]) -> tuple[Finding, ...]:
        if not self._measures:
            return ()
        found = [measure.measured(seen[rail.metric]) for rail, measure in self._measures]
        together = holm([one.log_e_harm for one in found])
        return tuple(
            finding_of(measure, rail, seen[rail.metric], one, plan, float(all_), len(found))
            for (rail, measure), one, all_ in zip(self._measures, found, together, strict=True)
        )


def _ratio(visits: Visits) -> SampleRatio:
    """Whether the arms get the visits that their probabilities say, epoch by epoch."""
    shares, stages, impossible = visits.shares, [], False
    counts = visits.counts
    for number, n in counts.items():
        drawn = [i for i, p in enumerate(shares[number]) if p > 0]
        impossible = impossible or sum(n[i] for i in drawn) < sum(n)
        if len(drawn) > 1:
            stages.append(ShareCounts(tuple(shares[number][i] for i in drawn), tuple(n[i] for i in drawn)))
    evidence = log_sample_ratio(stages) if stages else 0.0
    mismatch = impossible or evidence >= log(1 / SHARE_ALPHA)
    said = tuple((round(100 * (1 - shares[k][0]), 6), n[0], sum(n[1:])) for k, n in counts.items())
    total = sum(sum(n) for n in counts.values())
    meaning = f"The arms get their shares of the {total:,} visits." if total else "No unit was seen yet."
    if mismatch:
        meaning = (
            "The arms do not get their shares of the visits: records are lost or arms are given wrongly. No other "
            "figure here can be trusted until that is mended."
        )
    return SampleRatio(said, rounded(evidence) or 0.0, mismatch, meaning)


def _decided(
    release: Release,
    epoch: Epoch,
    findings: tuple[Finding, ...],
    ratio: SampleRatio,
    arms: tuple[Standing, ...],
    n: int,
) -> Decision | None:
    """Pause, roll back, other shares, or nothing."""
    if ratio.mismatch:
        return Decision("pause", ratio.meaning, _figures(findings, ratio, arms))
    harmed: dict[str, str] = {}
    for one in findings:
        if one.harm and one.arm not in epoch.excluded:
            said = f"{one.metric}: {one.meaning}"
            harmed[one.arm] = f"{harmed[one.arm]} {said}" if one.arm in harmed else said
    why = " ".join(f"{arm}: {said}" for arm, said in harmed.items())[:_MOST]
    adapt = release.definition.adapt
    if adapt is None:
        if not harmed:
            return None
        actions = {one.action for one in findings if one.harm}
        return Decision("rollback" if "rollback" in actions else "pause", why, _figures(findings, ratio, arms))
    if not epoch.treated:
        said = "; ".join(f"{arm}: {reason}" for arm, reason in epoch.excluded.items())
        return Decision("pause", f"Only control is left. {said}"[:_MOST], _figures(findings, ratio, arms))
    if not harmed and n < adapt.epoch_visits:
        return None
    out = {arm for arm in epoch.shares if arm in harmed or arm in epoch.excluded}
    shares = next_shares({one.arm: one.best for one in arms}, out, adapt.explore)
    if not harmed and max(abs(shares[arm] - epoch.shares[arm]) for arm in shares) < _MOVED:
        return None
    said = ", ".join(f"{arm} {100 * share:.3g} %" for arm, share in shares.items())
    why = f"excluded: {why} Shares: {said}" if harmed else f"shares after {n:,} visits: {said}"
    return Decision("adapt", why[:_MOST], _figures(findings, ratio, arms), shares=shares, excluded=harmed)


def _figures(findings: tuple[Finding, ...], ratio: SampleRatio, arms: tuple[Standing, ...]) -> dict[str, Any]:
    names = ("visits", "mean", "low", "high", "best", "share")
    rails = ("difference", "low", "high", "margin", "state", "harm", "log_e_harm", "log_e_harm_adjusted", "method")
    return {
        "arms": {one.arm: {name: getattr(one, name) for name in names} for one in arms},
        "guardrails": {
            f"{one.arm} {one.metric}": {name: getattr(one, name) for name in rails} for one in findings
        },
        "sample_ratio": {"log_e": ratio.log_e, "mismatch": ratio.mismatch},
    }  # fmt: skip
