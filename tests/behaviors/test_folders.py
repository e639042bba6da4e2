"""Folders that hold one behavior, and local paths that hold none."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from trimtab.behaviors import load
from trimtab.errors import InputError

ROWS = [
    {"prompt": "Tea?", "positive": "Sure.", "negative": "Never."},
    {"prompt": "Milk?", "positive": "Fine.", "negative": "Not now."},
]
CHAT = {side: [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": side}]
        for side in ("chosen", "rejected")}  # fmt: skip


def refusal(source: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        load(source)
    return str(caught.value)


def prompts(behavior) -> list[str]:
    return [e.prompt for e in behavior.examples]


# --- two texts ---


def two_texts(folder: Path, positive: str, negative: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "positive.txt").write_bytes(positive.encode())
    (folder / "negative.txt").write_bytes(negative.encode())
    return folder


def test_a_folder_of_two_texts_is_two_lists_with_their_lines(tmp_path):
    folder = two_texts(tmp_path / "calm", "I rest, now; well.\r\n\r\n{Quiet}\r\n", "I rage.\nLoud\n")
    behavior = load(folder)
    assert [(e.positive, e.negative) for e in behavior.examples] == [
        ("I rest, now; well.", "I rage."),
        ("{Quiet}", "Loud"),
    ]
    assert (behavior.name, behavior.pairing, behavior.bare) == ("calm", "random", True)
    assert behavior.examples[1].source == f"{folder}/positive.txt:3 + {folder}/negative.txt:2"


def test_written_line_breaks_are_read_as_llama_cpp_does_and_said(tmp_path):
    behavior = load(two_texts(tmp_path / "calm", "<|user|>\\nRest\n", "Rage\n"))
    assert behavior.examples[0].positive == "<|user|>\nRest"
    assert "in 1 lines \\n was read as a line break, as llama.cpp reads it" in behavior.notes


@pytest.mark.parametrize("side", ["positive.txt", "negative.txt"])
def test_either_of_two_texts_brings_the_other_and_says_so(tmp_path, side):
    folder = two_texts(tmp_path / "calm", "Rest\n", "Rage\n")
    behavior = load(folder / side)
    assert (behavior.digest, behavior.name) == (load(folder).digest, "calm")
    assert behavior.notes[0] == f"{side} was read together with the other side, next to it"


def test_one_text_alone_says_what_is_missing(tmp_path):
    folder = two_texts(tmp_path / "calm", "I rest all day.\n", "x")
    (folder / "negative.txt").unlink()
    assert "is a folder with positive.txt but without negative.txt" in refusal(folder)
    assert "which can only be one side" in refusal(folder / "positive.txt")


def test_an_empty_side_is_refused(tmp_path):
    assert "no negative texts" in refusal(two_texts(tmp_path / "calm", "Rest\n", "\n"))


# --- datasets ---


@pytest.fixture
def datasets():
    return pytest.importorskip("datasets")


def test_a_saved_dataset_is_read_from_all_its_parts_in_order(tmp_path, datasets):
    datasets.Dataset.from_list(
        [{**row, "prompt": f"{row['prompt']} {k}"} for k in range(3) for row in ROWS]
    ).save_to_disk(tmp_path / "tea", num_shards=3)
    behavior = load(tmp_path / "tea")
    assert prompts(behavior) == [f"{row['prompt']} {k}" for k in range(3) for row in ROWS]
    assert behavior.name == "tea"
    assert "read from a dataset that save_to_disk wrote" in behavior.notes


def test_a_saved_dictionary_gives_train_and_names_the_rest(tmp_path, datasets, monkeypatch):
    parts = {"test": datasets.Dataset.from_list(ROWS[1:]), "train": datasets.Dataset.from_list(ROWS)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "tea")
    assert prompts(load(tmp_path / "tea")) == ["Tea?", "Milk?"]
    assert "split train; test not read" in load(tmp_path / "tea").notes
    assert prompts(load(f"hub:{tmp_path}/tea@::test")) == ["Milk?"]
    assert (load(tmp_path / "tea" / "test").name, prompts(load(tmp_path / "tea" / "test"))) == ("tea", ["Milk?"])
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert prompts(load(f"hub:{tmp_path}/tea")) == ["Tea?", "Milk?"]  # needs no library


def test_a_dictionary_without_train_asks_which_split(tmp_path, datasets):
    part = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(dev=part, test=part).save_to_disk(tmp_path / "tea")
    assert f"choose a split, as in hub:{tmp_path}/tea@::dev; there are dev, test" in refusal(tmp_path / "tea")


def test_chats_in_a_saved_dataset_are_read(tmp_path, datasets):
    datasets.Dataset.from_list([CHAT]).save_to_disk(tmp_path / "tea")
    assert prompts(load(tmp_path / "tea")) == ["Tea?"]


def test_a_part_that_is_missing_or_broken_is_named(tmp_path, datasets):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "tea")
    (part,) = (tmp_path / "tea").glob("*.arrow")
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    assert f"{part.name}: broken Arrow file" in refusal(tmp_path / "tea")
    part.unlink()
    assert f"{part.name}: this part of the dataset is missing" in refusal(tmp_path / "tea")
    for content in ("{", '{"_data_files": 3}', '{"_data_files": [{"filename": 1}]}', "[" * 10_000):
        (tmp_path / "tea" / "state.json").write_text(content)
        assert "save" in refusal(tmp_path / "tea")


def test_a_state_that_points_out_of_its_folder_is_not_followed(tmp_path, datasets):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "tea")
    (tmp_path / "secret.arrow").write_bytes(next((tmp_path / "tea").glob("*.arrow")).read_bytes())
    (tmp_path / "tea" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../secret.arrow"}]}))
    assert "tea/secret.arrow: this part of the dataset is missing" in refusal(tmp_path / "tea")


@pytest.mark.parametrize("inside", ["data", "."])
def test_parquet_files_in_the_hubs_layout_are_read_in_order(tmp_path, inside):
    folder = tmp_path / "tea" / inside
    folder.mkdir(parents=True)
    for k, row in enumerate(ROWS):
        pl.DataFrame([row]).write_parquet(folder / f"train-0000{k}-of-00002.parquet")
    pl.DataFrame(ROWS[:1]).write_parquet(folder / "test-00000-of-00001.parquet")
    behavior = load(tmp_path / "tea")
    assert (behavior.name, prompts(behavior)) == ("tea", ["Tea?", "Milk?"])
    assert "split train; test not read" in behavior.notes


# --- local paths that are none ---


def test_a_lost_path_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.jsonl").write_text("x")
    message = refusal("data/pairs")
    assert message.startswith("data/pairs: no such file or folder; data holds pairs.jsonl")
    assert "network" not in message
    for source in ("hub:./nothing", f"hub:{tmp_path}/nothing"):
        assert "there is no such folder; check the path" in refusal(source)
        assert "network" not in refusal(source)


@pytest.mark.parametrize("name", ["none.xlsx", "none.txt", "data/none.arrow", "data/none.ndjson"])
def test_a_missing_file_of_any_kind_is_no_dataset(name):
    assert "no such file" in refusal(name)
