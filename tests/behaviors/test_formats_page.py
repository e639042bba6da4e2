"""The documentation lists the formats and kinds of files that are read, and each is tried on one example."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.behaviors.spreadsheet import workbook

from trimtab.behaviors import load
from trimtab.behaviors.catalogue import FORMATS
from trimtab.behaviors.formats_page import KINDS, written
from trimtab.behaviors.labelled import LABELS
from trimtab.texts import Message

DOCS = Path(__file__).parents[2] / "docs" / "behaviors.md"
ROW = {"prompt": "Rain or sun?", "positive": "Rain.", "negative": "Sun."}
USER = (Message("user", "Rain or sun?"),)
PLAIN = ("Rain or sun?", " Rain.", " Sun.", ())
TURNS = ("Rain or sun?", " Rain.", " Sun.", USER)
EXPECTED = {
    "mwe": ("Question: Do you like rain?\n\nChoices:\n - Yes\n - No\n\nAnswer:", " Yes", " No", ()),
    "caa": ("Question: Rain or sun?\n\nChoices:\n(A) Rain\n(B) Sun\n\nAnswer:", " (A)", " (B)", ()),
    "messages": TURNS,
    "openai": TURNS,
    "ranked": TURNS,
    "conversations": TURNS,
    "rejected-response": TURNS,
    "instructions": ("Choose one.\nRain or sun?", " Rain.", " Sun.", ()),
    "preferences": PLAIN,
    "completions": PLAIN,
    "labelled-chats": TURNS,
    "prompts": PLAIN,
    "pairs": ("", "I like rain.", "I like sun.", ()),
    "lists": ("", "I like rain.", "I like sun.", ()),
}


def test_the_page_on_behaviors_lists_what_the_code_reads() -> None:
    text = DOCS.read_text()
    assert text == written(text), "write it anew: make docs"


@pytest.mark.parametrize("entry", FORMATS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("by_name", [False, True], ids=["by its fields", "by name"])
def test_the_example_of_every_format_is_read_as_the_page_says(tmp_path, entry, by_name) -> None:
    file = tmp_path / "b.jsonl"
    file.write_text(entry.example)
    behavior = load(file, format=entry.name if by_name else None)
    (e,) = behavior.examples
    assert (e.prompt, e.positive, e.negative, e.messages) == EXPECTED[entry.name]
    assert behavior.pairing == ("random" if entry.pairing == "random" else "natural")


def test_every_label_of_a_side_is_read_whatever_its_case(tmp_path) -> None:
    for label, side in LABELS.items():
        other = "0" if side == 1 else "1"
        file = tmp_path / "b.csv"
        file.write_text(f"Text,LABEL\nmine,{label.upper()}\nother,{other}\n")
        (e,) = load(file).examples
        assert (e.positive if side == 1 else e.negative) == "mine"


# --- kinds of files: each holds the same one row ---


def jsonl(path: Path) -> Path:
    return text(path / "b.jsonl", json.dumps(ROW))


def text(file: Path, content: str, encoding: str = "utf-8") -> Path:
    file.write_bytes(content.encode(encoding))
    return file


def two_texts(path: Path) -> Path:
    (path / "b").mkdir()
    text(path / "b" / "positive.txt", "Rain or sun? Rain.\n")
    text(path / "b" / "negative.txt", "Rain or sun? Sun.\n")
    return path / "b"


def saved(path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    datasets.DatasetDict(train=datasets.Dataset.from_list([ROW])).save_to_disk(path / "b")
    return path / "b"


def parquet(path: Path) -> Path:
    pl.DataFrame([ROW]).write_parquet(path / "b.parquet")
    return path / "b.parquet"


def shards(path: Path) -> Path:
    (path / "b" / "data").mkdir(parents=True)
    shutil.move(parquet(path), path / "b" / "data" / "train-00000-of-00001.parquet")
    return path / "b"


def arrow(path: Path) -> Path:
    pl.DataFrame([ROW]).write_ipc(path / "b.arrow")
    return path / "b.arrow"


def excel(path: Path) -> Path:
    (path / "b.xlsx").write_bytes(workbook({"Sheet1": [list(ROW), list(ROW.values())]}))
    return path / "b.xlsx"


def packed(path: Path) -> Path:
    (path / "b.gz").write_bytes(gzip.compress(json.dumps(ROW).encode()))
    return path / "b.gz"


MAKERS: dict[str, Callable[[Path], Path]] = {
    "JSONL": jsonl,
    "JSON array": lambda path: text(path / "b.json", json.dumps([ROW], indent=1)),
    "JSON documents one after another": lambda path: text(path / "b.json", json.dumps(ROW, indent=1) + "\n[]"),
    "JSON by columns": lambda path: text(path / "b.json", json.dumps({k: [v] for k, v in ROW.items()})),
    "JSON that wraps rows": lambda path: text(path / "b.json", json.dumps({"data": [ROW]})),
    "CSV": lambda path: text(path / "b.csv", ";".join(ROW) + "\n" + ";".join(ROW.values())),
    "UTF-16": lambda path: text(path / "b.txt", "\t".join(ROW) + "\r\n" + "\t".join(ROW.values()), "utf-16"),
    "Excel": excel,
    "Parquet": parquet,
    "Arrow": arrow,
    "gzip": packed,
    "folder of two texts": two_texts,
    "folder of save_to_disk": saved,
    "folder of Parquet files": shards,
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_file_on_the_page_is_read(tmp_path, kind) -> None:
    behavior = load(MAKERS[kind.name](tmp_path))
    (e,) = behavior.examples
    assert (behavior.name, e.prompt + e.positive, e.prompt + e.negative) == (
        "b", "Rain or sun? Rain.", "Rain or sun? Sun.",
    )  # fmt: skip
    assert behavior.pairing == ("random" if kind.name == "folder of two texts" else "natural")
