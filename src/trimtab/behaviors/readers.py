"""Read a behavior: from a file, a built-in's name, or a Hugging Face dataset."""

import difflib
import stat
from dataclasses import replace
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path

from trimtab.behaviors.behavior import Behavior, Pairing
from trimtab.behaviors.controls import CONTROLS
from trimtab.behaviors.files import SUFFIXES, read_table
from trimtab.behaviors.formats import parse
from trimtab.behaviors.hub import DATASET_ID, read_dataset
from trimtab.behaviors.opening import located, read_file
from trimtab.behaviors.table import Table
from trimtab.behaviors.texts import fit_name, shown
from trimtab.errors import InputError


def load(source: str | Path, *, view: str | None = None, format: str | None = None) -> Behavior:
    """Read a behavior.

    Args:
        source: in this order: an existing file (JSONL, JSON, CSV, TSV, Parquet; gzipped or not; told
            by its content); the name of a built-in behavior; `ORG/NAME` or `hub:ORG/NAME`, either
            with `@revision:config:split`, for a Hugging Face dataset; `hub:./folder` for a local one.
        view: `choice` (default) or `statements`, for files that hold both.
        format: `prompts`, `pairs`, `lists`, `messages`, `preferences`, `mwe` or `caa`; None tells it
            by the fields.

    Returns:
        the behavior; its notes say what was left out or assumed.

    Raises:
        InputError: names the file, the line, the field and the mend; only regular files up to 2 GiB
            (gzipped ones: unpacked) are read.

    Example:
        >>> load("my-pairs.csv").pairing  # doctest: +SKIP
        'natural'
    """
    name = str(source)
    if isinstance(source, str) and name.startswith("hub:"):
        table = read_dataset(name.removeprefix("hub:"))
        return _behavior(table, table.header.get("name", name), view, format)
    if not name.strip():
        raise InputError(f"the source is empty; give a file, or a name: {_choices(name)}")
    found = located(source)
    if found:
        path, info = found
        if stat.S_ISDIR(info.st_mode):
            raise InputError(_folder(path))
        return _behavior(read_table(read_file(path, info), shown(name)), _stem(path), view, format)
    if isinstance(source, str):
        if name in builtin_names():
            return _builtin(name, view, format)
        if DATASET_ID.fullmatch(name) and not name.lower().endswith(SUFFIXES):
            return load("hub:" + name, view=view, format=format)
    raise InputError(_unknown(name))


def builtin(name: str) -> Behavior:
    """One of the behaviors that come with trimtab.

    Args:
        name: see `builtin_names`.

    Raises:
        InputError: there is none of that name; lists those there are.
    """
    if name not in builtin_names():
        raise InputError(f"no built-in behavior is called {name!r}; {_choices(name)}")
    return _builtin(name, None, None)


def builtin_names() -> list[str]:
    """The names of the built-in behaviors, sorted."""
    folder = _builtin_folder()
    if not folder.is_dir():
        return []
    written = {entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if entry.name.endswith(".jsonl")}
    return sorted(written | {name for name, control in CONTROLS.items() if control.source in written})


def _builtin_folder() -> Traversable:
    return files("trimtab.behaviors") / "builtin"


def _builtin(name: str, view: str | None, format: str | None) -> Behavior:
    if name in CONTROLS:
        control = CONTROLS[name]
        made = control.make(_builtin(control.source, view, format))
        return replace(made, name=name, description=control.description)
    data = (_builtin_folder() / f"{name}.jsonl").read_bytes()
    return _behavior(read_table(data, f"builtin:{name}"), name, view, format)


def _behavior(table: Table, name: str, view: str | None, format: str | None) -> Behavior:
    if table.header.get("trimtab") == "probe":
        raise InputError(f"{table.file}: this is a trimtab 'probe', not a 'behavior'")
    parsed = parse(table, format, view)
    header = table.header
    pairing: Pairing = parsed.pairing
    if header.get("pairing") == "random":
        pairing = "random"
    elif header.get("pairing") == "natural":
        if parsed.pairing == "random" and any("unused" in note for note in parsed.notes):
            raise InputError(
                f"{table.file}: the header says pairing 'natural', but the two classes differ in size; "
                "make them equal or say 'random'"
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


def _stem(path: Path) -> str:
    """The behavior's name: the file's, or its folder's where the file only says which part it holds."""
    stem = Path(path.name.removesuffix(".gz")).stem
    part = stem.lower() in {"train", "test", "test_ab", "dev", "validation", "eval", "data", "dataset", "examples"}
    return fit_name(path.resolve().parent.name if part and path.resolve().parent.name else stem)


def _folder(path: Path) -> str:
    where = shown(str(path))
    try:
        held = sorted(shown(e.name) for e in path.iterdir() if e.is_file() and e.name.lower().endswith(SUFFIXES))
    except OSError as error:
        return f"{where} is a folder that cannot be looked into ({error.strerror or error}); give the path of a file"
    if not held:
        return f"{where} is a folder without {', '.join(SUFFIXES)} files; give the path of a file"
    more = f" and {len(held) - 8} more" if len(held) > 8 else ""
    return f"{where} is a folder; give one of its files: {', '.join(held[:8])}{more} (a dataset folder: hub:./folder)"


def _unknown(name: str) -> str:
    if "/" in name or "\\" in name or name.lower().endswith(SUFFIXES):
        return f"{shown(name)}: no such file; check the path ({_choices(Path(name).stem)})"
    return f"no file and no built-in behavior is called {shown(name, 120)!r}; {_choices(name)}"


def _choices(name: str) -> str:
    known = builtin_names()
    near = difflib.get_close_matches(name, known, 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}the built-in behaviors are {', '.join(known) or 'none in this installation'}"
