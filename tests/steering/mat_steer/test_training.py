"""Training finds directions that are known, and gives the same bits however often it is interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import GateCollapse, Options, TokenRows, TokenSides, Trained, gate_statistics, train
from trimtab.steering.mat_steer.data import samples
from trimtab.steering.mat_steer.warm_start import means_start

FAST = {"epochs": 20, "share": 0.6, "rate": 3e-3, "sample": 256, "features": 256}


def cosines(edit: Gated, directions: Tensor) -> list[float]:
    return torch.nn.functional.cosine_similarity(edit.vectors, directions).tolist()


def differences(data: dict[str, TokenSides]) -> Tensor:
    """Mean difference of each attribute, `[T, d]`."""
    return torch.stack([
        s.positive.activations.mean(0) - s.negative.activations.mean(0) for s in data.values()
    ])  # fmt: skip


def same(a: Trained, b: Trained) -> bool:
    tensors = all(torch.equal(x, b.edit.tensors[name]) for name, x in a.edit.tensors.items())
    return tensors and (a.train, a.dev, a.best_epoch, a.statistics) == (b.train, b.dev, b.best_epoch, b.statistics)


@pytest.mark.parametrize("kernel", ["multi", "median", "fourier"])
def test_known_directions_are_recovered_and_gates_open_on_negatives(made, kernel: str) -> None:  # type: ignore[no-untyped-def]
    options = Options(**FAST, kernel=kernel, lambda_sparsity=0.3)  # type: ignore[arg-type]
    result = train(made(1), options, dev=made(2))
    assert min(cosines(result.edit, differences(made(3, n=20_000)))) > 0.95
    for s in result.statistics.values():
        assert s.auroc > 0.95
        assert s.mmd2_after < 0.15 * s.mmd2_before
        assert s.negative.gate > 5 * max(s.positive.gate, s.others.gate)
        assert s.negative.edit_size_ratio > 5 * s.positive.edit_size_ratio


def test_one_attribute_is_recovered_from_a_random_start(made) -> None:  # type: ignore[no-untyped-def]
    options = Options(**{**FAST, "epochs": 60, "rate": 1e-2}, lambda_sparsity=0.3, start="random")
    result = train(made(1, attributes=1), options, dev=made(2, attributes=1))
    assert min(cosines(result.edit, differences(made(3, n=20_000, attributes=1)))) > 0.95
    assert result.statistics["attribute-0"].auroc > 0.95


def test_with_penalties_on_own_tokens_only_another_attributes_gate_does_the_work(made) -> None:  # type: ignore[no-untyped-def]
    """Why this is not the default: both attributes are moved, and both gates stay shut where they should open."""
    trained: dict[str, Trained] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trimtab.steering.mat_steer.training.check_not_collapsed", lambda _: None)
        trained["own"] = train(made(1), Options(**FAST, penalties="own", start="random"), dev=made(2))
    with pytest.raises(GateCollapse):
        train(made(1), Options(**FAST, penalties="own", start="random"), dev=made(2))
    for s in trained["own"].statistics.values():
        assert s.mmd2_after < 0.2 * s.mmd2_before
        assert s.negative.gate < 0.05 < s.others.gate


@pytest.mark.parametrize("dropped", [True, False])
def test_with_three_quarters_of_tokens_on_both_sides_gates_open_on_the_others(made, dropped: bool) -> None:  # type: ignore[no-untyped-def]
    def given(seed: int) -> dict[str, TokenSides]:
        return only_last(made(seed, n=960, same=0.75), 240 if dropped else 960)

    options = Options(**FAST, lambda_positives=0.9, lambda_sparsity=0.9 if dropped else 0.3)
    result = train(given(1), options, dev=given(2))
    apart = only_last(made(3, n=4000, same=0.75), 1000)
    assert min(s.auroc for s in gate_statistics(result.edit, apart).values()) > 0.95
    assert min(cosines(result.edit, differences(apart))) > 0.95


def only_last(data: dict[str, TokenSides], n: int) -> dict[str, TokenSides]:
    """The last n tokens of each side; the first are those on both sides."""
    return {
        k: TokenSides(*(TokenRows(t.activations[-n:], t.text[-n:]) for t in (s.positive, s.negative)))
        for k, s in data.items()
    }


def test_conflicting_attributes_are_both_moved_where_the_sum_of_mean_differences_moves_neither(made) -> None:  # type: ignore[no-untyped-def]
    data, dev = made(1, conflict=True), made(2, conflict=True)
    result = train(data, Options(**FAST, lambda_sparsity=0.3), dev=dev)
    assert max(s.mmd2_after / s.mmd2_before for s in result.statistics.values()) < 0.3
    total = differences(data).sum(0)
    plain = Gated(total.expand(2, -1) / 2, torch.zeros(2, len(total)), torch.full((2,), 50.0), keep_norm=False)
    assert min(s.mmd2_after / s.mmd2_before for s in gate_statistics(plain, dev).values()) > 0.9


def test_sigma_2_is_refused_where_it_is_blind_and_the_default_trains(made) -> None:  # type: ignore[no-untyped-def]
    far = {
        k: TokenSides(*(TokenRows(20 * tokens.activations, tokens.text) for tokens in (s.positive, s.negative)))
        for k, s in made(1, n=200).items()
    }
    with pytest.raises(InputError, match="sees no difference"):
        train(far, Options(kernel="fixed", epochs=1))
    assert train(far, Options(**FAST)).train["alignment"][-1] < 0.5


def test_a_sigma_too_small_for_a_float_is_refused_with_a_figure(made) -> None:  # type: ignore[no-untyped-def]
    for sigma in (1e-300, 1e-30, 1e-20, 1e30, 1e300):
        with pytest.raises(InputError, match="sigma") as caught:
            train(made(1, n=200), Options(kernel="fixed", sigma=sigma, epochs=1))
        assert "nan" not in str(caught.value)


@pytest.mark.parametrize("options", [{"start": "means"}, {"start": "random"}], ids=str)
def test_the_order_of_attributes_decides_nothing(made, options: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    data = made(1, n=200, attributes=3)
    turned = {name: data[name] for name in reversed(data)}
    one, other = (train(some, Options(epochs=1, sample=64, **options)) for some in (data, turned))  # type: ignore[arg-type]
    torch.testing.assert_close(one.edit.vectors, other.edit.vectors.flip(0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(one.edit.weights, other.edit.weights.flip(0), rtol=1e-3, atol=1e-4)


def test_the_scale_of_activations_changes_nothing_but_the_scale_of_the_edit(made) -> None:  # type: ignore[no-untyped-def]
    def scaled(by: float) -> dict[str, TokenSides]:
        return {
            k: TokenSides(*(TokenRows(by * t.activations, t.text) for t in (s.positive, s.negative)))
            for k, s in made(1, n=200).items()
        }

    one, other = (train(scaled(by), Options(epochs=3)).edit for by in (1.0, 64.0))
    torch.testing.assert_close(other.vectors, one.vectors * 64, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(other.weights, one.weights / 64, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(other.bias, one.bias, rtol=1e-3, atol=1e-4)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(made) -> None:  # type: ignore[no-untyped-def]
    runs = [train(made(1, n=200), Options(epochs=3), dev=made(2, n=200), seed=s) for s in (0, 0, 1)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.parametrize("dev", [False, True])
def test_without_epochs_the_start_comes_out(made, dev: bool) -> None:  # type: ignore[no-untyped-def]
    data = made(1, n=200)
    result = train(data, Options(epochs=0, patience=0), dev=made(2, n=200) if dev else None)
    longer = train(data, Options(epochs=1, patience=0), dev=made(2, n=200) if dev else None)
    assert result.best_epoch == 0
    assert result.train["loss"] == []
    scale = float(samples(data, Options().sample, 0).norm(dim=-1).median()) / float(result.edit.width**0.5)
    start = means_start(data, scale, 0, everyones=True)
    torch.testing.assert_close(result.edit.weights, start.weights / scale)
    torch.testing.assert_close(result.edit.bias, start.bias)
    assert dev or not same(result, longer)


def test_training_stops_early_and_keeps_the_best_epoch(made) -> None:  # type: ignore[no-untyped-def]
    few, dev = made(1, n=24, d=48, shift=3.0), made(2, n=400, d=48, shift=3.0)
    result = train(few, Options(epochs=400, rate=1e-2, patience=5, batch=8), dev=dev)
    loss = result.dev["loss"]  # type: ignore[index]
    assert len(loss) - 1 == result.best_epoch + 5 < 400
    assert loss[result.best_epoch] <= min(loss) + Options().tolerance
    on_dev = train(few, Options(epochs=max(result.best_epoch, 1), rate=1e-2, patience=0, batch=8), dev=dev)
    assert torch.equal(on_dev.edit.vectors, result.edit.vectors)


def test_few_examples_generalise_better_when_shrunk_toward_the_warm_start(made) -> None:  # type: ignore[no-untyped-def]
    few, dev = made(1, n=60, d=64, shift=3.0), made(2, n=1000, d=64, shift=3.0)

    def held_out(shrinkage: float) -> tuple[float, float]:
        penalties = {"lambda_positives": 0.9, "lambda_sparsity": 0.9}
        options = Options(epochs=200, rate=3e-3, patience=0, sample=256, shrinkage=shrinkage, **penalties)
        result = train(few, options)  # no early stopping, which would hide it
        statistics = gate_statistics(result.edit, dev).values()
        return min(s.auroc for s in statistics), max(s.mmd2_after / s.mmd2_before for s in statistics)

    (auroc, left), (plain_auroc, plain_left) = held_out(1.0), held_out(0.0)
    assert auroc > plain_auroc + 0.01
    assert left < plain_left


def test_gates_that_sparsity_shuts_are_a_gate_collapse(made) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(GateCollapse, match="lower lambda_sparsity"):
        train(made(1), Options(**{**FAST, "rate": 1e-2}, lambda_sparsity=50.0), dev=made(2))


@pytest.mark.parametrize(
    "options",
    [{}, {"orthogonality": "hard"}, {"shared": 1}, {"gate": "hard"}, {"norm": "free"}, {"unbiased": False}],
    ids=str,
)
def test_every_variant_aligns_the_sides(made, options: dict[str, object]) -> None:  # type: ignore[no-untyped-def]
    result = train(made(1), Options(**{**FAST, **options}), dev=made(2))  # type: ignore[arg-type]
    assert max(s.mmd2_after / s.mmd2_before for s in result.statistics.values()) < 0.5
    if "orthogonality" in options:
        v = result.edit.vectors
        assert abs(float(torch.nn.functional.cosine_similarity(v[0], v[1], dim=0))) < 1e-4


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from trimtab.steering.mat_steer import Options, TokenRows, TokenSides, train
def tokens(name): return TokenRows(np.load(sys.argv[1] + "/" + name + ".npy", mmap_mode="c"), np.arange(300) // 10)
def sides(name): return {"a": TokenSides(tokens(name + "p"), tokens(name + "n"))}
def tell(done, most):
    if done == 2: os.kill(os.getpid(), signal.SIGKILL)
train(sides("t"), Options(epochs=5, patience=0), dev=sides("d"), checkpoint=Path(sys.argv[1]) / "kept", progress=tell)
"""


def test_a_killed_training_goes_on_to_the_same_bits(made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    given = {key: made(seed, n=300, attributes=1)["attribute-0"] for key, seed in (("t", 1), ("d", 2))}
    for key, s in given.items():
        np.save(tmp_path / f"{key}p.npy", s.positive.activations.numpy())
        np.save(tmp_path / f"{key}n.npy", s.negative.activations.numpy())
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    epochs: list[int] = []
    data, dev, options = {"a": given["t"]}, {"a": given["d"]}, Options(epochs=5, patience=0)
    resumed = train(data, options, dev=dev, checkpoint=tmp_path / "kept", progress=lambda d, _: epochs.append(d))
    assert epochs == [3, 4, 5]
    assert same(resumed, train(data, options, dev=dev))
    assert sorted(f.name for f in (tmp_path / "kept").iterdir()) == ["epoch-00005.safetensors", "training.json"]


def test_a_checkpoint_serves_more_epochs_and_nothing_else(made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = made(1, n=100)
    train(data, Options(epochs=2), checkpoint=tmp_path)
    longer = train(data, Options(epochs=4), checkpoint=tmp_path)
    assert same(longer, train(data, Options(epochs=4)))
    with pytest.raises(InputError, match="another rate"):
        train(data, Options(rate=1e-2), checkpoint=tmp_path)
    with pytest.raises(InputError, match="another data"):
        train(made(9, n=100), Options(epochs=4), checkpoint=tmp_path)
    with pytest.raises(InputError, match="another seed"):
        train(data, Options(epochs=4), seed=1, checkpoint=tmp_path)
    next(tmp_path.glob("*.safetensors")).write_bytes(b"broken")
    with pytest.raises(InputError, match="damaged"):
        train(data, Options(epochs=5), checkpoint=tmp_path)


def test_everything_lies_on_the_device_that_was_given(made) -> None:  # type: ignore[no-untyped-def]
    """Whatever forgot its device would lie where torch puts new tensors: here on one that no figure survives."""
    for options in ({}, {"kernel": "fourier", "start": "random", "shared": 1}, {"kernel": "median", "unbiased": False}):
        given = Options(**{**FAST, "epochs": 2}, **options)  # type: ignore[arg-type]
        data, dev = made(1), made(2)
        with torch.device("meta"):
            result = train(data, given, dev=dev, device=torch.device("cpu"))
        assert same(result, train(data, given, dev=dev))
    data = made(1, n=60)
    on_mps = train(data, Options(epochs=1), device=torch.device("mps"))
    assert same(on_mps, train(data, Options(epochs=1)))
