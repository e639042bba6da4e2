"""`.svec` files of AISteer360 and activation-steering: what layers mean is said, what no vector is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import Run

import trimtab as tt
from trimtab.errors import InputError
from trimtab.interventions import Site

D = 8


def saved(folder: Path, directions: Any, **more: Any) -> Path:
    """A file as AISteer360's `SteeringVector.save` writes it."""
    file = folder / "v.svec"
    file.write_text(json.dumps({"model_type": "llama", "directions": directions, **more}))
    return file


def row(k: float) -> list[float]:
    return (np.linspace(-1, 1, D) * k).tolist()


@pytest.mark.parametrize(("convention", "blocks"), [("block", (1, 2)), ("hidden-states", (0, 1))])
@pytest.mark.parametrize("nested", [True, False], ids=["AISteer360", "activation-steering"])
def test_vectors_are_read_where_the_convention_says(tmp_path, convention, blocks, nested):
    directions = {str(k): [row(k)] if nested else row(k) for k in (1, 2)}
    file = saved(tmp_path, directions, explained_variances={"1": 0.5, "2": 0.25})
    found = tt.convert(file, tmp_path / "s", names=["warm"], convention=convention).steering
    assert list(found.edits) == [Site(block) for block in blocks]
    for block, k in zip(blocks, (1, 2), strict=True):
        torch.testing.assert_close(found.vector(Site(block)), torch.tensor(row(k)))
    assert found.origin.hyperparameters["model_hint"] == "llama"


def test_it_acts_as_a_plain_hook_on_the_output_of_the_block(tmp_path, tiny_folder):
    """As AISteer360's CAA does: `multiplier * direction` is added to what the module of the layer puts out."""
    model = tt.load(tiny_folder, dtype="float32")
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    file = saved(tmp_path, {"1": [vector.tolist()]})
    steering = tt.convert(file, tmp_path / "s", convention="block").steering
    ids = model.tokenizer("It was", return_tensors="pt")

    def hook(module, given, output):
        return (output[0] + 2 * vector, *output[1:]) if isinstance(output, tuple) else output + 2 * vector

    handle = model.hf.model.layers[1].register_forward_hook(hook)
    want = model.hf(**ids).logits.detach()
    handle.remove()
    with model.steered(steering, strength=2.0):
        torch.testing.assert_close(model.hf(**ids).logits.detach(), want)


@pytest.mark.parametrize(
    ("directions", "more", "said"),
    [
        ({"1": [row(1), row(2)]}, {}, "2 rows, one for each position or the two of a plane"),
        ({"1": [row(1)]}, {"num_heads": 2, "head_dim": 4}, "vectors of attention heads"),
        ({"1": ["a"]}, {}, "not a row of numbers"),
        ({"1": [row(1), row(2)[:3]]}, {}, "not a row of numbers"),
        ({"1": [row(1)], "2": [row(2)[:3]]}, {}, "one model has one width"),
        ({"1": [[0.0] * D]}, {}, "zero throughout"),
        ({"-1": [row(1)]}, {}, "counts from the end"),
        ({}, {}, "no directions by layer"),
        ([row(1)], {}, "no directions by layer"),
    ],
)
def test_what_is_no_vector_for_every_token_is_refused(tmp_path, directions, more, said):
    with pytest.raises(InputError, match=said):
        tt.convert(saved(tmp_path, directions, **more), tmp_path / "s", convention="block")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"directions": {"1": [NaN]}}', '{"directions": {"1": [1], "1": [2]}}'])
def test_what_is_no_strict_json_is_refused(tmp_path, text):
    (tmp_path / "v.svec").write_text(text)
    with pytest.raises(InputError, match="JSON"):
        tt.convert(tmp_path / "v.svec", tmp_path / "s", convention="block")


def test_the_command_line_asks_what_layers_mean_and_writes_none(tmp_path, run: Run):
    file = saved(tmp_path, {"1": [row(1)], "2": [row(2)]})
    code, _, err = run("convert", file, tmp_path / "s")
    assert code == 2
    assert "(--convention)" in err
    code, out, _ = run("convert", file, tmp_path / "s", "--convention", "block", "--site", "2", "--name", "warm")
    assert code == 0
    assert "site 2 (output of block 2, counted from 0)" in out
    code, _, err = run("convert", tmp_path / "s", tmp_path / "other.svec")
    assert code == 2
    assert "write a .gguf, a .safetensors or a folder" in err
