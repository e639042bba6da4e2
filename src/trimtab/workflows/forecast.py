"""How long work will take: tokens counted from its texts, and the pace of a timed batch."""

from collections.abc import Sequence
from time import perf_counter

from trimtab.behaviors import Behavior, Probe, PromptType
from trimtab.experiment.stages import CURVE, CURVE_ROWS, EXPLORATORY_ROWS, HEAD_SHARE, MAP_ROWS, NOISE_ROWS, Stages
from trimtab.measurements.baselines import RANDOM_DIRECTIONS, RANDOM_ROWS, REFIT_ROWS, REFITS
from trimtab.measurements.side_effects import (
    FEW_ROWS,
    NEUTRAL_ROWS,
    neutral_cost,
    others_cost,
    over_refusal_cost,
    own_cost,
    probe_cost,
    prompts_cost,
)
from trimtab.models import Site
from trimtab.workflows.choice import STRENGTHS


def announce(stages: Stages, choosing_site: bool, choosing_strength: bool, others: Sequence[Behavior]) -> None:
    """Count the tokens to come, time a small batch, and tell the progress how long it may take.

    Args:
        stages: the check's.
        choosing_site: a site has yet to be chosen from a map of the blocks.
        choosing_strength: likewise a strength.
        others: behaviors whose effect is measured too.
    """
    total = round(_examples(stages, choosing_site, choosing_strength) + _others(stages, choosing_strength, others))
    stages.progress.begin(total, total * pace(stages))


def pace(stages: Stages) -> float:
    """Seconds a token, from a small timed batch."""
    some = stages.splits.dev.examples[:16]
    stages.instrument.propensity(some[:4])
    start = perf_counter()
    stages.instrument.propensity(some)
    return (perf_counter() - start) / max(1, stages.score_cost(some))


def passes(n: int) -> float:
    """Passes through all blocks that a base and n - 1 variants amount to; the site is taken to lie in the middle."""
    return 0.5 + n * (0.5 + HEAD_SHARE)


def _examples(stages: Stages, choosing_site: bool, choosing_strength: bool) -> float:
    """Tokens of the behavior's own examples, as if all blocks ran for each."""
    s, types, cost = stages.splits, stages.measured_types, stages.score_cost
    dev, evaluation = cost(s.dev.examples), cost(s.eval.examples)
    total = sum(stages.capture_cost(t, [Site(stages.model.n_blocks // 2)]) for t in types)
    if choosing_site:
        total += map_cost(stages)
    if len(types) > 1:
        total += passes(len(types) + 1) * dev
    if choosing_strength:
        total += passes(len(STRENGTHS) + 1) * dev
    total += passes(3) * evaluation + passes(2) * evaluation  # the last: asking
    if len(types) > 1:
        total += passes(2 * len(types) - 1) * cost(s.eval.examples[:EXPLORATORY_ROWS])
    total += passes(len(CURVE) - 2) * cost(s.eval.examples[:CURVE_ROWS])
    total += 2 * passes(2) * cost(s.eval.examples[:NOISE_ROWS])
    total += passes(2 * RANDOM_DIRECTIONS + 1) * cost(s.eval.examples[:RANDOM_ROWS])
    return total + passes(REFITS + 1) * cost(s.eval.examples[:REFIT_ROWS])


def map_cost(stages: Stages) -> float:
    """Tokens of the map over the blocks that a site is chosen from."""
    scored = (1 + (0.5 + HEAD_SHARE) * len(stages.map_blocks)) * stages.score_cost(
        stages.splits.dev.examples[:MAP_ROWS]
    )
    return scored + stages.capture_cost(PromptType.PREFILLED, [Site(stages.model.n_blocks - 1)])


def strengths_cost(stages: Stages) -> float:
    """Tokens of the texts on which dev sees what each strength to choose from costs."""
    n = len(STRENGTHS)
    return neutral_cost(stages, n, FEW_ROWS, "dev") + prompts_cost(stages, n, part="dev")


def _others(stages: Stages, choosing_strength: bool, others: Sequence[Behavior]) -> float:
    """Tokens of texts that are not the behavior's own examples."""
    total = neutral_cost(stages, 1, NEUTRAL_ROWS) + neutral_cost(stages, len(CURVE) - 2, FEW_ROWS)
    total += prompts_cost(stages, 1, others) + own_cost(stages)
    total += strengths_cost(stages) if choosing_strength else 0.0
    total += probe_cost(Probe.builtin("capability")) + over_refusal_cost(stages)
    return total + others_cost(stages, others)
