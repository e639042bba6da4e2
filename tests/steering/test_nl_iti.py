"""Non-linear inference-time intervention: heads that differ in more than their means, and the shift along the means."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models.blocks import Heads
from trimtab.steering import Steering
from trimtab.steering.methods import Sides
from trimtab.steering.methods import method as method_of

N_HEADS, WIDTH, D, N = 3, 4, 10, 240
PROJECTION = nn.Linear(N_HEADS * WIDTH, D)
HEADS = Heads(PROJECTION, N_HEADS, N_HEADS * WIDTH)


def method(name: str) -> Any:
    """The class of a method, with what its kind of material needs."""
    return method_of(name)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_head(head: int) -> slice:
    return slice(head * WIDTH, (head + 1) * WIDTH)


def bent_and_straight(seed: int = 0) -> Sides:
    """Head 0 is noise; in head 1 two coordinates have the same sign on one side; in head 2 the means lie apart."""
    x = normal(12 * N, N_HEADS * WIDTH, seed=seed)
    x[:, of_head(1)] *= 2
    same = x[:, WIDTH] * x[:, WIDTH + 1] > 0
    positive, negative = x[same][:N], x[~same][:N]
    positive[:, WIDTH] += 0.3
    positive[:, 2 * WIDTH] += 1.2
    return Sides(positive, negative, False, HEADS)


def fitted(sides: Sides, name: str = "nl-iti", seed: int = 0, **options: Any) -> Steering:
    made: Steering = method(name)(**{"share": 0.01, **options}).fit({"warm": {Site(3, "heads"): sides}}, seed=seed)
    return made


def shift_of(sides: Sides, head: int, alpha: float) -> np.ndarray[Any, Any]:
    """`alpha σ θ` of one head through the output projection, in numpy."""
    up, down = (side.numpy()[:, of_head(head)] for side in (sides.positive, sides.negative))
    theta = up.mean(axis=0) - down.mean(axis=0)
    theta = theta / np.linalg.norm(theta)
    sigma = (np.concatenate([up, down]) @ theta).std(ddof=1)
    weight: np.ndarray[Any, Any] = PROJECTION.weight.detach().double().numpy()[:, of_head(head)]
    return weight @ (alpha * sigma * theta)


def test_a_head_that_no_line_tells_apart_is_found_and_shifted_along_the_means() -> None:
    sides = bent_and_straight()
    bent = torch.cat([sides.positive, sides.negative])[:, of_head(1)].numpy()
    order, labels = np.random.default_rng(0).permutation(2 * N), np.repeat([1, 0], N)
    peer = KNeighborsClassifier(15).fit(bent[order[N:]], labels[order[N:]])
    assert peer.score(bent[order[:N]], labels[order[:N]]) > 0.8  # by neighbours too the sides lie apart
    assert fitted(sides).vector("attention:3").numpy() == pytest.approx(shift_of(sides, 1, 5.0), abs=1e-5)
    straight = fitted(sides, "iti").vector("attention:3")
    assert straight.numpy() == pytest.approx(shift_of(sides, 2, 5.0), abs=1e-5)  # where a line is enough


def test_the_share_and_alpha_say_how_many_heads_are_shifted_and_how_far() -> None:
    sides = bent_and_straight()
    all_heads = sum(shift_of(sides, head, 2.0) for head in range(N_HEADS))
    made = fitted(sides, share=1.0, alpha=2.0)
    assert made.vector("attention:3").numpy() == pytest.approx(all_heads, abs=1e-5)


def test_candidates_that_differ_in_size_alone_rank_the_heads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = method("nl-iti").accuracy

    def counted(self: Any, fitting: Sides, held: Sides, seed: int) -> float:
        asked.append(seed)
        return float(real(self, fitting, held, seed))

    monkeypatch.setattr(method("nl-iti"), "accuracy", counted)
    sides, n = bent_and_straight(seed=71), 0
    for more, options in (
        (N_HEADS, {}),
        (0, {"share": 1.0}),
        (0, {"alpha": 2.0, "share": 0.4}),
        (N_HEADS, {"seed": 1}),
        (N_HEADS, {"hidden": 4}),
        (0, {"seed": 1, "share": 0.9}),
    ):
        fitted(sides, **options)
        n += more
        assert len(asked) == n
    fitted(bent_and_straight(seed=72))
    assert len(asked) == n + N_HEADS
    assert fitted(sides, share=0.4).vector("attention:3").numpy() == pytest.approx(shift_of(sides, 1, 5.0), abs=1e-5)


def test_the_accuracy_of_a_head_is_that_of_what_the_sides_are_made_of() -> None:
    """A fresh half tells the sides apart by the sign of a product; the network must come near that rule."""
    sides, other = bent_and_straight(), bent_and_straight(seed=7)
    accuracy = [
        method("nl-iti")().accuracy(sides.some(of_head(head)), other.some(of_head(head)), 0) for head in range(N_HEADS)
    ]
    assert abs(accuracy[0] - 0.5) < 0.08
    assert accuracy[1] > 0.9
    assert accuracy[2] == pytest.approx(float(torch.special.ndtr(torch.tensor(0.6))), abs=0.06)  # d' 1.2, equal spread


def test_the_seed_decides_the_network() -> None:
    sides, other = bent_and_straight(), bent_and_straight(seed=7)
    some, held = sides.some(of_head(1)), other.some(of_head(1))

    def accuracy(seed: int) -> float:
        return float(method("nl-iti")(hidden=4).accuracy(some, held, seed))

    assert accuracy(1) == accuracy(1)
    assert len({accuracy(seed) for seed in range(4)}) > 1
    assert accuracy(2**40) > 0  # beyond what scikit-learn takes as a seed
    assert fitted(sides, seed=3).id == fitted(sides, seed=3).id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens", 0), ("hidden", 0), ("hidden", 10**6), ("penalty", -1.0), ("share", 0.0),
    ],
)  # fmt: skip
def test_hyperparameters_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name) as raised:
        fitted(bent_and_straight(), **{name: value})
    assert (raised.value.code, raised.value.field) == ("out-of-range", f"options.{name}")


def test_sites_without_heads_and_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match=r"nl-iti reads .* heads:3"):
        fitted(Sides(normal(9, 8, seed=0), normal(9, 8, seed=1)))
    few = bent_and_straight()
    with pytest.raises(InputError, match="nl-iti needs at least 3 rows"):
        fitted(Sides(few.positive[:2], few.negative[:2], False, HEADS))
