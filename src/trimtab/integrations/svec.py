"""`.svec` files: vectors by layer as JSON, as AISteer360 and IBM's activation-steering save them.

`{"model_type": "llama", "directions": {"14": [[…]]}}`, with figures of the training beside it that are passed over.
What "14" means is not in the file: AISteer360's CAA adds it to the output of block 14, activation-steering to what goes
into it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.integrations.layer_names import check_convention, sites_of
from trimtab.integrations.sizes import check_file
from trimtab.integrations.source_description import SourceDescription
from trimtab.integrations.vectors import from_vectors
from trimtab.interventions import Site
from trimtab.steering import Steering
from trimtab.steering.artifact.documents import parsed


def read_svec(file: Path, name: str, convention: str | None = None, site: Site | None = None) -> Steering:
    """Read the vectors of a `.svec`: one attribute, all of them at strength 1.

    Args:
        file: to read.
        name: of the attribute.
        convention: what layer numbers mean, see `layer_names.site_of`.
        site: of several vectors, the one to take.

    Raises:
        InputError: no such file, not of this form, vectors of heads, of positions or of a plane, no convention.
    """
    check_convention(convention)
    check_file(file)
    try:
        held = parsed(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", code="unreadable-file", field="file") from error
    directions, hint = held.get("directions"), held.get("model_type")
    if not isinstance(directions, dict) or not directions:
        raise InputError(f"{file} has no directions by layer", code="wrong-file", field="file")
    if held.get("num_heads") is not None:
        raise InputError(
            f"{file} holds vectors of attention heads, which no site of the residual is; fit them with the method iti",
            code="unsupported",
            field="file",
        )
    source = SourceDescription(file, (name,), site, convention, hint if isinstance(hint, str) else None)
    sites = sites_of(list(directions), convention, file)
    vectors = {sites[layer]: vector for layer, vector in _vectors(directions, file).items()}
    return from_vectors(source.taken(vectors), name, source.origin("svec", convention=convention or "named"))


def _vectors(directions: Mapping[str, Any], file: Path) -> dict[str, Tensor]:
    """The vectors `[d_model]` by name of the layer.

    Raises:
        InputError: what is not one row of numbers.
    """
    found = {}
    for layer, rows in directions.items():
        try:
            vector = torch.tensor(rows, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{file}, layer {layer}: not a row of numbers", code="wrong-type", field="file") from error
        if vector.ndim == 2 and len(vector) > 1:
            raise InputError(
                f"{file}, layer {layer}: {len(vector)} rows, one for each position or the two of a plane; only one "
                "that is added to every token can be taken",
                code="unsupported",
                field="file",
            )
        found[layer] = vector
    return found
