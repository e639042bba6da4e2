"""The reader for other tools reads what trimtab writes, refuses what it refuses, and knows neither it nor torch."""

import json
import subprocess
import sys
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.conftest import WIDTH
from tests.steering.every_kind import EDITS, steering_of

import trimtab as tt
from trimtab.errors import InputError
from trimtab.interventions import Condition
from trimtab.steering.artifact import read as read_here

FILE = Path(__file__).parents[2] / "reader" / "trimtab_reader.py"


@pytest.fixture(scope="module")
def reader() -> Any:
    """The module, which is not installed here."""
    spec = spec_from_file_location("trimtab_reader", FILE)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A steering with everything that one can have."""
    made = tt.Steering(
        {1: EDITS["stack"](), "attention:2": EDITS["gated"]()}, {"a": 1, "b": -0.25}, presets={"half": {"b": 0.5}},
        conditions={"b": Condition(2, np.arange(1.0, WIDTH + 1), 0.125, above=False)},
        prompts={"a": ("Be ☀.\n", "")},
    )  # fmt: skip
    made.save(tmp_path / "s", {"attributes": {"a": {"decision": "go", "sentence": "It holds."}}})
    return tmp_path / "s"


def test_everything_is_read_as_trimtab_reads_it(reader, folder):
    here, there = read_here(folder), reader.read(folder)
    assert there.id == here.id == tt.Steering.load(folder).id
    assert there.attributes == here.attributes == {"a": 1.0, "b": -0.25}
    assert list(there.attributes) == ["a", "b"]
    assert there.presets == here.presets
    assert there.prompts == here.prompts
    assert there.reliability == here.reliability
    (own,), (mine,) = there.conditions["b"], here.conditions["b"]
    assert list(there.conditions) == list(here.conditions)
    assert (own.block, own.component, own.threshold, own.above) == (2, "residual", mine.threshold, False)
    np.testing.assert_array_equal(own.direction, mine.direction)
    assert [(e.kind, e.attributes, e.block, e.component) for e in there.edits] == [
        ("clamp", ("b",), 1, "residual"), ("rotation", ("a",), 1, "residual"), ("gated", ("a", "b"), 1, "residual"),
        ("gated", ("a", "b"), 2, "attention"),
    ]  # fmt: skip
    for i, edit in enumerate(there.edits):
        for tensor, values in edit.tensors.items():
            np.testing.assert_array_equal(values, here.tensors[f"{i}.{tensor}"])


def test_several_conditions_of_an_attribute_are_read_as_format_2(reader, folder, tmp_path):
    bounds = [Condition(k, np.arange(1.0, WIDTH + 1) - k, 0.125 * k, above=k > 0) for k in range(2)]
    several = tt.Steering.load(folder).changed(conditions={"a": bounds[0], "b": bounds})
    several.save(tmp_path / "two")
    found = reader.read(tmp_path / "two")
    assert found.id == several.id
    assert [(name, [c.block for c in own]) for name, own in found.conditions.items()] == [("a", [0]), ("b", [0, 1])]
    for mine, own in zip(found.conditions["b"], bounds, strict=True):
        assert (mine.threshold, mine.above) == (own.threshold, own.above)
        np.testing.assert_array_equal(mine.direction, own.direction)


@pytest.mark.parametrize("name", EDITS)
def test_every_kind_is_read_with_its_options(reader, name, tmp_path):
    steering = steering_of(name)
    steering.save(tmp_path / "s")
    found, manifest = reader.read(tmp_path / "s"), read_here(tmp_path / "s").manifest
    assert found.id == steering.id
    assert [(e.kind, dict(e.options)) for e in found.edits] == [(e.kind, e.options) for e in manifest.edits]


def sealed(folder: Path) -> None:
    """A MANIFEST that fits whatever is there."""
    files = sorted(f for f in folder.iterdir() if f.name != "MANIFEST")
    lines = [f"{sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    (folder / "MANIFEST").write_text("".join(lines))


def said(folder: Path, *path: Any, value: Any) -> None:
    """Say something else in steering.json, with a MANIFEST that fits."""
    file = folder / "steering.json"
    content = inner = json.loads(file.read_text())
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    file.write_text(json.dumps(content))
    sealed(folder)


def changed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(bytes(content))


def one_more_condition(folder: Path, direction: np.ndarray[Any, Any], attribute: str = "b") -> None:
    """A second condition, whose direction stands in the file of tensors."""
    from safetensors.numpy import load_file, save_file

    file = folder / "steering.safetensors"
    save_file({**load_file(file), "condition.1": direction.astype(np.float32)}, file)
    first = json.loads((folder / "steering.json").read_text())["conditions"][0]
    said(folder, "conditions", value=[first, {**first, "attribute": attribute}])


MODEL = {
    "id": "tiny", "revision": None, "architecture": "LlamaForCausalLM", "d_model": WIDTH, "n_blocks": 3,
    "digest": "d", "shapes": "s",
}  # fmt: skip

CHANGES: dict[str, Any] = {
    "a tensor": lambda f: changed(f, "steering.safetensors"),
    "the card": lambda f: changed(f, "README.md"),
    "no manifest": lambda f: (f / "MANIFEST").unlink(),
    "no tensors": lambda f: (f / "steering.safetensors").unlink(),
    "another file": lambda f: (f / "code.py").write_text("print()"),
    "a link": lambda f: ((f / "README.md").rename(f.parent / "card"), (f / "README.md").symlink_to(f.parent / "card")),
    "a later format": lambda f: said(f, "format", value=3),
    "format 2 without need": lambda f: said(f, "format", value=2),
    "another artifact": lambda f: said(f, "kind", value="report"),
    "an unknown field": lambda f: said(f, "extra", value=1),
    "an unknown kind": lambda f: said(f, "edits", 0, "kind", value="magic"),
    "an unknown option": lambda f: said(f, "edits", 0, "options", value={"side": "below", "more": True}),
    "an option of another type": lambda f: said(f, "edits", 2, "options", "threshold", value=True),
    "an unknown attribute": lambda f: said(f, "edits", 0, "attributes", value=["c"]),
    "no such site": lambda f: said(f, "edits", 0, "site", value="block 1"),
    "a tensor of no edit": lambda f: said(f, "edits", value=json.loads((f / "steering.json").read_text())["edits"][:3]),
    "a tensor that is missing": lambda f: said(f, "edits", 0, "tensors", value=["directions"]),
    "an attribute twice": lambda f: said(f, "attributes", value=2 * [{"name": "a", "strength": 1.0}]),
    "a strength that is no number": lambda f: said(f, "attributes", 0, "strength", value="1"),
    "a preset of nobody": lambda f: said(f, "presets", "half", value={"c": 1.0}),
    "one text": lambda f: said(f, "prompts", "a", value=["Be."]),
    "a name that is no text": lambda f: said(f, "edits", 0, "attributes", value=[["a"]]),
    "a strength beyond floats": lambda f: said(f, "attributes", 0, "strength", value=10**400),
    "a site beyond numbers": lambda f: said(f, "edits", 0, "site", value="9" * 5000),
    "half a character": lambda f: said(f, "method", value="\ud800"),
    "a condition of nobody": lambda f: said(f, "conditions", 0, "attribute", value="c"),
    "two conditions of one attribute": lambda f: one_more_condition(f, np.arange(2.0, WIDTH + 2)),
    "a direction of 0": lambda f: one_more_condition(f, np.zeros(WIDTH), attribute="a"),
    "a threshold that is no cosine": lambda f: said(f, "conditions", 0, "threshold", value=1.5),
    "an edit beyond the model": lambda f: said(f, "model", value={**MODEL, "n_blocks": 2}),
    "a condition of another width": lambda f: said(f, "model", value={**MODEL, "d_model": WIDTH + 1}),
    "a model without its width": lambda f: said(f, "model", value={k: MODEL[k] for k in MODEL if k != "d_model"}),
    "a model of half a block": lambda f: said(f, "model", value={**MODEL, "n_blocks": 3.5}),
    "a digest that is no text": lambda f: said(f, "data", value={"a": 1}),
    "a version that is no text": lambda f: said(f, "versions", value={"torch": 2}),
    "a preset without a name": lambda f: said(f, "presets", value={" ": {"b": 0.5}}),
    "a name that cannot be printed": lambda f: said(f, "presets", value={"a\n": {"b": 0.5}}),
    "an empty text": lambda f: said(f, "prompts", "a", value=["", "Be."]),
    "a text too long": lambda f: said(f, "prompts", "a", value=["Be.", "x" * 100_001]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_trimtab_refuses_is_refused(reader, folder, what):
    CHANGES[what](folder)
    with pytest.raises(InputError):
        tt.Steering.load(folder)
    with pytest.raises(reader.ReadError):
        reader.read(folder)


def test_conditions_of_two_attributes_and_a_model_that_fits_are_read(reader, folder):
    one_more_condition(folder, np.arange(2.0, WIDTH + 2), attribute="a")
    said(folder, "model", value=MODEL)
    here, there = read_here(folder), reader.read(folder)
    assert there.id == here.id
    assert list(there.conditions) == list(here.conditions) == list(here.attributes)
    for name, (condition,) in there.conditions.items():
        np.testing.assert_array_equal(condition.direction, here.conditions[name][0].direction)
    assert there.model == MODEL


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}', "[]", "{", '{"a": "\\ud800'])
def test_json_that_is_not_strict_is_refused(reader, folder, text):
    (folder / "report.json").write_text(text)
    sealed(folder)
    with pytest.raises(reader.ReadError):
        reader.read(folder)


def test_values_that_are_not_finite_or_no_float32_are_refused(reader, tmp_path):
    from safetensors.numpy import save_file

    tt.Steering.from_vector(1, torch.ones(4), "a").save(tmp_path / "s")
    for wrong in (np.array([[1, np.nan, 1, 1]], "f4"), np.ones((1, 4))):
        save_file({"0.vectors": wrong}, tmp_path / "s" / "steering.safetensors")
        sealed(tmp_path / "s")
        with pytest.raises(reader.ReadError, match="not of finite float32"):
            reader.read(tmp_path / "s")


def test_neither_trimtab_nor_torch_is_imported(folder):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'trimtab', 'pydantic']))\n"
        f"sys.path.insert(0, {str(FILE.parent)!r})\n"
        f"import trimtab_reader; print(trimtab_reader.read({str(folder)!r}).id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == read_here(folder).id, done.stderr
