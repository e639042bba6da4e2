"""Captures in a folder: which windows of texts lie there, by which model and settings, and how much work was shared."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models.sharing import Sharing
from trimtab.models.text import Encoded
from trimtab.storage.arrays import ArrayFolder, Column

if TYPE_CHECKING:
    from trimtab.models.model import Model


def stem(site: Site) -> str:
    """The beginning of the names of a site's files."""
    return str(site).replace(":", "-")


def origin(model: "Model", sites: Sequence[Site], read: str) -> dict[str, Any]:
    """Everything but the texts that the activations depend on, by a name for messages."""
    return {
        "model": model.digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "d_model": model.d_model,
        "sites": [str(s) for s in sites],
        "read": read,
        "attention": getattr(model.hf.config, "_attn_implementation", None),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


class CaptureJournal:
    """The record of a capture in a folder, begun anew or continued.

    Args:
        folder: a new one, an empty one, or one of the same settings.
        settings: what the activations depend on, see `origin`.
        columns: the files; those without a table have one row a text.
        adds: what the capture adds to the entry of a window.

    Raises:
        InputError: the folder cannot be read or written, or holds something else.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], columns: Sequence[Column], adds: tuple[str, ...] = ()
    ) -> None:
        def check(window: Any) -> None:
            if not all(isinstance(window[name], int) and window[name] >= 0 for name in ("given", "run")):
                raise ValueError("a window without a number of tokens")
            for name in ("texts", "plain", *adds):
                window[name]

        self.files = ArrayFolder(folder, settings, columns, check)

    @property
    def sharing(self) -> Sharing:
        """How many tokens of all windows were run once for several texts."""
        windows = self.files.windows
        plain = tuple(dict.fromkeys(reason for w in windows for reason in w["plain"]))
        return Sharing(sum(w["given"] for w in windows), sum(w["run"] for w in windows), plain)

    def has(self, k: int, rows: Sequence[Encoded]) -> bool:
        """Whether the k-th window is on disk.

        Raises:
            InputError: other texts are there in its place.
        """
        if k >= len(self.files.windows):
            return False
        if self.files.windows[k]["texts"] != _digest(rows):
            raise InputError(
                f"{self.files.folder} holds the activations of other texts; give another folder, or remove it",
                code="other-settings",
                field="folder",
            )
        return True

    def append(
        self, rows: Sequence[Encoded], arrays: Mapping[str, NDArray[Any]], sharing: Sharing, adds: Mapping[str, Any]
    ) -> None:
        """Append a window.

        Args:
            rows: the texts.
            arrays: the new rows of every column, by its name.
            sharing: how many tokens were run once for several texts.
            adds: what else goes into the window's entry.
        """
        entry = {"n": len(rows), "texts": _digest(rows), "given": sharing.given, "run": sharing.run}
        self.files.append(arrays, {**entry, "plain": list(sharing.plain), **adds})

    def finish(self, n: int) -> None:
        """Close the capture once all texts are there, so that the files can be read.

        Raises:
            InputError: there are no texts, or not so many as on disk.
        """
        if n == 0:
            raise InputError("there are no texts to capture", code="missing-value", field="texts")
        if n != self.files.n:
            raise InputError(
                f"{self.files.folder} holds {self.files.n} texts and these are {n}; give another folder for them",
                code="other-settings",
                field="folder",
            )
        self.files.finish()

    def mapped(self) -> dict[str, Tensor]:
        """The files as memory-mapped tensors, by column; writing to them changes no file."""
        return {name: torch.from_numpy(array) for name, array in self.files.mapped().items()}


def _digest(rows: Sequence[Encoded]) -> str:
    """Of token ids and prompt lengths."""
    digest = sha256()
    for row in rows:
        digest.update(np.array([row.prompt_len, len(row.ids), *row.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()
