"""How long the parts of a fit will take that are not its checks."""

from collections.abc import Sequence

from trimtab.experiment.stages import Stages
from trimtab.measurements.side_effects import FEW_ROWS, neutral_cost
from trimtab.models import Place, Site
from trimtab.steering.methods import Method, PromptMethod, TokenMethod
from trimtab.workflows.choice import STRENGTHS
from trimtab.workflows.fit.selection import FACTORS
from trimtab.workflows.forecast import map_cost, pace, passes, strengths_cost


def announce_making(makers: Sequence[Method], stages: Sequence[Stages], sites: Sequence[Place] | None) -> None:
    """Tell the progress how long a fit reads; a training, and every check, announces itself.

    Args:
        makers: the method with each of its hyperparameters.
        stages: of the behaviors.
        sites: those that were given, None where one is chosen.
    """
    if isinstance(makers[0], PromptMethod):
        return
    total = 0.0
    read = [Site(stages[0].model.n_blocks - 1)] if sites is None else Site.several(sites)
    for s in stages:
        total += s.capture_cost(s.prompt_types[0], read)
        if isinstance(makers[0], TokenMethod):
            total += s.capture_cost(s.prompt_types[0], read, "dev")
        if sites is None and not makers[0].all_blocks:
            total += map_cost(s)
    stages[0].progress.begin(round(total), total * pace(stages[0]))


def announce_choice(stages: Sequence[Stages], n_candidates: int, choosing_strength: bool) -> None:
    """Tell the progress how long the choice between steerings, and then of strengths, takes.

    Args:
        stages: of the behaviors.
        n_candidates: steerings to choose from.
        choosing_strength: strengths have yet to be chosen.
    """
    total = 0.0
    for s in stages:
        dev = s.score_cost(s.splits.dev.examples)
        total += (n_candidates * passes(2) * dev) if n_candidates > 1 else 0
        total += passes(len(STRENGTHS) + 1) * dev + strengths_cost(s) if choosing_strength else 0
    total += n_candidates * neutral_cost(stages[0], len(FACTORS), FEW_ROWS, "dev") if n_candidates > 1 else 0
    if total:
        stages[0].progress.begin(round(total), total * pace(stages[0]))
