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
    """Which prompts an attribute acts on: a bound on the cosine of a prompt's mean activation with a direction.

    After CAST (Lee et al. 2409.05907), with the signed cosine in place of the similarity to a projection.
    `trimtab.models.conditions` decides which prompts meet it. An attribute with several conditions acts where all hold.

    Args:
        site: where the prompt is read; as `Site.of` takes it.
        direction: `[d_model]`, a torch tensor or anything that numpy can turn into an array; kept as a read-only
            float32 copy.
        threshold: cosine between −1 and 1.
        above: True: the attribute acts where the cosine is above the threshold; False: where it is below.

    Raises:
        InputError: the direction is not a vector, or is zero; the threshold is not a cosine.

    Example:
        >>> import trimtab as tt
        >>> condition = tt.Condition(14, [3.0, 0.0, 4.0], threshold=0.2)
        >>> condition.site.block, condition.direction.tolist(), condition.above
        (14, [3.0, 0.0, 4.0], True)
    """

    site: Site
    direction: NDArray[np.float32]
    threshold: float
    above: bool = True

    def __init__(self, site: Place, direction: ArrayLike, threshold: float, above: bool = True) -> None:
        value: Any = threshold
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not -1 <= value <= 1:
            raise InputError(f"a condition's threshold must be a cosine between -1 and 1, not {value!r}")
        if not isinstance(above, bool):
            raise InputError(f"a condition's above must be true or false, not {above!r}")
        object.__setattr__(self, "site", Site.of(site))
        object.__setattr__(self, "direction", _direction(direction))
        object.__setattr__(self, "threshold", float(threshold))
        object.__setattr__(self, "above", above)


def _direction(values: Any) -> NDArray[np.float32]:
    """`[d_model]`, a read-only copy."""
    if hasattr(values, "detach"):  # a torch tensor: on any device, of any dtype, perhaps part of a graph
        values = values.detach().cpu()
        values = values.numpy() if values.is_complex() else values.float().numpy()
    try:
        array = np.asarray(values)
        with np.errstate(over="ignore"):  # values beyond float32 become infinite and are rejected below
            direction = array.astype(np.float32) if array.dtype.kind in "biuf" else np.empty(0, np.float32)
    except ValueError:  # lists of different lengths
        direction = np.empty(0, np.float32)
    if direction.ndim != 1 or not np.isfinite(direction).all() or not direction.any():
        raise InputError("a condition's direction must be a finite vector [d_model] that is not 0")
    direction.flags.writeable = False
    return direction
