"""Where to look next: TPE, a Gaussian process, Sobol points or random ones.

A proposal depends on the seed, the number of the trial and the trials before it, and on nothing else: optuna's study is
made anew from the finished trials each time. So an interrupted search goes on with what it would have tried, and a
larger budget begins with the trials of a smaller one.

Sources: TPE for several objectives, Ozaki et al. 2022 (JAIR 73), with constraints, Watanabe and Hutter 2211.14411;
Gaussian processes with expected hypervolume improvement, Daulton et al. 2006.05078; Sobol points scrambled as of Owen
1998. TPE and the Gaussian process begin with nine Sobol points, and with more of them until two trials were scored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.workflows.tune.space import Point, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

SAMPLERS: Final = ("tpe", "gp", "sobol", "random")
STARTUP: Final = 10  # trials before a model of what was found proposes
EXCESS: Final = "excess"


@dataclass(frozen=True)
class Finished:
    """What a sampler learns of a trial.

    Args:
        point: what was tried.
        values: gain on each task; None for a trial that was pruned.
        excess: how far the worst constraint was missed, over its bound; 0 or less where all hold.
    """

    point: Point
    values: tuple[float, ...] | None
    excess: float


def propose(sampler: str, space: Space, seed: int, finished: Sequence[Finished]) -> Point:
    """What the next trial tries.

    Args:
        sampler: `tpe`, `gp`, `sobol` or `random`.
        space: of choices.
        seed: of the search.
        finished: the trials so far, in their order.

    Raises:
        InputError: an unknown sampler.

    Example:
        >>> from trimtab.workflows.tune.samplers import propose
        >>> from trimtab.workflows.tune.space import Space
        >>> propose("sobol", Space(1, 2, 2.0), 0, []).factors
        (1.0, 1.0)
    """
    check_sampler(sampler)
    k = len(finished)
    if k == 0:
        return space.start
    if sampler == "random":
        return space.at(np.random.default_rng([seed, k]).random(space.dimensions))
    if sampler == "sobol" or sum(f.values is not None for f in finished) < 2 or k < STARTUP:
        return space.at(_sobol(space.dimensions, seed, k - 1))
    return _asked(sampler, space, seed, finished)


def check_sampler(sampler: str) -> None:
    """Check a sampler's name.

    Raises:
        InputError: there is none of it.
    """
    if sampler not in SAMPLERS:
        raise InputError(
            f"sampler {sampler!r} is unknown; {meant(sampler, SAMPLERS)}it can be {', '.join(SAMPLERS)}",
            code="unknown-choice",
            field="sampler",
        )


def _sobol(dimensions: int, seed: int, k: int) -> NDArray[np.float64]:
    """Point k of the sequence, from 0."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if k:
        sequence.fast_forward(k)
    return np.asarray(sequence.random(1)[0], dtype=np.float64)


def _asked(sampler: str, space: Space, seed: int, finished: Sequence[Finished]) -> Point:
    """What optuna proposes after these trials."""
    import optuna

    choices = _distributions(space)
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        n = next(len(f.values) for f in finished if f.values is not None)
        own_seed = int(np.random.SeedSequence([seed, len(finished)]).generate_state(1)[0])
        study = optuna.create_study(directions=["maximize"] * n, sampler=_sampler(sampler, own_seed))
        study.add_trials(_trials(finished, choices))
        with np.errstate(all="ignore"):  # where nothing can be gained any more, weights of starting points are 0 / 0
            return _point(study.ask(dict(choices)).params, space)
    finally:
        optuna.logging.set_verbosity(told)


def _sampler(name: str, seed: int) -> "BaseSampler":
    from optuna.samplers import GPSampler, TPESampler

    if name == "tpe":
        return TPESampler(seed=seed, n_startup_trials=STARTUP)
    return GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)


def _trials(finished: Sequence[Finished], choices: "Mapping[str, BaseDistribution]") -> "list[FrozenTrial]":
    """Optuna's trials; a pruned one counts as the worst of those scored on each task, and misses its constraint."""
    from optuna import create_trial

    worst = np.min([f.values for f in finished if f.values is not None], axis=0).tolist()
    return [
        create_trial(
            values=list(f.values) if f.values is not None else worst,
            params=_params(f.point, choices),
            distributions=dict(choices),
            constraints={EXCESS: f.excess},
        )
        for f in finished
    ]


def _distributions(space: Space) -> "dict[str, BaseDistribution]":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    every = range(space.n_attributes)
    chosen: dict[str, BaseDistribution] = {f"factor {i}": FloatDistribution(0.0, space.max_factor) for i in every}
    if len(space.gates) > 1:
        chosen |= {f"gate {i}": CategoricalDistribution(space.gates) for i in every}
    if space.n_candidates > 1:
        chosen["candidate"] = CategoricalDistribution(tuple(range(space.n_candidates)))
    return chosen


def _params(point: Point, choices: "Mapping[str, BaseDistribution]") -> dict[str, Any]:
    every: dict[str, Any] = {f"factor {i}": x for i, x in enumerate(point.factors)}
    every |= {f"gate {i}": x for i, x in enumerate(point.gates)}
    every["candidate"] = point.candidate
    return {name: every[name] for name in choices}


def _point(params: Mapping[str, Any], space: Space) -> Point:
    every = range(space.n_attributes)
    return Point(
        candidate=params.get("candidate", 0),
        gates=tuple(params.get(f"gate {i}", space.gates[0]) for i in every),
        factors=tuple(params[f"factor {i}"] for i in every),
    )
