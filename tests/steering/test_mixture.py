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
from trimtab.steering.methods.mixture import nearer_of_two

WIDTH, SITE = 16, tt.Site(3)
AXIS = np.eye(WIDTH)[1]


def planted(second: float, sizes: tuple[int, int] = (40, 30), seed: int = 0) -> tuple[PromptedSides, np.ndarray]:
    """Two sorts of prompts; the first's answers differ by the axis, the second's by `second` times it."""
    rng = np.random.default_rng(seed)
    sort = np.repeat([0, 1], sizes)
    rng.shuffle(sort)
    prompts = (5 + 3 * np.eye(WIDTH)[sort + 2] + 0.3 * rng.standard_normal((len(sort), WIDTH))) * rng.uniform(
        1, 9, (len(sort), 1)
    )
    middle = rng.standard_normal((len(sort), WIDTH))
    half = np.where(sort == 0, 1.0, second)[:, None] * AXIS / 2
    noise = 0.1 * rng.standard_normal((len(sort), WIDTH))
    sides = Sides(torch.from_numpy(middle + half + noise), torch.from_numpy(middle - half))
    texts = tuple(f"{'a b'[::2] if s else 'c'} {i}" for i, s in enumerate(sort))
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
    acts = {name: met(c, own.prompts).numpy() for name, c in two.steering.conditions.items()}
    assert (acts["mood-1"] == (sort == 0)).all()
    assert (acts["mood-2"] == (sort == 1)).all()
    assert {str(c.site) for c in two.steering.conditions.values()} == {"2"}
    assert two.notes[0].startswith("mood-1: 57% of the training examples, such as “c ")
    two.steering.save(tmp_path / "two")  # an ordinary artifact
    assert read(tmp_path / "two").manifest.format == 1
    assert tt.Steering.load(tmp_path / "two").id == two.steering.id


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
    assert refused == ["two groups at site 3: of 2 groups one holds 4 independent examples; it takes 8 in each"]


@pytest.mark.parametrize("seed", range(5))
def test_the_router_decides_as_a_loop_over_the_centres_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 4 + rng.standard_normal((300, WIDTH))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    side = rng.random(300) < rng.uniform(0.2, 0.8)
    centres = unit[side].mean(axis=0), unit[~side].mean(axis=0)
    first, second = nearer_of_two(SITE, *centres)
    fresh = (4 + rng.standard_normal((200, WIDTH))) * rng.uniform(0.1, 90, (200, 1))
    for row in fresh:
        u = row / np.sqrt((row**2).sum())
        away = [float(((u - c) ** 2).sum()) for c in centres]
        if abs(away[0] - away[1]) < 1e-6:  # too near to the border for float32
            continue
        h = torch.from_numpy(row[None]).float()
        assert bool(met(first, h)[0]) is (away[0] < away[1])
        assert bool(met(second, h)[0]) is (away[1] < away[0])


def test_a_number_of_blocks_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="blocks 0 must be at least 1"):
        configured("mixture", {"blocks": 0})
