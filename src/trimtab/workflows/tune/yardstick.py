"""What every trial is measured by, cheapest first: damage on few texts, on all, capability, then the tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from trimtab.behaviors import Behavior, Example, Probe
from trimtab.errors import InputError, NotFiniteError
from trimtab.evaluation.tasks import Task, TaskScores, Treatment, gain, run
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.instrument import Treatment as Probed
from trimtab.experiment.task_parts import usable
from trimtab.interventions import Scope, prompt_prefixes
from trimtab.measurements.damage import Damage, DamageTexts, damages
from trimtab.measurements.probe_margins import margins
from trimtab.models import Model, Unsteered, steer
from trimtab.phrases import Phrase, untranslated
from trimtab.results.figures import Record
from trimtab.results.tuning import group_of
from trimtab.statistics import wilson
from trimtab.steering import Steering
from trimtab.storage.steps import Ledger

FEW: Final = 4  # broken trials are told by one of so many texts
SLACK: Final = 2.0  # of the bound on damage: few texts are a rough measure
MOST: Final = 5.0  # excess of a trial that is broken altogether, and of any other at most

PROBE: Final = ""  # no task is called so

State = Literal["complete", "broken", "damage", "capability"]


class Outcome(Record):
    """What a trial came to.

    Args:
        state: `complete`, or why it was pruned: `broken` text or figures, `damage` or `capability` beyond its bound.
        why: of a pruned one, in words.
        damage: by group of texts, nats per token; empty where no figure is finite.
        n_texts: of each group.
        capability_loss: share of the probe that turned wrong, net; None where it was not measured.
        gains: by task and unit, on the common scale; empty for a pruned one.
        excess: how far the worst constraint was missed, over its bound; 0 or less where all hold.
        seconds: that it took.
    """

    state: State
    why: Phrase = untranslated("")
    damage: Mapping[str, float] = {}
    n_texts: int = 0
    capability_loss: float | None = None
    gains: Mapping[str, Mapping[str, float]] = {}
    excess: float = 0.0
    seconds: float = 0.0

    @property
    def worst(self) -> float:
        """The largest damage; 0 at least."""
        return Damage(self.damage).worst if self.damage else 0.0

    @property
    def where(self) -> str:
        """The group of texts that has it."""
        return Damage(self.damage).where if self.damage else ""


@dataclass(frozen=True)
class Limits:
    """What a trial must keep.

    Args:
        damage: nats per token, the worst of neutral text, prompts and desired answers.
        capability_loss: share of the capability probe that may turn wrong, net.
        loss: on a task, on the common scale: of the recommended one alone.
    """

    damage: float
    capability_loss: float
    loss: float


@dataclass(frozen=True, eq=False)
class Yardstick:
    """Tasks, texts and the capability probe, and what the unsteered model makes of them.

    Args:
        model: to be steered.
        tasks: by label, the part that is measured.
        figures: by label, the figure that counts.
        taught: by label, examples whose prompts and desired answers damage is measured on.
        dev: whether choices are made by it.
        limits: of damage and capability.
        scope: which tokens are edited.
        chat_template: put prompts into user turns.
        ledger: keeps what was scored.
        every: of the capability probe, each so many-th pair.
        damage_texts: of each group, at most.
    """

    model: Model
    tasks: Mapping[str, Task[Any]]
    figures: Mapping[str, str]
    taught: Mapping[str, Sequence[Example]]
    dev: bool
    limits: Limits
    scope: Scope
    chat_template: bool
    ledger: Ledger
    every: int
    damage_texts: int

    @cached_property
    def few(self) -> int:
        """Texts of each group by which broken trials are told."""
        return max(1, self.damage_texts // FEW)

    @cached_property
    def texts(self) -> tuple[DamageTexts, DamageTexts]:
        """Few and all that damage is measured on."""
        few, every = (DamageTexts.of(self.taught, n, dev=self.dev) for n in (self.few, self.damage_texts))
        return few, every

    @cached_property
    def unsteered(self) -> tuple[Unsteered, Unsteered]:
        """The unsteered pass over few and all of them, which every trial is compared with."""
        return Unsteered(), Unsteered()

    @cached_property
    def below(self) -> dict[str, Unsteered]:
        """By task, and for the capability probe, what lies below the edits of all trials."""
        return {label: Unsteered() for label in (*self.tasks, PROBE)}

    @cached_property
    def base(self) -> dict[str, TaskScores]:
        """The unsteered model's scores by task."""
        treatment = Treatment(chat_template=self.chat_template)
        return {label: run(task, self.model, treatment, ledger=self.ledger) for label, task in self.tasks.items()}

    @cached_property
    def probe(self) -> Probe:
        """The pairs of the capability probe that are asked, of all kinds."""
        whole = Probe.builtin("capability")
        fits = Instrument(self.model, Behavior("probe", list(whole.examples)), False, "mean").fitting(whole.examples)
        return whole.only([k % self.every == 0 and ok for k, ok in enumerate(fits)])

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """`[n]` which pairs the unsteered model has right."""
        kept = self.ledger.step(f"capability {self.every}", lambda: {"margins": margins(self.model, self.probe)[0]})
        return np.asarray(kept["margins"] > 0)

    @cached_property
    def has_headroom(self) -> bool:
        """Whether the unsteered model knows more of the probe than by chance, so that it could lose something."""
        if not self.probe.examples:
            return False
        return wilson(float(self.right.sum()), len(self.right)).low > 0.5

    @property
    def clusters(self) -> dict[str, dict[str, str]]:
        """By task and unit, the question or template."""
        return {label: {unit.id: unit.cluster for unit in task.units} for label, task in self.tasks.items()}

    def measure(self, steering: Steering, strength: Mapping[str, float], *, prune: bool = True) -> Outcome:
        """What a steering comes to at these strengths.

        Args:
            steering: the edits.
            strength: by attribute.
            prune: stop at the first constraint that is missed.
        """
        start = perf_counter()
        try:
            outcome = self._measured(Treatment(steering, strength, self.scope, self.chat_template), prune)
        except NotFiniteError as error:
            outcome = Outcome(state="broken", why=error.message, excess=MOST)
        return outcome.model_copy(update={"seconds": perf_counter() - start})

    def _measured(self, treatment: Treatment, prune: bool) -> Outcome:
        few, whole = zip(self.texts, (self.few, self.damage_texts), (SLACK, 1.0), self.unsteered, strict=True)
        for texts, n, slack, unsteered in (few, whole) if prune else (whole,):
            (damage,) = damages(self.model, texts, [treatment], unsteered)
            known: dict[str, Any] = {"damage": dict(damage.by_group), "n_texts": n}
            excess = damage.worst / self.limits.damage - 1
            if prune and damage.worst > slack * self.limits.damage:
                why = Phrase(
                    "{damage} nats per token on {n} texts of {group}",
                    damage=f"{damage.worst:.2g}", n=n, group=group_of(damage.where),
                )  # fmt: skip
                return Outcome(state="damage", why=why, excess=min(excess, MOST), **known)
        loss = self._capability_loss(treatment) if self.has_headroom else None
        known["capability_loss"] = loss
        if loss is not None:
            excess = max(excess, loss / self.limits.capability_loss - 1)
            if prune and loss > self.limits.capability_loss:
                why = Phrase("{share} of the capability probe turned wrong", share=f"{loss:.1%}")
                return Outcome(state="capability", why=why, excess=min(excess, MOST), **known)
        gains: dict[str, dict[str, float]] = {}
        for label, task in self.tasks.items():
            scores = run(task, self.model, treatment, ledger=self.ledger, unsteered=self.below[label])
            if scores.mean(self.figures[label]) is None:
                why = Phrase(
                    "no unit of {task} has the figure {figure} any more", task=label, figure=self.figures[label]
                )
                return Outcome(state="broken", why=why, excess=MOST, **known)
            own = gain(self.base[label], scores, self.figures[label])
            gains[label] = dict(zip(own.units, (own.values / own.scale).tolist(), strict=True))
        return Outcome(state="complete", gains=gains, excess=min(excess, MOST), **known)

    def _capability_loss(self, treatment: Treatment) -> float:
        """Share of the probe that turned wrong, less the share that turned right."""
        return float((self.right.astype(int) - self.right_under(treatment).astype(int)).mean())

    def right_under(self, treatment: Treatment) -> NDArray[np.bool_]:
        """`[n]` which pairs of the probe are right under a steering."""
        assert treatment.steering is not None
        (prefix,) = prompt_prefixes(treatment.steering, treatment.strength)
        steered = Probed((steer(treatment.steering, treatment.strength, treatment.scope),), prefix)
        return np.asarray(margins(self.model, self.probe, [steered], self.below[PROBE])[0] > 0)


def examples_of(model: Model, tasks: Mapping[str, Task[Any]], chat_template: bool) -> dict[str, Sequence[Example]]:
    """Examples of the tasks that have answers to contrast, by label."""
    found: dict[str, Sequence[Example]] = {}
    for label, task in tasks.items():
        try:
            found[label] = usable(model, task.behavior(label), chat_template).examples
        except InputError as error:
            if error.code != "unusable-examples":
                raise
    return found
