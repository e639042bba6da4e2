"""From cells to tables: means, gains over the unsteered model and over the floors, and the named contrasts."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

import numpy as np

from trimtab.errors import InputError
from trimtab.evaluation.tasks import Figure, Gain, Task, TaskScores, UnitScore, gain
from trimtab.measurements.damage import Damage
from trimtab.phrases import Phrase
from trimtab.results.evaluation import (
    FLOORS,
    UNSTEERED,
    Cell,
    Contrast,
    FigureRow,
    Overall,
    Point,
    Protocol,
)
from trimtab.results.figures import Estimate
from trimtab.results.numbers import NO_REASON
from trimtab.statistics import CrossedMean, crossed_mean, holm_adjusted
from trimtab.workflows.evaluate.equal_damage import FAR

Place = tuple[str, float | None]  # a contender at a budget
Gains = Mapping[int, Gain]  # by seed


class Summary:
    """All cells, and what the tasks measure.

    Args:
        protocol: what was fixed.
        tasks: by label.
        cells: of one part.
    """

    def __init__(self, protocol: Protocol, tasks: Mapping[str, Task[Any]], cells: Sequence[Cell]) -> None:
        self.protocol, self.tasks, self.cells = protocol, tasks, cells
        self.points: dict[Place, dict[int, Point]] = {}
        for cell in cells:
            for point in cell.points:
                self.points.setdefault((cell.contender, point.budget), {})[cell.seed] = point

    @property
    def places(self) -> Iterator[Place]:
        """Contenders in the protocol's order, each at its budgets."""
        for contender in self.protocol.contenders:
            own = [budget for name, budget in self.points if name == contender]
            yield from ((contender, budget) for budget in (None, *self.protocol.damages) if budget in own)

    def scores(self, place: Place, seed: int, label: str) -> TaskScores:
        """What was measured of a task."""
        rows = [r for r in self.points[place][seed].rows if r.task == label]
        task = self.tasks[label]
        units = tuple(UnitScore(r.unit, r.cluster, r.figure, r.value) for r in rows)
        return TaskScores(task.name, task.figures, units, {})

    # --- figures ---

    def figures(self) -> Iterator[FigureRow]:
        """Every figure of every task, contender by contender."""
        for place in self.places:
            for label, task in self.tasks.items():
                for figure in task.figures:
                    if (mean := self._mean(place, label, figure)) is not None:
                        yield self._figure_row(place, label, figure, mean)

    def _figure_row(self, place: Place, label: str, figure: Figure, mean: Estimate) -> FigureRow:
        contender, budget = place
        row = FigureRow(contender=contender, budget=budget, task=label, figure=figure.name, mean=mean)
        if figure.better == "neither":
            return row
        over = self._over(place, (UNSTEERED, None), label, figure.name)
        above = {}
        if budget is not None and contender not in FLOORS:
            for floor in FLOORS:
                above[floor] = self._over(place, (floor, budget), label, figure.name)
        return row.model_copy(
            update={
                "gain": _estimate(over),
                "above": {name: _estimate(found) for name, found in above.items()},
                "p_above": self._claimed(place, list(above.values())) if above else None,
            }
        )

    def _mean(self, place: Place, label: str, figure: Figure) -> Estimate | None:
        values, seeds, clusters = [], [], []
        for seed in self.points[place]:
            own, _, of = self.scores(place, seed, label).values(figure.name)
            values += own.tolist()
            clusters += of
            seeds += [seed] * len(of)
        if not values:
            return None
        mean = _estimate(_crossed(values, seeds, clusters), values)
        if mean.low is None or mean.high is None:
            return mean
        low, high = (-inf if figure.low is None else figure.low), (inf if figure.high is None else figure.high)
        return mean.model_copy(update={"low": max(mean.low, low), "high": min(mean.high, high)})

    def _over(self, place: Place, other: Place, label: str, figure: str) -> CrossedMean | None:
        """Gain of a contender over another, in the figure's own units."""
        gains = self._gains(place, other, label, figure)
        rows = [(v, seed, c) for seed, g in gains.items() for v, c in zip(g.values.tolist(), g.clusters, strict=True)]
        return _crossed(*map(list, zip(*rows, strict=True))) if rows else None

    def _gains(self, place: Place, other: Place, label: str, figure: str) -> Gains:
        """By the seeds that both have."""
        found = {}
        signs = self._side(other, label, figure), self._side(place, label, figure)
        for seed in self.points.get(place, {}):
            if seed in self.points.get(other, {}):
                try:
                    base, own = (self.scores(p, seed, label) for p in (other, place))
                    found[seed] = gain(base, own, figure, signs)
                except InputError:  # no unit of this seed has the figure under both
                    continue
        return found

    def _side(self, place: Place, label: str, figure: str) -> float:
        """The sign of the mean over all seeds."""
        values = [v for seed in self.points.get(place, {}) for v in self.scores(place, seed, label).values(figure)[0]]
        return float(np.sign(np.mean(values))) if values else 0.0

    def _complete(self, *places: Place) -> bool:
        """Whether all seeds of the protocol have given a result, and there are several: else nothing is claimed."""
        seeds = set(self.protocol.seeds)
        return len(seeds) > 1 and all(set(self.points.get(place, {})) == seeds for place in places)

    def _level(self, place: Place) -> bool:
        """Whether dev came near the damage that was allowed, in every seed."""
        budget = place[1]
        found = [p.dev_damage for p in self.points.get(place, {}).values()]
        return budget is not None and all(d is not None and abs(d - budget) <= FAR * budget for d in found)

    def _claimed(self, place: Place, above: Sequence[CrossedMean | None]) -> float | None:
        """The p-value against the floors; None where some seeds are missing, or the damages are not the same."""
        others = [(floor, place[1]) for floor in FLOORS]
        fair = self._complete(place, *others) and all(self._level(p) for p in (place, *others))
        return _p_above(above) if fair else None

    # --- over all fitted tasks ---

    def overall(self) -> Iterator[Overall]:
        """Each contender at each budget; those that gave nothing with the reason."""
        for place in self.places:
            yield self._overall(place)
        known = {name for name, _ in self.points}
        for contender in self.protocol.contenders:
            if contender not in known:
                why = next((c.reason for c in self.cells if c.contender == contender), Phrase("it was not measured"))
                yield Overall(contender=contender, budget=None, gain=Estimate(reason=why), failed=why)

    def _overall(self, place: Place) -> Overall:
        contender, budget = place
        points = self.points[place]
        above = {}
        if budget is not None and contender not in FLOORS:
            above = {floor: self._standardised(place, (floor, budget)) for floor in FLOORS}
        worst = [Damage(p.damage).worst for p in points.values() if p.damage]
        first = next(iter(points.values()))
        lost = [c for c in self.cells if c.contender == contender and c.reason is not None]
        return Overall(
            contender=contender, budget=budget, gain=_estimate(self._standardised(place, (UNSTEERED, None))),
            above={name: _estimate(found) for name, found in above.items()},
            p_above=self._claimed(place, list(above.values())) if above else None,
            dev_damage=_mean_of([p.dev_damage for p in points.values() if p.dev_damage is not None]),
            damage=_mean_of(worst),
            where=Damage(first.damage).where if first.damage else None,
            n_seeds=len(points), failed=_first(lost),
        )  # fmt: skip

    def _standardised(self, place: Place, other: Place, labels: Sequence[str] | None = None) -> CrossedMean | None:
        """Mean over fitted tasks of the gain over another on the common scale, which is the unsteered model's."""
        values: list[float] = []
        seeds: list[int] = []
        clusters: list[str] = []
        groups: list[str] = []
        for label in labels or [t.label for t in self.protocol.tasks if t.fitted]:
            figure = self.protocol.task(label).figure
            gains = self._gains(place, other, label, figure)
            if not gains:
                return None
            scale = self._scale(label, figure)
            for seed, own in gains.items():
                values += (own.values / scale).tolist()
                clusters += own.clusters
                seeds += [seed] * len(own.clusters)
                groups += [label] * len(own.clusters)
        return _crossed(values, seeds, clusters, groups)

    def _scale(self, label: str, figure: str) -> float:
        """Of the unsteered model in the first seed that has it, so that all gains of a task are divided by the same."""
        unsteered = UNSTEERED, None
        runs = [self.scores(unsteered, seed, label) for seed in self.points[unsteered]]
        base = next(run for run in runs if len(run.values(figure)[0]))
        return gain(base, base, figure).scale

    # --- contrasts ---

    def contrasts(self) -> tuple[Contrast, ...]:
        """The named ones at the first budget, with p-values adjusted for all of them."""
        rows, ps = [], []
        for first, second in self.protocol.contrasts:
            found = self._contrast(first, second)
            by_task = {
                t.label: _estimate(self._contrast(first, second, [t.label])) for t in self.protocol.tasks if t.fitted
            }
            places = [self._at(name) for name in (first, second)]
            fair = all(p is not None and self._complete(p) for p in places)
            difference = self._reason(first, second) if found is None else _estimate(found)
            p = found.p if found is not None and fair else None
            rows.append(Contrast(first=first, second=second, difference=difference, by_task=by_task, p=p))
            ps.append(1.0 if p is None else p)
        if not rows:
            return ()
        adjusted = holm_adjusted(ps).tolist()
        return tuple(
            row if row.p is None else row.model_copy(update={"p_holm": value})
            for row, value in zip(rows, adjusted, strict=True)
        )

    def _contrast(self, first: str, second: str, labels: Sequence[str] | None = None) -> CrossedMean | None:
        here, there = (self._at(name) for name in (first, second))
        return None if here is None or there is None else self._standardised(here, there, labels)

    def _reason(self, *contenders: str) -> Estimate:
        """Why there is no difference: the first reason that one of them gave nothing."""
        lost = [
            Phrase("{contender}: {why}", contender=c.contender, why=c.reason)
            for c in self.cells
            if c.contender in contenders and c.reason
        ]
        return Estimate(reason=lost[0]) if lost else _estimate(None)

    def _at(self, contender: str) -> Place | None:
        """At the first budget, or without one."""
        places = [(contender, self.protocol.damages[0]), (contender, None)]
        return next((place for place in places if place in self.points), None)


def _first(lost: Sequence[Cell]) -> Phrase | None:
    """Why the first seed that gave nothing did not; None where all of them did."""
    return Phrase("seed {seed}: {why}", seed=lost[0].seed, why=lost[0].reason or NO_REASON) if lost else None


def _mean_of(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _crossed(
    values: Sequence[float], seeds: Sequence[int], clusters: Sequence[str], groups: Sequence[str] | None = None
) -> CrossedMean | None:
    try:
        return crossed_mean(values, seeds, clusters, groups)
    except InputError:  # one cluster, or one row
        return None


def _estimate(found: CrossedMean | None, values: Sequence[float] = ()) -> Estimate:
    if found is None:
        reason = Phrase("fewer than two questions or templates")
        return Estimate(value=float(np.mean(values)), n=1, reason=reason) if values else Estimate(reason=reason)
    i = found.interval
    return Estimate(value=i.value, low=i.low, high=i.high, n=found.n_clusters)


def _p_above(found: Sequence[CrossedMean | None]) -> float | None:
    """p-value of "not above the highest floor": one-sided, the largest over the floors; None where one is unknown."""
    if not found or any(f is None for f in found):
        return None
    return max(f.p / 2 if f.interval.value > 0 else 1 - f.p / 2 for f in found if f is not None)
