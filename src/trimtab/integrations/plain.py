"""A safetensors file of plain vectors, one tensor for each site."""

import json
import struct
from pathlib import Path
from typing import Any

from torch import Tensor

from trimtab.errors import InputError
from trimtab.integrations.described import FACTORS, LAYER, described, place
from trimtab.integrations.layer_names import known, sites_of
from trimtab.integrations.source_description import SourceDescription
from trimtab.integrations.vectors import added, from_vectors
from trimtab.interventions import Site
from trimtab.steering import Steering
from trimtab.storage.atomic import whole as written

MAX_BYTES = 1 << 30


def write_vectors(steering: Steering, file: Path, strength: Any = None, *, ungated: bool = False) -> None:
    """Write tensors `residual.14`, `attention.14`, …, each `[d_model]` float32, as long as it acts at the strength.

    Raises:
        InputError: an edit that adds no vector, a file that cannot be written.
    """
    from safetensors.torch import save

    vectors = added(steering, strength, ungated=ungated)
    held = {f"{site.component}.{site.block}": vector.cpu().contiguous() for site, vector in vectors.items()}
    try:
        with written(file) as work:
            work.write_bytes(save(held))
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error


def read_vectors(file: Path, name: str, convention: str | None = None, site: Site | None = None) -> Steering:
    """Read plain vectors: one attribute, all of them at strength 1.

    Args:
        file: of tensors `[d_model]`, named as `write_vectors` does, or by a number such as `14` or `layer.14`; or of
            one tensor under another name, whose layer stands in the file's metadata or in a tensor `layer`.
        name: of the attribute.
        convention: what such a number means, see `layer_names.site_of`.
        site: where a tensor belongs that does not say so; of several, the one to take.

    Raises:
        InputError: no such file, names that are not understood, numbers without a convention, a site that the file
            does not have.
    """
    known(convention)
    given, (tensors, metadata) = SourceDescription(file, (name,), site, convention), _opened(file)
    origin = given.origin("plain-vectors", convention=convention or "named")
    held: dict[object, object] = {}
    held.update(metadata)
    held.update(tensors)
    result = described(held, given)
    if result is not None:
        if result.layers is not None or not isinstance(result.vector, Tensor):
            raise InputError(f"{file} holds one tensor for several layers; write one for each, as layer.14")
        return from_vectors({place(result.layer, given): result.vector}, name, origin)
    sites = sites_of(list(tensors), convention, file)
    return from_vectors(given.taken({sites[key]: vector for key, vector in tensors.items()}), name, origin)


def _opened(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not file.is_file():
        raise InputError(f"{file} does not exist")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{file} has {file.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        whole = file.read_bytes()
        tensors: dict[str, Tensor] = load(whole)
        (length,) = struct.unpack("<Q", whole[:8])
        metadata = json.loads(whole[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise InputError(f"{file} is no safetensors file: {error}") from error
    return tensors, {key: value for key, value in metadata.items() if key.lower() in {*LAYER, *FACTORS}}
