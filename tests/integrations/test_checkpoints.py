"""What other code saved by `torch.save` becomes the steering that it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import Run
from torch import nn

import trimtab as tt
from trimtab.errors import InputError
from trimtab.integrations.checkpoints import read_checkpoint
from trimtab.interventions import Site
from trimtab.steering import Steering
from trimtab.steering.edits import Gated

D = 8
# Written by steering-vectors 0.12.2 itself: layers 3 and 14 of decoder blocks hold [3, 4, 5, 6] and [14, 15, 16, 17].
REAL = Path(__file__).with_name("files") / "steering-vectors-0.12.2.pt"


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], Path]:
    def save(held: object) -> Path:
        torch.save(held, tmp_path / "x.pt")
        return tmp_path / "x.pt"

    return save


class Gates(nn.Module):
    """Parameters named as MAT-Steer's authors name them, and their formula token by token."""

    def __init__(self, width: int, n: int) -> None:
        super().__init__()
        self.steering_vectors = nn.ParameterList([nn.Parameter(rand(width, seed=t)) for t in range(n)])
        self.gating_weights = nn.ModuleList([nn.Linear(width, 1) for _ in range(n)])
        for t, gate in enumerate(self.gating_weights):
            nn.init.normal_(gate.weight, generator=torch.Generator().manual_seed(100 + t))

    @torch.no_grad()
    def steered(self, token: torch.Tensor, strength: list[float]) -> torch.Tensor:
        moved = token.clone()
        for t, theta in enumerate(self.steering_vectors):
            moved += strength[t] * torch.sigmoid(self.gating_weights[t](token)) * theta
        return moved * token.norm() / moved.norm()


# ---- Round trips ---------------------------------------------------------------------------------------------------


def test_a_file_of_steering_vectors_itself_is_read_at_its_own_blocks() -> None:
    made = read_checkpoint(REAL, ["warmth"])
    assert list(made.edits) == [Site(3), Site(14)]
    assert made.vector(3).tolist() == [3, 4, 5, 6]
    assert made.vector(14).tolist() == [14, 15, 16, 17]
    assert dict(made.attributes) == {"warmth": 1.0}
    assert made.origin.method == "steering-vectors"


@pytest.mark.parametrize(
    ("kind", "component"), [("decoder_block", "residual"), ("self_attn", "attention"), ("mlp", "mlp")]
)
def test_layer_types_become_components(kind: str, component: str, tmp_path: Path) -> None:
    file = as_steering_vector({2: rand(D)}, kind, tmp_path)
    assert list(read_checkpoint(file).edits) == [Site(2, component)]  # type: ignore[arg-type]


def as_steering_vector(layers: object, kind: object, folder: Path) -> Path:
    """A file with other fields than `REAL`, by the class that stands in for the package's."""
    from trimtab.integrations.torch_files import SavedSteeringVector

    class Saving:
        def __reduce__(self) -> Any:
            return SavedSteeringVector, (), {"layer_activations": layers, "layer_type": kind}

    import sys
    from types import ModuleType

    module = ModuleType("steering_vectors.steering_vector")
    module.SteeringVector = SavedSteeringVector  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "steering_vectors", ModuleType("steering_vectors"))
        patch.setitem(sys.modules, module.__name__, module)
        torch.save(Saving(), folder / "s.pt")
    return folder / "s.pt"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_dict_of_layers_is_read_as_the_convention_says(
    dtype: torch.dtype, saved: Callable[[object], Path], tmp_path: Path
) -> None:
    v = {14: rand(D).to(dtype), 3: nn.Parameter(rand(D, seed=1).to(dtype))}
    for convention, shift in (("block", 0), ("hidden-states", 1)):
        made = read_checkpoint(saved(v), convention=convention)
        assert list(made.edits) == [Site(3 - shift), Site(14 - shift)]
        made.save(tmp_path / "s")
        assert torch.equal(Steering.load(tmp_path / "s").vector(14 - shift), v[14].float())
    with pytest.raises(InputError, match="say which convention"):
        read_checkpoint(saved(v))
    assert list(read_checkpoint(saved({"attention.4": rand(D)})).edits) == [Site(4, "attention")]


def test_rows_of_a_tensor_and_of_a_list_are_blocks_or_hidden_states(saved: Callable[[object], Path]) -> None:
    rows = rand(5, D)
    for held in (rows, list(rows), tuple(rows)):
        made = read_checkpoint(saved(held), convention="block")
        assert list(made.edits) == [Site(k) for k in range(5)]
        assert torch.equal(made.vector(4), rows[4])
        shifted = read_checkpoint(saved(held), convention="hidden-states")
        assert list(shifted.edits) == [Site(k) for k in range(4)]
        assert torch.equal(shifted.vector(0), rows[1])
        one = read_checkpoint(saved(held), site=Site(2), convention="hidden-states")
        assert list(one.edits) == [Site(2)]
        assert torch.equal(one.vector(2), rows[3])


def test_a_bare_vector_goes_where_it_is_told(saved: Callable[[object], Path]) -> None:
    made = read_checkpoint(saved(rand(D)), ["warm"], Site(14, "attention"))
    assert torch.equal(made.vector("attention:14"), rand(D))
    assert dict(made.attributes) == {"warm": 1.0}


def test_gates_of_mat_steer_do_what_the_authors_formula_does(saved: Callable[[object], Path], tmp_path: Path) -> None:
    gates = Gates(D, 3)
    made = read_checkpoint(saved(gates.state_dict()), ["true", "fair", "kind"], Site(14))
    made.save(tmp_path / "s")
    made = Steering.load(tmp_path / "s")
    assert list(made.attributes) == ["true", "fair", "kind"]
    edit = made.edits[Site(14)]
    assert isinstance(edit, Gated)
    h, strength = rand(2, 4, D, seed=9), [1.0, 0.5, 2.0]
    got = edit(h, torch.tensor([strength]))
    for row in range(2):
        for t in range(4):
            torch.testing.assert_close(got[row, t], gates.steered(h[row, t], strength))


def test_gates_of_mat_steer_steer_a_model(saved: Callable[[object], Path], tiny_folder: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    gates = Gates(model.d_model, 2)
    made = read_checkpoint(saved(gates.state_dict()), site=Site(1))
    assert list(made.attributes) == ["attribute-0", "attribute-1"]
    before = model.capture(["It was good"], [1]).activations[Site(1)][0]
    after = model.capture(["It was good"], [Site(1), Site(2)], steering=made)
    assert torch.allclose(after.activations[Site(1)][0], before)  # read before the edit
    block, ids = model.hf.model.layers[2], model.tokenizer("It was good", return_tensors="pt")
    block.register_forward_pre_hook(lambda module, args: (edited(args[0]), *args[1:]))

    def edited(h: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.stack([gates.steered(token, [1.0, 1.0]) for token in row]) for row in h])

    ids["input_ids"] = torch.cat([torch.tensor([[1]]), ids["input_ids"]], dim=1)  # the beginning-of-text token
    with torch.no_grad():
        want = model.hf(ids["input_ids"], output_hidden_states=True)
    block._forward_pre_hooks.clear()
    logits = model.hf.lm_head(model.hf.model.norm(after.activations[Site(2)][0]))
    torch.testing.assert_close(logits, want.logits[0, -1], atol=1e-4, rtol=1e-4)


# ---- Too little, too much, too odd ---------------------------------------------------------------------------------

STATE = Gates(D, 2).state_dict()


@pytest.mark.parametrize(
    ("held", "given", "word"),
    [
        (rand(D), {}, "give a site"),
        (rand(D), {"site": Site(1), "convention": "block"}, "a convention means nothing"),
        (rand(D), {"site": Site(1), "names": ["a", "b"]}, "one attribute, not 2"),
        (rand(3, D), {}, "say which convention"),
        (rand(3, D), {"convention": "mine"}, "convention 'mine'"),
        (rand(3, D), {"convention": "block", "site": Site(3)}, "is for 0, 1, 2, not for the site 3 that was given"),
        (
            rand(3, D),
            {"convention": "block", "site": Site(1, "mlp")},
            "is for 0, 1, 2, not for the site mlp:1 that was given",
        ),
        (rand(1, D), {"convention": "hidden-states"}, "a convention means nothing"),
        (rand(2, 2, D), {}, r"a tensor \[2, 2, 8\]"),
        (torch.tensor(1.0), {}, r"a tensor \[\]"),
        (3, {}, "nothing but a int"),
        ({}, {}, "nothing but a dict"),
        ([], {"convention": "block"}, "no vectors"),
        ([rand(D), "x"], {"convention": "block"}, "vector 1 is of type str"),
        ([rand(D), rand(D + 1)], {"convention": "block"}, "wide"),
        ([torch.ones(D, dtype=torch.int64)], {"site": Site(1)}, "torch.int64"),
        (torch.full((D,), float("nan")), {"site": Site(1)}, "NaN"),
        (torch.ones(0), {"site": Site(1)}, "empty"),
        ({1: rand(D)}, {"convention": "block", "site": Site(2)}, "is for 1, not for the site 2 that was given"),
        ({1: rand(D), "layer.1": rand(D)}, {"convention": "block"}, "two tensors"),
        ({-1: rand(D)}, {"convention": "block"}, "not understood"),
        ({(1, 2): rand(D)}, {"convention": "block"}, "type tuple is not a layer"),
        ({1: {2: rand(D)}}, {"convention": "block"}, "type dict, not a tensor"),
        ({0: rand(D)}, {"convention": "hidden-states"}, "embedding"),
        ({"model.layers.0.mlp.weight": rand(D), "model.layers.1.mlp.weight": rand(D)}, {}, "not understood"),
        (STATE, {}, "give a site"),
        (STATE, {"site": Site(1), "names": ["a"]}, "2 attributes; give 2 different names"),
        (STATE, {"site": Site(1), "names": ["a", "a"]}, "give 2 different names"),
        (STATE, {"site": Site(1), "convention": "block"}, "a convention means nothing"),
        ({**STATE, "extra": rand(1)}, {"site": Site(1)}, "'extra' is missing or superfluous"),
        ({k: v for k, v in STATE.items() if "1.bias" not in k}, {"site": Site(1)}, "'gating_weights.1.bias'"),
        ({**STATE, "gating_weights.1.weight": rand(2, D)}, {"site": Site(1)}, r"is \[2, 8\], not \[1, 8\]"),
        ({**STATE, "steering_vectors.1": rand(D + 1)}, {"site": Site(1)}, r"is \[9\], not \[8\]"),
    ],
)
def test_what_is_not_said_must_be_told_and_nothing_else(
    held: object, given: dict[str, object], word: str, saved: Callable[[object], Path]
) -> None:
    with pytest.raises(InputError, match=word):
        read_checkpoint(saved(held), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "kind", "given", "word"),
    [
        ({1: rand(D)}, "input_layernorm", {}, "'input_layernorm' is no site"),
        ({-1: rand(D)}, "mlp", {}, "blocks count from 0"),
        ({True: rand(D)}, "mlp", {}, "blocks count from 0"),
        ({1: "x"}, "mlp", {}, "of type str"),
        ({}, "mlp", {}, "no vectors"),
        ([rand(D)], "mlp", {}, "lacks layer_activations"),
        ({1: rand(D)}, 3, {}, "lacks layer_activations or layer_type"),
        ({1: rand(D)}, "mlp", {"site": Site(1)}, "is for mlp:1, not for the site 1 that was given"),
        ({1: rand(D)}, "mlp", {"convention": "block"}, "a convention means nothing"),
    ],
)
def test_odd_files_of_steering_vectors_are_refused(
    layers: object, kind: object, given: dict[str, object], word: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=word):
        read_checkpoint(as_steering_vector(layers, kind, tmp_path), **given)  # type: ignore[arg-type]


# ---- The command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin"])
def test_command_line_reads_each_kind(suffix: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / f"x.{suffix}"
    torch.save(STATE, file)
    code, out, err = run("convert", file, tmp_path / "s", "--site", "14", "--name", "true", "--name", "fair")
    assert code == 0, err
    assert "site 14 (output of block 14, counted from 0)" in out
    assert list(Steering.load(tmp_path / "s").attributes) == ["true", "fair"]
    torch.save({14: rand(D)}, file)
    code, out, err = run("convert", file, tmp_path / "v.safetensors", "--convention", "hidden-states")
    assert code == 0, err
    assert torch.equal(load_file(tmp_path / "v.safetensors")["residual.13"], rand(D))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("x.pt", "out"), "give a site, such as 14 (--site)"),
        (("x.pt", "out", "--site", "block 3"), "site 'block 3' is not understood"),
        (("nowhere.pt", "out"), "does not exist"),
        (("s", "v.safetensors", "--name", "a"), "attributes of a steering have names"),
        (("s", "v.safetensors", "--site", "3"), "a site is for other tools' files"),
        (("v.gguf", "out", "--name", "a", "--name", "b"), "give one name"),
        (("v.gguf", "out", "--convention", "block"), "a convention is for"),
    ],
)
def test_wrong_usage_ends_with_code_2_and_writes_nothing(
    arguments: tuple[str, ...], word: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(rand(D), "x.pt")
    Steering.from_vector(3, rand(D)).save("s")
    code, _, err = run("convert", *arguments)
    assert code == 2
    assert word in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s", "x.pt"]
