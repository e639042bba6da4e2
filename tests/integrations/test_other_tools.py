"""Vectors as people have them: leading dimensions, a layer beside them, modules' names, directions for all layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from safetensors.torch import save_file
from tests.conftest import Run

import trimtab as tt
from trimtab.errors import InputError
from trimtab.integrations.checkpoints import read_checkpoint
from trimtab.integrations.control_vectors import read_control_vector
from trimtab.integrations.plain import read_vectors
from trimtab.integrations.vectors import within
from trimtab.interventions import Site
from trimtab.steering import Steering

D = 8
V = torch.randn(D, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pt(tmp_path: Path) -> Callable[[object], Path]:
    def save(held: object) -> Path:
        torch.save(held, tmp_path / "x.pt")
        return tmp_path / "x.pt"

    return save


@pytest.fixture
def safetensors(tmp_path: Path) -> Callable[..., Path]:
    def save(tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
        save_file(tensors, tmp_path / "x.safetensors", metadata or None)
        return tmp_path / "x.safetensors"

    return save


def only(steering: Steering) -> Site:
    (site,) = steering.edits
    assert torch.equal(steering.vector(site), V)
    return site


# ---- Leading dimensions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(D,), (1, D), (1, 1, D)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_vector_with_leading_dimensions_goes_to_the_site_that_is_told(
    shape: tuple[int, ...], dtype: torch.dtype, pt: Callable[[object], Path], safetensors: Callable[..., Path]
) -> None:
    v = V.reshape(shape).to(dtype)
    for held in (v, [v], {"vector": v}, {"refusal_direction": v, "model": "org/model"}):
        assert only(read_checkpoint(pt(held), site=Site(14, "attention"))) == Site(14, "attention")
        with pytest.raises(InputError, match="give a site"):
            read_checkpoint(pt(held))
    assert only(read_vectors(safetensors({"vector": v}), "x", site=Site(3))) == Site(3)
    assert only(read_checkpoint(pt({14: v}), convention="block")) == Site(14)
    assert only(read_vectors(safetensors({"layer.14": v}), "x", "hidden-states")) == Site(13)


@pytest.mark.parametrize("shape", [(3, 1, D), (1, 3, D), (3, D)])
def test_rows_with_dimensions_of_one_are_blocks(shape: tuple[int, ...], pt: Callable[[object], Path]) -> None:
    rows = torch.stack([V, 2 * V, 3 * V]).reshape(shape)
    made = read_checkpoint(pt(rows), convention="block")
    assert list(made.edits) == [Site(0), Site(1), Site(2)]
    assert torch.equal(made.vector(2), 3 * V)
    assert only(read_checkpoint(pt(rows), site=Site(0), convention="block")) == Site(0)


def test_lists_of_rows_with_leading_dimensions_are_blocks(pt: Callable[[object], Path]) -> None:
    made = read_checkpoint(pt([V[None], (2 * V)[None]]), convention="block")
    assert torch.equal(made.vector(1), 2 * V)


def test_gates_of_mat_steer_may_have_vectors_with_a_leading_dimension(pt: Callable[[object], Path]) -> None:
    state = {"steering_vectors.0": V, "gating_weights.0.weight": V[None], "gating_weights.0.bias": torch.zeros(1)}
    plain = read_checkpoint(pt(state), site=Site(3))
    led = read_checkpoint(pt({**state, "steering_vectors.0": V[None]}), site=Site(3))
    assert led.id == plain.id


# ---- A layer beside the vector -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [14, "14", torch.tensor(14), torch.tensor([14]), [14], 14.0, "layer_14"])
@pytest.mark.parametrize("key", ["layer", "layer_idx", "Layer"])
def test_a_layer_beside_the_vector_must_agree_with_the_site(
    key: str, layer: object, pt: Callable[[object], Path]
) -> None:
    file = pt({"vector": V[None], key: layer, "name": "refusal"})
    assert only(read_checkpoint(file, site=Site(14))) == Site(14)
    assert only(read_checkpoint(file, site=Site(13))) == Site(13)
    assert only(read_checkpoint(file, convention="block")) == Site(14)
    assert only(read_checkpoint(file, convention="hidden-states")) == Site(13)
    with pytest.raises(InputError, match=r"says layer .*14.*not the site 3 that was given") as raised:
        read_checkpoint(file, site=Site(3))
    assert "14" in str(raised.value)
    with pytest.raises(InputError, match="not the site 13 that was given"):
        read_checkpoint(file, site=Site(13), convention="block")
    with pytest.raises(InputError, match="give site 14"):
        read_checkpoint(file)


def test_a_layer_in_a_safetensors_file_is_looked_up_in_tensors_and_metadata(safetensors: Callable[..., Path]) -> None:
    for file in (
        safetensors({"vector": V}, layer="14", coeff="1.0"),
        safetensors({"vector": V, "layer": torch.tensor(14)}),
    ):
        assert only(read_vectors(file, "x", site=Site(14))) == Site(14)
        assert only(read_vectors(file, "x", "hidden-states")) == Site(13)
        with pytest.raises(InputError, match=r"says layer 14.*not the site 3 that was given"):
            read_vectors(file, "x", site=Site(3))
    with pytest.raises(InputError, match=r"coeff 4 beside"):
        read_vectors(safetensors({"vector": V}, layer="14", coeff="4.0"), "x", site=Site(14))


@pytest.mark.parametrize(
    ("held", "given", "word"),
    [
        ({"vector": V, "layer": 14, "coeff": 4.0}, {"site": Site(14)}, "coeff 4 beside the vector"),
        ({"vector": V, "layer": -1}, {"site": Site(1)}, "layer -1 is not understood"),
        ({"vector": V, "layer": 1.5}, {"site": Site(1)}, "layer 1.5 is not understood"),
        ({"vector": V, "layer": "last"}, {"site": Site(1)}, "'last' is not understood"),
        ({"vector": V, "layer": True}, {"site": Site(1)}, "True is not understood"),
        ({"vector": V, "layer": 0}, {"convention": "hidden-states"}, "embedding"),
        ({"a": V, "b": V, "layer": 3}, {"site": Site(3)}, "2 vectors under names that are not layers: a, b"),
        ({"vector": V, "layer": 3, "block": 4}, {"site": Site(3)}, "2 layers"),
        ({"vectors": torch.stack([V, V]), "layers": [3]}, {"convention": "block"}, "2 vectors and 1 layers"),
        ({"vectors": torch.stack([V, V]), "layers": [3, 3]}, {"convention": "block"}, "a layer twice"),
        (
            {"vector": V, "layer": "attention.3"},
            {"site": Site(3)},
            "site attention:3, and not the site 3 that was given",
        ),
        ({"vector": V, "layer": "attention.3"}, {"convention": "block"}, "a convention means nothing"),
        ({"vector": {3: V}, "layer": 3}, {"convention": "block"}, "vectors by layer and another layer beside"),
        ({"vector": torch.full((D,), float("inf")), "layer": 3}, {"site": Site(3)}, "NaN"),
        ({"vector": torch.zeros(D), "layer": 3}, {"site": Site(3)}, "zero throughout"),
    ],
)
def test_what_is_not_certain_is_refused(
    held: object, given: dict[str, object], word: str, pt: Callable[[object], Path]
) -> None:
    with pytest.raises(InputError, match=word):
        read_checkpoint(pt(held), **given)  # type: ignore[arg-type]


def test_several_vectors_beside_their_layers_are_read_and_one_can_be_taken(pt: Callable[[object], Path]) -> None:
    for vectors in (torch.stack([V, 2 * V]), [V, (2 * V)[None]]):
        for layers in ([10, 12], torch.tensor([10, 12]), ["10", "12"]):
            file = pt({"vectors": vectors, "layers": layers})
            made = read_checkpoint(file, convention="block")
            assert list(made.edits) == [Site(10), Site(12)]
            assert torch.equal(made.vector(12), 2 * V)
            assert only(read_checkpoint(file, site=Site(10), convention="block")) == Site(10)


def test_a_dict_of_layers_inside_another_is_read_with_its_model_type(pt: Callable[[object], Path]) -> None:
    file = pt({"model_type": "qwen2", "directions": {14: V, 15: 2 * V}})
    made = read_checkpoint(file, convention="block")
    assert list(made.edits) == [Site(14), Site(15)]
    assert made.origin.hyperparameters["model_hint"] == "qwen2"


def test_what_else_a_file_tells_of_its_vector_is_no_vector(pt: Callable[[object], Path]) -> None:
    for held in (
        {"vector": V, "layer": 3, "info": {"rate": 0.1}, "n": 5, "norm": torch.tensor(3.0), "coeff": 1.0},
        {"state_dict": {"vector": V}},
        {"state_dict": {"vector": V, "layer": 3}},
    ):
        assert only(read_checkpoint(pt(held), site=Site(3))) == Site(3)


# ---- Names of layers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "site"),
    [
        ("model.layers.14", Site(14)),
        ("transformer.h.14", Site(14)),
        ("model.language_model.layers.14", Site(14)),
        ("model.layers.14.mlp", Site(14, "mlp")),
        ("model.layers.14.self_attn", Site(14, "attention")),
        ("blocks.14.hook_resid_post", Site(14)),
        ("blocks.14.hook_resid_pre", Site(13)),
        ("blocks.14.hook_mlp_out", Site(14, "mlp")),
        ("attention:14", Site(14, "attention")),
    ],
)
def test_names_of_modules_say_where_a_vector_belongs(
    key: str, site: Site, pt: Callable[[object], Path], safetensors: Callable[..., Path]
) -> None:
    assert only(read_checkpoint(pt({key: V}))) == site
    assert only(read_vectors(safetensors({key: V}), "x", site=site)) == site
    assert only(read_checkpoint(pt({"vector": V, "layer": key}))) == site
    with pytest.raises(InputError, match="a convention means nothing"):
        read_checkpoint(pt({key: V}), convention="block")
    with pytest.raises(InputError, match=f"is for {site}, not for the site 3 that was given"):
        read_checkpoint(pt({key: V}), site=Site(3))


@pytest.mark.parametrize(
    "key", ["14", "layer.14", "layer_14", "layer14", "L14", "layer 14", "layers[14]", "direction.14"]
)
def test_numbers_need_a_convention_however_they_are_written(key: str, pt: Callable[[object], Path]) -> None:
    assert only(read_checkpoint(pt({key: V}), convention="hidden-states")) == Site(13)
    with pytest.raises(InputError, match="say which convention"):
        read_checkpoint(pt({key: V}))


# ---- Control vectors -----------------------------------------------------------------------------------------------


def control(file: Path, layers: range, hint: str = "qwen2", raw: Any = None) -> Path:
    writer = GGUFWriter(str(file), "controlvector")
    writer.add_string("controlvector.model_hint", hint)
    for k in layers:
        values = (k * V).numpy()
        if raw is GGMLQuantizationType.BF16:
            bits = (k * V).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint8)
            writer.add_tensor(f"direction.{k}", bits, raw_dtype=GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(f"direction.{k}", values.astype(np.float32 if raw is None else raw))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_what_a_model_has_no_block_for_is_left_out_when_that_is_asked_for(
    run: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    n, wide = model.n_blocks, model.d_model
    writer = GGUFWriter(str(tmp_path / "v.gguf"), "controlvector")
    for k in range(1, n + 1):
        writer.add_tensor(f"direction.{k}", np.full(wide, k, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    code, out, err = run("convert", tmp_path / "v.gguf", tmp_path / "s", "--blocks", str(n))
    assert code == 0, err
    assert f"left out: site {n}; a model of {n} blocks has blocks 0 to {n - 1}" in out
    kept = Steering.load(tmp_path / "s")
    assert list(kept.edits) == [Site(k) for k in range(1, n)]
    model.score(["It was"], [" good"], steering=kept)
    assert run("convert", tmp_path / "v.gguf", tmp_path / "all")[0] == 0
    whole = Steering.load(tmp_path / "all")
    with pytest.raises(InputError, match=r"within\(steering") as raised:
        model.score(["It was"], [" good"], steering=whole)
    assert str(n) in str(raised.value)


def test_a_steering_within_the_blocks_stays_as_it_is(tmp_path: Path) -> None:
    made = read_control_vector(control(tmp_path / "v.gguf", range(1, 4)), "x")
    same, beyond = within(made, 4)
    assert same is made
    assert beyond == []
    fewer, beyond = within(made, 3)
    assert list(fewer.edits) == [Site(1), Site(2)]
    assert beyond == [Site(3)]
    with pytest.raises(InputError, match=r"acts at 1, 2, 3 only"):
        within(made, 1)
    with pytest.raises(InputError, match="1 block or more"):
        within(made, 0)


def test_the_model_hint_survives_on_the_way_through_a_folder(run: Run, tmp_path: Path) -> None:
    control(tmp_path / "v.gguf", range(1, 3), hint="gemma2")
    for source, target in (("v.gguf", "w.gguf"), ("v.gguf", "s"), ("s", "x.gguf")):
        code, _, err = run("convert", tmp_path / source, tmp_path / target)
        assert code == 0, err
    code, _, err = run("convert", tmp_path / "v.gguf", tmp_path / "y.gguf", "--hint", "llama")
    assert code == 0, err
    for file, hint in (("w.gguf", "gemma2"), ("x.gguf", "gemma2"), ("y.gguf", "llama")):
        result = GGUFReader(str(tmp_path / file)).fields["controlvector.model_hint"].contents()
        assert result == hint


def test_the_model_hint_of_several_control_vectors_survives_where_it_is_one(run: Run, tmp_path: Path) -> None:
    for name, hint in (("a", "gemma2"), ("b", "gemma2"), ("c", "qwen2")):
        control(tmp_path / f"{name}.gguf", range(1, 3), hint=hint)
        assert run("convert", tmp_path / f"{name}.gguf", tmp_path / name, "--name", name)[0] == 0
    code, _, err = run("convert", tmp_path / "a", tmp_path / "b", tmp_path / "ab.gguf")
    assert code == 0, err
    assert GGUFReader(str(tmp_path / "ab.gguf")).fields["controlvector.model_hint"].contents() == "gemma2"
    code, _, err = run("convert", tmp_path / "a", tmp_path / "c", tmp_path / "ac.gguf")
    assert code == 2
    assert "for gemma2 and qwen2; give one of them as hint (--hint)" in err


def test_one_direction_of_a_control_vector_can_be_taken(run: Run, tmp_path: Path) -> None:
    control(tmp_path / "v.gguf", range(1, 4))
    code, _, err = run("convert", tmp_path / "v.gguf", tmp_path / "s", "--site", "2")
    assert code == 0, err
    made = Steering.load(tmp_path / "s")
    assert list(made.edits) == [Site(2)]
    assert torch.equal(made.vector(2), 2 * V)
    code, _, err = run("convert", tmp_path / "v.gguf", tmp_path / "t", "--site", "9")
    assert code == 2
    assert "is for 1, 2, 3, not for the site 9 that was given; give one of these, or none (--site)" in err


@pytest.mark.parametrize("raw", [np.float16, GGMLQuantizationType.BF16])
def test_half_precision_directions_are_read(raw: object, tmp_path: Path) -> None:
    made = read_control_vector(control(tmp_path / "v.gguf", range(1, 2), raw=raw), "x")
    torch.testing.assert_close(made.vector(1), V, atol=2e-2, rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_tensors_are_read(dtype: torch.dtype, safetensors: Callable[..., Path]) -> None:
    made = read_vectors(safetensors({"vector": V.to(dtype)[None]}), "x", site=Site(1))
    assert torch.equal(made.vector(1), V.to(dtype).float())


def test_a_folder_of_a_steering_takes_no_site(run: Run, tmp_path: Path) -> None:
    Steering.from_vector(3, V).save(tmp_path / "s")
    code, _, err = run("convert", tmp_path / "s", tmp_path / "t", "--site", "3")
    assert code == 2
    assert "a site is for other tools' files" in err
