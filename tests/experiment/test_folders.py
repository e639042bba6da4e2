"""A folder of results as workers elsewhere see it."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from trimtab.errors import TrimtabError
from trimtab.experiment.executor.folders import News, marked, packed, seen, unpacked, write
from trimtab.storage.steps import Ledger


@dataclass(frozen=True)
class Kept:
    ledger: Ledger
    report: Path
    model: Path


def test_places_below_the_folder_move_with_it_and_others_stay(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.chdir(tmp_path)
    given = Kept(Ledger(Path("here"), "key"), here / "a" / "report.json", tmp_path / "hereafter")
    got = unpacked(packed(given, here), there)
    assert got.report == there / "a" / "report.json"
    assert got.model == tmp_path / "hereafter"
    assert (got.ledger.home.parent, got.ledger.home.name) == (there, given.ledger.home.name)
    got.ledger.keep("step", "text")
    assert News(there).take() == {f"{got.ledger.home.name}/{next(got.ledger.home.iterdir()).name}": b"text"}


def test_the_marked_folder_is_told_from_one_of_the_same_name(tmp_path):
    with marked(tmp_path / "out") as mark:
        assert seen(tmp_path / "out", mark)
        assert not seen(tmp_path / "elsewhere", mark)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_mark_that_appears_late_is_waited_for(tmp_path):
    late = threading.Timer(0.3, (tmp_path / "mark").touch)
    late.start()
    assert seen(tmp_path, "mark")
    late.join()


def test_news_are_files_that_are_new_or_were_written_again(tmp_path):
    news = News(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"1")
    assert news.take() == {"a/one": b"1"}
    assert news.take() == {}
    (tmp_path / "new").write_bytes(b"other")
    (tmp_path / "new").replace(tmp_path / "a" / "one")
    (tmp_path / "two").write_bytes(b"2")
    assert news.take() == {"a/one": b"other", "two": b"2"}


def test_a_folder_with_a_manifest_is_written_anew_with_the_manifest_last(tmp_path, monkeypatch):
    order: list[str] = []

    def replace(source: Path, target: Path) -> None:
        order.append(Path(target).name)
        source.rename(target)

    monkeypatch.setattr(os, "replace", replace)
    files = {"s/MANIFEST": b"m", "s/steering.json": b"{}", "s/a.safetensors": b"t", "s/z": b"z", "cell.json": b"c"}
    for _ in range(2):
        order.clear()
        write(files, tmp_path)
        assert News(tmp_path).take() == files
        assert order[:4] == ["a.safetensors", "steering.json", "z", "MANIFEST"]


def test_what_cannot_be_written_is_a_message(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(TrimtabError, match="is the disk full") as raised:
        write({"a/b": b""}, tmp_path)
    assert raised.value.field == "folder"
