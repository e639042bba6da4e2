"""The artifact: edits at sites, with named attributes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models import Edit, Site
from trimtab.steering.edits import Additive


@dataclass(frozen=True, eq=False)
class Steering:
    """Edits at sites, with named attributes and their default strengths.

    Args:
        edits: one edit per site; every edit takes one strength per attribute, in the order of `attributes`.
        attributes: default strength by name.
        method: how it was made.
    """

    edits: Mapping[Site, Edit]
    attributes: Mapping[str, float]
    method: str = "manual"

    @staticmethod
    def from_vector(site: Site, vector: Tensor, name: str = "vector", *, method: str = "manual") -> "Steering":
        """A steering that adds one vector at one site.

        Args:
            site: where.
            vector: `[d_model]`, added as it is at strength 1.
            name: the attribute's name.
            method: how the vector was made.

        Raises:
            InputError: the vector is not one-dimensional, or not finite.
        """
        vector = torch.as_tensor(vector).detach()
        if vector.ndim != 1:
            raise InputError(f"a steering vector is [d_model], not {list(vector.shape)}")
        if not bool(torch.isfinite(vector).all()):
            raise InputError("the steering vector holds a NaN or an infinite value")
        return Steering({site: Additive(vector.float()[None])}, {name: 1.0}, method)

    def vector(self, site: Site) -> Tensor:
        """What a strength of 1 in every attribute adds at a site, `[d_model]`; for additive steerings.

        Raises:
            InputError: no edit there, or one that is no vector.
        """
        edit = self.edits.get(site)
        if not isinstance(edit, Additive):
            raise InputError(f"this steering adds no vector at site {site}; it edits {', '.join(map(str, self.edits))}")
        return edit.vectors.sum(dim=0)
