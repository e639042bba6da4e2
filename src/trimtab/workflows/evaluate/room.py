"""Where a cell is measured: the seed's parts, made, chosen on dev, brought to equal damage, measured once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np

from trimtab.behaviors import Example
from trimtab.errors import InputError
from trimtab.evaluation.lito import Lito
from trimtab.evaluation.tasks import Task, TaskScores, Treatment, gain, run
from trimtab.experiment.progress import Progress
from trimtab.experiment.task_parts import Sizes, deal_all, experiment_of, usable
from trimtab.interventions import strength_rows
from trimtab.measurements.damage import Damage, DamageTexts, damages
from trimtab.models import Model
from trimtab.phrases import Phrase
from trimtab.results.evaluation import SHUFFLED, Cell, MethodPlan, Point, Row, Sample, Tried
from trimtab.steering import Steering
from trimtab.storage.atomic import remove
from trimtab.storage.steps import Ledger
from trimtab.texts import Rendered
from trimtab.workflows.evaluate.cell_task import CellTask
from trimtab.workflows.evaluate.contenders import LITO, PASSING, Bench, Candidate
from trimtab.workflows.evaluate.equal_damage import FAR, Dial, balanced, equally_damaging
from trimtab.workflows.evaluate.stacks import stacked

N_SAMPLES = 2  # prompts of each task that are continued
SAMPLE_TOKENS = 40
_LEARNED = 2  # units that a selector learns from for each of dev


class Room:
    """What the cell needs of its seed."""

    def __init__(self, task: CellTask, model: Model, progress: Progress) -> None:
        p = task.protocol
        self.task, self.model, self.progress, self.protocol = task, model, progress, p
        self.sizes = Sizes(p.train, p.dev, p.test)
        self.base = Treatment(chat_template=p.chat_template, seed=task.seed)
        self.parts = deal_all(task.tasks, task.seed, self.sizes)
        self.fitted = [t.label for t in p.tasks if t.fitted]
        self.ledger = Ledger(task.ledger.home, f"answers {model.digest}")
        self.bench = Bench(self._experiments(), {}, p, self.base)
        self.selectors: dict[tuple[str, str], Lito] = {}
        if task.contender == SHUFFLED:
            self.bench = replace(self.bench, shuffled=self._experiments(swap=task.seed))

    @property
    def refused(self) -> tuple[Tried, ...]:
        """Candidates that could not be made."""
        return tuple(Tried(settings=settings, reason=why) for settings, why in self.bench.refused)

    def _experiments(self, swap: int | None = None) -> dict[str, Any]:
        return {
            label: experiment_of(
                self.model, label, self.parts[label], self.task.seed, self.sizes, home=self.task.ledger.home,
                chat_template=self.protocol.chat_template, swap=swap,
            )
            for label in self.fitted
        }  # fmt: skip

    def cell(self) -> Cell:
        """The contender's candidates, the choice, and what is measured of the chosen one."""
        if self.task.part == "lockbox":
            return self._opened()
        plan = self.protocol.method(self.task.contender)
        if plan is not None and plan.stacked:
            return self._stacked(plan)
        candidates = self.bench.candidates(self.task.contender)
        chosen, tried, found = self._choice(candidates)
        points = self._points(chosen, found)
        if chosen.steering is not None and self.task.is_method:
            self._save(chosen.steering, points)
        if chosen.selects:
            self.bench.notes.append(
                Phrase(
                    "{contender} answers at strengths around the one that does the damage in the tables, and so does "
                    "more or less of it; the steering that is saved is what it chooses strengths of",
                    contender=self.task.contender,
                )
            )
        shown = self.task.seed == self.protocol.seeds[0] and not chosen.selects  # what it chooses is no continuation
        samples = self._samples(chosen, points) if shown else ()
        return Cell(
            contender=self.task.contender, seed=self.task.seed, tried=(*tried, *self.refused), points=points,
            samples=samples, notes=tuple(self.bench.notes),
        )  # fmt: skip

    def _stacked(self, plan: MethodPlan) -> Cell:
        """Two contenders of this seed together, measured once; what they do to text they do together."""
        steering, of = stacked(self.task, plan)
        chosen = Candidate({}, fixed=replace(self.base, steering=steering))
        point = self._measured(chosen.at(1.0), None, of.strengths, None, False)
        self._save(steering, [point])
        shown = self.task.seed == self.protocol.seeds[0]
        return Cell(
            contender=self.task.contender, seed=self.task.seed, points=(point,),
            samples=self._samples(chosen, [point]) if shown else (),
        )  # fmt: skip

    def _save(self, steering: Steering, points: Sequence[Point]) -> None:
        """The chosen steering at the strengths of the first damage; those of the others are presets."""
        known = [p for p in points if p.budget is not None and p.strengths]
        presets = {f"damage-{p.budget:g}": dict(p.strengths) for p in known}
        if known:
            steering = steering.changed(attributes=dict(known[0].strengths), presets=presets)
        self.task.home.parent.mkdir(parents=True, exist_ok=True)
        remove(self.task.home)
        steering.save(self.task.home)

    # --- the choice on dev ---

    def _choice(
        self, candidates: Sequence[Candidate]
    ) -> tuple[Candidate, tuple[Tried, ...], tuple[float, Damage] | None]:
        """The candidate that gains most at the first budget's damage, all brought there; its factor and damage."""
        texts, target = self.dev_texts, self.protocol.damages[0]
        candidates = self._balanced(candidates, target)
        if len(candidates) == 1:
            return candidates[0], (Tried(settings=candidates[0].settings, chosen=True),), None
        dials = {i: c.dial for i, c in enumerate(candidates) if c.dial is not None}
        at = equally_damaging(self.model, texts, dials, target, self._told("damage", texts))
        rows = []
        for i, candidate in enumerate(candidates):
            reached = at.get(i)
            lost = candidate.dial is not None and reached is None
            treatment = None if lost else candidate.at(1.0 if reached is None else reached[0])
            damage = None if reached is None else reached[1].worst
            worth, reason = self._worth(treatment, candidate.selects)
            rows.append(Tried(settings=candidate.settings, gain=worth, damage=damage, reason=reason))
        known = [i for i, row in enumerate(rows) if row.gain is not None]
        if not known:
            raise InputError(f"no candidate gives finite figures on dev: {rows[0].reason}", field="methods")
        best = max(known, key=lambda i: rows[i].gain or 0.0)
        rows[best] = rows[best].model_copy(update={"chosen": True})
        return candidates[best], tuple(rows), at.get(best)

    def _balanced(self, candidates: Sequence[Candidate], target: float) -> list[Candidate]:
        steerings = [c.dial.steering for c in candidates if c.dial is not None and c.dial.steering is not None]
        even = iter(balanced(self.model, self.dev_texts, steerings, self.base, target))
        return [
            replace(c, dial=Dial(next(even), self.base)) if c.dial is not None and c.dial.steering is not None else c
            for c in candidates
        ]

    def _worth(self, treatment: Treatment | None, selects: bool) -> tuple[float | None, Phrase | None]:
        if treatment is None:
            return None, Phrase("no strength gives finite figures")
        try:
            gains = [
                gain(base, self._scores(label, "dev", treatment, selects), figure).standardised
                for label in self.fitted
                for figure in [self.protocol.task(label).figure]
                for base in [self._scores(label, "dev", self.base)]
            ]
        except InputError as error:  # figures that are not finite, or that no unit has
            if error.code in PASSING:
                raise
            return None, error.message
        return float(np.mean(gains)), None

    # --- what is measured ---

    def _points(self, chosen: Candidate, found: tuple[float, Damage] | None) -> tuple[Point, ...]:
        """What is measured, at every budget; a search begins where the one before came to."""
        if chosen.dial is None:
            return (self._point(chosen, None, 1.0, None),)
        points, first, texts = [], 1.0, self.dev_texts
        for k, budget in enumerate(self.protocol.damages):
            if k or found is None:
                told = self._told("damage", texts)
                found = equally_damaging(self.model, texts, {0: chosen.dial}, budget, told, first).get(0)
            if found is None:
                raise InputError("no strength gives finite figures on dev", field="methods")
            factor, damage = found
            if k + 1 < len(self.protocol.damages):
                first = factor * sqrt(self.protocol.damages[k + 1] / budget)
            if abs(damage.worst - budget) > FAR * budget:
                self.bench.notes.append(
                    Phrase(
                        "{contender}, seed {seed}: the damage on dev is {damage} where {budget} is allowed; no "
                        "strength comes nearer",
                        contender=self.task.contender, seed=self.task.seed, damage=f"{damage.worst:.3g}",
                        budget=f"{budget:g}",
                    )
                )  # fmt: skip
            points.append(self._point(chosen, budget, factor, damage.worst))
        return tuple(points)

    def _point(self, chosen: Candidate, budget: float | None, factor: float, dev_damage: float | None) -> Point:
        treatment = chosen.at(factor)
        strengths = {} if chosen.dial is None else chosen.dial.strengths(factor)
        return self._measured(treatment, budget, strengths, dev_damage, chosen.selects)

    def _measured(
        self, treatment: Treatment, budget: float | None, strengths: Mapping[str, float], dev_damage: float | None,
        selects: bool,
    ) -> Point:  # fmt: skip
        part = self.task.part
        rows: list[Row] = []
        for label in self.parts:
            try:
                scores = self._scores(label, part, treatment, selects)
            except InputError as error:
                if not selects or label in self.fitted:
                    raise
                self.bench.notes.append(
                    Phrase(
                        "{contender} is not measured on {task}: {why}",
                        contender=self.task.contender, task=label, why=error.message,
                    )
                )  # fmt: skip
                continue
            rows += [
                Row(task=label, unit=r.unit, cluster=r.cluster, figure=r.figure, value=r.value) for r in scores.rows
            ]
        (damage,) = damages(self.model, self.measured_texts, [treatment])
        return Point(
            budget=budget, strengths=strengths, dev_damage=dev_damage, damage=dict(damage.by_group), rows=tuple(rows)
        )

    def _opened(self) -> Cell:
        """The lock-box under what was chosen: the same steering at the same strengths."""
        before = replace(self.task, part="test").kept()
        if before is None or not before.points:
            reason = Phrase("there is no result on test") if before is None else before.reason
            raise InputError(f"{self.task.contender}, seed {self.task.seed}: {reason}")
        steering = Steering.load(self.task.home) if self.task.is_method else None
        points = []
        chosen = None if steering is not None else self._again(before)
        for point in before.points:
            if steering is not None:
                treatment = replace(self.base, steering=steering, strength=dict(point.strengths) or None)
            elif chosen is not None and chosen.steering is not None:
                treatment = replace(self.base, steering=chosen.steering, strength=dict(point.strengths))
            else:
                treatment = replace(self.base, flatten=point.strengths.get("temperature", 1.0))
            points.append(self._measured(treatment, point.budget, point.strengths, point.dev_damage, self._selects))
        return Cell(contender=self.task.contender, seed=self.task.seed, points=tuple(points))

    def _again(self, before: Cell) -> Candidate:
        """The candidate that was chosen before, made again."""
        settings = next(dict(tried.settings) for tried in before.tried if tried.chosen)
        return next(c for c in self.bench.candidates(self.task.contender) if dict(c.settings) == settings)

    def _samples(self, chosen: Candidate, points: Sequence[Point]) -> tuple[Sample, ...]:
        """Greedy continuations of the first prompts that are measured, at the first budget."""
        at = points[0]
        treatment = chosen.fixed or self.base
        if chosen.dial is not None and chosen.steering is not None:
            treatment = replace(self.base, steering=chosen.steering, strength=dict(at.strengths))
        out = []
        for label, parts in self.parts.items():
            texts = [unit.texts[0] for unit in parts.test.units[:N_SAMPLES]]
            prompts = [Rendered(t.context, t.prompt or t.answer, "", t.messages) for t in texts]
            written = self.model.generate(
                prompts, steering=treatment.steering, strength=treatment.strength,
                chat_template=treatment.chat_template, max_new_tokens=SAMPLE_TOKENS,
            )  # fmt: skip
            out += [Sample(task=label, prompt=p.prompt, text=text) for p, text in zip(prompts, written, strict=True)]
        return tuple(out)

    # --- shared ---

    @property
    def _selects(self) -> bool:
        plan = self.protocol.method(self.task.contender)
        return plan is not None and plan.method == LITO

    def _scores(self, label: str, part: str, treatment: Treatment, selects: bool = False) -> TaskScores:
        task: Task[Any] = getattr(self.parts[label], part)
        if selects:
            scores = self._selector(label, treatment).run(task, self.model)
        else:
            scores = run(task, self.model, treatment, ledger=self.ledger)
        self.progress.advance(f"{self.task.contender}, seed {self.task.seed}", len(task.units))
        return scores

    def _selector(self, label: str, treatment: Treatment) -> Lito:
        """Learned from the task's training units, as many as dev has, under the strengths at hand."""
        steering, key = treatment.steering, (label, json.dumps(treatment.strength, sort_keys=True))
        assert steering is not None
        if key not in self.selectors:
            train = self.parts[label].train
            some = train.part(train.units[: _LEARNED * self.protocol.dev])
            own = steering.changed(attributes=strength_rows(steering, treatment.strength)[0])
            self.selectors[key] = Lito.learn(
                some, self.model, own, chat_template=treatment.chat_template, seed=self.task.seed
            )
        return self.selectors[key]

    @cached_property
    def dev_texts(self) -> DamageTexts:
        """What damage is set by."""
        examples = {label: self.bench.experiments[label].splits.dev.examples for label in self.fitted}
        return DamageTexts.of(examples, self.protocol.damage_texts, dev=True)

    @cached_property
    def measured_texts(self) -> DamageTexts:
        """What the damage in the record is measured on, the same at every budget."""
        examples: dict[str, Sequence[Example]] = {}
        for label in self.fitted:
            behavior = getattr(self.parts[label], self.task.part).behavior(label)
            examples[label] = usable(self.model, behavior, self.protocol.chat_template).examples
        return DamageTexts.of(examples, self.protocol.damage_texts, dev=False)

    def _told(self, stage: str, texts: DamageTexts) -> Any:
        n = sum(map(len, texts.groups.values()))
        return lambda times: self.progress.advance(stage, n * times)
