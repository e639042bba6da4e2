"""How long the parts of a fit will take that are not its checks."""

from collections.abc import Mapping, Sequence

from trimtab.experiment.experiment import Experiment
from trimtab.experiment.steps import Step
from trimtab.interventions import Place, Site
from trimtab.measurements.activations import TrainingActivations
from trimtab.measurements.divergence import SCREENING_ROWS, NeutralDrift
from trimtab.measurements.effects import PLAIN, sweep_steps
from trimtab.measurements.prompts import PromptActivations
from trimtab.steering import Steering
from trimtab.steering.methods import Method
from trimtab.workflows.check.forecast import like_the_chosen
from trimtab.workflows.choice import map_steps, strength_steps
from trimtab.workflows.fit.directions import Toward
from trimtab.workflows.fit.selection import FACTORS


def announce_making(
    makers: Sequence[Method], experiments: Mapping[str, Experiment], sites: Sequence[Place] | None, toward: Toward
) -> None:
    """Tell the progress how long a fit reads; a training, and every check, announces itself.

    Args:
        makers: the method with each of its hyperparameters.
        experiments: of the behaviors.
        sites: those that were given, None where one is chosen.
        toward: directions known beforehand.
    """
    if makers[0].material == "text":
        return
    total, first = 0.0, next(iter(experiments.values()))
    read = (Site(first.model.n_blocks - 1),) if sites is None else tuple(Site.several(sites))
    for on in experiments.values():
        steps: list[Step] = [TrainingActivations(on.prompt_types[0], read)]
        if sites is None and not makers[0].all_blocks:
            steps += map_steps(on, like_the_chosen(on, None))
        total += on.cost([*steps, *toward.steps(on, read)])
        if makers[0].routes:
            prompts = PromptActivations("train", tuple(Site(site.block) for site in read), len(on.splits.train))
            total += on.cost([prompts])
        if makers[0].material == "tokens":
            plus, minus = on.instrument.contexts(on.splits.dev.examples, on.splits.shots.examples, on.prompt_types[0])
            total += on.reading_cost(plus + minus, read)
    first.progress.begin(round(total), total * first.pace())


def announce_choice(
    experiments: Mapping[str, Experiment], candidates: Sequence[Steering], choosing_strength: bool
) -> None:
    """Tell the progress how long the choice between steerings, and then of strengths, takes.

    Args:
        experiments: of the behaviors.
        candidates: steerings to choose from.
        choosing_strength: strengths have yet to be chosen.
    """
    first, total = next(iter(experiments.values())), 0.0
    if len(candidates) > 1:
        total += first.cost([NeutralDrift(c, FACTORS, SCREENING_ROWS, "dev") for c in candidates])
        for on in experiments.values():
            total += sum(on.cost(sweep_steps(on, "dev", [PLAIN, (c, 1.0)])) for c in candidates)
    if choosing_strength and candidates[0].edits:
        total += sum(on.cost(strength_steps(on, candidates[0])) for on in experiments.values())
    if total:
        first.progress.begin(round(total), total * first.pace())
