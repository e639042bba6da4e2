"""A behavior in parts, the instrument that measures it on a model, and where finished steps are kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

from trimtab.behaviors import Behavior, Example, Part, PromptType, Splits, not_measured
from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.effort import THOROUGH, Effort
from trimtab.experiment.instrument import Instrument, Treatment
from trimtab.experiment.progress import Progress
from trimtab.experiment.steps import Step
from trimtab.interventions import Scope, Site, prompt_prefixes
from trimtab.models import Encoded, Model, steer
from trimtab.models.sharing import tokens_to_run
from trimtab.phrases import Phrase
from trimtab.steering import Steering
from trimtab.steering.methods.prompting import NO_SHOTS
from trimtab.storage.steps import Arrays, Ledger

HEAD_SHARE = 0.4  # cost of the head at the answer's tokens, in passes through the blocks; for the estimate only
_TIMED_RUNS = 2
Split = Literal["dev", "eval", "replication"]
Variant = tuple[Steering | None, float]  # a steering, and its strength


@dataclass(frozen=True)
class Experiment:
    """What measures a behavior on a model.

    Args:
        instrument: the model, and how the behavior is presented to it.
        splits: the behavior's parts.
        prompt_types: those asked for.
        strength: λ.
        scope: which tokens are steered.
        seed: of resampling.
        ledger: keeps finished steps.
        progress: is notified of them.
        blocks: first and last block that a site may be chosen from; None for all.
        effort: how much is measured, and whether it ends when the decision is certain.
        level: of the intervals over examples.
    """

    instrument: Instrument
    splits: Splits
    prompt_types: tuple[PromptType, ...]
    strength: float
    scope: Scope
    seed: int
    ledger: Ledger
    progress: Progress
    blocks: tuple[int, int] | None = None
    effort: Effort = THOROUGH
    level: float = 0.95

    @property
    def model(self) -> Model:
        """The model."""
        return self.instrument.model

    @property
    def behavior(self) -> Behavior:
        """The behavior."""
        return self.instrument.behavior

    @property
    def measured_types(self) -> tuple[PromptType, ...]:
        """The types asked for that have a meaning here."""
        return tuple(t for t in self.prompt_types if self.not_measured(t) is None)

    def not_measured(self, prompt_type: PromptType) -> Phrase | None:
        """Why a prompt type has no meaning for this behavior or with these parts of it, or None if it has one."""
        if prompt_type.shots and not self.splits.shots.examples:
            return NO_SHOTS
        return not_measured(self.behavior, prompt_type)

    def run(self, step: Step) -> Arrays:
        """The arrays of a step: kept ones if it was finished before, on this model."""
        key = self._key(step)
        kept = self.ledger.step(key, lambda: step.compute(self))
        if self.ledger.first(key, step):
            self.progress.advance(step.title, round(step.cost(self)))
        return kept

    def forget(self, step: Step) -> None:
        """Compute a step again when it is asked for the next time."""
        self.ledger.forget(self._key(step))

    def _key(self, step: Step) -> str:
        """Names the model too, in the precision that it has here: experiments on several may share a ledger."""
        return f"{self.model.digest} {self.model.dtype} {self.model.device} {step.key}"

    def part(self, name: Split | Literal["train"]) -> Part:
        """A part by its name."""
        part: Part = getattr(self.splits, name)
        return part

    def first(self, part: Split, rows: int) -> "Experiment":
        """The same with the first rows of a part alone."""
        whole, s = self.part(part), self.splits
        parts = {"dev": s.dev, "eval": s.eval, "replication": s.replication}
        parts[part] = Part(whole.examples[:rows], whole.clusters[:rows])
        return replace(
            self, splits=Splits(s.shots, s.train, parts["dev"], parts["eval"], parts["replication"], s.notes)
        )

    def contrast_of(self, part: Part) -> ContrastMaker:
        """Contrasts over the examples of a part."""
        return ContrastMaker(part.clusters, self.behavior.pairing == "random", self.seed, self.level)

    def treatment(self, variant: Variant) -> Treatment:
        """A steering at a strength, in the experiment's scope."""
        steering, strength = variant
        if steering is None:
            return Treatment()
        strengths = steering.scaled(strength)
        (prompt_prefix,) = prompt_prefixes(steering, strengths)
        return Treatment((steer(steering, strengths, self.scope),), prompt_prefix)

    # ---- costs: about how many tokens run through all blocks ----

    def score_cost(self, examples: Sequence[Example]) -> float:
        """Of one pass over the examples' evaluation texts."""
        plus, minus = self.instrument.bare(examples)
        return tokens_to_run(plus if self.behavior.answer_kind == "choice" else plus + minus)

    def reading_cost(self, rows: Sequence[Encoded], sites: Sequence[Site]) -> float:
        """Of rows read at sites."""
        return tokens_to_run(rows) * (max(s.block for s in sites) + 1) / self.model.n_blocks

    def passes(self, variants: Iterable[Variant]) -> float:
        """Passes through all blocks that a sweep amounts to: what lies below an edit runs once."""
        n = self.model.n_blocks
        lowest = [min((site.block for site in s.edits), default=n - 1) for s, _ in variants if s is not None]
        shares = [(block + 1) / n for block in lowest]
        return max(shares, default=1.0) + sum(1 - share for share in shares) + HEAD_SHARE * (len(shares) + 1)

    def pace(self) -> float:
        """Seconds a token in a small batch: the fastest of some runs, as other work may slow single ones."""
        batch = self.splits.dev.examples[:8]
        self.instrument.propensity(batch[:4])
        seconds = []
        for _ in range(_TIMED_RUNS):
            start = perf_counter()
            self.instrument.propensity(batch)
            seconds.append(perf_counter() - start)
        return min(seconds) / max(1, self.score_cost(batch))

    def cost(self, steps: Iterable[Step]) -> float:
        """Of all steps together."""
        return sum(step.cost(self) for step in steps)

    def announce(self, steps: Iterable[Step]) -> None:
        """Announce to the progress how long the steps may take, by the pace of a small timed batch."""
        total = self.cost(steps)
        unit = "tokens to compute" + (", fewer if it is certain early" if self.effort.stops else "")
        self.progress.begin(round(total), total * self.pace(), unit)
