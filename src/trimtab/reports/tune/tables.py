"""What the tables of a search say, in words."""

from collections.abc import Mapping
from typing import Final

from trimtab.results.numbers import estimate, number, share
from trimtab.results.tuning import Trial, Tuning

WORDS: Final = (
    ("gain", "How much better a task’s figure is than the unsteered model’s, mean over units, on a common scale: "
     "shares of the figure’s range, or where it has none standard deviations of the unsteered model’s values."),
    ("best trade-offs", "Trials of which no other gains as much on every task and more on one: the Pareto front."),
    ("damage", "The worst of three, nats per token: divergence from the unsteered model on neutral text and on the "
     "tasks’ prompts, and how much less likely desired answers became."),
    ("capability", "Share of trimtab’s probe of grammar and plain facts that turned wrong, less what turned right."),
    ("dev, test", "Units that trials were chosen by, and others that chose nothing; no question or template is both."),
    ("hypervolume", "How much the best trade-offs reach on all tasks at once. It can only grow with more trials; where "
     "it is flat, more of them are unlikely to help."),
    ("preset", "Strengths under a name inside the steering, which commands and requests take in place of numbers."),
)  # fmt: skip

_PRUNED: Final[Mapping[str, str]] = {
    "broken": "broken: a figure was NaN or infinite, or nothing was left to score",
    "damage": "too much damage",
    "capability": "too much of the capability probe turned wrong",
}


def pruned(tuning: Tuning) -> list[tuple[str, int]]:
    """What trials were pruned for, and how many."""
    return [(_PRUNED[state], n) for state, n in tuning.pruned.items()]


def name(trial: Trial) -> str:
    """A trial as tables call it."""
    return str(trial.number) if trial.number else "unsteered"


def strengths(trial: Trial) -> str:
    """Strengths by attribute, with the gates that were moved."""
    if not trial.number:
        return "off"
    return ", ".join(
        f"{attribute} {number(value)}" + (f" (gate {shift:+g})" if (shift := trial.gates.get(attribute, 0.0)) else "")
        for attribute, value in trial.strengths.items()
    )


def where(trial: Trial) -> str:
    """Which preset of which steering."""
    if trial.preset is None:
        return ""
    return trial.preset if trial.steering is None else f"{trial.preset} of {trial.steering}"


def loss(trial: Trial) -> str:
    """What the capability probe lost."""
    return "" if trial.capability_loss is None else share(trial.capability_loss)


def summary(tuning: Tuning) -> list[str]:
    """What was found, sentence by sentence."""
    told = [tuning.why]
    if tuning.alike:
        numbers = ", ".join(map(str, tuning.alike))
        told.append(
            f"Its mean gain cannot be told from that of trial{'s' * (len(tuning.alike) > 1)} {numbers} by these units: "
            "among them choose what matters more to you."
        )
    measured = tuning.measured
    if measured is not None:
        dev = next(t for t in tuning.trials if t.number == measured.number).gain
        told.append(
            f"On units that chose nothing it gains {estimate(measured.gain)} on average; on those that it was chosen "
            f"by it was {estimate(dev)}. The first is what to expect: the best of many looks better than it is on what "
            "it was chosen by."
        )
    return told
