"""A safetensors file of plain vectors, one tensor for each site."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from trimtab.errors import InputError
from trimtab.integrations.vectors import added, from_vectors
from trimtab.models import Site
from trimtab.scratch import whole
from trimtab.steering import Origin, Steering

MOST_BYTES = 1 << 30
CONVENTIONS = ("block", "hidden-states")
_OWN = re.compile(r"(residual|attention|mlp)\.(\d{1,4})")
_NUMBERED = re.compile(r"(?:[A-Za-z_]+[._])?(\d{1,4})")


def write_vectors(steering: Steering, file: Path, strength: Any = None, *, ungated: bool = False) -> None:
    """Write tensors `residual.14`, `attention.14`, …, each `[d_model]` float32, as long as it acts at the strength.

    Raises:
        InputError: an edit that adds no vector, a file that cannot be written.
    """
    from safetensors.torch import save

    vectors = added(steering, strength, ungated=ungated)
    held = {f"{site.component}.{site.block}": vector.cpu().contiguous() for site, vector in vectors.items()}
    try:
        with whole(file) as work:
            work.write_bytes(save(held))
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error


def read_vectors(file: Path, name: str, convention: str | None = None) -> Steering:
    """Read plain vectors: one attribute, all of them at strength 1.

    Args:
        file: of tensors `[d_model]`, named as `write_vectors` does, or by a number such as `14` or `layer.14`.
        name: of the attribute.
        convention: what such a number means, since tools differ: `block` for the output of block 14, `hidden-states`
            for Hugging Face's `hidden_states[14]`, the output of block 13.

    Raises:
        InputError: no such file, names that are not understood, numbers without a convention.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    known(convention)
    if not file.is_file():
        raise InputError(f"{file} does not exist")
    if file.stat().st_size > MOST_BYTES:
        raise InputError(f"{file} has {file.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read")
    try:
        tensors: dict[str, Tensor] = load(file.read_bytes())
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise InputError(f"{file} is no safetensors file: {error}") from error
    sites = sites_of(list(tensors), convention, file)
    vectors = {sites[key]: vector for key, vector in tensors.items()}
    told = {"file": file.name, "convention": convention or "named"}
    return from_vectors(vectors, name, Origin("plain-vectors", told))


def known(convention: str | None) -> None:
    """Refuse a convention that there is not."""
    if convention not in (None, *CONVENTIONS):
        raise InputError(f"convention {convention!r}; one of {', '.join(CONVENTIONS)}")


def sites_of(keys: Sequence[str], convention: str | None, file: Path) -> dict[str, Site]:
    """The sites that tensors' names mean; see `read_vectors`.

    Raises:
        InputError: as `site_of`; two tensors for one site, a convention where all names say what they mean.
    """
    sites = {key: site_of(key, convention, file) for key in keys}
    if len(set(sites.values())) < len(sites):
        twice = max(sites.values(), key=list(sites.values()).count)
        raise InputError(f"{file}: two tensors are for site {twice}")
    if convention is not None and all(_OWN.fullmatch(key) for key in keys):
        raise InputError(f"{file}: --convention means nothing here: the tensors are named by their sites; leave it out")
    return sites


def site_of(key: str, convention: str | None, file: Path) -> Site:
    """The site that a tensor's name means; see `read_vectors`.

    Raises:
        InputError: a name that is not understood, a number without a convention, the embedding.
    """
    own, told = _OWN.fullmatch(key), f"{file}: tensor {key[:60]!r}"
    if own:
        return Site(int(own.group(2)), own.group(1))  # type: ignore[arg-type]  # one of the components
    numbered = _NUMBERED.fullmatch(key)
    if not numbered:
        raise InputError(f"{told} is not understood; name it residual.14, attention.14 or layer.14")
    if convention is None:
        raise InputError(
            f"{told} has a number only, and tools count differently; say --convention block (output of "
            "block k) or hidden-states (Hugging Face's hidden_states[k], the output of block k - 1)"
        )
    number = int(numbered.group(1)) - (convention == "hidden-states")
    if number < 0:
        raise InputError(f"{file}: {key} is the embedding, hidden_states[0], which no block puts out")
    return Site(number)
