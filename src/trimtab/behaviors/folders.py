"""Folders that hold one behavior: two text files, or what the library datasets writes."""

import json
import re
from pathlib import Path

from trimtab.behaviors.encoding import decoded
from trimtab.behaviors.frames import read_frames
from trimtab.behaviors.opening import located, read_file
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import shown

_SIDES = ("positive.txt", "negative.txt")
_SHARD = re.compile(r"(?P<split>[A-Za-z0-9_.]+?)(?:-\d+-of-\d+(?:-[0-9a-f]+)?)?\.parquet")


def read_folder(path: Path, split: str | None = None) -> Table | None:
    """The rows of a folder.

    Args:
        path: of the folder.
        split: of a dataset; None for the only one, or `train`.

    Returns:
        the rows of `positive.txt` and `negative.txt`, of a dataset that `save_to_disk` wrote, or of
        Parquet files in the Hub's layout; None if it is none of these.

    Raises:
        InputError: a part is broken or missing, or there are several splits and none is `train`.
    """
    where = shown(str(path))
    if (path / "dataset_dict.json").is_file():
        names = _splits(path)
        name = _chosen(names, split, where)
        return _with_note(_saved(path / name), Phrase("split {name}", name=name), [n for n in names if n != name])
    if (path / "state.json").is_file() and (path / "dataset_info.json").is_file():
        return _saved(path)
    shards = _shards(path)
    if shards and not any((path / side).exists() for side in _SIDES):
        name = _chosen(list(shards), split, where)
        rows = read_frames([(_bytes(file), shown(str(file))) for file in shards[name]])
        table = Table(where, rows, notes=(Phrase("read from {n} Parquet files", n=len(shards[name])),))
        return _with_note(table, Phrase("split {name}", name=name), [n for n in shards if n != name])
    if all((path / side).is_file() for side in _SIDES):
        return read_two_texts(path)
    return None


def read_two_texts(path: Path) -> Table:
    """`positive.txt` and `negative.txt` of a folder, one text a line, as llama.cpp's cvector-generator takes them.

    Raises:
        InputError: a file without a text.
    """
    rows: list[Row] = []
    breaks = 0
    for side in _SIDES:
        file = path / side
        text, _ = decoded(_bytes(file), shown(str(file)))
        for k, line in enumerate(text.split("\n"), 1):
            if line.strip():
                words = line.removesuffix("\r")
                breaks += "\\n" in words
                label = side.removesuffix(".txt")
                rows.append(Row({"text": words.replace("\\n", "\n"), "label": label}, f"{shown(str(file))}:{k}"))
    notes = [
        Phrase(
            "positive.txt and negative.txt were read as two unpaired lists of lines; if the n-th lines belong "
            'together, write "pairing": "natural" into the first line of what trimtab convert-data makes of them'
        )
    ]
    if breaks:
        notes.append(Phrase("in {n} lines \\n was read as a line break, as llama.cpp reads it", n=breaks))
    others = sum(entry.is_file() and entry.name not in _SIDES for entry in path.iterdir())
    if others:
        notes.append(Phrase("{n} other files of the folder were not read", n=others))
    return Table(shown(str(path)), tuple(rows), notes=tuple(notes))


def beside(path: Path) -> Path | None:
    """The folder to read if this is `positive.txt` or `negative.txt` and the other one lies beside it."""
    if path.name not in _SIDES:
        return None
    other = path.with_name(_SIDES[1 - _SIDES.index(path.name)])
    return path.parent if other.is_file() else None


# --- datasets' folders ---


def _saved(path: Path) -> Table:
    """A dataset that `save_to_disk` wrote: the Arrow files that its state names, in order."""
    where = shown(str(path))
    state = _json(path / "state.json")
    files = state.get("_data_files") if isinstance(state, dict) else None
    if not isinstance(files, list) or not all(
        isinstance(f, dict) and isinstance(f.get("filename"), str) for f in files
    ):
        raise InputError(f"{where}: state.json does not name the dataset's files; save it anew")
    places = [path / Path(entry["filename"]).name for entry in files]  # beside the state, wherever it says
    rows = read_frames([(_bytes(place), shown(str(place))) for place in places])
    return Table(where, rows, notes=(Phrase("read from a dataset that save_to_disk wrote"),))


def _splits(path: Path) -> list[str]:
    content = _json(path / "dataset_dict.json")
    names = content.get("splits") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n == Path(n).name for n in names):
        raise InputError(f"{shown(str(path))}: dataset_dict.json does not name the splits; save the dataset anew")
    return names


def _shards(path: Path) -> dict[str, list[Path]]:
    """Parquet files by split, as the Hub lays them out: `data/train-00000-of-00002.parquet`, or without `data`."""
    shards: dict[str, list[Path]] = {}
    for folder in (path / "data", path):
        if not folder.is_dir():
            continue
        for file in sorted(folder.iterdir()):
            match = _SHARD.fullmatch(file.name)
            if match and file.is_file():
                shards.setdefault(match["split"], []).append(file)
        if shards:
            break
    return shards


def _chosen(names: list[str], split: str | None, where: str) -> str:
    if split is None and (len(names) == 1 or "train" in names):
        return names[0] if len(names) == 1 else "train"
    if split in names:
        return split
    raise InputError(f"{where}: choose a split, as in hub:{where}@::{names[0]}; there are {', '.join(names)}")


def _with_note(table: Table, what: Phrase, others: list[str]) -> Table:
    note = Phrase("{what}; {others} not read", what=what, others=with_commas(others)) if others else what
    return Table(table.file, table.rows, table.header, (*table.notes, note))


def _json(path: Path) -> object:
    try:
        value: object = json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown(str(path))}: broken JSON: {error}; save the dataset anew") from None
    return value


def _bytes(path: Path) -> bytes:
    place = located(path)
    if place is None:
        raise InputError(f"{shown(str(path))}: this part of the dataset is missing; copy or save it anew")
    return read_file(*place)
