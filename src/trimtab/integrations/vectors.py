"""Plain vectors by site: from a steering, for tools that support nothing else, and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts, Site
from trimtab.models import steer
from trimtab.steering import Additive, Origin, Steering
from trimtab.steering.edits import Gated, Stack, StoredEdit


def added_vectors(steering: Steering, strength: Any = None, *, ungated: bool = False) -> dict[Site, Tensor]:
    """The vectors that a steering adds to every token at a strength, `[d_model]` float32 by site.

    Args:
        steering: its edits must add vectors.
        strength: as for `trimtab.models.steer`, for one row; None for the defaults.
        ungated: take gated vectors as if their gates were open; the result is a different, coarser edit.

    Raises:
        InputError: an edit that adds no vector; gates or `keep_norm` without `ungated`; a condition or prompt text.
    """
    row = steer(steering, strength).strength
    if len(row) != 1:
        raise InputError("give one strength for all rows, not one for each", code="wrong-shape", field="strength")
    if steering.prompts:
        raise InputError(
            "the steering puts text in front of prompts, which a plain vector cannot",
            code="unsupported",
            field="steering",
        )
    if steering.conditions and not ungated:
        name = next(iter(steering.conditions))
        raise InputError(
            f"{name!r} acts under a condition on prompts, which a plain vector cannot; ungated writes the vectors "
            "alone, which is another edit: check it",
            code="unsupported",
            field="ungated",
        )
    return {site: _vector(site, edit, row[0], ungated) for site, edit in sorted(steering.edits.items())}


def _vector(site: Site, edit: object, row: Tensor, ungated: bool) -> Tensor:
    if isinstance(edit, Stack):
        return torch.stack([_vector(site, part, row[list(columns)], ungated) for part, columns in edit.parts]).sum(
            dim=0
        )
    if isinstance(edit, Gated | Additive):
        if not ungated and (isinstance(edit, Gated) or edit.keep_norm):
            what = "gates decide token by token" if isinstance(edit, Gated) else "tokens keep their length"
            raise InputError(
                f"site {site}: its {what}, which a plain vector cannot; ungated writes the vectors alone, which is "
                "another edit: check it",
                code="unsupported",
                field="ungated",
            )
        return row @ edit.vectors
    kind = edit.kind if isinstance(edit, StoredEdit) else type(edit).__name__
    raise InputError(
        f"site {site}: an edit of kind {kind} does not add a vector, so it cannot be written as one",
        code="unsupported",
        field="steering",
    )


def one_row(vector: Tensor) -> Tensor:
    """`[d_model]` of a vector stored as `[1, d_model]`, `[1, 1, d_model]` and so on; other tensors unchanged."""
    lone = vector.ndim > 1 and all(n == 1 for n in vector.shape[:-1])
    return vector.reshape(-1) if lone else vector


def rows(tensor: Tensor) -> Tensor:
    """`[n, d_model]` of vectors stored as `[n, 1, d_model]`, `[1, n, d_model]` and so on; other tensors unchanged."""
    long = [n for n in tensor.shape[:-1] if n != 1]
    return tensor.reshape(long[0], tensor.shape[-1]) if len(long) == 1 else tensor


def within(steering: Steering, n_blocks: int) -> tuple[Steering, list[Site]]:
    """A steering without the edits of blocks that a model lacks, such as a control vector's for its last layer.

    Args:
        steering: edits by site.
        n_blocks: of the model.

    Returns:
        The steering, and the sites that were left out.

    Raises:
        InputError: fewer than one block, or nothing is left.
    """
    if n_blocks < 1:
        raise InputError(f"a model has 1 block or more, not {n_blocks}", code="out-of-range", field="n_blocks")
    kept = {site: edit for site, edit in steering.edits.items() if site.block < n_blocks}
    beyond = [site for site in steering.edits if site not in kept]
    if not kept and not steering.prompts:
        raise InputError(
            f"a model of {n_blocks} blocks has blocks 0 to {n_blocks - 1}, and the steering acts at "
            f"{', '.join(map(str, beyond))} only",
            code="no-such-site",
            field="n_blocks",
        )
    return (steering.changed(edits=kept) if beyond else steering), beyond


def from_vectors(
    vectors: Mapping[Site, Tensor], name: str, origin: Origin, made_for: ModelFacts | None = None
) -> Steering:
    """A steering with one attribute that adds these vectors at strength 1.

    Args:
        vectors: `[d_model]` by site, also with leading dimensions of 1.
        name: of the attribute.
        origin: how they were made.
        made_for: the model.

    Raises:
        InputError: no vectors, different widths, values that are not finite, nothing but zeros.
    """
    if not vectors:
        raise InputError("there are no vectors; give at least one", code="missing-value", field="vectors")
    vectors = {site: one_row(vector) for site, vector in vectors.items()}
    invalid = [site for site, v in vectors.items() if v.ndim != 1 or not v.dtype.is_floating_point]
    if invalid:
        shape = list(vectors[invalid[0]].shape)
        raise InputError(
            f"site {invalid[0]}: a vector is [d_model] of floating-point numbers, not {shape}",
            code="wrong-shape",
            field="vectors",
        )
    widths = {len(v) for v in vectors.values()}
    if len(widths) > 1:
        raise InputError(
            f"vectors are {' and '.join(map(str, sorted(widths)))} wide; one model has one width",
            code="wrong-shape",
            field="vectors",
        )
    if not any(bool(v.any()) for v in vectors.values()):
        raise InputError(
            "the vectors are zero throughout, so they would steer nothing", code="no-direction", field="vectors"
        )
    return Steering(
        {site: Additive(v.float()[None]) for site, v in sorted(vectors.items())}, {name: 1.0}, origin, made_for=made_for
    )
