"""Options that say which model is loaded, and where its blocks go."""

import json
from pathlib import Path

import pytest

import trimtab as tt
from trimtab.cli import options
from trimtab.errors import InputError
from trimtab.model_source import ModelSource

SPREAD = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "disk", "model.layers.2": "cpu",
          "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}  # fmt: skip


def source(folder: Path, device_map: str | None = None, quantisation: str | None = None) -> ModelSource:
    return options.model_source(str(folder), None, None, "float32", None, device_map, quantisation)


def test_a_file_spreads_the_blocks_and_the_model_stays_what_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(json.dumps(SPREAD))
    spread = options.loaded(source(tiny_folder, str(tmp_path / "map.json")), None)
    whole = tt.load(tiny_folder, dtype="float32")
    assert "disk" in spread.hf.hf_device_map.values()
    assert spread.digest == whole.digest
    assert spread.generate("The film was", max_new_tokens=8) == whole.generate("The film was", max_new_tokens=8)


@pytest.mark.parametrize("content", ["", "[1, 2]", "{}", '{"lm_head": null}', '{"lm_head": 1.5}', '{"lm_head": true}'])
def test_a_file_that_is_no_map_is_refused_by_its_name(tiny_folder: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "map.json").write_text(content)
    with pytest.raises(InputError, match=r"--device-map .*map\.json"):
        source(tiny_folder, str(tmp_path / "map.json"))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("cuda:77", "device 'cuda:77' cannot be used"),
        (77, "device 'cuda:77' cannot be used"),
        ("nonsense", "device 'nonsense' cannot be used"),
        ("meta", "it holds no values"),
        (None, "model.layers.2"),
    ],
)
def test_a_map_that_cannot_be_followed_is_refused(tiny_folder: Path, place: int | str | None, told: str) -> None:
    wanted: dict[str, int | str] = {module: device for module, device in SPREAD.items() if module != "model.layers.2"}
    if place is not None:
        wanted["model.layers.2"] = place
    with pytest.raises(InputError, match=told):
        tt.load(tiny_folder, dtype="float32", device_map=wanted)
