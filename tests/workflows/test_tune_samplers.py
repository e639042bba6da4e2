"""Where a search looks next: what a proposal depends on, and that what was found helps."""

from itertools import product

import moocore
import numpy as np
import pytest

from trimtab.errors import InputError
from trimtab.workflows.tune.front import REFERENCE, front_of, hypervolume
from trimtab.workflows.tune.samplers import SAMPLERS, STARTUP, Finished, propose
from trimtab.workflows.tune.space import Point, Space

SPACE = Space(n_candidates=2, n_attributes=2, max_factor=2.0, gates=(-1.0, 0.0, 1.0))


def tried(point: Point) -> Finished:
    """Gains with a best trade-off inside, and a bound on the strengths; the second candidate is worse."""
    x = np.array(point.factors)
    damage, worse = float((x**2).sum()) / 3, 0.2 * point.candidate + 0.05 * sum(g != 0 for g in point.gates)
    if damage > 1:
        return Finished(point, None, min(damage - 1, 5.0))
    values = x - 0.4 * x[::-1] - 0.2 * x**2 - worse
    return Finished(point, tuple(values.tolist()), damage - 1)


def searched(sampler: str, n: int, seed: int = 0) -> list[Finished]:
    done: list[Finished] = []
    for _ in range(n):
        done.append(tried(propose(sampler, SPACE, seed, done)))
    return done


def reached(done: list[Finished]) -> float:
    return hypervolume(np.array([f.values for f in done if f.values is not None]))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_first_trial_is_the_steering_as_it_came(sampler: str) -> None:
    assert propose(sampler, SPACE, 3, []) == Point(candidate=0, gates=(0.0, 0.0), factors=(1.0, 1.0))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_proposal_depends_on_seed_and_trials_alone_so_that_a_larger_budget_begins_with_a_smaller_one(
    sampler: str,
) -> None:
    n = STARTUP + 2
    done = searched(sampler, n)
    assert [f.point for f in searched(sampler, n - 1)] == [f.point for f in done[:-1]]
    assert propose(sampler, SPACE, 0, done[:-1]) == done[-1].point  # nothing of the search before lives on
    assert propose(sampler, SPACE, 1, done[:-1]) != done[-1].point
    assert reached(done) >= reached(done[:-1])


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_models_of_what_was_found_look_at_other_places_when_something_else_was_found(sampler: str) -> None:
    done = searched(sampler, STARTUP + 1)
    other = [*done[:-2], Finished(done[-2].point, (9.0, 9.0), -1.0), done[-1]]
    assert propose(sampler, SPACE, 0, done) != propose(sampler, SPACE, 0, other)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_all_choices_are_of_the_space_and_all_of_them_come(sampler: str) -> None:
    points = [f.point for f in searched(sampler, STARTUP + 3 if sampler == "gp" else 40)]
    assert all(0 <= x <= 2 for p in points for x in p.factors)
    assert {p.candidate for p in points} == {0, 1}
    assert {g for p in points for g in p.gates} == {-1.0, 0.0, 1.0}


def test_sobol_points_are_those_of_the_sequence() -> None:
    from scipy.stats import qmc

    space = Space(1, 3, 1.0)
    expected = qmc.Sobol(3, scramble=True, rng=np.random.default_rng(5)).random(8)
    done: list[Finished] = [Finished(space.start, (0.0,), 0.0)]
    for row in expected:
        point = propose("sobol", space, 5, done)
        assert point.factors == pytest.approx(row.tolist())
        done.append(Finished(point, (0.0,), 0.0))


def test_tpe_reaches_more_than_random_points_do_with_as_many_trials() -> None:
    gained = [reached(searched("tpe", 45, seed)) - reached(searched("random", 45, seed)) for seed in range(3)]
    assert np.mean(gained) > 0


def test_a_search_in_which_nothing_or_nothing_better_was_found_goes_on() -> None:
    never = [Finished(SPACE.at(np.full(5, k / 20)), None, 2.0) for k in range(STARTUP + 2)]
    alike = [Finished(f.point, (0.0, 0.0), -1.0) for f in never]
    for sampler, done in product(("tpe", "gp"), (never, alike)):
        assert 0 <= propose(sampler, SPACE, 0, done).factors[0] <= 2


def test_an_unknown_sampler_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="'grid' is unknown; it can be tpe, gp, sobol, random"):
        propose("grid", SPACE, 0, [])


# --- the front ---


def test_the_front_is_what_no_other_passes() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3)).round(1)
    values[7] = values[3]

    def passed(i: int) -> bool:
        return any(
            (values[j] >= values[i]).all() and ((values[j] > values[i]).any() or j < i) for j in range(40) if j != i
        )

    assert front_of(values) == [i for i in range(40) if not passed(i)]


def test_the_hypervolume_is_the_share_of_random_gains_that_are_reached() -> None:
    values = np.array([[0.4, 0.1, 0.2], [0.1, 0.4, 0.0], [-0.5, 0.5, 0.5], [0.2, 0.2, 0.3]])
    grid = (np.arange(60) + 0.5) / 100 + REFERENCE  # cells of 0.01 between the reference and 0.5
    cells = np.array(list(product(grid, repeat=3)))
    inside = np.array([(cells <= row).all(axis=1) for row in values])
    assert hypervolume(values) == pytest.approx(inside.max(axis=0).sum() * 0.01**3, rel=1e-6)
    assert moocore.hypervolume(-values, ref=[-REFERENCE] * 3) == pytest.approx(hypervolume(values))
