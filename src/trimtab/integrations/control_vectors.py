"""GGUF control vectors, as llama.cpp applies them and repeng writes them.

`direction.N` is added to the residual behind block N, counted from 0; llama.cpp applies N ≥ 1 only.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trimtab.errors import InputError
from trimtab.integrations.source_description import SourceDescription
from trimtab.integrations.vectors import added, from_vectors
from trimtab.interventions import ModelFacts, Site
from trimtab.steering import Steering
from trimtab.storage.atomic import whole

ARCHITECTURE = "controlvector"
MAX_BYTES = 1 << 30
_NAME = re.compile(r"direction\.(0|[1-9]\d{0,3})")


def write_control_vector(
    steering: Steering, file: Path, strength: Any = None, *, ungated: bool = False, hint: str | None = None
) -> None:
    """Write a steering's vectors, each as long as it acts at the strength; the file appears whole.

    Args:
        steering: vectors at residual sites of block 1 or later.
        file: ends in `.gguf`.
        strength: as of `trimtab.models.steer`; None for the defaults.
        ungated: see `trimtab.integrations.vectors.added`.
        hint: llama.cpp's name of the architecture, such as `llama`; by default that of the file it was read from, else
            from the model it was made for.

    Raises:
        InputError: another site, another kind of edit, a file that cannot be written.
    """
    from gguf import GGUFWriter

    vectors = added(steering, strength, ungated=ungated)
    odd = [site for site in vectors if site.component != "residual" or site.block < 1]
    if odd:
        raise InputError(f"site {odd[0]}: a control vector acts on the residual behind block 1 or later")
    given = hint or _hint(steering)
    try:
        with whole(file) as work:
            writer = GGUFWriter(str(work), ARCHITECTURE)
            writer.add_string(f"{ARCHITECTURE}.model_hint", given)
            writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(vectors))
            for site, vector in vectors.items():
                writer.add_tensor(f"direction.{site.block}", vector.cpu().numpy())
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error


def read_control_vector(
    file: Path, name: str, made_for: ModelFacts | None = None, site: Site | None = None
) -> Steering:
    """Read a control vector: one attribute, its directions at strength 1.

    Args:
        file: ends in `.gguf`.
        name: of the attribute.
        made_for: the model.
        site: of several directions, the one to take.

    Raises:
        InputError: no such file, no control vector, tensors of other names, shapes or types, a site without direction.
    """
    from gguf import GGMLQuantizationType, GGUFReader, dequantize

    if not file.is_file():
        raise InputError(f"{file} does not exist")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{file} has {file.stat().st_size:,} bytes; a control vector has at most {MAX_BYTES:,}")
    try:
        reader = GGUFReader(str(file))
        field = reader.fields.get("general.architecture")
        architecture = field.contents() if field else None
        hinted = reader.fields.get(f"{ARCHITECTURE}.model_hint")
        hint = hinted.contents() if hinted else None
        tensors = {tensor.name: tensor for tensor in reader.tensors}
    except Exception as error:  # the reader raises whatever a broken file makes numpy raise
        raise InputError(f"{file} is no GGUF file that can be read: {error}") from error
    if architecture != ARCHITECTURE:
        raise InputError(f"{file} holds {architecture!r}, no control vector")
    vectors = {}
    for key, tensor in tensors.items():
        result = _NAME.fullmatch(key)
        if not result:
            raise InputError(f"{file}: tensor {key!r} is no direction of a block")
        kinds = GGMLQuantizationType
        if tensor.tensor_type not in (kinds.F32, kinds.F16, kinds.BF16):
            raise InputError(f"{file}: {key} is {tensor.tensor_type.name}; directions are F32, F16 or BF16")
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        vectors[Site(int(result.group(1)))] = torch.from_numpy(np.array(values))
    given = SourceDescription(file, (name,), site, hint=hint if isinstance(hint, str) else None)
    return from_vectors(given.taken(vectors), name, given.origin("gguf-control-vector"), made_for)


def _hint(steering: Steering) -> str:
    """What the file said that the steering was read from; or `llama` for `LlamaForCausalLM`, as llama.cpp calls the
    common architectures."""
    kept = set(_hints(steering.origin.hyperparameters))
    if len(kept) == 1:
        return kept.pop()
    if len(kept) > 1:
        raise InputError(
            f"the files it was read from are for {' and '.join(sorted(kept))}; say which in a hint",
            code="conflicting-arguments",
            field="hint",
        )
    if steering.made_for is None:
        raise InputError(
            "the steering does not say which model it is for; give the architecture as a hint, such as llama",
            code="missing-value",
            field="hint",
        )
    return re.sub(r"(ForCausalLM|LMHeadModel|Model)$", "", steering.made_for.architecture).lower()


def _hints(held: object) -> Iterator[str]:
    """Every `model_hint` in the origins of a steering and of those that it was made of."""
    if isinstance(held, Mapping):
        hint = held.get("model_hint")
        if isinstance(hint, str) and hint:
            yield hint
        held = list(held.values())
    if isinstance(held, list | tuple):
        for part in held:
            yield from _hints(part)
