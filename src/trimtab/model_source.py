"""Which model is to be loaded, in a form that needs no torch: for commands, and for processes that load it later."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSource:
    """A model to load.

    Args:
        source: `smollm2`, a Hugging Face id, a folder, or a `.gguf` file.
        label: its name in tables.
        revision, adapter, dtype, device, device_map, quantisation: see `trimtab.load`.

    Example:
        >>> from trimtab.model_source import ModelSource
        >>> ModelSource("smollm2", "smollm2", dtype="bfloat16").dtype
        'bfloat16'
    """

    source: str
    label: str
    revision: str | None = None
    adapter: str | None = None
    dtype: str = "auto"
    device: str | None = None
    device_map: str | Mapping[str, int | str] | None = None
    quantisation: str | None = None
