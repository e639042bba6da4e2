"""How long work will take: tokens counted from its texts, and the pace of a timed batch."""

from collections.abc import Sequence
from time import perf_counter

from trimtab.behaviors import Probe, PromptType
from trimtab.models import Place, Site
from trimtab.steering.methods import Method, PromptMethod, TokenMethod
from trimtab.workflows.choice import STRENGTHS
from trimtab.workflows.rivals import RANDOM_DIRECTIONS, RANDOM_ROWS, REFIT_ROWS, REFITS
from trimtab.workflows.selection import FACTORS
from trimtab.workflows.side_effects import FEW_ROWS, NEUTRAL_ROWS, OTHER_ROWS, drift_cost
from trimtab.workflows.stages import CURVE, CURVE_ROWS, EXPLORATORY_ROWS, HEAD_SHARE, MAP_ROWS, NOISE_ROWS, Stages

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
            total += _map(s)
    stages[0].progress.begin(round(total), total * pace(stages[0]))


def announce_choice(stages: Sequence[Stages], n_candidates: int, choosing_strength: bool) -> None:
    """Tell the progress how long the choice between steerings, and then of strengths, takes.

    Args:
        stages: of the behaviors.
        n_candidates: steerings to choose from.
        choosing_strength: strengths have yet to be chosen.
    """
    neutral, total = sum(_neutral()[:FEW_ROWS]), 0.0
    for s in stages:
        dev = s.score_cost(s.splits.dev.examples)
        total += (n_candidates * _passes(2) * dev) if n_candidates > 1 else 0
        total += _passes(len(STRENGTHS) + 1) * dev + drift_cost(neutral, len(STRENGTHS)) if choosing_strength else 0
    total += n_candidates * drift_cost(neutral, len(FACTORS)) if n_candidates > 1 else 0
    if total:
        stages[0].progress.begin(round(total), total * pace(stages[0]))


def pace(stages: Stages) -> float:
    """Seconds a token, from a small timed batch."""
    some = stages.splits.dev.examples[:16]
    stages.instrument.propensity(some[:4])
    start = perf_counter()
    stages.instrument.propensity(some)
    return (perf_counter() - start) / max(1, stages.score_cost(some))


def _passes(n: int) -> float:
    """Passes through all blocks that a base and n - 1 variants amount to; the site is taken to lie in the middle."""
    return 0.5 + n * (0.5 + HEAD_SHARE)


def _examples(stages: Stages, choosing_site: bool, choosing_strength: bool) -> float:
    """Tokens of the behavior's own examples, as if all blocks ran for each."""
    s, types, cost = stages.splits, stages.measured_types, stages.score_cost
    dev, evaluation = cost(s.dev.examples), cost(s.eval.examples)
    total = sum(stages.capture_cost(t, [Site(stages.model.n_blocks // 2)]) for t in types)
    if choosing_site:
        total += _map(stages)
    if len(types) > 1:
        total += _passes(len(types) + 1) * dev
    if choosing_strength:
        total += _passes(len(STRENGTHS) + 1) * dev
    total += _passes(3) * evaluation + _passes(2) * evaluation  # the last: asking
    if len(types) > 1:
        total += _passes(2 * len(types) - 1) * cost(s.eval.examples[:EXPLORATORY_ROWS])
    total += _passes(len(CURVE) - 2) * cost(s.eval.examples[:CURVE_ROWS])
    total += 2 * _passes(2) * cost(s.eval.examples[:NOISE_ROWS])
    total += _passes(2 * RANDOM_DIRECTIONS + 1) * cost(s.eval.examples[:RANDOM_ROWS])
    return total + _passes(REFITS + 1) * cost(s.eval.examples[:REFIT_ROWS])


def _map(stages: Stages) -> float:
    """Tokens of the map over the blocks that a site is chosen from."""
    scored = (1 + (0.5 + HEAD_SHARE) * len(stages.map_blocks)) * stages.score_cost(
        stages.splits.dev.examples[:MAP_ROWS]
    )
    return scored + stages.capture_cost(PromptType.PREFILLED, [Site(stages.model.n_blocks - 1)])


def _neutral() -> list[float]:
    """Tokens of each neutral text."""
    return [len(text.split()) * _WORD for text in Probe.builtin("neutral").texts[:NEUTRAL_ROWS]]


def _others(choosing_strength: bool, n_others: int) -> float:
    """Tokens of texts that are not the behavior's own."""
    neutral = _neutral()
    total = drift_cost(sum(neutral), 1) + drift_cost(sum(neutral[:FEW_ROWS]), len(CURVE) - 2)
    if choosing_strength:
        total += drift_cost(sum(neutral[:FEW_ROWS]), len(STRENGTHS))
    pairs = [*Probe.builtin("capability").examples, *Probe.builtin("over-refusal").examples]
    words = sum(len(f"{e.prompt} {e.positive} {e.negative}".split()) for e in pairs)
    return total + (words + 40 * OTHER_ROWS * n_others) * _WORD * 2
