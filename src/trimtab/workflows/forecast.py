"""How long work will take: tokens counted from its texts, and the pace of a timed batch."""

from time import perf_counter

from trimtab.behaviors import Probe, PromptType
from trimtab.experiment.stages import CURVE, CURVE_ROWS, EXPLORATORY_ROWS, HEAD_SHARE, MAP_ROWS, NOISE_ROWS, Stages
from trimtab.interventions import Site
from trimtab.measurements.baselines import RANDOM_DIRECTIONS, RANDOM_ROWS, REFIT_ROWS, REFITS
from trimtab.measurements.side_effects import FEW_ROWS, NEUTRAL_ROWS, OTHER_ROWS, drift_cost
from trimtab.workflows.choice import STRENGTHS

_WORD = 1.3  # tokens a word, about


def announce(stages: Stages, choosing_site: bool, choosing_strength: bool, n_others: int) -> None:
    """Count the tokens to come, time a small batch, and tell the progress how long it may take.

    Args:
        stages: the check's.
        choosing_site: a site has yet to be chosen from a map of the blocks.
        choosing_strength: likewise a strength.
        n_others: other behaviors whose effect is measured.
    """
    total = round(_examples(stages, choosing_site, choosing_strength) + _others(choosing_strength, n_others))
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


def neutral_tokens() -> list[float]:
    """Tokens of each neutral text."""
    return [len(text.split()) * _WORD for text in Probe.builtin("neutral").texts[:NEUTRAL_ROWS]]


def _others(choosing_strength: bool, n_others: int) -> float:
    """Tokens of texts that are not the behavior's own."""
    neutral = neutral_tokens()
    total = drift_cost(sum(neutral), 1) + drift_cost(sum(neutral[:FEW_ROWS]), len(CURVE) - 2)
    if choosing_strength:
        total += drift_cost(sum(neutral[:FEW_ROWS]), len(STRENGTHS))
    pairs = [*Probe.builtin("capability").examples, *Probe.builtin("over-refusal").examples]
    words = sum(len(f"{e.prompt} {e.positive} {e.negative}".split()) for e in pairs)
    return total + (words + 40 * OTHER_ROWS * n_others) * _WORD * 2
