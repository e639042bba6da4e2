"""Batches: balanced, seeded, complete; from disk as from memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trimtab.errors import InputError
from trimtab.steering.mat_steer.data import Batches, TokenRows, TokenSides, samples


def tokens(n: int, first: int, dtype: type = np.float32) -> TokenRows:
    """Token i is `[first + i, first + i]`."""
    return TokenRows(np.repeat(np.arange(first, first + n), 2).reshape(n, 2).astype(dtype), np.arange(n))


def data() -> dict[str, TokenSides]:
    return {"a": TokenSides(tokens(40, 0), tokens(10, 100)), "b": TokenSides(tokens(25, 200), tokens(40, 300))}


def test_batches_hold_as_many_tokens_of_every_side_each_from_its_own() -> None:
    batches = Batches(data(), 4, seed=0)
    result = list(batches.epoch(0))
    assert batches.steps == len(result) == 10
    for batch in result:
        assert batch.shape == (2, 2, 4, 2)
        assert torch.equal(batch[..., 0] // 100, torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]]]).expand(2, 2, 4))


def test_no_token_comes_twice_in_a_batch_and_the_largest_side_comes_once_an_epoch() -> None:
    result = torch.stack(list(Batches(data(), 4, seed=0).epoch(0)))[..., 0]  # [steps, T, 2, batch]
    for t, side in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert all(len(step.unique()) == 4 for step in result[:, t, side])
    assert sorted(result[:, 0, 0].flatten().tolist()) == list(range(40))
    counts = np.unique(result[:, 0, 1].flatten(), return_counts=True)[1]  # 10 tokens in 40 places
    assert len(counts) == 10
    assert counts.min() >= 2


def test_epochs_follow_from_seed_and_number_alone() -> None:
    def epoch(seed: int, number: int) -> torch.Tensor:
        return torch.stack(list(Batches(data(), 4, seed).epoch(number)))

    assert torch.equal(epoch(0, 3), epoch(0, 3))
    assert not torch.equal(epoch(0, 3), epoch(0, 4))
    assert not torch.equal(epoch(0, 3), epoch(1, 3))


def test_windows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(Batches(data(), 4, seed=0, scale=2.0).epoch(0))
    monkeypatch.setattr("trimtab.steering.mat_steer.data.WINDOW_BYTES", 1)
    single = list(Batches(data(), 4, seed=0, scale=2.0).epoch(0))
    assert len(whole) == len(single)
    assert all(torch.equal(a, b) for a, b in zip(whole, single, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_memory_map_gives_the_batches_of_an_array(tmp_path: Path, dtype: type) -> None:
    def mapped(some: TokenRows, name: str) -> TokenRows:
        np.save(tmp_path / name, some.activations.numpy().astype(dtype))
        return TokenRows(np.load(tmp_path / f"{name}.npy", mmap_mode="c"), some.text)

    on_disk = {k: TokenSides(mapped(s.positive, k + "p"), mapped(s.negative, k + "n")) for k, s in data().items()}
    for a, b in zip(Batches(data(), 4, 0).epoch(1), Batches(on_disk, 4, 0).epoch(1), strict=True):
        assert torch.equal(a, b)
    one = on_disk["a"].positive
    assert torch.equal(torch.cat(list(one.blocks())), data()["a"].positive.activations)


def test_blocks_read_everything_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.steering.mat_steer.data.BLOCK_BYTES", 7 * 4 * 2)
    blocks = list(tokens(40, 0).blocks())
    assert [len(b) for b in blocks] == [7] * 5 + [5]
    assert torch.equal(torch.cat(blocks)[:, 0], torch.arange(40.0))


def test_rows_come_in_the_order_asked_for() -> None:
    assert tokens(40, 0).take(np.array([5, 39, 0, 5]))[:, 0].tolist() == [5, 39, 0, 5]


def test_samples_are_drawn_without_repetition_as_many_as_the_smallest_side_has() -> None:
    result = samples(data(), 30, seed=0)
    assert result.shape == (2, 2, 10, 2)
    assert len(result[0, 0, :, 0].unique()) == 10


def reordered(some: dict[str, TokenSides]) -> dict[str, TokenSides]:
    return {name: some[name] for name in sorted(some, reverse=True)}


def test_the_order_of_attributes_and_their_company_decide_nothing_of_what_is_drawn() -> None:
    whole, alone = data(), {"b": data()["b"]}
    drawn, turned = samples(whole, 8, seed=3), samples(reordered(whole), 8, seed=3)
    assert torch.equal(drawn, turned.flip(0))
    assert torch.equal(drawn[1:], samples(alone, 8, seed=3))
    dealt, back = (torch.stack(list(Batches(some, 4, seed=3).epoch(2))) for some in (whole, reordered(whole)))
    assert torch.equal(dealt, back.flip(1))


def test_batches_shrink_to_the_smallest_side() -> None:
    assert Batches(data(), 16, seed=0).batch == 10


def test_odd_tokens_are_refused() -> None:
    with pytest.raises(InputError, match="float16 or bfloat16"):
        TokenRows(np.zeros((3, 2)), np.arange(3))
    with pytest.raises(InputError, match="one for each token"):
        TokenRows(np.zeros((3, 2), np.float32), np.arange(2))
    with pytest.raises(InputError, match="at least two"):
        TokenSides(tokens(5, 0), tokens(1, 0))
    with pytest.raises(InputError, match="same width"):
        Batches({"a": data()["a"], "b": TokenSides(*[TokenRows(np.zeros((4, 3), np.float32), np.arange(4))] * 2)}, 4, 0)
    broken = tokens(40, 0)
    broken.activations[7, 1] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        list(Batches({"a": TokenSides(broken, tokens(40, 100))}, 4, 0).epoch(0))
