"""GGUF control vectors, as llama.cpp applies them and repeng, EasySteer and dialz write them.

`direction.N` is added to the residual after block N, counted from 0; llama.cpp applies N ≥ 1 only. dialz names the kind
of its files otherwise, and llama.cpp does not read them.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trimtab.errors import InputError
from trimtab.integrations.sizes import check_file
from trimtab.integrations.source_description import SourceDescription
from trimtab.integrations.vectors import added_vectors, from_vectors
from trimtab.interventions import ModelFacts, Site
from trimtab.steering import Steering
from trimtab.storage.atomic import whole

ARCHITECTURE = "controlvector"
_READ = (ARCHITECTURE, "steeringvector")  # the latter is dialz's
_NAME = re.compile(r"direction\.(0|[1-9]\d{0,3})")


def write_control_vector(
    steering: Steering, file: Path, strength: Any = None, *, ungated: bool = False, hint: str | None = None
) -> None:
    """Write a steering's vectors as they act at the given strength; the file is written atomically.

    Args:
        steering: vectors at residual sites of block 1 or later.
        file: ends in `.gguf`.
        strength: as for `trimtab.models.steer`; None for the defaults.
        ungated: see `trimtab.integrations.vectors.added_vectors`.
        hint: llama.cpp's name of the architecture, such as `llama`; by default the one in the file it was read from, or
            else that of the model it was made for.

    Raises:
        InputError: another site, another kind of edit, a file that cannot be written.
    """
    from gguf import GGUFWriter

    vectors = added_vectors(steering, strength, ungated=ungated)
    unusable = [site for site in vectors if site.component != "residual" or site.block < 1]
    if unusable:
        raise InputError(
            f"site {unusable[0]}: a control vector acts on the residual after block 1 or later",
            code="unsupported",
            field="steering",
        )
    architecture = hint or _hint(steering)
    try:
        with whole(file) as work:
            writer = GGUFWriter(str(work), ARCHITECTURE)
            writer.add_string(f"{ARCHITECTURE}.model_hint", architecture)
            writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(vectors))
            for site, vector in vectors.items():
                writer.add_tensor(f"direction.{site.block}", vector.cpu().numpy())
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}", code="unwritable-file", field="file") from error


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
        InputError: no such file, not a control vector, tensors of other names, shapes or types, a site without
            direction.
    """
    from gguf import GGMLQuantizationType, GGUFReader, dequantize

    check_file(file)
    try:
        reader = GGUFReader(str(file))
        field = reader.fields.get("general.architecture")
        architecture = field.contents() if field else None
        hinted = reader.fields.get(f"{architecture}.model_hint")
        hint = hinted.contents() if hinted else None
        tensors = {tensor.name: tensor for tensor in reader.tensors}
    except Exception as error:  # a broken file can make the reader raise anything
        raise InputError(f"{file} is not a readable GGUF file: {error}", code="damaged-file", field="file") from error
    if architecture not in _READ:
        raise InputError(f"{file} holds {architecture!r}, not a control vector", code="wrong-file", field="file")
    vectors = {}
    for key, tensor in tensors.items():
        match = _NAME.fullmatch(key)
        if not match:
            raise InputError(f"{file}: tensor {key!r} is not the direction of a block", code="wrong-file", field="file")
        kinds = GGMLQuantizationType
        if tensor.tensor_type not in (kinds.F32, kinds.F16, kinds.BF16):
            raise InputError(
                f"{file}: {key} is {tensor.tensor_type.name}; directions are F32, F16 or BF16",
                code="wrong-type",
                field="file",
            )
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        vectors[Site(int(match.group(1)))] = torch.from_numpy(np.array(values))
    source = SourceDescription(file, (name,), site, hint=hint if isinstance(hint, str) else None)
    return from_vectors(source.taken(vectors), name, source.origin("gguf-control-vector"), made_for)


def _hint(steering: Steering) -> str:
    """The hint in the file that the steering was read from; otherwise `llama` for `LlamaForCausalLM` and so on, which
    are llama.cpp's names of the common architectures."""
    hints = set(_hints(steering.origin.hyperparameters))
    if len(hints) == 1:
        return hints.pop()
    if len(hints) > 1:
        raise InputError(
            f"the files it was read from are for {' and '.join(sorted(hints))}; give one of them as hint",
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


def _hints(values: object) -> Iterator[str]:
    """Every `model_hint` in the origins of a steering and of the steerings that it was made of."""
    if isinstance(values, Mapping):
        hint = values.get("model_hint")
        if isinstance(hint, str) and hint:
            yield hint
        values = list(values.values())
    if isinstance(values, list | tuple):
        for part in values:
            yield from _hints(part)
