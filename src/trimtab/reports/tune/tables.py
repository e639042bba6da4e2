"""What the tables of a search say, in words."""

from collections.abc import Mapping
from typing import Final

from trimtab.phrases import Phrase, with_commas
from trimtab.results.numbers import estimate, number, share
from trimtab.results.tuning import Trial, Tuning

WORDS: Final = (
    (
        Phrase("gain"),
        Phrase(
            "How much better a task’s figure is than the unsteered model’s, mean over units, on a common scale: "
            "shares of the figure’s range, or where it has none standard deviations of the unsteered model’s values."
        ),
    ),
    (
        Phrase("best trade-offs"),
        Phrase("Trials of which no other gains as much on every task and more on one: the Pareto front."),
    ),
    (
        Phrase("damage"),
        Phrase(
            "The worst of three, nats per token: divergence from the unsteered model on neutral text and on the "
            "tasks’ prompts, and how much less likely desired answers became."
        ),
    ),
    (
        Phrase("capability"),
        Phrase("Share of trimtab’s probe of grammar and plain facts that turned wrong, less what turned right."),
    ),
    (
        Phrase("dev, test"),
        Phrase("Units that trials were chosen by, and others that chose nothing; no question or template is both."),
    ),
    (
        Phrase("hypervolume"),
        Phrase(
            "How much the best trade-offs reach on all tasks at once. It can only grow with more trials; where it is "
            "flat, more of them are unlikely to help."
        ),
    ),
    (
        Phrase("preset"),
        Phrase("Strengths under a name inside the steering, which commands and requests take in place of numbers."),
    ),
)

_PRUNED: Final[Mapping[str, Phrase]] = {
    "broken": Phrase("broken: a figure was NaN or infinite, or nothing was left to score"),
    "damage": Phrase("too much damage"),
    "capability": Phrase("too much of the capability probe turned wrong"),
}
BETTER: Final = {
    "higher": Phrase("higher"), "lower": Phrase("lower"), "nearer 0": Phrase("nearer 0"), "neither": Phrase("neither"),
}  # fmt: skip


def pruned(tuning: Tuning) -> list[tuple[Phrase, int]]:
    """What trials were pruned for, and how many."""
    return [(_PRUNED[state], n) for state, n in tuning.pruned.items()]


def name(trial: Trial) -> str:
    """A trial as tables call it."""
    return str(trial.number) if trial.number else Phrase("unsteered")


def strengths(trial: Trial) -> str:
    """Strengths by attribute, with the gates that were moved."""
    if not trial.number:
        return Phrase("off")
    return with_commas([_strength(name, value, trial.gates.get(name, 0.0)) for name, value in trial.strengths.items()])


def _strength(attribute: str, value: float, shift: float) -> str:
    said = f"{attribute} {number(value)}"
    return Phrase("{strength} (gate {shift})", strength=said, shift=f"{shift:+g}") if shift else said


def where(trial: Trial) -> str:
    """Which preset of which steering."""
    if trial.preset is None:
        return ""
    if trial.steering is None:
        return trial.preset
    return Phrase("{preset} of {steering}", preset=trial.preset, steering=trial.steering)


def loss(trial: Trial) -> str:
    """What the capability probe lost."""
    return "" if trial.capability_loss is None else share(trial.capability_loss)


def summary(tuning: Tuning) -> list[Phrase]:
    """What was found, sentence by sentence."""
    told = [tuning.why]
    if tuning.alike:
        numbers = with_commas(list(map(str, tuning.alike)))
        told.append(
            Phrase(
                "Its mean gain cannot be told from that of trial {numbers} by these units: among them choose what "
                "matters more to you.",
                numbers=numbers,
            )
            if len(tuning.alike) == 1
            else Phrase(
                "Its mean gain cannot be told from that of trials {numbers} by these units: among them choose what "
                "matters more to you.",
                numbers=numbers,
            )
        )
    measured = tuning.measured
    if measured is not None:
        dev = next(t for t in tuning.trials if t.number == measured.number).gain
        told.append(
            Phrase(
                "On units that chose nothing it gains {gain} on average; on those that it was chosen by it was {dev}. "
                "The first is what to expect: the best of many looks better than it is on what it was chosen by.",
                gain=estimate(measured.gain), dev=estimate(dev),
            )
        )  # fmt: skip
    return told
