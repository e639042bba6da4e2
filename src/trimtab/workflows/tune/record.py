"""The record of a search, put together from its trials; the recommended one is measured on test on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import transformers

from trimtab.evaluation.tasks import Treatment, figure_of, gain
from trimtab.measurements.records import model_record
from trimtab.phrases import Phrase, with_commas
from trimtab.results.figures import Estimate, Told, estimate
from trimtab.results.tuning import Measured, Trial, TunedTask, Tuning
from trimtab.statistics import bootstrap_mean, paired_change
from trimtab.version import __version__
from trimtab.workflows.tune.front import REFERENCE, Choice, Gains, chosen, front_of, hypervolume, mean_gain, means
from trimtab.workflows.tune.search import Search, Tried
from trimtab.workflows.tune.settings import Settings
from trimtab.workflows.tune.yardstick import Outcome, Yardstick

_LOOKS = "measured on test"


@dataclass(frozen=True)
class Findings:
    """A finished search.

    Args:
        search: with its dev units.
        tried: the trials.
        test: what the recommended one is measured by.
        settings: of the search.
        notes: so far.
    """

    search: Search
    tried: Sequence[Tried]
    test: Yardstick
    settings: Settings
    notes: Sequence[Phrase]

    @cached_property
    def unsteered(self) -> Outcome:
        """The model as it is: no gain and no damage."""
        dev = self.search.yardstick
        same = {label: gain(scores, scores, dev.figures[label]) for label, scores in dev.base.items()}
        zeros = {label: dict(zip(own.units, own.values.tolist(), strict=True)) for label, own in same.items()}
        return Outcome(state="complete", gains=zeros)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """Of the unsteered model, then of every trial."""
        return [self.unsteered, *(tried.outcome for tried in self.tried)]

    @cached_property
    def scored(self) -> list[int]:
        """Numbers of the trials that were not pruned."""
        return [i for i, outcome in enumerate(self.outcomes) if outcome.gains]

    @cached_property
    def front(self) -> list[int]:
        """Numbers of the best trade-offs."""
        return [self.scored[i] for i in front_of(self.values(len(self.outcomes)))]

    @cached_property
    def choice(self) -> Choice:
        """The recommended one."""
        damage = [outcome.worst for outcome in self.outcomes]
        clusters, max_loss = self.search.yardstick.clusters, self.settings.limits.loss
        return chosen(self.front, [o.gains for o in self.outcomes], damage, clusters, max_loss)

    def values(self, n: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        """`[trials, tasks]` mean gains of those of the first n that were not pruned."""
        return np.array([means(self.outcomes[i].gains) for i in self.scored if i < n], dtype=np.float64)


class _OnTest(Told):
    """What is kept of a trial's measuring on test."""

    outcome: Outcome
    capability: Estimate


def recorded(found: Findings, *, command: str, seconds: float) -> Tuning:
    """The record, without the places of its steerings.

    Args:
        found: the search.
        command, seconds: see `Document`.
    """
    search, settings, first = found.search, found.settings, found.search.candidates[0].steering
    model, taken = search.yardstick.model, found.choice.index
    measured = _measured(found, taken) if taken else None
    return Tuning(
        trimtab=__version__, torch=torch.__version__, transformers=transformers.__version__, command=command,
        seconds=seconds, seed=settings.seed, model=model_record(model), dtype=str(model.dtype).removeprefix("torch."),
        sampler=settings.sampler, attributes=dict(first.attributes), tasks=_tasks(found, bool(measured)),
        candidates=tuple(c.name for c in search.candidates), max_factor=settings.max_factor,
        gate_shifts=tuple(settings.gates), max_damage=settings.limits.damage,
        max_capability_loss=settings.limits.capability_loss, max_loss=settings.limits.loss,
        trials=tuple(_trial(found, i) for i in range(len(found.outcomes))), hypervolume=tuple(_curve(found)),
        reference=REFERENCE, recommended=taken or None, why=_why(found), alike=found.choice.alike if taken else (),
        measured=measured, notes=tuple(dict.fromkeys([*found.notes, *_notes(found, measured)])),
    )  # fmt: skip


def _tasks(found: Findings, tested: bool) -> dict[str, TunedTask]:
    dev, test = found.search.yardstick, found.test
    result = {}
    for label, scores in dev.base.items():
        figure = figure_of(scores, dev.figures[label])
        on_test: dict[str, Any] = {} if not tested else {
            "base_test": test.base[label].mean(figure.name), "n_test": len(test.tasks[label].units),
            "clusters_test": len(set(test.clusters[label].values())),
        }  # fmt: skip
        result[label] = TunedTask(
            task=scores.task, figure=figure.name, meaning=figure.meaning, better=figure.better,
            scale=gain(scores, scores, figure.name).scale, base_dev=scores.mean(figure.name) or 0.0,
            n_dev=len(dev.tasks[label].units), clusters_dev=len(set(dev.clusters[label].values())),
            **on_test,
        )  # fmt: skip
    return result


def _trial(found: Findings, number: int) -> Trial:
    outcome = found.outcomes[number]
    clusters, seed = found.search.yardstick.clusters, found.settings.seed
    figures = {} if not outcome.gains else {
        "gains": estimates(outcome.gains, clusters, seed), "gain": overall(outcome.gains, clusters)
    }  # fmt: skip
    same = {
        "number": number, "state": outcome.state, "why": outcome.why, "where": outcome.where,
        "damage": None if outcome.state == "broken" and not outcome.damage else outcome.worst,
        "capability_loss": outcome.capability_loss, "seconds": outcome.seconds, "front": number in found.front,
    }  # fmt: skip
    if number == 0:
        names = found.search.attributes
        return Trial.model_validate({**same, **figures, "candidate": "", "strengths": dict.fromkeys(names, 0.0)})
    point, search = found.tried[number - 1].point, found.search
    gates = dict(zip(search.attributes, point.gates, strict=True)) if search.space.gates != (0.0,) else {}
    return Trial.model_validate(
        {**same, **figures, "candidate": search.candidates[point.candidate].name, "gates": gates,
         "strengths": search.strengths_at(point)}
    )  # fmt: skip


def estimates(gains: Gains, clusters: Mapping[str, Mapping[str, str]], seed: int) -> dict[str, Estimate]:
    """The mean of each task, with an interval by clusters; without one where there is one cluster alone."""
    found = {}
    for label, own in gains.items():
        of = [clusters[label][unit] for unit in own]
        n, values = len(set(of)), list(own.values())
        if n < 2:
            found[label] = Estimate(value=float(np.mean(values)), n=n, reason=Phrase("one question or template alone"))
        else:
            found[label] = estimate(bootstrap_mean(values, of, seed=seed), n)
    return found


def overall(gains: Gains, clusters: Mapping[str, Mapping[str, str]]) -> Estimate:
    """The mean of the tasks' means, with an interval by clusters."""
    own = mean_gain(gains, clusters)
    return estimate(own.interval, own.n_clusters)


def _curve(found: Findings) -> list[float]:
    """The hypervolume after each trial."""
    curve: list[float] = []
    for number, outcome in enumerate(found.outcomes):
        curve.append(hypervolume(found.values(number + 1)) if outcome.gains else curve[-1])
    return curve


def _measured(found: Findings, number: int) -> Measured:
    """The chosen trial on test: once, and kept."""
    search, test, ledger = found.search, found.test, found.search.ledger
    point = found.tried[number - 1].point
    text = ledger.text(f"test {number}")
    if text is None:
        steering, strength = search.steering_at(point), search.strengths_at(point)
        outcome = test.measure(steering, strength, prune=False)
        capability = Estimate(reason=Phrase("the unsteered model knows no more of the probe than by chance"))
        if test.has_headroom and outcome.gains:
            after = test.right_under(Treatment(steering, strength, test.scope))
            capability = estimate(paired_change(test.right, after), len(after))
        text = _OnTest(outcome=outcome, capability=capability).model_dump_json()
        ledger.keep(f"test {number}", text)
    kept = _OnTest.model_validate_json(text)
    looked = sorted({number, *(int(word) for word in (ledger.text(_LOOKS) or "").split())})
    ledger.keep(_LOOKS, " ".join(map(str, looked)))
    outcome = kept.outcome
    return Measured(
        number=number, gains=estimates(outcome.gains, test.clusters, found.settings.seed),
        gain=overall(outcome.gains, test.clusters) if outcome.gains else Estimate(reason=outcome.why),
        damage=outcome.worst if outcome.damage else None, where=outcome.where, capability=kept.capability,
        looks=len(looked),
    )  # fmt: skip


def _why(found: Findings) -> Phrase:
    choice, n = found.choice, len(found.front)
    if not choice.index:
        return Phrase(
            "No trial within the bounds gains on average without losing too much on a task: as far as these units "
            "tell, the model is best left as it is. The best trade-offs show what gains on one task cost on others."
        )
    outcome = found.outcomes[choice.index]
    share = f"{outcome.worst / found.settings.limits.damage:.0%}"
    if not choice.losing:
        return Phrase(
            "Trial {trial} gains most on average among the {n} best trade-offs. Its damage is {share} of what is "
            "allowed.",
            trial=choice.index, n=n, share=share,
        )  # fmt: skip
    return Phrase(
        "Trial {trial} gains most on average among the {n} best trade-offs; {losing} of them lose too much on a task "
        "and were passed over. Its damage is {share} of what is allowed.",
        trial=choice.index, n=n, losing=choice.losing, share=share,
    )  # fmt: skip


def _notes(found: Findings, measured: Measured | None) -> list[Phrase]:
    """What to mind of the figures."""
    dev, notes = found.search.yardstick, list[Phrase]()
    if not dev.has_headroom:
        notes.append(
            Phrase(
                "capability was no constraint: the unsteered model knows no more of the probe than by chance, so it "
                "has nothing to lose there"
            )
        )
    if missing := [label for label in dev.tasks if label not in dev.taught]:
        notes.append(
            Phrase(
                "damage was not measured on prompts and answers of {tasks}, which nothing is fitted to",
                tasks=with_commas(missing),
            )
        )
    if measured is not None and measured.damage is not None and measured.damage > found.settings.limits.damage:
        notes.append(
            Phrase(
                "on the test texts the recommended trial does {damage} nats per token of damage, more than the "
                "{allowed} that were allowed on dev",
                damage=f"{measured.damage:.3g}",
                allowed=f"{found.settings.limits.damage:g}",
            )
        )
    if measured is not None and measured.looks > 1:
        notes.append(
            Phrase(
                "{n} trials were measured on the test units so far, since the budget was raised: their figures are no "
                "longer those of one look",
                n=measured.looks,
            )
        )
    return notes
