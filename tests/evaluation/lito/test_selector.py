"""The selector against its equations written out, and on responses whose accuracy is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.evaluation.lito import Selector, SelectorTraining

N, K, D = 160, 3, 8
Arrays = tuple[torch.Tensor, NDArray[np.bool_]]


def made(seed: int, n: int = N) -> Arrays:
    """A response is accurate where one coordinate of it lies above that of the response before (or above 0)."""
    hidden = torch.randn(n, K, D, generator=torch.Generator().manual_seed(seed)) * 3 + 1
    x = hidden[..., 2].numpy() - 1
    before = np.concatenate([np.zeros((n, 1)), x[:, :-1]], axis=1)
    return hidden, x > before


def clusters(n: int = N) -> list[str]:
    return [str(i // 2) for i in range(n)]


def lstm_by_hand(selector: Selector, hidden: torch.Tensor) -> NDArray[np.float64]:
    """Hochreiter and Schmidhuber's equations with forget gates, unit by unit, in numpy."""
    w = {name: tensor.double().numpy() for name, tensor in selector.weights.items()}
    x = ((hidden - selector.mean) / selector.scale).double().numpy()

    def sigmoid(a: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-a))  # type: ignore[no-any-return]

    out = np.zeros(x.shape[:2])
    for n, row in enumerate(x):
        h = c = np.zeros(w["head.weight"].shape[1])
        for t, step in enumerate(row):
            gates = w["lstm.weight_ih_l0"] @ step + w["lstm.bias_ih_l0"] + w["lstm.weight_hh_l0"] @ h
            i, f, g, o = np.split(gates + w["lstm.bias_hh_l0"], 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out[n, t] = sigmoid(w["head.weight"] @ h + w["head.bias"])[0]
    return out


@pytest.fixture(scope="module")
def trained() -> Selector:
    return Selector.train(*made(0, 4 * N), clusters(4 * N), 0, SelectorTraining(width=16, rate=1e-2))


def test_probabilities_are_those_of_the_equations(trained: Selector) -> None:
    hidden, _ = made(1, 12)
    np.testing.assert_allclose(trained.probabilities(hidden), lstm_by_hand(trained, hidden), atol=1e-5)


def test_a_response_is_judged_by_itself_and_those_at_lower_intensities(trained: Selector) -> None:
    hidden, accurate = made(2, 400)
    right = (trained.probabilities(hidden) > 0.5) == accurate
    assert right[:, 0].mean() > 0.9
    assert right[:, 1:].mean() > 0.9  # the response alone says it in 5/6 of the cases at most
    later = hidden.clone()
    later[:, 2] += 5
    np.testing.assert_array_equal(trained.probabilities(hidden)[:, :2], trained.probabilities(later)[:, :2])


def test_rare_accuracy_does_not_make_everything_look_wrong() -> None:
    """What is read says a little: one in ten is accurate, so that "never" would be right most often."""
    hidden, _ = made(3, 4 * N)
    noise = np.random.default_rng(0).normal(size=(4 * N, K)) * 3
    accurate = hidden[..., 2].numpy() - 1 + noise > 5.5
    assert 0.07 < accurate.mean() < 0.13
    selector = Selector.train(hidden, accurate, clusters(4 * N), 0, SelectorTraining(width=16, rate=1e-2))
    found = selector.probabilities(hidden) > 0.5
    assert found[accurate].mean() > 0.6
    assert found[~accurate].mean() < 0.5


def test_the_seed_decides_the_training_and_leaves_torchs_own_alone() -> None:
    hidden, accurate = made(0)
    torch.manual_seed(5)
    untouched = torch.rand(1)
    torch.manual_seed(5)
    few = SelectorTraining(epochs=5)
    first, again, other = (Selector.train(hidden, accurate, clusters(), seed, few) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), untouched)
    for name, tensor in first.weights.items():
        assert torch.equal(tensor, again.weights[name])
        assert not torch.equal(tensor, other.weights[name])


def test_training_ends_when_held_out_units_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels by coin: the held-out loss soon rises, and what comes after that changes nothing."""
    hidden, _ = made(4)
    coins = np.random.default_rng(0).random((N, K)) < 0.5
    steps, step = [], torch.optim.Adam.step

    def counted(self: Any, *rest: Any) -> Any:
        steps.append(1)
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    found = [
        Selector.train(hidden, coins, clusters(), 0, SelectorTraining(epochs=e, patience=5, rate=1e-2))
        for e in (60, 80)
    ]
    assert len(steps) < 2 * 30 * N / 32
    assert all(torch.equal(found[0].weights[name], found[1].weights[name]) for name in found[0].weights)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"accurate": np.ones((N, K), dtype=bool)}, "all of the responses"),
        ({"accurate": np.zeros((N, K), dtype=bool)}, "none of the responses"),
        ({"accurate": np.ones((N, K + 1), dtype=bool)}, "do not fit together"),
        ({"clusters": ["a", "b"] * (N // 2)}, "give at least 5"),
    ],
)
def test_what_cannot_be_learned_is_refused(change: dict[str, Any], word: str) -> None:
    hidden, accurate = made(0)
    given = {"hidden": hidden, "accurate": accurate, "clusters": clusters(), "seed": 0, **change}
    with pytest.raises(InputError, match=word):
        Selector.train(**given)


@pytest.mark.parametrize(
    "bad", [{"width": 0}, {"epochs": 0}, {"patience": 0}, {"rate": 0.0}, {"rate": float("nan")}, {"weight_decay": -1.0}]
)
def test_training_out_of_range_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError) as raised:
        SelectorTraining(**bad)
    assert (raised.value.code, raised.value.field) == ("out-of-range", next(iter(bad)))


def test_tensors_that_make_no_network_are_refused(trained: Selector) -> None:
    with pytest.raises(InputError, match="lstm"):
        replace(trained, weights={})
    with pytest.raises(InputError, match=r"size mismatch for head\.weight"):
        replace(trained, weights={**trained.weights, "head.weight": torch.zeros(1, 99)})
    with pytest.raises(InputError, match="NaN"):
        replace(trained, weights={**trained.weights, "head.bias": torch.tensor([float("nan")])})
    with pytest.raises(InputError, match="above 0"):
        replace(trained, scale=torch.zeros(D))
    with pytest.raises(InputError, match="another model"):
        trained.probabilities(torch.zeros(2, K, D + 1))
