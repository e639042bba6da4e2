"""What a search of strengths, sites and gates found: every trial, the best trade-offs, the one on test."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.phrases import Phrase, untranslated
from trimtab.results.figures import Document, Estimate, Record
from trimtab.results.report import ModelRecord

FILE = "tuning.json"


def group_of(name: str) -> Phrase:
    """A group of texts that damage is measured on, in words."""
    of_prompts, of_answers = name.removeprefix("prompts of "), name.removeprefix("desired answers of ")
    if of_prompts != name:
        return Phrase("prompts of {task}", task=of_prompts)
    if of_answers != name:
        return Phrase("desired answers of {task}", task=of_answers)
    return Phrase("neutral text") if name == "neutral text" else untranslated(name)


class TunedTask(Record):
    """A task that was searched for.

    Args:
        task: its name.
        figure: that counts.
        meaning: of the figure, one sentence.
        better: which way is better.
        scale: what a gain is divided by to be compared with those of other tasks.
        base_dev, base_test: the unsteered model's mean.
        n_dev, n_test: units; None where test was not looked at.
        clusters_dev, clusters_test: questions or templates that they are of.
    """

    task: str
    figure: str
    meaning: Phrase
    better: str
    scale: float
    base_dev: float
    n_dev: int
    clusters_dev: int
    base_test: float | None = None
    n_test: int | None = None
    clusters_test: int | None = None


class Trial(Record):
    """One choice that was tried; number 0 is the unsteered model, number 1 the steering as it came.

    Args:
        number: in the order of the search.
        candidate: name of the steering; empty for the unsteered model.
        gates: by attribute, what was added to the log-odds that its gate opens; empty where gates were not searched.
        strengths: by attribute.
        state: `complete`, or why it was pruned.
        why: of a pruned one.
        damage: the worst of all groups of texts, nats per token; None where no figure was finite.
        where: the group that has it.
        capability_loss: share of the probe that turned wrong, net; None where it was not measured.
        gains: by task, mean over dev units on the common scale, with an interval by clusters; empty if pruned.
        gain: the mean of the tasks' gains.
        front: whether no other trial gains as much on every task and more on one.
        steering: folder of the artifact, relative to the record; None for what is not on the front.
        preset: name of its strengths there.
        seconds: that it took.
    """

    number: int
    candidate: str
    gates: Mapping[str, float] = {}
    strengths: Mapping[str, float]
    state: Literal["complete", "broken", "damage", "capability"]
    why: Phrase = untranslated("")
    damage: float | None
    where: str = ""
    capability_loss: float | None = None
    gains: Mapping[str, Estimate] = {}
    gain: Estimate = Estimate(reason=Phrase("pruned before the tasks"))
    front: bool = False
    steering: str | None = None
    preset: str | None = None
    seconds: float = 0.0


class Measured(Record):
    """The recommended trial on units that nothing was chosen by.

    Args:
        number: of the trial.
        gains: by task, on the common scale.
        gain: the mean of them.
        damage, where: as of a trial, on other texts.
        capability: paired change of the share of right answers, whole probe.
        looks: trials that were measured on these units so far, this one counted.
    """

    number: int
    gains: Mapping[str, Estimate]
    gain: Estimate
    damage: float | None
    where: str
    capability: Estimate
    looks: int


class Tuning(Document):
    """A search.

    Args:
        model, dtype: that was steered.
        sampler: that proposed the trials.
        attributes: default strength by name.
        tasks: by label.
        candidates: names of the steerings that were searched.
        max_factor: largest strength, over the default.
        gate_shifts: that were searched.
        max_damage: nats per token.
        max_capability_loss: share of the probe.
        max_loss: of the recommended trial on a task, on the common scale.
        trials: in their order.
        hypervolume: after each trial, the volume of the gains that the front reaches on every task at once.
        reference: gain on each task that it is measured from.
        recommended: number of the trial; None where the model is best left alone.
        why: in words.
        alike: numbers of others on the front whose mean gain cannot be told from the recommended one's.
        measured: the recommended trial on test; None where there is none.
        notes: what was chosen, and what to mind.
    """

    model: ModelRecord
    dtype: str
    sampler: str
    attributes: Mapping[str, float]
    tasks: Mapping[str, TunedTask]
    candidates: tuple[str, ...]
    max_factor: float
    gate_shifts: tuple[float, ...]
    max_damage: float
    max_capability_loss: float
    max_loss: float
    trials: tuple[Trial, ...]
    hypervolume: tuple[float, ...]
    reference: float
    recommended: int | None
    why: Phrase
    alike: tuple[int, ...] = ()
    measured: Measured | None = None
    notes: tuple[Phrase, ...] = ()

    @property
    def front(self) -> tuple[Trial, ...]:
        """The best trade-offs, largest mean gain first."""
        own = [trial for trial in self.trials if trial.front]
        return tuple(sorted(own, key=lambda t: -(t.gain.value or 0.0)))

    @property
    def pruned(self) -> dict[str, int]:
        """How many trials were pruned, by what for."""
        states = [trial.state for trial in self.trials]
        return {state: states.count(state) for state in ("broken", "damage", "capability") if state in states}

    @classmethod
    def load(cls, folder: str | Path) -> "Tuning":
        """Read a search back.

        Raises:
            InputError: there is none, or one of another version.
        """
        file = Path(folder) / FILE
        try:
            return cls.model_validate(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise InputError(f"{file} does not exist; give the folder that trimtab tune wrote") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"{file} is not a search of this version: {where}: {first['msg']}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{file} cannot be read: {error}") from error
