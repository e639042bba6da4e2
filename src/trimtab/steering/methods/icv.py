"""In-context vectors: one component over all sites, added with each token's length kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from trimtab.interventions import Site
from trimtab.steering.edits import Additive, StoredEdit
from trimtab.steering.methods.sides import Sides, SidesMethod, stacked


@dataclass(frozen=True)
class InContextVector(SidesMethod):
    """First principal component of the pairs' differences, all sites concatenated, then split into the sites again.

    Args:
        scale: length of the whole component at strength 1, in units of the mean difference's component along it.
    """

    name: ClassVar[str] = "icv"
    source: ClassVar[str] = (
        "In-context vectors, Liu et al. 2311.06668: last tokens of demonstrations, all blocks, norm kept. Assumed: "
        "differences about 0 as in `pca`, length as there (the paper's λ = 0.1 is for a component of length 1)."
    )
    all_blocks: ClassVar[bool] = True
    scale: float = 1.0

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Additive:
        """The same for a single site."""
        ((_, edit),) = self.edits({Site(0): sides}, seed).items()
        assert isinstance(edit, Additive)
        return edit

    def edits(self, by_site: Mapping[Site, Mapping[str, Sides]], seed: int) -> Mapping[Site, StoredEdit]:
        """One component for each attribute over all sites."""
        sites, parts = list(by_site), []
        for name in by_site[sites[0]]:
            joint = torch.cat([by_site[site][name].differences(seed) for site in sites], dim=1)
            along = torch.linalg.svd(joint, full_matrices=False).Vh[0]
            mean = torch.cat([by_site[site][name].mean_difference for site in sites])
            whole = along * (mean @ along) * self.scale
            parts.append(whole.split([by_site[site][name].width for site in sites]))
        return {site: Additive(stacked([part[i] for part in parts]), keep_norm=True) for i, site in enumerate(sites)}
