"""A safetensors file of plain vectors, one tensor for each site."""

import json
import struct
from pathlib import Path
from typing import Any

from torch import Tensor

from trimtab.errors import InputError
from trimtab.integrations.labelled_vector import FACTORS, LAYER, labelled_vector, place
from trimtab.integrations.layer_names import check_convention, sites_of
from trimtab.integrations.sizes import check_file
from trimtab.integrations.source_description import SourceDescription
from trimtab.integrations.vectors import added_vectors, from_vectors
from trimtab.interventions import Site
from trimtab.steering import Steering
from trimtab.storage.atomic import whole as atomic_file


def write_vectors(steering: Steering, file: Path, strength: Any = None, *, ungated: bool = False) -> None:
    """Write tensors `residual.14`, `attention.14`, …: the `[d_model]` float32 vectors added at the given strength.

    Raises:
        InputError: an edit that adds no vector, a file that cannot be written.
    """
    from safetensors.torch import save

    vectors = added_vectors(steering, strength, ungated=ungated)
    tensors = {f"{site.component}.{site.block}": vector.cpu().contiguous() for site, vector in vectors.items()}
    try:
        with atomic_file(file) as work:
            work.write_bytes(save(tensors))
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}", code="unwritable-file", field="file") from error


def read_vectors(file: Path, name: str, convention: str | None = None, site: Site | None = None) -> Steering:
    """Read plain vectors: one attribute, all of them at strength 1.

    Args:
        file: of tensors `[d_model]`, named as `write_vectors` does, or by a number such as `14` or `layer.14`; or of
            one tensor under another name, whose layer is in the file's metadata or in a tensor `layer`.
        name: of the attribute.
        convention: what such a number means, see `layer_names.site_of`.
        site: where a tensor without a layer belongs; of several tensors, the one to take.

    Raises:
        InputError: no such file, unknown names, numbers without a convention, a site that the file does not have.
    """
    check_convention(convention)
    source, (tensors, metadata) = SourceDescription(file, (name,), site, convention), _load(file)
    origin = source.origin("plain-vectors", convention=convention or "named")
    held: dict[object, object] = dict(metadata.items())
    held.update(tensors.items())
    vector = labelled_vector(held, source)
    if vector is not None:
        if vector.layers is not None or not isinstance(vector.vector, Tensor):
            raise InputError(
                f"{file} holds one tensor for several layers; write one for each, as layer.14",
                code="unsupported",
                field="file",
            )
        return from_vectors({place(vector.layer, source): vector.vector}, name, origin)
    sites = sites_of(list(tensors), convention, file)
    return from_vectors(source.taken({sites[key]: vector for key, vector in tensors.items()}), name, origin)


def _load(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    check_file(file)
    try:
        content = file.read_bytes()
        tensors: dict[str, Tensor] = load(content)
        (length,) = struct.unpack("<Q", content[:8])
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise InputError(
            f"{file} is not a valid safetensors file: {error}", code="damaged-file", field="file"
        ) from error
    return tensors, {key: value for key, value in metadata.items() if key.lower() in {*LAYER, *FACTORS}}
