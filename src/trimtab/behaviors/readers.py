"""Read a behavior: from a file, a built-in's name, or a Hugging Face dataset."""

import difflib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path

from trimtab.behaviors.behavior import Behavior, Pairing
from trimtab.behaviors.columns import renamed
from trimtab.behaviors.controls import CONTROLS
from trimtab.behaviors.files import OTHER_SUFFIXES, SUFFIXES, read_table
from trimtab.behaviors.folders import beside, read_folder, read_two_texts
from trimtab.behaviors.formats import parse
from trimtab.behaviors.hub import DATASET_ID, read_dataset
from trimtab.behaviors.opening import located, read_file
from trimtab.behaviors.table import Table
from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.phrases import Phrase
from trimtab.texts import fit_name, shown

FIELDS = (
    "prompt",
    "positive",
    "negative",
    "group",
    "messages",
    "text",
    "label",
    "chosen",
    "rejected",
)
_NO_ROWS = ("state.json", "dataset_info.json", "dataset_dict.json", "dataset_infos.json", "config.json")


def load(
    source: str | Path,
    *,
    view: str | None = None,
    format: str | None = None,
    skip_bad: bool = False,
    fields: Mapping[str, str] | None = None,
) -> Behavior:
    """Read a behavior.

    Args:
        source: in this order: an existing file (JSONL, JSON, CSV, Excel, Parquet, Arrow; gzipped or not; detected
            from its content), or a folder with `positive.txt` and `negative.txt` or with a dataset; the name of a
            built-in behavior; `ORG/NAME` or `hub:ORG/NAME`, either with `@revision:config:split`, for a Hugging Face
            dataset; `hub:./folder` for a local one.
        view: `choice` (default) or `statements`, for files that hold both.
        format: one of `catalogue.NAMES`; None detects it from the fields.
        skip_bad: leave out rows that cannot be read, and count and name them in a note; by default the first one is
            an error.
        fields: which fields hold the texts where their names do not say it, such as
            `{"positive": "good", "negative": "bad"}`.

    Returns:
        the behavior; its notes say what was left out or assumed.

    Raises:
        InputError: names the file, the line, the field and the fix; only regular files up to 2 GiB
            (gzipped ones: unpacked) are read.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.behaviors import load
        >>> _ = Path("tea.csv").write_text("prompt,good,bad\\nTea?,Gladly.,Never.\\n")
        >>> load("tea.csv", fields={"positive": "good", "negative": "bad"}).examples[0].positive
        ' Gladly.'
    """
    options = _ReadOptions(view, format, skip_bad, _names(fields or {}))
    name = str(source)
    if isinstance(source, str) and name.startswith("hub:"):
        table = read_dataset(name.removeprefix("hub:"))
        return _behavior(renamed(table, options.names), table.header.get("name", name), options)
    if not name.strip():
        raise InputError(
            f"the source is empty; give a file, or a name: {_choices(name)}", code="missing-value", field="source"
        )
    place = located(source)
    if place:
        return _from_disk(*place, shown(name), options)
    if isinstance(source, str):
        if name in builtin_names():
            return _builtin(name, options)
        if DATASET_ID.fullmatch(name) and not name.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES)):
            _check_path(name)
            return load("hub:" + name, view=view, format=format, skip_bad=skip_bad, fields=fields)
    raise _unknown(name)


@dataclass(frozen=True)
class _ReadOptions:
    """How the caller wants a source read; `names` maps the source's field names to ours."""

    view: str | None = None
    format: str | None = None
    skip_bad: bool = False
    names: Mapping[str, str] = field(default_factory=dict)


def _names(fields: Mapping[str, str]) -> dict[str, str]:
    for ours in fields:
        if ours not in FIELDS:
            raise InputError(
                f"unknown field {ours!r} in 'fields'; it can name {', '.join(FIELDS)}",
                code="unknown-choice",
                field="fields",
            )
    if len(set(fields.values())) < len(fields):
        listed = ", ".join(f"{ours} is {name!r}" for ours, name in fields.items())
        raise InputError(
            f"'fields' gives one field of the file two meanings: {listed}",
            code="conflicting-arguments",
            field="fields",
        )
    return {name: ours for ours, name in fields.items()}


def _from_disk(path: Path, info: os.stat_result, shown_name: str, options: _ReadOptions) -> Behavior:
    if stat.S_ISDIR(info.st_mode):
        table = read_folder(path)
        if table is None:
            raise InputError(_not_a_source(path), code="wrong-file", field="source")
        return _behavior(renamed(table, options.names), _stem(path, folder=True), options)
    if folder := beside(path):
        table = read_two_texts(folder)
        table = replace(
            table,
            notes=(Phrase("{file} was read together with the other side, next to it", file=path.name), *table.notes),
        )
        return _behavior(table, _stem(folder, folder=True), options)
    table = read_table(read_file(path, info), shown_name, skip_bad=options.skip_bad, names=options.names)
    return _behavior(table, _stem(path), options)


def builtin(name: str) -> Behavior:
    """One of the behaviors that come with trimtab.

    Args:
        name: see `builtin_names`.

    Raises:
        InputError: there is none of that name; lists those there are.

    Example:
        >>> from trimtab.behaviors import builtin
        >>> behavior = builtin("sentiment")
        >>> len(behavior.examples), behavior.pairing
        (260, 'natural')
    """
    if name not in builtin_names():
        raise InputError(
            f"no built-in behavior is called {name!r}; {_choices(name)}", code="unknown-behavior", field="name"
        )
    return _read_builtin(name)


@cache
def _read_builtin(name: str) -> Behavior:
    """Cached, since it never changes and a check reads all of them many times."""
    return _builtin(name, _ReadOptions())


def builtin_names() -> list[str]:
    """The names of the built-in behaviors, sorted.

    Example:
        >>> from trimtab.behaviors import builtin_names
        >>> builtin_names()[:3]
        ['brevity', 'certainty', 'formality']
    """
    folder = _builtin_folder()
    if not folder.is_dir():
        return []
    written = {entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if entry.name.endswith(".jsonl")}
    return sorted(written | {name for name, control in CONTROLS.items() if control.source in written})


def _builtin_folder() -> Traversable:
    return files("trimtab.behaviors") / "builtin"


def _builtin(name: str, options: _ReadOptions) -> Behavior:
    if name in CONTROLS:
        control = CONTROLS[name]
        behavior = control.make(_builtin(control.source, options))
        return replace(behavior, name=name, description=control.description)
    data = (_builtin_folder() / f"{name}.jsonl").read_bytes()
    return _behavior(read_table(data, f"builtin:{name}"), name, options)


def _behavior(table: Table, name: str, options: _ReadOptions) -> Behavior:
    if table.header.get("trimtab") == "probe":
        raise InputError(
            f"{table.file}: this is a trimtab 'probe', not a 'behavior'", code="wrong-file", field="trimtab"
        )
    parsed = parse(table, options.format, options.view, skip_bad=options.skip_bad)
    header = table.header
    pairing: Pairing = parsed.pairing
    if header.get("pairing") == "random":
        pairing = "random"
    elif header.get("pairing") == "natural":
        if parsed.reused:
            raise InputError(
                f"{table.file}: the header says pairing 'natural', but the two classes differ in size; "
                "make them equal or say 'random'",
                code="unusable-examples",
                field="pairing",
            )
        pairing = "natural"
    return Behavior(
        name=header.get("name", name),
        examples=parsed.examples,
        description=header.get("description", ""),
        positive_instruction=header.get("positive_instruction", ""),
        negative_instruction=header.get("negative_instruction", ""),
        pairing=pairing,
        notes=(*table.notes, *parsed.notes),
    )


def _stem(path: Path, *, folder: bool = False) -> str:
    """The behavior's name: the file's or folder's, or that of the folder above if it only says which part it is."""
    stem = path.resolve().name if folder else Path(path.name.removesuffix(".gz")).stem
    part = stem.lower() in {"train", "test", "test_ab", "dev", "validation", "eval", "data", "dataset", "examples"}
    return fit_name(path.resolve().parent.name if part and path.resolve().parent.name else stem)


def _not_a_source(path: Path) -> str:
    where = shown(str(path))
    try:
        there = sorted(entry.name for entry in path.iterdir() if entry.is_file())
    except OSError as error:
        return f"{where} is a folder that cannot be read ({error.strerror or error}); give the path of a file"
    held = [shown(n) for n in there if n.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES)) and n not in _NO_ROWS]
    lone = next((side for side in ("positive.txt", "negative.txt") if side in there), None)
    if lone:
        other = "negative.txt" if lone == "positive.txt" else "positive.txt"
        return f"{where} is a folder with {lone} but without {other}; a behavior needs both sides"
    if texts := [name for name in held if name.endswith(".txt")]:
        return (
            f"{where} is a folder; name its two lists positive.txt and negative.txt, one text a line "
            f"(it holds {', '.join(texts[:8])}), or give one of its tables: "
            f"{', '.join(name for name in held if name not in texts) or 'there is none'}"
        )
    if not held:
        return (
            f"{where} is a folder without {', '.join(SUFFIXES)} files; give the path of a file\n"
            "  or a folder with positive.txt and negative.txt, one text a line"
        )
    more = f" and {len(held) - 8} more" if len(held) > 8 else ""
    return f"{where} is a folder; give one of its files: {', '.join(held[:8])}{more} (a dataset folder: hub:./folder)"


def _check_path(name: str) -> None:
    """`data/mine` is not taken for a dataset's id if there is a folder `data`.

    Raises:
        InputError: says what lies in that folder.
    """
    above = Path(name.partition("@")[0]).parent
    if above.is_dir():
        held = sorted(shown(entry.name) for entry in above.iterdir() if not entry.name.startswith("."))
        near = difflib.get_close_matches(Path(name).name, held, 3, 0.4) or held[:5]
        raise InputError(
            f"{shown(name, 120)}: no such file or folder; {above} holds {', '.join(near) or 'nothing'} "
            f"(for a dataset of that id on the Hub: hub:{shown(name, 120)})",
            code="no-such-file",
            field="source",
        )


def _unknown(name: str) -> InputError:
    if "/" in name or "\\" in name or name.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES)):
        message = f"{shown(name)}: no such file; check the path ({_choices(Path(name).stem)})"
        return InputError(message, code="no-such-file", field="source")
    message = f"no file and no built-in behavior is called {shown(name, 120)!r}; {_choices(name)}"
    return InputError(message, code="unknown-behavior", field="source")


def _choices(name: str) -> str:
    known = builtin_names()
    return f"{meant(name, known)}the built-in behaviors are {', '.join(known) or 'none in this installation'}"
