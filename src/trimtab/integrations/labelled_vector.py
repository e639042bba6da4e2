"""One vector stored with the number of its layer, as `{"vector": v, "layer": 14}`, or without one."""

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
class LabelledVector:
    """A vector with its label and layer in the file.

    Args:
        key: its name in the file.
        vector: as stored: a tensor, a list, or a dict by layer.
        layer: number or name of its layer, or a list of them, as stored; None if the file names none.
    """

    key: str
    vector: object
    layer: object = None

    @property
    def layers(self) -> list[str] | None:
        """Names or numbers of the layers if there are several, else None."""
        layers = self.layer.tolist() if isinstance(self.layer, Tensor) else self.layer
        return [str(layer) for layer in layers] if isinstance(layers, list | tuple) and len(layers) > 1 else None


def labelled_vector(entries: Mapping[object, object], source: SourceDescription) -> LabelledVector | None:
    """The vector of a file whose keys are labels; None if the keys are layers.

    Raises:
        InputError: several vectors under such names, two layers, or a factor that is not 1.
    """
    words = {key: value for key, value in entries.items() if isinstance(key, str)}
    layers = {key: value for key, value in words.items() if key.lower() in LAYER and not _vectors(value)}
    rest = {key: value for key, value in words.items() if key not in layers}
    vectors = {key: value for key, value in rest.items() if _vectors(value)}
    if len(words) < len(entries) or any(_names_layer(k) for k in vectors):
        return None
    if len(vectors) != 1 or len(layers) > 1:
        if not layers:
            return None
        which = f"{len(layers)} layers" if len(layers) > 1 else f"{len(vectors)} vectors"
        raise InputError(
            f"{source.file} holds {which} under names that are not layers: {', '.join(map(str, entries))[:200]}",
            code="unsupported",
            field="file",
        )
    for key, value in rest.items():
        if key.lower() in FACTORS and _number(value) not in (None, 1.0):
            raise InputError(
                f"{source.file} says {key} {_number(value):g} beside the vector, and it is unclear what that "
                "multiplies; save the scaled vector without it",
                code="unsupported",
                field="file",
            )
    ((name, vector),) = vectors.items()
    return LabelledVector(name, vector, next(iter(layers.values()), None))


def place(layer: object, source: SourceDescription) -> Site:
    """The site of a vector, from its layer in the file and the caller's site, which must agree.

    Raises:
        InputError: neither is given, the layer is not understood, or the two do not agree.
    """
    if layer is None:
        return source.needs_site("one vector")
    number_in_file = _number(layer)
    text = str(layer) if isinstance(layer, str) else None
    own = named_site(text) if text is not None else None
    if own is not None:
        source.needs_no_convention("the file names the site of its vector")
        return _checked_site([own], text, source)
    number = numbered(text) if text is not None else None
    if number_in_file is not None and number_in_file.is_integer():
        number = int(number_in_file)
    if number is None or number < 0:
        raise InputError(
            f"{source.file}: layer {_shown(layer)} is not understood; save it as a number from 0, such as 14",
            code="unsupported",
            field="file",
        )
    if source.convention is not None:
        block = number - (source.convention == "hidden-states")
        if block < 0:
            raise InputError(
                f"{source.file}: layer 0 is the embedding, hidden_states[0], which is not the output of a block",
                code="no-such-site",
                field="file",
            )
        return _checked_site([Site(block)], number, source)
    if source.site is None:
        other = f" or site {number - 1} (hidden_states[{number}])" if number else ""
        raise InputError(
            f"{source.file} says layer {number}, and tools count differently; give site {number} (output of block "
            f"{number}){other}",
            code="missing-value",
            field="site",
        )
    return _checked_site([Site(b, source.site.component) for b in (number, number - 1) if b >= 0], number, source)


def _checked_site(sites: list[Site], layer: object, source: SourceDescription) -> Site:
    if source.site is not None and source.site not in sites:
        raise InputError(
            f"{source.file} says layer {layer}, which is site {' or '.join(map(str, sites))}, and not the "
            f"site {source.site} that was given; give the site of the vector, or save it without a layer",
            code="conflicting-arguments",
            field="site",
        )
    return source.site or sites[0]


def _names_layer(key: str) -> bool:
    return named_site(key) is not None or numbered(key) is not None or from_the_end(key)


def _vectors(value: object) -> bool:
    """Whether the value is a vector or several: more than one number, tensors in a list, or a dict."""
    if isinstance(value, Tensor):
        return value.numel() > 1 and value.is_floating_point()
    if isinstance(value, list | tuple) and value:
        return all(isinstance(v, Tensor) and v.numel() > 1 for v in value) or (
            len(value) > 1 and all(isinstance(v, float) for v in value)
        )
    return isinstance(value, dict) and any(isinstance(v, Tensor) for v in dict.values(value))


def _number(value: object) -> float | None:
    """A number, also if it is the only element of a tensor or list."""
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
