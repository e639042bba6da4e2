"""What methods have in common that shift attention heads: the heads that a probe ranks first, by σ of each."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Component, Site
from trimtab.steering.edits import Additive, StoredEdit
from trimtab.steering.methods.sides import Sides, SidesMethod

HELD_OUT = 0.2
_KEPT: Final = 16
# The last rankings in this process, by probe, seed and rows: candidates that differ in `share` alone have one, and a
# probe for each head of a model takes minutes.
_RANKED: Final[dict[tuple[type, str, int, str], list[tuple[Site, int]]]] = {}


@dataclass(frozen=True)
class HeadShift(SidesMethod):
    """Shifts the heads whose probes separate the sides best on held-out rows, by σ of their own projections.

    The shift of a head is `alpha · σ · θ`: θ its direction at length 1, σ the standard deviation of both sides'
    projections on it. Shifts go through the output projection, so they are vectors at attention sites.

    Args:
        share: fraction of all sites' heads that are shifted; at least one head is.
        alpha: shift at strength 1, in σ.
    """

    reads: ClassVar[Component] = "heads"
    all_blocks: ClassVar[bool] = True
    candidates: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"share": share} for share in (0.05, 0.02, 0.1, 0.2))
    share: float = 0.05
    alpha: float = 5.0

    @abstractmethod
    def accuracy(self, fitting: Sides, held: Sides, seed: int) -> float:
        """Balanced accuracy on the held-out rows of one head's probe, which is fitted to the others."""

    def direction_of(self, side: Sides) -> Tensor:
        """The direction of one head, `[head width]` of any length; here from the negative to the positive mean."""
        return side.axis

    def check(self) -> None:
        """Check the hyperparameters.

        Raises:
            InputError: one is out of range.
        """
        if not 0 < self.share <= 1:
            raise InputError(
                f"share {self.share} must be above 0 and at most 1", code="out-of-range", field="options.share"
            )

    def edit(self, sides: Mapping[str, Sides], seed: int) -> StoredEdit:
        """The same for a single site, here called block 0."""
        ((_, edit),) = self.edits({Site(0, "heads"): sides}, seed).items()
        return edit

    def edits(self, by_site: Mapping[Site, Mapping[str, Sides]], seed: int) -> Mapping[Site, StoredEdit]:
        """One vector for each attribute at the attention of every block with a chosen head."""
        self.check()
        names = list(next(iter(by_site.values())))
        shifts = {site: torch.zeros(len(names), sides[names[0]].width) for site, sides in by_site.items()}
        for row, name in enumerate(names):
            for site, head in self._best({site: sides[name] for site, sides in by_site.items()}, seed):
                side = by_site[site][name]
                columns = _columns(side, head)
                shifts[site][row, columns] = self._shift(side.some(columns)).float()
        folds = {site: sides[names[0]].heads for site, sides in by_site.items()}
        return {
            Site(site.block, "attention"): Additive(heads.folded(shifts[site]))
            for site, heads in folds.items()
            if heads is not None and bool(shifts[site].any())
        }

    def _best(self, by_site: Mapping[Site, Sides], seed: int) -> list[tuple[Site, int]]:
        """The heads with the highest held-out accuracy."""
        probe = replace(self, share=1.0, alpha=1.0)  # on which a ranking does not depend
        key = type(self), repr(probe), seed, _content(by_site)
        if key not in _RANKED:
            _RANKED[key] = self._ranked(by_site, seed)
            while len(_RANKED) > _KEPT:
                _RANKED.pop(next(iter(_RANKED)))
        ranked = _RANKED[key]
        return ranked[: max(1, round(self.share * len(ranked)))]

    def _ranked(self, by_site: Mapping[Site, Sides], seed: int) -> list[tuple[Site, int]]:
        """All heads, the one with the highest held-out accuracy first."""
        ranked = []
        for site in sorted(by_site):
            side = by_site[site]
            if side.heads is None:
                raise InputError(
                    f"{self.name} reads the outputs of attention heads, and site {site} has none; give "
                    f"heads:{site.block}",
                    code="no-such-site",
                    field="site",
                )
            fitting, held = self._split(side, seed)
            for head in range(side.heads.n):
                columns = _columns(side, head)
                accuracy = round(self.accuracy(fitting.some(columns), held.some(columns), seed), 9)
                ranked.append((-accuracy, site.block, head, site))
        return [(site, head) for _, _, head, site in sorted(ranked)]

    def _shift(self, side: Sides) -> Tensor:
        """`alpha σ θ` of one head, `[head width]` float64."""
        theta = self.direction_of(side)
        theta = theta / float(theta.norm())
        sigma = float((torch.cat([side.positive, side.negative]) @ theta).std())
        shift: Tensor = theta * (sigma * self.alpha)
        return shift

    def _split(self, side: Sides, seed: int) -> tuple[Sides, Sides]:
        """Rows to fit probes on and rows to rank heads by; pairs stay together."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(side.positive), generator=generator)
        other = order if side.paired else torch.randperm(len(side.negative), generator=generator)
        fitting, held = self._parted(side.positive, order)
        fitting_other, held_other = self._parted(side.negative, other)
        return Sides(fitting, fitting_other, side.paired), Sides(held, held_other, side.paired)

    def _parted(self, rows: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        n_held = max(1, round(HELD_OUT * len(rows)))
        if len(rows) - n_held < 2:
            raise InputError(
                f"{self.name} needs at least 3 rows of either side, not {len(rows)}",
                code="too-few-examples",
                field="data",
            )
        order = order.to(rows.device)
        return rows[order[n_held:]], rows[order[:n_held]]


def _content(by_site: Mapping[Site, Sides]) -> str:
    """Digest of all rows."""
    found = sha256()
    for site in sorted(by_site):
        side = by_site[site]
        n = None if side.heads is None else side.heads.n
        found.update(repr((site, n, side.paired, side.positive.shape, side.negative.shape)).encode())
        for rows in (side.positive, side.negative):
            found.update(rows.cpu().numpy().tobytes())
    return found.hexdigest()


def _columns(side: Sides, head: int) -> slice:
    assert side.heads is not None
    width = side.width // side.heads.n
    return slice(head * width, (head + 1) * width)


def balanced(positive: Tensor, negative: Tensor) -> float:
    """Mean over both sides of the share of logits on the right side of 0, `[n]` and `[m]`."""
    right = (positive > 0).double().mean(), (negative < 0).double().mean()
    return float(sum(right)) / 2
