"""A race of candidates on the dev examples: all on a few, and on more those that are not plainly behind the best.

Racing: Maron and Moore, "Hoeffding races" (NIPS 1993); with a test of paired differences as in F-Race (Birattari et
al., GECCO 2002). Candidates see the same examples, so that what makes an example easy for all of them cancels. It
chooses only; nothing that a verdict says rests on the figures of a candidate that was dropped.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar

from trimtab.errors import NotFiniteError
from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.experiment import Experiment, Variant
from trimtab.experiment.finite import those_finite
from trimtab.experiment.instrument import Propensity
from trimtab.measurements.effects import PLAIN, Propensities, sweep, sweep_steps
from trimtab.phrases import Phrase
from trimtab.statistics.contrast import Contrast

FIRST_ROWS: Final = 12  # dev examples that every candidate is tried on
MORE_ROWS: Final = 2  # times as many in the next round
BEHIND: Final = 0.87  # level of the interval of the difference from the best; one who lies beyond it is dropped
FINALISTS: Final = 2  # that all dev examples are measured for, at least

Key = TypeVar("Key", bound=Hashable)


def by_race(
    on: Experiment, candidates: Mapping[Key, Variant], rows: int
) -> tuple[dict[Key, Contrast], dict[Key, Phrase]]:
    """Effects of candidates on the first dev examples, and on more of them while they may still be the best.

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
    lost: dict[Key, Phrase] = {}
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
            left, dropped = _not_behind(left, seen, contrast_of)
            start = end
    return _longest_first(on, seen, base), lost


def _those_left(
    left: Sequence[Key], dropped: Sequence[Key], measured: Callable[[Sequence[Key]], Mapping[Key, Propensity]]
) -> tuple[dict[Key, Propensity], dict[Key, Phrase]]:
    """The candidates of a round; where none of them gives finite figures, the best of those dropped before it."""
    try:
        return those_finite(left, measured)
    except NotFiniteError as error:
        if not dropped:
            raise
        again, missing = _those_left(dropped[:FINALISTS], dropped[FINALISTS:], measured)
        return again, {**dict.fromkeys(left, error.message), **missing}


def _not_behind(
    order: Sequence[Key], seen: Mapping[Key, Propensity], contrast_of: ContrastMaker
) -> tuple[list[Key], list[Key]]:
    """Those that go on, at least the best two, and those that are plainly behind the best; the better ones first."""
    best = seen[order[0]]
    behind = [key for key in order[FINALISTS:] if contrast_of.change(seen[key], best).mean(BEHIND).low > 0]
    return [key for key in order if key not in behind], behind


def race_steps(on: Experiment, candidates: Sequence[Variant], rows: int) -> list[Propensities]:
    """Of `by_race`, for a forecast: as if two of three candidates went on from every round."""
    steps, left, start = [], list(candidates), 0
    for end in rounds(rows, len(left)):
        steps += sweep_steps(on, "dev", [PLAIN, *left], end, first=start)
        left, start = left[: max(FINALISTS, -(-2 * len(left) // 3))], end
    return steps


def rounds(rows: int, candidates: int) -> list[int]:
    """Dev examples after each round; one round where there is nothing to drop."""
    ends, size = [], FIRST_ROWS
    while candidates > FINALISTS and size < rows:
        ends.append(size)
        size *= MORE_ROWS
    return [*ends, rows]


def _longest_first(
    on: Experiment, seen: Mapping[Key, Propensity], base: Mapping[int, Propensity]
) -> dict[Key, Contrast]:
    whole, effects = Propensity.together(list(base.values())), {}
    for key in sorted(seen, key=lambda key: -len(seen[key].m)):
        n = len(seen[key].m)
        effects[key] = on.contrast_of(on.splits.dev).first(n).change(whole[:n], seen[key])
    return effects
