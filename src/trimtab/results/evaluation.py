"""What a comparison of methods on tasks was set to do, and what came out."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal

from trimtab.phrases import Phrase
from trimtab.results.figures import Document, Estimate, Record, Told
from trimtab.results.report import ModelRecord

UNSTEERED: Final = "unsteered"
TEMPERATURE: Final = "temperature"
RANDOM: Final = "random direction"
SHUFFLED: Final = "shuffled labels"
FLOORS: Final = (TEMPERATURE, RANDOM, SHUFFLED)
"""What a gain must exceed at the same damage before it says anything: a model that is only broken reaches these."""
Better = Literal["higher", "lower", "nearer 0", "neither"]
Part = Literal["test", "lockbox"]


class TaskPlan(Record):
    """A task of a comparison.

    Args:
        label: its name in tables.
        task, source, options: as given.
        figure: the one that the comparison is about.
        meaning: of this figure.
        better: which way.
        chance: its value for a model that finds all answers equally likely.
        digest: of all units.
        units, clusters: how many there are.
        fitted: whether steerings are fitted to it; else it only shows side effects.
    """

    label: str
    task: str
    source: str
    options: Mapping[str, Any] = {}
    figure: str
    meaning: Phrase
    better: Better
    chance: float | None = None
    digest: str
    units: int
    clusters: int
    fitted: bool


class MethodPlan(Record):
    """A method of a comparison.

    Args:
        label: its name in tables.
        method: of `trimtab.steering.methods`.
        settings: hyperparameters that dev chooses from.
        source: what the method is.
        stacked: labels of two others that are put together: one that edits activations, and then one that puts text in
            front of prompts. Empty for a method by itself.
    """

    label: str
    method: str
    settings: tuple[Mapping[str, Any], ...]
    source: str = ""
    stacked: tuple[str, ...] = ()


class Protocol(Record):
    """What is fixed before anything is measured on test.

    Args:
        model: which.
        dtype: of it.
        chat_template: whether prompts go through it.
        tasks: what is measured.
        methods: what is compared, besides the unsteered model and the floors.
        seeds: each deals the units anew and starts trainings anew.
        train, dev, test: sizes of the parts, at most.
        damages: nats per token at which methods are compared; dev chooses at the first.
        trials: candidates of each method on dev, at most.
        site: where to steer; None where dev chooses among blocks.
        damage_texts: of each group.
        lockbox: share of the clusters that no seed uses.
        contrasts: pairs of labels; first minus second, on the mean over the fitted tasks.
    """

    model: ModelRecord
    dtype: str
    chat_template: bool
    tasks: tuple[TaskPlan, ...]
    methods: tuple[MethodPlan, ...]
    seeds: tuple[int, ...]
    train: int
    dev: int
    test: int
    damages: tuple[float, ...]
    trials: int
    site: str | None
    damage_texts: int
    lockbox: float
    contrasts: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it; without stacks that of trimtab 0.2, which knew none."""
        said = self.model_dump(mode="json")
        if not any(m.stacked for m in self.methods):
            for m in said["methods"]:
                del m["stacked"]
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def contenders(self) -> tuple[str, ...]:
        """Labels of everything that is measured, the unsteered model and the floors first."""
        return (UNSTEERED, *FLOORS, *(m.label for m in self.methods))

    def method(self, label: str) -> MethodPlan | None:
        """A method by its label; None for the unsteered model and the floors."""
        return next((m for m in self.methods if m.label == label), None)

    def task(self, label: str) -> TaskPlan:
        """A task by its label."""
        return next(t for t in self.tasks if t.label == label)


class Tried(Record):
    """A candidate on dev.

    Args:
        settings: hyperparameters, and the block where one was chosen.
        gain: mean over the fitted tasks of the standardised gain; None if it could not be made.
        damage: nats per token on dev.
        reason: why there is no gain.
        chosen: whether it is the one.
    """

    settings: Mapping[str, Any]
    gain: float | None = None
    damage: float | None = None
    reason: Phrase | None = None
    chosen: bool = False


class Row(Record):
    """A value of one unit."""

    task: str
    unit: str
    cluster: str
    figure: str
    value: float


class Point(Record):
    """A contender of one seed at one budget.

    Args:
        budget: nats per token that dev allowed; None for what has no strength.
        strengths: by attribute; for the temperature its value.
        dev_damage: nats per token on dev texts.
        damage: by group of test texts.
        rows: what was measured.
    """

    budget: float | None
    strengths: Mapping[str, float]
    dev_damage: float | None
    damage: Mapping[str, float]
    rows: tuple[Row, ...]


class Sample(Record):
    """What a contender writes."""

    task: str
    prompt: str
    text: str


class Cell(Told):
    """One contender under one seed.

    Args:
        contender: label.
        seed: the seed.
        tried: candidates on dev.
        points: one for each budget; empty where nothing could be made.
        samples: continuations, of the first seed at the first budget.
        notes: what to mind.
        reason: why there are no points.
        seconds: that it took.
    """

    contender: str
    seed: int
    tried: tuple[Tried, ...] = ()
    points: tuple[Point, ...] = ()
    samples: tuple[Sample, ...] = ()
    notes: tuple[Phrase, ...] = ()
    reason: Phrase | None = None
    seconds: float = 0.0


def highest_floor(above: Mapping[str, Estimate]) -> str | None:
    """Of gains over floors, the floor with the least; None where none is known."""
    known = {name: e.value for name, e in above.items() if e.value is not None}
    return min(known, key=lambda name: known[name]) if known else None


class FigureRow(Record):
    """A contender's figure on a task at a budget, over all seeds.

    Args:
        contender, budget, task, figure: which.
        mean: over units and seeds; `n` counts clusters.
        gain: over the unsteered model, larger is better; None for figures without a better side.
        above: gain over each floor at this budget, by its name; empty for floors and what has no strength.
        p_above: p-value of "not above the highest floor": the largest of the three. None with a single seed, where
            a seed gave nothing, and where dev did not come near the allowed damage: nothing is claimed then.
    """

    contender: str
    budget: float | None
    task: str
    figure: str
    mean: Estimate
    gain: Estimate | None = None
    above: Mapping[str, Estimate] = {}
    p_above: float | None = None

    @property
    def floor(self) -> str | None:
        """The highest floor: the one that it gains least over."""
        return highest_floor(self.above)


class Overall(Record):
    """A contender at a budget, over the fitted tasks.

    Args:
        contender, budget: which.
        gain: mean over the fitted tasks of the standardised gain over the unsteered model.
        above: the same over each floor.
        p_above: as of `FigureRow`.
        dev_damage: worst group of dev texts, where the strength was searched; mean over seeds.
        damage: worst group of test texts, nats per token, mean over seeds.
        where: that group, of the first seed.
        n_seeds: that gave a result.
        failed: seeds that did not, with the reason of the first.
    """

    contender: str
    budget: float | None
    gain: Estimate
    above: Mapping[str, Estimate] = {}
    p_above: float | None = None
    dev_damage: float | None = None
    damage: float | None = None
    where: str | None = None
    n_seeds: int = 0
    failed: Phrase | None = None


class Contrast(Record):
    """A named contrast, at the first budget.

    Args:
        first, second: labels.
        difference: of their standardised gains, mean over the fitted tasks.
        by_task: the same on each fitted task.
        p: of "no difference".
        p_holm: adjusted for all named contrasts.
    """

    first: str
    second: str
    difference: Estimate
    by_task: Mapping[str, Estimate] = {}
    p: float | None = None
    p_holm: float | None = None


class Evaluation(Document):
    """A comparison.

    Args:
        part: test, or the lock-box once it was opened.
        opened: when the lock-box was, and by which command.
        protocol: what was fixed beforehand.
        protocol_digest: of it, as it was written before the first test run.
        figures: every figure of every contender.
        overall: every contender.
        contrasts: the named ones.
        tried: candidates on dev, by contender and seed.
        samples: continuations by contender.
        notes: what to mind.
    """

    part: Part = "test"
    opened: str | None = None
    protocol: Protocol
    protocol_digest: str
    figures: tuple[FigureRow, ...]
    overall: tuple[Overall, ...]
    contrasts: tuple[Contrast, ...]
    tried: Mapping[str, Mapping[str, tuple[Tried, ...]]] = {}
    samples: Mapping[str, tuple[Sample, ...]] = {}
    notes: tuple[Phrase, ...] = ()

    def row(self, contender: str, task: str, figure: str, budget: float | None) -> FigureRow | None:
        """A figure; what has no strength stands for every budget."""
        found: Sequence[FigureRow] = [
            r for r in self.figures if (r.contender, r.task, r.figure) == (contender, task, figure)
        ]
        return next((r for r in found if r.budget in (budget, None)), None)

    def whole(self, contender: str, budget: float | None) -> Overall | None:
        """A contender over all tasks, likewise."""
        return next((o for o in self.overall if o.contender == contender and o.budget in (budget, None)), None)
