"""A steering as vectors that hooks of other libraries add, by the names that these have for places, and back.

TransformerLens names activations (`blocks.14.hook_resid_post`) whatever the architecture; nnsight and plain torch hooks
take the path of a module, to whose output the vector is added.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.integrations.layer_names import module_path, named_site
from trimtab.integrations.vectors import added_vectors, from_vectors
from trimtab.interventions import Component, Site
from trimtab.models import Model, ensure_fits
from trimtab.steering import Origin, Steering

_POINTS: Final[Mapping[Component, str]] = {  # in the order in which a block computes them
    "attention": "hook_attn_out", "mlp": "hook_mlp_out", "residual": "hook_resid_post",
}  # fmt: skip


def transformer_lens_hooks(steering: Steering, strength: Any = None, *, ungated: bool = False) -> dict[str, Tensor]:
    """The vectors that a steering adds, `[d_model]` float32 by TransformerLens's hook points.

    `hook_attn_out` and `hook_mlp_out` lie behind the norms that some models have there, as sites do; `attn.hook_out`
    and `mlp.hook_out` lie in front of them.

    Args:
        steering: its edits must add vectors.
        strength: of attributes, by name or one for all; None for the defaults.
        ungated: take gated vectors as if their gates were open; the result is a different, coarser edit.

    Raises:
        InputError: an edit that adds no vector; gates or kept norms without `ungated`; a condition or prompt text.

    Example:
        >>> import torch, trimtab as tt
        >>> from trimtab.integrations import transformer_lens_hooks
        >>> steering = tt.Steering.from_vector("attention:3", torch.ones(4), "warm")
        >>> transformer_lens_hooks(steering, 2.0)
        {'blocks.3.hook_attn_out': tensor([2., 2., 2., 2.])}
    """
    vectors = _in_order(added_vectors(steering, strength, ungated=ungated))
    return {f"blocks.{site.block}.{_POINTS[site.component]}": vector for site, vector in vectors.items()}


def module_hooks(steering: Steering, model: Model, strength: Any = None, *, ungated: bool = False) -> dict[str, Tensor]:
    """The vectors that a steering adds, `[d_model]` float32 by the path of the module to whose output each is added.

    The paths are those of `model.hf`, as nnsight's `model.get(path)` and torch's `get_submodule(path)` take them; where
    a module returns a tuple, its first part is meant. In models with a norm behind attention or MLP it is the norm.
    They come in the order in which the model computes them.

    Args:
        steering: its edits must add vectors.
        model: whose modules are named.
        strength: of attributes, by name or one for all; None for the defaults.
        ungated: as in `transformer_lens_hooks`.

    Raises:
        InputError: as for `transformer_lens_hooks`; a steering that was made for another model, a site or a width that
            the model does not have.

    Example:
        >>> import torch, trimtab as tt
        >>> from trimtab.integrations import module_hooks
        >>> model = tt.load("smollm2")
        >>> list(module_hooks(tt.Steering.from_vector("mlp:3", torch.ones(576), "warm"), model))
        ['model.layers.3.mlp']
    """
    ensure_fits(steering, model)
    paths = {module: path for path, module in model.hf.named_modules()}
    vectors = _in_order(added_vectors(steering, strength, ungated=ungated))
    for site, vector in vectors.items():
        if len(vector) != model.d_model:
            raise InputError(
                f"site {site}: {len(vector)} wide; {model.id} is {model.d_model} wide", code="wrong-shape",
                field="steering",
            )  # fmt: skip
    return {paths[model.anatomy.module(site)]: vector for site, vector in vectors.items()}


def from_hooks(vectors: Mapping[str, Any], name: str = "vector", *, model: Model | None = None) -> Steering:
    """A steering with one attribute that adds vectors at the places that hooks name.

    Args:
        vectors: `[d_model]`, also with leading dimensions of 1, by the name of a place: TransformerLens's hook points
            (`hook_resid_post`, `hook_resid_pre`, `hook_attn_out`, `hook_mlp_out` and a block's own `hook_in` and
            `hook_out`), or the path of a module to whose output the vector belongs (`model.layers.14`, also with
            `.output` behind it).
        name: of the attribute.
        model: that the places are of. Without it a module is known by its name alone, and a norm behind attention or
            MLP, as in Gemma 2, goes unseen.

    Raises:
        InputError: a name that is no such place, or none of this model; two names for one place; no vectors, or invalid
            ones.

    Example:
        >>> import torch
        >>> from trimtab.integrations import from_hooks
        >>> from_hooks({"blocks.3.hook_resid_post": torch.ones(4)}, "warm").vector(3)
        tensor([1., 1., 1., 1.])
    """
    places = {key: _site(str(key), model) for key in vectors}
    if len(set(places.values())) < len(places):
        twice = max(places.values(), key=list(places.values()).count)
        raise InputError(f"two vectors are for site {twice}", code="repeated-name", field="vectors")
    tensors = {site: _tensor(str(key), vectors[key]) for key, site in places.items()}
    facts = None if model is None else model.facts
    return from_vectors(tensors, name, Origin("hooks", {"places": list(vectors)}), facts)


def _tensor(key: str, given: Any) -> Tensor:
    try:
        return torch.as_tensor(given).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{key[:80]!r} has no vector: {error}", code="wrong-type", field="vectors") from error


def _in_order(vectors: Mapping[Site, Tensor]) -> dict[Site, Tensor]:
    """As a model computes the sites, which is how nnsight's traces must name them."""
    order = list(_POINTS)
    return {site: vectors[site] for site in sorted(vectors, key=lambda s: (s.block, order.index(s.component)))}


def _site(key: str, model: Model | None) -> Site:
    """The site of a hook's place."""
    path, named = module_path(key), named_site(key)
    modules = {} if model is None else dict(model.hf.named_modules())
    module = modules.get(path, modules.get(path.removeprefix("model.")))  # nnsight's own paths begin with one more
    if model is not None and module is not None:
        return _site_of(model, module, named, path)
    if named is None:
        raise InputError(
            f"{key[:80]!r} is no place that is known; give TransformerLens's blocks.14.hook_resid_post, or the path of "
            "a module such as model.layers.14",
            code="unknown-choice",
            field="vectors",
        )
    if model is not None:
        model.anatomy.module(named)
    return named


def _site_of(model: Model, module: nn.Module, named: Site | None, path: str) -> Site:
    """The site whose activation is a module's output, or the one that its name says, if that is the same tensor."""
    places = _places(model)
    if module in places:
        return places[module]
    if named is not None and _alike(model, module, model.anatomy.module(named)):
        return named
    paths = {module: path for path, module in model.hf.named_modules()}
    sites = ", ".join(paths[module] for module, site in places.items() if site.block == 0)
    raise InputError(
        f"the output of {path} is no site of {model.id}; those of its first block are the outputs of {sites}",
        code="no-such-site",
        field="vectors",
    )


def _places(model: Model) -> dict[nn.Module, Site]:
    """The sites of a model by the modules whose outputs they are."""
    found = {}
    for k, (block, terms) in enumerate(zip(model.anatomy.blocks, model.anatomy.terms, strict=True)):
        found[block] = Site(k)
        if terms is not None:
            found |= {terms[0]: Site(k, "attention"), terms[1]: Site(k, "mlp")}
    return found


def _alike(model: Model, *modules: nn.Module) -> bool:
    """Whether modules put out the same in a tiny pass, as attention and the dropout behind it do."""
    seen: list[Tensor] = []
    handles = [module.register_forward_hook(lambda _, __, out: seen.append(_first(out))) for module in modules]
    try:
        with torch.no_grad():
            model.hf(torch.tensor([[1, 2, 3, 4]], device=model.device))
    finally:
        for handle in handles:
            handle.remove()
    return len(seen) == len(modules) and all(torch.equal(seen[0], other) for other in seen[1:])


def _first(output: Any) -> Tensor:
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first.clone()
