"""The method `mixture` on planted activations: groups, their vectors and the router, against plain loops."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import trimtab as tt
from trimtab.errors import InputError
from trimtab.models.conditions import met
from trimtab.steering.artifact import read
from trimtab.steering.methods import Learned, Mixture, PromptedSides, Sides, configured
from trimtab.steering.methods.mixture import nearest_of

WIDTH, SITE = 16, tt.Site(3)
AXIS = np.eye(WIDTH)[1]


def planted(
    *other: float | np.ndarray, sizes: tuple[int, ...] = (40, 30), seed: int = 0
) -> tuple[PromptedSides, np.ndarray]:
    """Sorts of prompts; the first's answers differ by the axis, those of others by a multiple of it or a vector."""
    rng = np.random.default_rng(seed)
    sort = np.repeat(np.arange(len(sizes)), sizes)
    moves = np.stack([AXIS, *(one * AXIS if isinstance(one, float) else one for one in other)])
    rng.shuffle(sort)
    prompts = (5 + 3 * np.eye(WIDTH)[sort + 2] + 0.3 * rng.standard_normal((len(sort), WIDTH))) * rng.uniform(
        1, 9, (len(sort), 1)
    )
    middle = rng.standard_normal((len(sort), WIDTH))
    half = moves[sort] / 2
    noise = 0.1 * rng.standard_normal((len(sort), WIDTH))
    sides = Sides(torch.from_numpy(middle + half + noise), torch.from_numpy(middle - half))
    texts = tuple(f"{['c', 'ab', 'd', 'e'][s]} {i}" for i, s in enumerate(sort))
    clusters = tuple(map(str, range(len(sort))))
    return PromptedSides("mood", SITE, sides, torch.from_numpy(prompts), tt.Site(2), texts, clusters), sort


def learned(own: PromptedSides) -> tuple[list[Learned], list[str]]:
    """What the method makes of it, and what could not be made."""
    refused: list[str] = []

    def those_that_work(attempts: Sequence[tuple[str, Callable[[], Learned]]]) -> list[Learned]:
        found = []
        for title, attempt in attempts:
            try:
                found.append(attempt())
            except InputError as error:
                refused.append(f"{title}: {error}")
        return found

    def prompted(*_: Any) -> list[PromptedSides]:
        return [own]

    materials = SimpleNamespace(
        seed=0, made_for=None, digests={"mood": "0" * 64}, prompted=prompted, those_that_work=those_that_work
    )
    return list(Mixture().learn(materials)), refused  # type: ignore[arg-type]


def test_opposite_directions_are_both_found_where_one_vector_has_neither(tmp_path: Path) -> None:
    own, sort = planted(-1.0)
    (one, two), refused = learned(own)
    assert refused == []
    assert one.rival
    assert not two.rival
    assert one.steering.attributes == {"mood": 1.0}
    torch.testing.assert_close(one.steering.vector(SITE), own.sides.mean_difference.float())
    assert float(one.steering.vector(SITE).norm()) < 0.3
    assert list(two.steering.attributes) == ["mood-1", "mood-2"]
    first, second = two.steering.edits[SITE].vectors.numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(first, AXIS, atol=0.1)
    np.testing.assert_allclose(second, -AXIS, atol=0.1)
    acts = acting(two.steering, own.prompts)
    assert (acts[0] == (sort == 0)).all()
    assert (acts[1] == (sort == 1)).all()
    assert {str(c.site) for (c,) in two.steering.conditions.values()} == {"2"}
    assert two.notes[0].startswith("mood-1: 57% of the training examples, such as “c ")
    two.steering.save(tmp_path / "two")  # an ordinary artifact
    assert read(tmp_path / "two").manifest.format == 1
    assert tt.Steering.load(tmp_path / "two").id == two.steering.id


def acting(steering: tt.Steering, prompts: torch.Tensor) -> np.ndarray:
    """`[attributes, n]`: where each acts."""
    found = [torch.stack([met(c, prompts) for c in several]).all(dim=0) for several in steering.conditions.values()]
    return torch.stack(found).numpy()


@pytest.mark.parametrize("k", [3, 4])
def test_three_and_four_sorts_are_each_found_and_routed(k: int, tmp_path: Path) -> None:
    others = np.eye(WIDTH)[8 : 7 + k]
    own, sort = planted(*others, sizes=(40, 34, 28, 22)[:k])
    (one, routed), refused = learned(own)
    assert refused == []
    assert one.rival
    assert routed.steering.origin.hyperparameters["directions"] == k
    assert list(routed.steering.attributes) == [f"mood-{j}" for j in range(1, k + 1)]
    vectors = routed.steering.edits[SITE].vectors.numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(vectors, [AXIS, *others], atol=0.12)
    assert (acting(routed.steering, own.prompts) == (sort == np.arange(k)[:, None])).all()
    assert [note.split(":")[0] for note in routed.notes] == list(routed.steering.attributes)
    routed.steering.save(tmp_path / "routed")
    assert read(tmp_path / "routed").manifest.format == 2  # which those who read format 1 refuse
    assert tt.Steering.load(tmp_path / "routed").id == routed.steering.id


def test_vectors_are_the_groups_own_pulled_toward_the_common_one() -> None:
    own, sort = planted(0.3, sizes=(60, 9))
    two = learned(own)[0][1]
    d = (own.sides.positive - own.sides.negative).numpy()
    means = [d[sort == j].mean(axis=0) for j in (0, 1)]
    noise = [float(d[sort == j].var(axis=0, ddof=1).sum()) / (sort == j).sum() for j in (0, 1)]
    tau2 = float(((means[0] - means[1]) ** 2).sum()) / 2 - sum(noise) / 2
    for j, vector in enumerate(two.steering.edits[SITE].vectors.numpy()):  # type: ignore[attr-defined]
        weight = tau2 / (tau2 + noise[j])
        assert 0.5 < weight < 1
        np.testing.assert_allclose(vector, weight * means[j] + (1 - weight) * d.mean(axis=0), atol=1e-6)


def test_one_direction_in_both_groups_leaves_one_vector() -> None:
    found, refused = [], []
    for seed in range(20):
        made, why = learned(planted(1.0, seed=seed)[0])
        found.append(len(made))
        refused += why
    assert set(found) <= {1, 2}
    assert refused
    assert all("differ by no more than chance" in why for why in refused)


def test_what_hardly_holds_two_groups_leaves_one_vector() -> None:
    made, refused = learned(planted(-1.0, sizes=(40, 4))[0])
    assert len(made) == 1
    assert refused == ["groups at site 3: of 2 groups one holds 4 independent examples; it takes 8 in each"]


@pytest.mark.parametrize(("seed", "k"), [(seed, k) for k in (2, 3, 4) for seed in range(3)])
def test_the_router_decides_as_a_loop_over_the_centres_does(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 4 + rng.standard_normal((300, WIDTH))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    part = rng.choice(k, 300, p=rng.dirichlet(np.full(k, 5.0)))
    centres = np.stack([unit[part == j].mean(axis=0) for j in range(k)])
    router = nearest_of(SITE, centres)
    assert [len(own) for own in router] == [k - 1] * k
    seen = set()
    for row in (4 + rng.standard_normal((200, WIDTH))) * rng.uniform(0.1, 90, (200, 1)):
        u = row / np.sqrt((row**2).sum())
        away = [float(((u - c) ** 2).sum()) for c in centres]
        first, second = sorted(away)[:2]
        if second - first < 1e-6:  # too near to the border for float32
            continue
        h = torch.from_numpy(row[None]).float()
        acts = [all(bool(met(c, h)[0]) for c in own) for own in router]
        assert acts == [one == first for one in away]
        seen.add(acts.index(True))
    assert seen == set(range(k))


def test_a_prompt_on_a_border_is_steered_by_none_and_no_prompt_twice() -> None:
    centres = 0.5 * np.eye(WIDTH)[:3]  # all as long: borders are where coordinates are equal, to the last digit
    router = nearest_of(SITE, centres)
    rng = np.random.default_rng(0)
    prompts = torch.from_numpy(rng.integers(1, 4, (400, WIDTH)).astype(np.float32))  # many on borders
    acts = np.stack([torch.stack([met(c, prompts) for c in own]).all(dim=0).numpy() for own in router], axis=1)
    near = prompts[:, :3].numpy()
    largest = near == near.max(axis=1, keepdims=True)
    alone = largest.sum(axis=1) == 1
    assert 100 < alone.sum() < 300
    np.testing.assert_array_equal(acts, largest & alone[:, None])


def test_a_number_of_blocks_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="blocks 0 must be at least 1"):
        configured("mixture", {"blocks": 0})
