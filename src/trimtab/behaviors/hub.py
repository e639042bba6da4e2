"""Rows of a Hugging Face dataset, by id or from a local folder in the Hub's layout."""

import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from trimtab.behaviors.folders import read_folder
from trimtab.behaviors.opening import located
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.texts import fit_name, shown

DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[^@]*)?")


def read_dataset(address: str) -> Table:
    """The rows of one split, in order.

    Args:
        address: `ORG/NAME` or `./folder`, optionally followed by `@revision:config:split`, of which
            each part may be left empty. Without a split: the only one, or `train`.

    Returns:
        the rows; notes name the commit that was read, or that a local folder was.

    Raises:
        InputError: the package `datasets` is missing, or the dataset cannot be loaded.
    """
    where = f"hub:{shown(address, 120)}"
    name, revision, config, split = _parts(address)
    folder = _folder(name)
    if folder and (saved := read_folder(folder, split)):
        return replace(saved, header={"name": fit_name(folder.resolve().name)})
    if not folder and not DATASET_ID.fullmatch(name):
        raise InputError(f"{where}: cannot load the dataset: there is no such folder; check the path")
    try:
        import datasets
    except ImportError:
        raise InputError(f"{where}: reading from the Hugging Face Hub needs `pip install 'trimtab[hub]'`") from None
    place = str(folder.resolve()) if folder else name
    try:
        # A code-free load: `trust_remote_code` is never passed, and dataset scripts are refused by `datasets` itself.
        builder = datasets.load_dataset_builder(place, config, revision=revision)
        pinned = not folder and re.fullmatch(r"[0-9a-f]{40}", str(builder.hash))
        commit = str(builder.hash) if pinned else revision
        loaded = datasets.load_dataset(place, config, revision=commit)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(
            f"{where}: cannot load the dataset: {reason}; "
            + ("check what the folder holds" if folder else "check the id and the network")
            + ", and name parts as ORG/NAME@revision:config:split"
        ) from None
    chosen = _split(loaded, split, address)
    file = f"hub:{shown(name)}:{chosen}"
    if folder:
        origin = Phrase("local folder")
    else:
        origin = Phrase("revision {commit}", commit=commit) if commit else Phrase("revision unknown")
    rows = tuple(Row(dict(fields), f"{file}[{k}]") for k, fields in enumerate(loaded[chosen]))
    header = {"name": fit_name(folder.resolve().name if folder else Path(name).name)}
    return Table(
        file,
        rows,
        header,
        (
            Phrase(
                "read from the dataset {name}, {origin}, split {chosen}", name=shown(name), origin=origin, chosen=chosen
            ),
        ),
    )


def _folder(name: str) -> Path | None:
    """The local folder of that name, if there is one."""
    place = located(name)
    return place[0] if place and stat.S_ISDIR(place[1].st_mode) else None


def _parts(address: str) -> tuple[str, str | None, str | None, str | None]:
    name, _, rest = address.partition("@")
    parts = rest.split(":")
    if not name or len(parts) > 3:
        raise InputError(f"hub:{shown(address, 120)}: expected ORG/NAME or ORG/NAME@revision:config:split")
    revision, config, split = (part or None for part in parts + [""] * (3 - len(parts)))
    return name, revision, config, split


def _split(loaded: Any, wanted: str | None, address: str) -> str:
    names = [str(name) for name in loaded]
    if wanted is None and (len(names) == 1 or "train" in names):
        return names[0] if len(names) == 1 else "train"
    if wanted in names:
        return str(wanted)
    raise InputError(f"hub:{shown(address, 120)}: choose a split, as in @::{names[0]}; there are {', '.join(names)}")
