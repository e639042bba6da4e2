"""Figures of gates and edits against loops over tokens."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from trimtab.errors import InputError
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import GateCollapse, gate_statistics
from trimtab.steering.mat_steer.diagnostics import check_not_collapsed, edit_size_ratio

D, T = 16, 2


def rand(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


EDIT = Gated(rand(T, D, seed=0), 0.5 * rand(T, D, seed=1), torch.tensor([-3.0, 1.0]))


def test_the_relative_edit_is_the_length_of_the_change_over_that_of_the_token() -> None:
    h, strength = rand(5, D, seed=3), torch.tensor([0.5, 2.0])
    expected = []
    for token in h:
        gates = torch.sigmoid(EDIT.weights @ token + EDIT.bias)
        moved = token + sum(strength[t] * gates[t] * EDIT.vectors[t] for t in range(T))
        moved = moved * token.norm() / moved.norm()
        expected.append(float((moved - token).norm() / token.norm()))
    assert edit_size_ratio(EDIT, h, strength).tolist() == pytest.approx(expected, rel=1e-4)
    assert edit_size_ratio(EDIT, torch.zeros(1, D), strength).tolist() == [0.0]


def test_statistics_are_those_of_a_loop_over_tokens(made, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("trimtab.steering.mat_steer.data.BLOCK_BYTES", 4 * D * 7)
    data = made(0, n=60)
    result = gate_statistics(EDIT, data, touched=0.2)
    for t, name in enumerate(data):
        groups = {"positive": [data[name].positive], "negative": [data[name].negative]}
        groups["others"] = [x for k, s in data.items() if k != name for x in (s.positive, s.negative)]
        opened = {}
        for group, parts in groups.items():
            gates, edits = [], []
            for h in torch.cat([p.activations for p in parts]):
                gates.append(float(torch.sigmoid(EDIT.weights[t] @ h + EDIT.bias[t])))
                edits.append(float(edit_size_ratio(EDIT, h[None], torch.eye(T)[t])))
            n, texts, touched = len(gates), sum(len(np.unique(p.text)) for p in parts), sum(e > 0.2 for e in edits)
            s, opened[group] = getattr(result[name], group), gates
            assert s.n == n
            assert (s.gate, s.edit_size_ratio) == pytest.approx((np.mean(gates), np.mean(edits)), rel=1e-4)
            assert (s.touched, s.touched_per_text) == pytest.approx((touched / n, touched / texts))
        labels = [1] * 60 + [0] * 60
        assert result[name].auroc == pytest.approx(roc_auc_score(labels, opened["negative"] + opened["positive"]))


def test_a_perfect_edit_takes_the_mmd_away(made) -> None:  # type: ignore[no-untyped-def]
    data = made(0, n=500, attributes=1)["attribute-0"]
    moved = (data.positive.activations.mean(0) - data.negative.activations.mean(0))[None]
    always = Gated(moved, torch.zeros(1, D), torch.tensor([50.0]), keep_norm=False)
    result = gate_statistics(always, {"a": data})["a"]
    assert result.mmd2_after < 0.02 * result.mmd2_before
    assert result.others is None
    assert result.auroc == 0.5


@pytest.mark.parametrize(("bias", "length"), [(-6.0, 10.0), (6.0, 1e-4)])
def test_shut_gates_and_vectors_without_length_are_collapses(made, bias: float, length: float) -> None:  # type: ignore[no-untyped-def]
    data = made(0, n=60)
    open_, shut = torch.tensor([2.0, bias]), torch.tensor([[10.0], [length]])
    edit = Gated(shut * torch.nn.functional.normalize(rand(T, D, seed=0)), torch.zeros(T, D), open_)
    with pytest.raises(GateCollapse, match=r"attribute-1 \(gate") as caught:
        check_not_collapsed(gate_statistics(edit, data))
    assert "attribute-0" not in str(caught.value)
    assert isinstance(caught.value, InputError)


def test_an_edit_of_other_attributes_is_refused(made) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="has 2 attributes and the data 3"):
        gate_statistics(EDIT, made(0, n=20, attributes=3))
