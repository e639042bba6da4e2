"""Steerings that other code saved by `torch.save`: steering-vectors, MAT-Steer's authors, bare tensors.

What a file does not say must be told: the site, or what its numbers mean. What it does say cannot be told otherwise.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.integrations.described import Described, described, place
from trimtab.integrations.layer_names import known, sites_of
from trimtab.integrations.source_description import SourceDescription
from trimtab.integrations.torch_files import EXPORT, SavedSteeringVector, entries, numbers, opened
from trimtab.integrations.vectors import from_vectors, one_row, rows
from trimtab.interventions import Site
from trimtab.steering import Origin, Steering
from trimtab.steering.edits import Gated

_COMPONENTS = {"decoder_block": "residual", "self_attn": "attention", "mlp": "mlp"}  # of steering-vectors' layer types
_GATED = re.compile(r"steering_vectors\.(\d{1,3})|gating_weights\.(\d{1,3})\.(?:weight|bias)")


def read_checkpoint(
    file: Path, names: Sequence[str] = (), site: Site | None = None, convention: str | None = None
) -> Steering:
    """Read vectors or gates that `torch.save` wrote; only tensors are, nothing in the file is run.

    Args:
        file: a `steering_vectors.SteeringVector`; the state dict of MAT-Steer's authors; a dict of vectors by layer;
            one vector `[d_model]`, alone or beside its layer, as `{"vector": v, "layer": 14}`; a list of vectors or
            `[n_blocks, d_model]`. Vectors may have leading dimensions of 1.
        names: of the attributes; by default `vector`, of MAT-Steer's `attribute-0` and so on.
        site: where MAT-Steer's gates or a single vector belong; of several, the one to take.
        convention: what numbers of layers or rows of a list mean, see `layer_names.site_of`.
            Row 0 under `hidden-states` is the embedding, which no block puts out; it is left out.

    Raises:
        InputError: no such file, anything but tensors in it, an unknown structure, too little or too much told.
    """
    known(convention)
    given, held = SourceDescription(file, tuple(names), site, convention), opened(file)
    if isinstance(held, SavedSteeringVector):
        return _steering_vector(held.state, given)
    return _held(held, given)


def _held(held: object, given: SourceDescription) -> Steering:
    """Of a dict, a tensor or a list."""
    if isinstance(held, dict) and held:
        by_key = entries(held)
        if any(isinstance(key, str) and _GATED.fullmatch(key) for key in by_key):
            return _mat_steer(by_key, given)
        result = described(by_key, given)
        return _by_layer(by_key, given) if result is None else _described(result, by_key, given)
    if isinstance(held, Tensor):
        if one_row(held).ndim == 1 and held.ndim:
            return _one(held, None, given)
        if rows(held).ndim == 2:
            return _rows(held, given)
    if isinstance(held, list | tuple):
        lone = len(held) == 1 or (held and all(isinstance(v, float) for v in held))
        return _one(held[0] if len(held) == 1 else held, None, given) if lone else _rows(held, given)
    what = f"a tensor {list(held.shape)}" if isinstance(held, Tensor) else f"nothing but a {type(held).__name__}"
    raise InputError(f"{given.file} holds {what}, no vectors that are known here; {EXPORT}")


def _one(vector: object, layer: object, given: SourceDescription) -> Steering:
    """A single vector, at the layer that its file says or the site that is told."""
    site = place(layer, given)
    return from_vectors({site: _numbers({"the vector": vector}, given)["the vector"]}, given.name, _origin(given))


def _described(result: Described, held: Mapping[object, object], given: SourceDescription) -> Steering:
    """One vector or several beside the layers that they are of, or a dict of them beside other things."""
    hint = held.get("model_type")
    given = replace(given, hint=hint if isinstance(hint, str) else None)
    if isinstance(result.vector, dict):
        if result.layer is not None:
            raise InputError(f"{given.file} holds vectors by layer and a layer beside; {EXPORT}")
        inner = entries(result.vector)
        deeper = described(inner, given)
        lone = deeper is not None and not isinstance(deeper.vector, dict)
        return _described(deeper, inner, given) if deeper is not None and lone else _by_layer(inner, given)
    tensors = isinstance(result.vector, list | tuple) and isinstance(result.vector[0], Tensor)
    shaped = rows(result.vector) if isinstance(result.vector, Tensor) else None
    several = (tensors and len(result.vector) > 1) or (shaped is not None and shaped.ndim == 2 and len(shaped) > 1)  # type: ignore[arg-type]
    if not several:
        return _one(result.vector[0] if tensors else result.vector, result.layer, given)  # type: ignore[index]
    vectors = list(shaped) if shaped is not None else list(result.vector)  # type: ignore[call-overload]
    if result.layer is None:
        return _rows(vectors, given)
    layers = result.layers
    if layers is None or len(layers) != len(vectors):
        raise InputError(f"{given.file} holds {len(vectors)} vectors and {len(layers or [0])} layers; {EXPORT}")
    if len(set(layers)) < len(layers):
        raise InputError(f"{given.file} names a layer twice: {', '.join(layers)[:80]}")
    return _by_layer(dict(zip(layers, vectors, strict=True)), given)


def _origin(given: SourceDescription) -> Origin:
    return given.origin("torch-vectors", convention=given.convention or "named")


def _numbers(result: Mapping[str, object], given: SourceDescription) -> dict[str, Tensor]:
    """Of tensors, and of plain numbers in a list."""
    plain = {k: isinstance(v, list | tuple) and all(isinstance(x, int | float) for x in v) for k, v in result.items()}
    lists = {k: torch.tensor(result[k], dtype=torch.float32) for k, is_plain in plain.items() if is_plain}
    tensors = numbers({k: v for k, v in result.items() if k not in lists}, given.file)
    return {k: {**lists, **tensors}[k] for k in result}


def _steering_vector(state: object, given: SourceDescription) -> Steering:
    """Layer k of steering-vectors 0.12 is what module number k of a type puts out, counted from 0."""
    given.needs_no_convention("layers of a SteeringVector are blocks, counted from 0")
    fields = entries(state) if isinstance(state, dict) else {}
    layers, kind = fields.get("layer_activations"), fields.get("layer_type")
    if not isinstance(layers, dict) or not isinstance(kind, str):
        raise InputError(f"{given.file}: the SteeringVector lacks layer_activations or layer_type; {EXPORT}")
    by_layer = entries(layers)
    if kind not in _COMPONENTS:
        raise InputError(f"{given.file}: no site is a {kind[:40]!r}; the layer type must be {', '.join(_COMPONENTS)}")
    odd = [layer for layer in by_layer if type(layer) is not int or layer < 0]
    if odd:
        raise InputError(f"{given.file}: layer {str(odd[0])[:40]!r}: blocks count from 0; save it by its own number")
    vectors = numbers({str(layer): vector for layer, vector in by_layer.items()}, given.file)
    sites = {Site(int(layer), _COMPONENTS[kind]): v for layer, v in vectors.items()}  # type: ignore[arg-type]
    return from_vectors(given.taken(sites), given.name, given.origin("steering-vectors", layer_type=kind))


def _mat_steer(held: Mapping[object, object], given: SourceDescription) -> Steering:
    """Attribute t has a vector θ_t, and a gate σ(w_t · h + b_t) of one linear layer; the norm is kept (2502.12446)."""
    site, file = given.needs_site("gated attributes"), given.file
    n = sum(str(key).startswith("steering_vectors.") for key in held)
    expected = {f"steering_vectors.{t}" for t in range(n)}
    expected |= {f"gating_weights.{t}.{part}" for t in range(n) for part in ("weight", "bias")}
    odd = sorted({str(key)[:40] for key in held} ^ expected)
    if odd:
        raise InputError(f"{file}: no MAT-Steer checkpoint of {n} attributes, since {odd[0]!r} is missing or too much")
    result = numbers({str(key): tensor for key, tensor in held.items()}, file)
    result |= {key: one_row(vector) for key, vector in result.items() if key.startswith("steering_vectors.")}
    width = result["steering_vectors.0"].numel()
    parts = {"steering_vectors.{}": (width,), "gating_weights.{}.weight": (1, width), "gating_weights.{}.bias": (1,)}
    rows = []
    for part, shape in parts.items():
        named = {part.format(t): result[part.format(t)] for t in range(n)}
        wrong = [(name, list(tensor.shape)) for name, tensor in named.items() if tensor.shape != shape]
        if wrong:
            raise InputError(f"{file}: {wrong[0][0]} is {wrong[0][1]}, not {list(shape)}")
        rows.append(torch.stack([tensor.flatten() for tensor in named.values()]))
    names = given.names or tuple(f"attribute-{t}" for t in range(n))
    if len(names) != n or len(set(names)) < n:
        raise InputError(
            f"{file} holds {n} attributes; give {n} different names, or none", code="out-of-range", field="names"
        )
    edit = Gated(rows[0], rows[1], rows[2].flatten(), keep_norm=True)
    return Steering({site: edit}, dict.fromkeys(names, 1.0), given.origin("mat-steer-checkpoint"))


def _by_layer(held: Mapping[object, object], given: SourceDescription) -> Steering:
    """Keys are names or numbers, as in a file of plain vectors."""
    odd = [key for key in held if type(key) not in (int, str)]
    if odd:
        raise InputError(f"{given.file}: a key of type {type(odd[0]).__name__} is no layer; {EXPORT}")
    by_name = sites_of([str(key) for key in held], given.convention, given.file)
    sites = {key: by_name[str(key)] for key in held}
    result = _numbers({str(sites[key]): tensor for key, tensor in held.items()}, given)
    vectors = {site: result[str(site)] for site in sites.values()}
    return from_vectors(given.taken(vectors), given.name, _origin(given))


def _rows(held: Sequence[object] | Tensor, given: SourceDescription) -> Steering:
    """One row for each block, or for each of Hugging Face's hidden states."""
    if given.convention is None:
        raise InputError(
            f"{given.file} holds {len(held)} vectors without names; say which convention: block (row k is the output "
            "of block k) or hidden-states (row k is Hugging Face's hidden_states[k], the output of block k - 1)",
            code="missing-value",
            field="convention",
        )
    if isinstance(held, Tensor):  # its size first, since it may only be claimed
        held = list(rows(numbers({"the tensor": held}, given.file)["the tensor"]))
    result = list(_numbers({f"vector {k}": vector for k, vector in enumerate(held)}, given).values())
    vectors = {Site(block): v for block, v in enumerate(result[given.convention == "hidden-states" :])}
    return from_vectors(given.taken(vectors), given.name, _origin(given))
