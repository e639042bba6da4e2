"""Which steerings there are: only those of one folder, verified, on or off."""

import os
from pathlib import Path

import pytest
from tests.serving.steerings import CHECKED, write_steering

from trimtab.errors import InputError
from trimtab.serving.registry import Registry
from trimtab.steering.artifact import read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "steerings"
    write_steering(folder / "warm", {"warm": 1.0}, {"warm": CHECKED}, presets={"gentle": {"warm": 0.5}})
    write_steering(folder / "brief", {"brief": 0.25})
    write_steering(tmp_path / "outside", {"secret": 1.0})
    return folder


def test_every_steering_of_the_folder_is_loaded_with_what_its_check_used(root: Path) -> None:
    registry = Registry(root)
    assert list(registry.loaded) == list(registry.enabled) == ["brief", "warm"]
    warm, brief = registry.find("warm"), registry.find("brief")
    assert warm.id == read(root / "warm").id
    assert (warm.attributes, warm.scope, warm.decisions) == ({"warm": 1.5}, "generated", {"warm": "go"})
    assert (brief.attributes, brief.scope, brief.decisions) == ({"brief": 0.25}, "all", {"brief": None})
    assert warm.presets == {"gentle": {"warm": 0.5}}
    assert Registry(None).loaded == {}


def test_no_name_leads_outside(root: Path) -> None:
    registry = Registry(root)
    (root / "link").symlink_to(root.parent / "outside", target_is_directory=True)
    (root / "inner-link").symlink_to(root / "warm", target_is_directory=True)
    outside = root.parent / "outside"
    for name in (
        "../outside",
        str(outside),
        "link",
        "inner-link",
        ".",
        "..",
        "",
        "a/../warm",
        "warm/",
        "warm\0",
        ".warm",
    ):
        with pytest.raises(InputError, match=r"no name of a steering|links are not followed"):
            registry.load(name)
    assert list(Registry(root).loaded) == ["brief", "warm"]
    file = root / "brief" / "steering.safetensors"
    os.rename(file, root.parent / "moved")
    file.symlink_to(root.parent / "moved")
    with pytest.raises(InputError, match="links are not followed"):
        registry.load("brief")


def test_a_steering_that_cannot_be_verified_is_named_and_the_others_are_served(root: Path) -> None:
    (root / "warm" / "README.md").write_text("another card")
    write_steering(root / "odd", {"odd": 1.0}, {"odd": {**CHECKED, "scope": "some"}})
    registry = Registry(root)
    assert list(registry.loaded) == ["brief"]
    assert "README.md was changed after it was written" in registry.faults["warm"]
    assert "attributes.odd.scope" in registry.faults["odd"]
    write_steering(root / "odd", {"odd": 1.0}, {"odd": CHECKED})
    registry.load("odd")
    assert list(registry.faults) == ["warm"]


def test_a_steering_is_switched_off_and_on_and_forgotten(root: Path) -> None:
    registry = Registry(root)
    registry.disable("warm")
    assert list(registry.enabled) == ["brief"]
    with pytest.raises(InputError, match="the steering 'warm' is disabled; enable it, or use 'brief'"):
        registry.find("warm")
    registry.enable("warm")
    assert registry.find("warm").name == "warm"
    registry.unload("warm")
    for act in (registry.find, registry.enable, registry.disable, registry.unload):
        with pytest.raises(InputError, match="no steering 'warm' here; there is 'brief'"):
            act("warm")
    assert registry.load("warm").name == "warm"


def test_a_folder_that_changed_is_served_after_it_is_loaded_anew(root: Path) -> None:
    registry = Registry(root)
    before = registry.find("warm")
    write_steering(root / "warm", {"warmer": 2.0})
    assert registry.find("warm") is before
    assert registry.load("warm").attributes == {"warmer": 2.0}
    assert registry.find("warm").id != before.id


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        Registry(tmp_path / "none")
    with pytest.raises(InputError, match="no folder of steerings"):
        Registry(None).load("warm")
