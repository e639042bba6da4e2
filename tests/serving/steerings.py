"""Folders of steerings, written without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trimtab.interventions import ModelFacts
from trimtab.steering.artifact import AttributeEntry, EditEntry, Manifest, packed, write

FACTS = ModelFacts("tiny", None, "LlamaForCausalLM", 4, 2, "0" * 64, "1" * 64)
CHECKED: dict[str, Any] = {
    "decision": "go", "sentence": "It works.", "strength": 1.5, "scope": "generated", "chat_template": True,
}  # fmt: skip


def write_steering(
    folder: Path,
    attributes: Mapping[str, float],
    checks: Mapping[str, Any] | None = None,
    *,
    presets: Mapping[str, Mapping[str, float]] | None = None,
    made_for: ModelFacts | None = FACTS,
    kind: str = "additive",
    card: str = "a card",
) -> Path:
    """An additive steering at block 1 with these attributes; `checks` are its verdicts."""
    manifest = Manifest(
        format=1,
        kind="steering",
        versions={},
        model=made_for,
        attributes=[AttributeEntry(name=name, strength=strength) for name, strength in attributes.items()],
        presets={name: dict(values) for name, values in (presets or {}).items()},
        edits=[EditEntry(site="1", kind=kind, attributes=list(attributes), options={}, tensors=["vectors"])],
        conditions=[],
        prompts={},
        method="mean-difference",
        hyperparameters={},
        seed=0,
        data={},
    )
    vectors = np.ones((len(attributes), 4), np.float32)
    reliability = None if checks is None else {"attributes": dict(checks)}
    write(folder, packed(manifest, {"0.vectors": vectors}, card, reliability))
    return folder
