"""When an attribute acts on a prompt."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.errors import InputError
from trimtab.interventions.sites import Place, Site


@dataclass(frozen=True, eq=False, init=False)
class Condition:
    """When an attribute acts on a prompt: where the prompt's mean activation points.

    After CAST (Lee et al. 2409.05907), with the signed cosine in place of the similarity to a projection. Whether
    prompts meet it, `trimtab.models.conditions` says.

    Args:
        site: where the prompt is read; as `Site.of` takes it.
        direction: `[d_model]`, a torch tensor or what numpy makes an array of; kept as float32 that nobody can write
            to, so what is done to the original later changes nothing.
        threshold: cosine between −1 and 1.
        above: the attribute acts where the cosine is above the threshold, else where it is below.

    Raises:
        InputError: a direction that is no vector, or without length; a threshold that is no cosine.
    """

    site: Site
    direction: NDArray[np.float32]
    threshold: float
    above: bool = True

    def __init__(self, site: Place, direction: ArrayLike, threshold: float, above: bool = True) -> None:
        given: Any = threshold
        number = isinstance(given, Real) and not isinstance(given, bool)
        if not number or not -1 <= given <= 1:
            raise InputError(f"a condition's threshold is a cosine between -1 and 1, not {given!r}")
        if not isinstance(above, bool):
            raise InputError(f"a condition's above must be true or false, not {above!r}")
        object.__setattr__(self, "site", Site.of(site))
        object.__setattr__(self, "direction", _direction(direction))
        object.__setattr__(self, "threshold", float(threshold))
        object.__setattr__(self, "above", above)


def _direction(given: Any) -> NDArray[np.float32]:
    """`[d_model]`, a copy of its own."""
    if hasattr(given, "detach"):  # a torch tensor: on any device, of any dtype, perhaps part of a graph
        given = given.detach().cpu()
        given = given.numpy() if given.is_complex() else given.float().numpy()
    try:
        plain = np.asarray(given)
        with np.errstate(over="ignore"):  # what float32 does not hold is refused below
            own = plain.astype(np.float32) if plain.dtype.kind in "biuf" else np.empty(0, np.float32)
    except ValueError:  # lists of unlike length
        own = np.empty(0, np.float32)
    if own.ndim != 1 or not np.isfinite(own).all() or not own.any():
        raise InputError("a condition's direction is a finite vector [d_model] that is not 0")
    own.flags.writeable = False
    return own
