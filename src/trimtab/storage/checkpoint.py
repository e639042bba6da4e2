"""A training's state on disk: tensors and a journal, of which one version is always whole."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from trimtab.errors import InputError
from trimtab.storage.atomic import into_place, scratch
from trimtab.storage.keys import check_same_settings

JOURNAL = "training.json"
_TENSORS = "epoch-{:05d}.safetensors"


def write(folder: Path, tensors: Mapping[str, Tensor], journal: Mapping[str, Any]) -> None:
    """Keep the state after `journal["epoch"]` epochs, instead of the one before.

    The tensors get a name of their own; then the journal, which names them with their digest, takes the old one's
    place. A process killed between the two leaves the old state.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = _TENSORS.format(journal["epoch"])
        with scratch(folder, "training") as work:
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, work / name)
            digest = sha256((work / name).read_bytes()).hexdigest()
            document = {**journal, "tensors": name, "sha256": digest}
            (work / JOURNAL).write_text(json.dumps(document), encoding="utf-8")
            into_place(work, folder, (name, JOURNAL))
        for old in folder.glob(_TENSORS.replace("{:05d}", "*")):
            if old.name != name:
                old.unlink()
    except OSError as error:
        raise InputError(
            f"cannot write the checkpoint {folder}: {error.strerror}; give another folder",
            code="unwritable-file",
            field="checkpoint",
        ) from error


def read(folder: Path, made_by: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The state that was kept, or None.

    Args:
        folder: where it is.
        made_by: what the journal must say it was made by: options, seed, data.

    Raises:
        InputError: it was made with other settings, or it is damaged.
    """
    if not (folder / JOURNAL).exists():
        return None
    try:
        journal = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
        before = dict(journal["made_by"])
        data = (folder / Path(journal["tensors"]).name).read_bytes()
        if sha256(data).hexdigest() != journal["sha256"]:
            raise ValueError("the tensors are not those that the journal names")
        tensors = load(data)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(
            f"the checkpoint {folder} is damaged ({error}); remove it to start again",
            code="damaged-file",
            field="checkpoint",
        ) from error
    check_same_settings(f"the checkpoint {folder} is of a training", before, made_by)
    return tensors, journal
