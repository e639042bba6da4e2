"""The steps of a check before any of them is done, for a forecast of how long it takes."""

from collections.abc import Sequence
from itertools import pairwise

import torch

from trimtab.behaviors import Behavior
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.activations import EvaluationActivations, TypicalActivations
from trimtab.measurements.baselines import prompting_steps, refit_steps
from trimtab.measurements.continuations import Continuations
from trimtab.measurements.divergence import NeutralDrift, OwnDrift
from trimtab.measurements.effects import both_signs, sweep_steps
from trimtab.measurements.generated_text import looks_at, scoring_steps
from trimtab.measurements.other_behaviors import others as other_steps
from trimtab.measurements.other_behaviors import over_refusal
from trimtab.steering import Steering
from trimtab.verdict.evidence import evidence_steps
from trimtab.workflows.check.measured import strengths_of_curve


def like_the_chosen(on: Experiment, given: Site | None) -> Steering:
    """A steering that costs what the chosen one will, as far as one can know: a vector in the middle of the range."""
    first, last = on.blocks or (0, on.model.n_blocks - 1)
    return Steering.from_vector(given or Site((first + last) // 2), torch.ones(on.model.anatomy.d_model))


def check_steps(
    on: Experiment, steering: Steering, others: Sequence[Behavior], written: Sequence[int], trained: bool
) -> list[Step]:
    """What a check computes for a steering, once site, prompt type and strength are chosen.

    Args:
        on: the behavior's experiment.
        steering: the one to be checked, or one like it.
        others: further behaviors.
        written: how many evaluation prompts are continued and scored, after each look.
        trained: whether the steering is made of the experiment's training examples.
    """
    at, site, effort = on.strength, min(steering.edits, default=None), on.effort
    steps = [TypicalActivations(s) for s in steering.edits] + evidence_steps(on, steering, others, trained)
    ends = looks_at(on, written) or (effort.continuations,)
    steps += [Continuations(steering, at, *pair) for pair in pairwise((0, *ends)) if pair[1]]
    steps += scoring_steps(on, looks_at(on, written))
    if not effort.besides:
        return steps
    steps += prompting_steps(on, steering)
    over = strengths_of_curve(on, steering)
    steps += [NeutralDrift(steering, over, effort.curve_texts)] if over else []
    steps += [] if on.behavior.bare else [OwnDrift(steering, (at,))]
    steps += [step for step in (over_refusal(on, steering), *other_steps(on, steering, others)) if _can(on, step)]
    if trained and site is not None:
        rest = len(on.measured_types) - 1
        if rest:
            steps += sweep_steps(on, "eval", both_signs([steering] * rest, at), effort.other_types)
        steps += refit_steps(on, steering) if effort.refits else []
        steps.append(EvaluationActivations(on.measured_types[0], site))
    return steps


def _can(on: Experiment, step: Step) -> bool:
    try:
        return step.cost(on) > 0
    except InputError:  # said where it is measured
        return False
