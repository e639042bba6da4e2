"""The column of docs/models.md on spread models: blocks in memory and on disk give what the whole model gives."""

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.families import FAMILIES, build
from tests.models.table import cells
from tests.models.test_families import ANSWER, QUICK, TEXTS
from torch import nn

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Model, load
from trimtab.steering import Steering

SITES = [Site(1), Site(2)]  # on disk, and in memory


def every_other_on_disk(model: Model) -> Mapping[str, str]:
    """A device map by which every other block lies on disk."""
    paths = {module: path for path, module in model.hf.named_modules()}
    disk, where = {paths[block] for block in model.anatomy.blocks[1::2]}, {}

    def walk(path: str, module: nn.Module) -> None:
        inside = f"{path}." if path else ""
        if path in disk or not any(block.startswith(inside) for block in disk):
            where[path] = "disk" if path in disk else "cpu"
            return
        own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        where.update({f"{inside}{name}": "cpu" for name, _ in own})
        for name, child in module.named_children():
            walk(f"{inside}{name}", child)

    walk("", model.hf)
    return where


def spread(name: str, tokenizer: Any, folder: Path) -> str:
    """A cell of the table: `yes`, or what differs from the whole model."""
    whole = Model(build(name), tokenizer)
    whole.hf.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parts = load(folder, dtype="float32", device_map=every_other_on_disk(whole))
    assert any(p.is_meta for p in parts.hf.parameters())
    steering = Steering.from_vector(1, 2 * torch.randn(whole.d_model, generator=torch.Generator().manual_seed(3)))

    def figures(model: Model) -> dict[str, Any]:
        read = model.capture(TEXTS, SITES).activations
        scores = [model.score(TEXTS, [ANSWER] * 3, steering=steering, strength=s).total for s in (0.0, 1.5)]
        return {"reads": torch.cat([read[site] for site in SITES]), "scores": torch.cat(scores), "digest": model.digest}

    def written(model: Model) -> Any:
        return model.generate(TEXTS[0], steering=steering, strength=1.5, max_new_tokens=4)

    one, other = figures(whole), figures(parts)
    assert not torch.equal(*one["scores"].chunk(2))
    differ = [k for k in one if not (one[k] == other[k] if k == "digest" else torch.equal(one[k], other[k]))]
    if differ:
        return f"no: {', '.join(differ)}"
    try:
        return "yes" if written(parts) == written(whole) else "no: text"
    except (InputError, RuntimeError):  # xLSTM writes none anyway; RecurrentGemma takes weights past accelerate's hooks
        return "yes, but for text"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES])
def test_a_spread_model_gives_what_the_whole_one_gives_as_the_page_says(
    name: str, tokenizer: Any, tmp_path: Path
) -> None:
    said = cells(name)
    if said["reads"].startswith("refused"):
        assert said["spread"] == ""
        return
    assert spread(name, tokenizer, tmp_path / "model") == said["spread"]


@pytest.mark.filterwarnings("ignore")
def test_experts_on_disk_are_kept_as_long_as_the_model(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Model(build("Mixtral"), tokenizer)
    whole.hf.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    parts = load(tmp_path / "model", dtype="float32", device_map=every_other_on_disk(whole))
    (kept,) = tmp_path.glob("trimtab-*")
    assert list(kept.glob("*experts*.safetensors"))  # put together from the files' single ones
    texts = [model.generate(TEXTS, max_new_tokens=4) for model in (whole, parts)]
    assert texts[0] == texts[1]
    del parts
    gc.collect()
    assert not kept.exists()


def test_a_spread_model_that_cannot_be_loaded_leaves_nothing_behind(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Model(build("Llama"), tokenizer)
    whole.hf.save_pretrained(tmp_path / "model")  # without a tokenizer
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError, match="cannot be loaded") as raised:
        load(tmp_path / "model", dtype="float32", device_map=every_other_on_disk(whole))
    assert "there is no folder" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
