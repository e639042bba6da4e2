"""Successive halving on the dev examples: all candidates on a few, the better ones on more, the best on all.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization" (AISTATS 2016). It
chooses only; nothing that a verdict says rests on the figures of a candidate that was dropped.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar

from trimtab.errors import NotFiniteError
from trimtab.experiment.experiment import Experiment, Variant
from trimtab.experiment.finite import those_finite
from trimtab.experiment.instrument import Propensity
from trimtab.measurements.effects import PLAIN, Propensities, sweep, sweep_steps
from trimtab.statistics.contrast import Contrast

FIRST_ROWS: Final = 6  # dev examples that every candidate is tried on
MORE_ROWS: Final = 3  # times as many in the next round
KEPT: Final = 3  # of so many candidates one goes on
FINALISTS: Final = 2  # that all dev examples are measured for, at least

Key = TypeVar("Key", bound=Hashable)


def by_halving(
    on: Experiment, candidates: Mapping[Key, Variant], rows: int
) -> tuple[dict[Key, Contrast], dict[Key, str]]:
    """Effects of candidates on the first dev examples: of the better ones on more of them, of the best on all.

    Args:
        on: the behavior's experiment.
        candidates: steerings, each at its strength.
        rows: dev examples of the last round.

    Returns:
        by candidate the effect on as many examples as it was measured on, those measured longest first; and why others
        gave no finite figures.

    Raises:
        NotFiniteError: none of them did.
    """
    seen: dict[Key, Propensity] = {}
    base: dict[int, Propensity] = {}
    lost: dict[Key, str] = {}
    left, dropped, start = list(candidates), list[Key](), 0
    for end in rounds(rows, len(left)):

        def measured(some: Sequence[Key], start: int = start, end: int = end) -> Mapping[Key, Propensity]:
            plain, *after = sweep(on, "dev", [PLAIN, *(candidates[key] for key in some)], end, first=start)
            base[start] = plain
            return dict(zip(some, after, strict=True))

        found, missing = _those_left(left, dropped, measured)
        lost |= missing
        seen = {key: new for key, new in seen.items() if key not in lost}
        seen |= {key: Propensity.together([seen[key], new]) if key in seen else new for key, new in found.items()}
        whole = Propensity.together(list(base.values()))
        contrast_of = on.contrast_of(on.splits.dev).first(end)
        effects = {key: contrast_of.change(whole, seen[key]) for key in found}
        left = sorted(effects, key=lambda key: -float(effects[key].rows.mean()))
        if end < rows:
            n = _kept(len(left))
            left, dropped, start = left[:n], left[n:], end
    return _longest_first(on, seen, base), lost


def _those_left(
    left: Sequence[Key], dropped: Sequence[Key], measured: Callable[[Sequence[Key]], Mapping[Key, Propensity]]
) -> tuple[dict[Key, Propensity], dict[Key, str]]:
    """The candidates of a round; where none of them gives finite figures, the best of those dropped before it."""
    try:
        return those_finite(left, measured)
    except NotFiniteError as error:
        if not dropped:
            raise
        again, missing = _those_left(dropped[:FINALISTS], dropped[FINALISTS:], measured)
        return again, {**dict.fromkeys(left, str(error)), **missing}


def halving_steps(on: Experiment, candidates: Sequence[Variant], rows: int) -> list[Propensities]:
    """Of `by_halving`, for a forecast: as if the first of the candidates were the better ones."""
    steps, left, start = [], list(candidates), 0
    for end in rounds(rows, len(left)):
        steps += sweep_steps(on, "dev", [PLAIN, *left], end, first=start)
        left, start = left[: _kept(len(left))], end
    return steps


def rounds(rows: int, candidates: int) -> list[int]:
    """Dev examples after each round; one round where there is nothing to drop."""
    ends, size = [], FIRST_ROWS
    while candidates > FINALISTS and size < rows:
        ends.append(size)
        size, candidates = MORE_ROWS * size, _kept(candidates)
    return [*ends, rows]


def _kept(candidates: int) -> int:
    """How many of so many candidates go on."""
    return max(FINALISTS, -(-candidates // KEPT))


def _longest_first(
    on: Experiment, seen: Mapping[Key, Propensity], base: Mapping[int, Propensity]
) -> dict[Key, Contrast]:
    whole, effects = Propensity.together(list(base.values())), {}
    for key in sorted(seen, key=lambda key: -len(seen[key].m)):
        n = len(seen[key].m)
        effects[key] = on.contrast_of(on.splits.dev).first(n).change(whole[:n], seen[key])
    return effects
