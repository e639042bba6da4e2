"""One vector kept beside the number of its layer, as `{"vector": v, "layer": 14}`, or beside nothing."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from trimtab.errors import InputError
from trimtab.integrations.layer_names import from_the_end, named_site, numbered
from trimtab.integrations.source_description import SourceDescription
from trimtab.interventions import Site

LAYER: Final = frozenset(
    {"layer", "layers", "layer_idx", "layer_index", "layer_id", "layer_num", "layer_number", "block", "site", "module"}
)
FACTORS: Final = frozenset(
    {"coef", "coeff", "coefficient", "scale", "scaling", "strength", "alpha", "multiplier", "factor", "lambda"}
)


@dataclass(frozen=True)
class Described:
    """A vector and what its file says of it.

    Args:
        key: its name in the file.
        vector: as it is kept: a tensor, a list, or a dict by layer.
        layer: number or name of its layer, or a list of them, as it is kept; None where nothing is said.
    """

    key: str
    vector: object
    layer: object = None

    @property
    def layers(self) -> list[str] | None:
        """Names or numbers of several layers, where there are several."""
        result = self.layer.tolist() if isinstance(self.layer, Tensor) else self.layer
        return [str(layer) for layer in result] if isinstance(result, list | tuple) and len(result) > 1 else None


def described(held: Mapping[object, object], stated: SourceDescription) -> Described | None:
    """The vector of a file whose names are words; None where names are layers.

    Raises:
        InputError: several vectors under such names, two layers, or a factor that is not 1.
    """
    words = {key: value for key, value in held.items() if isinstance(key, str)}
    layers = {key: value for key, value in words.items() if key.lower() in LAYER and not _vectors(value)}
    rest = {key: value for key, value in words.items() if key not in layers}
    vectors = {key: value for key, value in rest.items() if _vectors(value)}
    if len(words) < len(held) or any(_of_a_layer(k) for k in vectors):
        return None
    if len(vectors) != 1 or len(layers) > 1:
        if not layers:
            return None
        which = f"{len(layers)} layers" if len(layers) > 1 else f"{len(vectors)} vectors"
        raise InputError(
            f"{stated.file} holds {which} under names that are no layers: {', '.join(map(str, held))[:200]}"
        )
    for key, value in rest.items():
        if key.lower() in FACTORS and _number(value) not in (None, 1.0):
            raise InputError(
                f"{stated.file} says {key} {_number(value):g} beside the vector, and what that multiplies is not "
                "certain; save the vector as long as it acts, without it"
            )
    ((name, vector),) = vectors.items()
    return Described(name, vector, next(iter(layers.values()), None))


def place(layer: object, stated: SourceDescription) -> Site:
    """Where a vector belongs: what the file says of its layer and what the caller says, agreeing.

    Raises:
        InputError: nothing is said, it is not understood, or the two do not agree.
    """
    if layer is None:
        return stated.needs_site("one vector")
    told_by_file = _number(layer)
    text = str(layer) if isinstance(layer, str) else None
    own = named_site(text) if text is not None else None
    if own is not None:
        stated.needs_no_convention("the file names the site of its vector")
        return _agreed([own], text, stated)
    number = numbered(text) if text is not None else None
    if told_by_file is not None and told_by_file.is_integer():
        number = int(told_by_file)
    if number is None or number < 0:
        raise InputError(
            f"{stated.file}: layer {_shown(layer)} is not understood; save it as a number from 0, such as 14"
        )
    if stated.convention is not None:
        block = number - (stated.convention == "hidden-states")
        if block < 0:
            raise InputError(f"{stated.file}: layer 0 is the embedding, hidden_states[0], which no block puts out")
        return _agreed([Site(block)], number, stated)
    if stated.site is None:
        other = f" or site {number - 1} (hidden_states[{number}])" if number else ""
        raise InputError(
            f"{stated.file} says layer {number}, and tools count differently; give site {number} (output of block "
            f"{number}){other}",
            code="missing-value",
            field="site",
        )
    return _agreed([Site(b, stated.site.component) for b in (number, number - 1) if b >= 0], number, stated)


def _agreed(sites: list[Site], layer: object, stated: SourceDescription) -> Site:
    if stated.site is not None and stated.site not in sites:
        raise InputError(
            f"{stated.file} says layer {layer}, which is site {' or '.join(map(str, sites))}, and not the "
            f"site {stated.site} that was given; give the site of the vector, or save it without a layer",
            code="conflicting-arguments",
            field="site",
        )
    return stated.site or sites[0]


def _of_a_layer(key: str) -> bool:
    return named_site(key) is not None or numbered(key) is not None or from_the_end(key)


def _vectors(value: object) -> bool:
    """Whether it holds a vector or several: more than one number, tensors in a list, or a dict."""
    if isinstance(value, Tensor):
        return value.numel() > 1 and value.is_floating_point()
    if isinstance(value, list | tuple) and value:
        return all(isinstance(v, Tensor) and v.numel() > 1 for v in value) or (
            len(value) > 1 and all(isinstance(v, float) for v in value)
        )
    return isinstance(value, dict) and any(isinstance(v, Tensor) for v in dict.values(value))


def _number(value: object) -> float | None:
    """A number, also one that stands alone in a tensor or list."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, str):  # metadata is text
        with suppress(ValueError):
            return float(value)
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shown(value: object) -> str:
    return f"{list(value.shape)}" if isinstance(value, Tensor) else repr(value)[:40]
