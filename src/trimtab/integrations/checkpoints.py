"""Steerings that other code saved by `torch.save`: steering-vectors, MAT-Steer's authors, bare tensors.

The caller must state what a file leaves open: the site, or what its numbers mean; and cannot contradict the file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.integrations.labelled_vector import LabelledVector, labelled_vector, place
from trimtab.integrations.layer_names import check_convention, sites_of
from trimtab.integrations.source_description import SourceDescription
from trimtab.integrations.torch_files import EXPORT, SavedSteeringVector, entries, load_tensors, numbers
from trimtab.integrations.vectors import from_vectors, one_row, rows
from trimtab.interventions import Site
from trimtab.steering import Origin, Steering
from trimtab.steering.edits import Gated

_COMPONENTS = {"decoder_block": "residual", "self_attn": "attention", "mlp": "mlp"}  # of steering-vectors' layer types
_GATED = re.compile(r"steering_vectors\.(\d{1,3})|gating_weights\.(\d{1,3})\.(?:weight|bias)")


def read_checkpoint(
    file: Path, names: Sequence[str] = (), site: Site | None = None, convention: str | None = None
) -> Steering:
    """Read vectors or gates that `torch.save` wrote; only tensors are read, and no code in the file is run.

    Args:
        file: a `steering_vectors.SteeringVector`; the state dict of MAT-Steer's authors; a dict of vectors by layer;
            one vector `[d_model]`, alone or with its layer, as `{"vector": v, "layer": 14}`; a list of vectors or
            `[n_blocks, d_model]`. Vectors may have leading dimensions of 1.
        names: of the attributes; by default `vector`, or `attribute-0` and so on for MAT-Steer.
        site: where MAT-Steer's gates or a single vector belong; of several vectors, the one to take.
        convention: what layer numbers or rows of a list mean, see `layer_names.site_of`.
            Row 0 under `hidden-states` is the embedding, which is not the output of a block; it is left out.

    Raises:
        InputError: no such file, anything but tensors in it, an unknown structure, missing or superfluous arguments.
    """
    check_convention(convention)
    source, contents = SourceDescription(file, tuple(names), site, convention), load_tensors(file)
    if isinstance(contents, SavedSteeringVector):
        return _from_steering_vectors(contents.state, source)
    return _from_contents(contents, source)


def _from_contents(held: object, source: SourceDescription) -> Steering:
    """The steering in a dict, a tensor or a list."""
    if isinstance(held, dict) and held:
        by_key = entries(held)
        if any(isinstance(key, str) and _GATED.fullmatch(key) for key in by_key):
            return _from_mat_steer(by_key, source)
        vector = labelled_vector(by_key, source)
        return _from_layers(by_key, source) if vector is None else _from_labelled(vector, by_key, source)
    if isinstance(held, Tensor):
        if one_row(held).ndim == 1 and held.ndim:
            return _from_one_vector(held, None, source)
        if rows(held).ndim == 2:
            return _from_rows(held, source)
    if isinstance(held, list | tuple):
        lone = len(held) == 1 or (held and all(isinstance(v, float) for v in held))
        return _from_one_vector(held[0] if len(held) == 1 else held, None, source) if lone else _from_rows(held, source)
    what = f"a tensor {list(held.shape)}" if isinstance(held, Tensor) else f"nothing but a {type(held).__name__}"
    raise InputError(
        f"{source.file} holds {what}, not vectors in a known form; {EXPORT}", code="wrong-file", field="file"
    )


def _from_one_vector(vector: object, layer: object, source: SourceDescription) -> Steering:
    """A single vector, at the layer named in its file or the site given by the caller."""
    site = place(layer, source)
    return from_vectors({site: _numbers({"the vector": vector}, source)["the vector"]}, source.name, _origin(source))


def _from_labelled(labelled: LabelledVector, held: Mapping[object, object], source: SourceDescription) -> Steering:
    """One or several vectors with their layers, or a dict of vectors among other entries."""
    hint = held.get("model_type")
    source = replace(source, hint=hint if isinstance(hint, str) else None)
    if isinstance(labelled.vector, dict):
        if labelled.layer is not None:
            raise InputError(
                f"{source.file} holds vectors by layer and another layer beside them; {EXPORT}",
                code="unsupported",
                field="file",
            )
        inner = entries(labelled.vector)
        deeper = labelled_vector(inner, source)
        lone = deeper is not None and not isinstance(deeper.vector, dict)
        return _from_labelled(deeper, inner, source) if deeper is not None and lone else _from_layers(inner, source)
    tensors = isinstance(labelled.vector, list | tuple) and isinstance(labelled.vector[0], Tensor)
    shaped = rows(labelled.vector) if isinstance(labelled.vector, Tensor) else None
    several = (tensors and len(labelled.vector) > 1) or (shaped is not None and shaped.ndim == 2 and len(shaped) > 1)  # type: ignore[arg-type]
    if not several:
        return _from_one_vector(labelled.vector[0] if tensors else labelled.vector, labelled.layer, source)  # type: ignore[index]
    vectors = list(shaped) if shaped is not None else list(labelled.vector)  # type: ignore[call-overload]
    if labelled.layer is None:
        return _from_rows(vectors, source)
    layers = labelled.layers
    if layers is None or len(layers) != len(vectors):
        raise InputError(
            f"{source.file} holds {len(vectors)} vectors and {len(layers or [0])} layers; {EXPORT}",
            code="wrong-shape",
            field="file",
        )
    if len(set(layers)) < len(layers):
        raise InputError(
            f"{source.file} names a layer twice: {', '.join(layers)[:80]}", code="repeated-name", field="file"
        )
    return _from_layers(dict(zip(layers, vectors, strict=True)), source)


def _origin(source: SourceDescription) -> Origin:
    return source.origin("torch-vectors", convention=source.convention or "named")


def _numbers(values: Mapping[str, object], source: SourceDescription) -> dict[str, Tensor]:
    """Float32 tensors by name, of tensors and of lists of plain numbers."""
    plain = {k: isinstance(v, list | tuple) and all(isinstance(x, int | float) for x in v) for k, v in values.items()}
    lists = {k: torch.tensor(values[k], dtype=torch.float32) for k, is_plain in plain.items() if is_plain}
    tensors = numbers({k: v for k, v in values.items() if k not in lists}, source.file)
    return {k: {**lists, **tensors}[k] for k in values}


def _from_steering_vectors(state: object, source: SourceDescription) -> Steering:
    """Layer k of steering-vectors 0.12 is the output of module number k of a type, counted from 0."""
    source.needs_no_convention("layers of a SteeringVector are blocks, counted from 0")
    fields = entries(state) if isinstance(state, dict) else {}
    layers, kind = fields.get("layer_activations"), fields.get("layer_type")
    if not isinstance(layers, dict) or not isinstance(kind, str):
        raise InputError(
            f"{source.file}: the SteeringVector lacks layer_activations or layer_type; {EXPORT}",
            code="wrong-file",
            field="file",
        )
    by_layer = entries(layers)
    if kind not in _COMPONENTS:
        raise InputError(
            f"{source.file}: layer type {kind[:40]!r} is no site; it must be one of {', '.join(_COMPONENTS)}",
            code="unsupported",
            field="file",
        )
    invalid = [layer for layer in by_layer if type(layer) is not int or layer < 0]
    if invalid:
        raise InputError(
            f"{source.file}: layer {str(invalid[0])[:40]!r}: blocks count from 0; save it by its own number",
            code="no-such-site",
            field="file",
        )
    vectors = numbers({str(layer): vector for layer, vector in by_layer.items()}, source.file)
    sites = {Site(int(layer), _COMPONENTS[kind]): v for layer, v in vectors.items()}  # type: ignore[arg-type]
    return from_vectors(source.taken(sites), source.name, source.origin("steering-vectors", layer_type=kind))


def _from_mat_steer(held: Mapping[object, object], source: SourceDescription) -> Steering:
    """Attribute t has a vector θ_t, and a gate σ(w_t · h + b_t) of one linear layer; the norm is kept (2502.12446)."""
    site, file = source.needs_site("gated attributes"), source.file
    n = sum(str(key).startswith("steering_vectors.") for key in held)
    expected = {f"steering_vectors.{t}" for t in range(n)}
    expected |= {f"gating_weights.{t}.{part}" for t in range(n) for part in ("weight", "bias")}
    misfits = sorted({str(key)[:40] for key in held} ^ expected)
    if misfits:
        raise InputError(
            f"{file} is not a MAT-Steer checkpoint of {n} attributes: {misfits[0]!r} is missing or superfluous",
            code="wrong-file",
            field="file",
        )
    tensors = numbers({str(key): tensor for key, tensor in held.items()}, file)
    tensors |= {key: one_row(vector) for key, vector in tensors.items() if key.startswith("steering_vectors.")}
    width = tensors["steering_vectors.0"].numel()
    parts = {"steering_vectors.{}": (width,), "gating_weights.{}.weight": (1, width), "gating_weights.{}.bias": (1,)}
    stacked = []
    for part, shape in parts.items():
        named = {part.format(t): tensors[part.format(t)] for t in range(n)}
        wrong = [(name, list(tensor.shape)) for name, tensor in named.items() if tensor.shape != shape]
        if wrong:
            raise InputError(
                f"{file}: {wrong[0][0]} is {wrong[0][1]}, not {list(shape)}", code="wrong-shape", field="file"
            )
        stacked.append(torch.stack([tensor.flatten() for tensor in named.values()]))
    names = source.names or tuple(f"attribute-{t}" for t in range(n))
    if len(names) != n or len(set(names)) < n:
        raise InputError(
            f"{file} holds {n} attributes; give {n} different names, or none", code="out-of-range", field="names"
        )
    edit = Gated(stacked[0], stacked[1], stacked[2].flatten(), keep_norm=True)
    return Steering({site: edit}, dict.fromkeys(names, 1.0), source.origin("mat-steer-checkpoint"))


def _from_layers(held: Mapping[object, object], source: SourceDescription) -> Steering:
    """A dict whose keys are names or numbers, as in a file of plain vectors."""
    invalid = [key for key in held if type(key) not in (int, str)]
    if invalid:
        raise InputError(
            f"{source.file}: a key of type {type(invalid[0]).__name__} is not a layer; {EXPORT}",
            code="unsupported",
            field="file",
        )
    by_name = sites_of([str(key) for key in held], source.convention, source.file)
    sites = {key: by_name[str(key)] for key in held}
    tensors = _numbers({str(sites[key]): tensor for key, tensor in held.items()}, source)
    vectors = {site: tensors[str(site)] for site in sites.values()}
    return from_vectors(source.taken(vectors), source.name, _origin(source))


def _from_rows(held: Sequence[object] | Tensor, source: SourceDescription) -> Steering:
    """One row for each block, or for each of Hugging Face's hidden states."""
    if source.convention is None:
        raise InputError(
            f"{source.file} holds {len(held)} vectors without names; say which convention: block (row k is the output "
            "of block k) or hidden-states (row k is Hugging Face's hidden_states[k], the output of block k - 1)",
            code="missing-value",
            field="convention",
        )
    if isinstance(held, Tensor):  # check the size first, since the file may only claim it
        held = list(rows(numbers({"the tensor": held}, source.file)["the tensor"]))
    tensors = list(_numbers({f"vector {k}": vector for k, vector in enumerate(held)}, source).values())
    vectors = {Site(block): v for block, v in enumerate(tensors[source.convention == "hidden-states" :])}
    return from_vectors(source.taken(vectors), source.name, _origin(source))
