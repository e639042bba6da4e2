"""Mean difference (CAA, Rimsky et al. 2312.06681; Braun et al. 2505.22637): the field's plainest vector."""

from torch import Tensor

from trimtab.errors import InputError
from trimtab.models import Place
from trimtab.steering.steering import Origin, Steering


def mean_difference(positive: Tensor, negative: Tensor, site: Place, name: str = "vector") -> Steering:
    """`s = mean_i a(x_i, +) - mean_j a(x_j, -)`, not normalised.

    For paired rows that is the mean of the differences `d_i`.

    Args:
        positive: `[n, d_model]` activations of the positive side.
        negative: `[m, d_model]` of the negative side.
        site: where they were read, and where the vector will be added.
        name: the attribute's name.

    Raises:
        InputError: an empty side, or widths that differ.
    """
    if positive.ndim != 2 or negative.ndim != 2 or positive.shape[1] != negative.shape[1]:
        raise InputError(f"activations must be [n, d_model] on both sides, not {positive.shape} and {negative.shape}")
    if not len(positive) or not len(negative):
        raise InputError("a mean difference needs at least one activation on either side")
    vector = positive.double().mean(dim=0) - negative.double().mean(dim=0)
    return Steering.from_vector(site, vector.float(), name, origin=Origin("mean-difference"))
