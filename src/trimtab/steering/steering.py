"""The artifact: edits at sites, with named attributes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models import Edit, Place, Site
from trimtab.steering.edits import Additive

Edits = Mapping[Site, Edit] | Mapping[int, Edit] | Mapping[str, Edit] | Mapping[Place, Edit]


@dataclass(frozen=True, eq=False, init=False)
class Steering:
    """Edits at sites, with named attributes and their default strengths.

    Args:
        edits: one edit per site; every edit takes one strength per attribute, in the order of `attributes`. Sites may
            be given as `Site`, block or text (`attention:14`), and are kept as `Site`.
        attributes: default strength by name.
        method: how it was made.

    Raises:
        InputError: a key that is no site, or two for one site.
    """

    edits: Mapping[Site, Edit]
    attributes: Mapping[str, float]
    method: str = "manual"

    def __init__(self, edits: Edits, attributes: Mapping[str, float], method: str = "manual") -> None:
        by_site = {Site.of(place): edit for place, edit in edits.items()}
        if len(by_site) < len(edits):
            raise InputError(f"two edits for one site among {', '.join(map(str, edits))}; give one edit per site")
        object.__setattr__(self, "edits", by_site)
        object.__setattr__(self, "attributes", attributes)
        object.__setattr__(self, "method", method)

    @staticmethod
    def from_vector(site: Place, vector: Tensor, name: str = "vector", *, method: str = "manual") -> "Steering":
        """A steering that adds one vector at one site.

        Args:
            site: where: a `Site`, a block such as 14, or text such as `attention:14`.
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
        return Steering({Site.of(site): Additive(vector.float()[None])}, {name: 1.0}, method)

    def vector(self, site: Place) -> Tensor:
        """What a strength of 1 in every attribute adds at a site, `[d_model]`; for additive steerings.

        Raises:
            InputError: no edit there, one that is no vector, or no site.
        """
        edit = self.edits.get(Site.of(site))
        if not isinstance(edit, Additive):
            raise InputError(f"this steering adds no vector at site {site}; it edits {', '.join(map(str, self.edits))}")
        return edit.vectors.sum(dim=0)
