"""What is compared: methods with their candidates, and the floors that a merely broken model reaches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trimtab.errors import InputError
from trimtab.evaluation.tasks import Treatment
from trimtab.experiment.experiment import Experiment
from trimtab.interventions import Place
from trimtab.phrases import Phrase
from trimtab.results.evaluation import RANDOM, SHUFFLED, TEMPERATURE, UNSTEERED, MethodPlan, Protocol
from trimtab.steering import Steering
from trimtab.steering.methods import configured, method
from trimtab.workflows.evaluate.equal_damage import Dial
from trimtab.workflows.fit.materials import FitMaterials, best_blocks

LITO = "lito"  # no steering of its own: chooses between answers at several strengths of `iti`
STEERED_BY = {LITO: "iti"}
# Faults of the moment or of the folder, which say nothing of a method.
PASSING = frozenset({"busy", "unwritable-file", "unreadable-file", "no-such-file", "damaged-file", "wrong-file"})
BASELINE = "mean-difference"  # whose direction is exchanged for a random one, or is fitted to shuffled labels


@dataclass(frozen=True)
class Candidate:
    """Something that dev may choose.

    Args:
        settings: what tells it from its method's others.
        dial: what is turned until it does the damage that is allowed; None where there is no strength.
        fixed: what is measured then.
        selects: whether a network chooses between the answers at several strengths around it, question by question.
    """

    settings: Mapping[str, Any]
    dial: Dial | None = None
    fixed: Treatment | None = None
    selects: bool = False

    def at(self, factor: float) -> Treatment:
        """The treatment at a factor, which means nothing where there is no strength."""
        if self.dial is not None:
            return self.dial.at(factor)
        assert self.fixed is not None
        return self.fixed

    @property
    def steering(self) -> Steering | None:
        """What is saved; None for what is no steering."""
        return self.dial.steering if self.dial is not None else self.fixed.steering if self.fixed else None


@dataclass
class Bench:
    """What contenders of one seed are made from.

    Args:
        experiments: of the fitted tasks.
        shuffled: the same with coins for labels.
        protocol: what was fixed.
        base: how prompts are put.
        refused: candidates that could not be made, with the reason.
        notes: what to mind.
    """

    experiments: Mapping[str, Experiment]
    shuffled: Mapping[str, Experiment]
    protocol: Protocol
    base: Treatment
    refused: list[tuple[Mapping[str, Any], Phrase]] = field(default_factory=list)
    notes: list[Phrase] = field(default_factory=list)

    def candidates(self, contender: str) -> list[Candidate]:
        """All of a contender, at most as many as there are trials.

        Raises:
            InputError: none can be made.
        """
        if contender == UNSTEERED:
            return [Candidate({}, fixed=self.base)]
        if contender == TEMPERATURE:
            return [Candidate({}, dial=Dial(None, self.base))]
        if contender in (RANDOM, SHUFFLED):
            plan = MethodPlan(label=contender, method=BASELINE, settings=({},))
            on = self.experiments if contender == RANDOM else self.shuffled
            made = self._made(plan, on, self.protocol.trials)
            return made if contender == SHUFFLED else [self._random(own, k) for k, own in enumerate(made)]
        own = self.protocol.method(contender)
        assert own is not None, contender
        return self._made(own, self.experiments, self.protocol.trials)

    def _random(self, made: Candidate, k: int) -> Candidate:
        assert made.steering is not None
        seed = next(iter(self.experiments.values())).seed
        return replace(made, dial=Dial(made.steering.randomised(1000 * seed + k), self.base))

    def _made(self, plan: MethodPlan, on: Mapping[str, Experiment], trials: int) -> list[Candidate]:
        """Candidates of a method; what cannot be made is put down, unless nothing can."""
        made: list[Candidate] = []
        for settings, place in list(self._trials(plan, on, trials)):
            shown = {**settings, **({} if place is None else {"site": str(place)})}
            try:
                steering = self._learned(plan, on, settings, place)
            except InputError as error:
                if error.code in PASSING:
                    raise
                self.refused.append((shown, error.message))
                continue
            if steering.edits:
                made.append(Candidate(shown, Dial(steering, self.base), selects=plan.method == LITO))
            else:
                made.append(Candidate(shown, fixed=replace(self.base, steering=steering)))
        if not made:
            raise InputError(self.refused[-1][1], field="methods")
        return made

    def _trials(
        self, plan: MethodPlan, on: Mapping[str, Experiment], trials: int
    ) -> Iterator[tuple[Mapping[str, Any], Place | None]]:
        """Settings and where to steer: all settings at the best block of dev, then at the next best, and so on."""
        cls = method(STEERED_BY.get(plan.method, plan.method))
        if cls.material == "text" or (cls.all_blocks and self.protocol.site is None):
            yield from ((settings, None) for settings in plan.settings[:trials])
            return
        if self.protocol.site is not None:
            yield from ((settings, self.protocol.site) for settings in plan.settings[:trials])
            return
        n = min(trials, -(-trials // len(plan.settings)))
        blocks = best_blocks(on, self.notes, n)
        every = [(settings, block) for block in blocks for settings in plan.settings]
        yield from every[:trials]

    def _learned(
        self, plan: MethodPlan, on: Mapping[str, Experiment], settings: Mapping[str, Any], place: Place | None
    ) -> Steering:
        maker = configured(STEERED_BY.get(plan.method, plan.method), settings)
        learned = maker.learn(FitMaterials(on, None if place is None else [place], self.notes, owner=plan.label))
        if len(learned) != 1:
            raise InputError(f"method {plan.method} makes {len(learned)} steerings with these settings; give one block")
        steering = learned[0].steering
        absent = set(on) - set(steering.attributes)
        if absent:
            raise InputError(f"method {plan.method} makes no attribute {min(absent)!r}")
        return steering


def settings_of(name: str, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Hyperparameters to choose from: those given, else those that the method names.

    Raises:
        InputError: an unknown method or hyperparameter, a method that needs prompts of two kinds.
    """
    from trimtab.workflows.fit.selection import grid

    name = STEERED_BY.get(name, name)
    cls = method(name)
    if cls.needs_condition:
        raise InputError(
            f"method {name} needs prompts to act on and prompts to leave alone, which tasks do not give; fit it by "
            "itself",
            code="unsupported",
            field="methods",
        )
    if cls.routes:
        raise InputError(
            f"method {name} chooses between one and several directions itself; fit it, and evaluate the steering",
            code="unsupported",
            field="methods",
        )
    every = tuple(grid(options)) if options else cls.candidates
    for settings in every:
        try:
            configured(name, settings)
        except InputError as error:
            raise InputError(str(error), code=error.code, field="methods") from error
    return every
