"""Methods that learn from two sides of activations, with one vector for each text."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts, Site
from trimtab.models.blocks import Heads
from trimtab.statistics import ShrunkDifference, shrunk_difference
from trimtab.steering.edits import StoredEdit
from trimtab.steering.methods.base import Learned, Material, Materials, Method
from trimtab.steering.steering import Steering

# Largest difference, in root mean squares of its own coordinate, that two captures of the same texts show in different
# batches: 8e-7 in float32 and 8e-3 in bfloat16 (means of 24 texts, SmolLM2-135M, all blocks), where the two sides of a
# behavior differ by 0.5 and more. Float64 input is treated as captured in float32.
ROUNDING: Final = {torch.float16: 4e-3, torch.bfloat16: 3e-2}
FINE_ROUNDING: Final = 1e-5
SAME: Final = (
    "the two sides have the same mean but for rounding, so there is no direction between them; give examples whose "
    "sides differ"
)


@dataclass(frozen=True, eq=False)
class Sides:
    """Activations of an attribute's two sides at one site.

    Args:
        positive: `[n, d_model]` of the wanted side.
        negative: `[m, d_model]` of the other side.
        paired: whether row i of one side belongs to row i of the other.
        heads: if the rows are outputs of attention heads, side by side: how these make up the attention term.
        clusters: question or template of each row, where several rows of both sides may share one; None: none do.
        known: by name, directions `[d_model]` that are known beforehand, for methods that shrink toward such.

    Raises:
        InputError: wrong shapes, an empty side, values that are not finite, pairs of different number.
    """

    positive: Tensor
    negative: Tensor
    paired: bool = True
    heads: Heads | None = None
    clusters: tuple[str, ...] | None = None
    known: Mapping[str, Tensor] = field(default_factory=dict)
    rounding: float = field(init=False, repr=False)  # see ROUNDING

    def __post_init__(self) -> None:
        bounds = (ROUNDING.get(side.dtype, FINE_ROUNDING) for side in (self.positive, self.negative))
        object.__setattr__(self, "rounding", max(bounds))
        for name in ("positive", "negative"):
            side = getattr(self, name)
            if side.ndim != 2 or not len(side) or not side.shape[1]:
                raise InputError(
                    f"{name}: activations are [n, d_model] with at least one row, not {list(side.shape)}",
                    code="wrong-shape",
                    field=name,
                )
            if not bool(torch.isfinite(side).all()):
                raise InputError(f"{name}: an activation is NaN or infinite", code="not-finite", field=name)
            object.__setattr__(self, name, side.detach().double())
        if self.positive.shape[1] != self.negative.shape[1]:
            raise InputError(
                f"the sides are {self.positive.shape[1]} and {self.negative.shape[1]} wide",
                code="wrong-shape",
                field="negative",
            )
        if self.paired and len(self.positive) != len(self.negative):
            raise InputError(
                f"{len(self.positive)} positive and {len(self.negative)} negative rows cannot be pairs",
                code="wrong-shape",
                field="paired",
            )

    def some(self, columns: slice) -> "Sides":
        """Some columns only, such as those of one head."""
        some = Sides(self.positive[:, columns], self.negative[:, columns], self.paired)
        object.__setattr__(some, "rounding", self.rounding)
        return some

    @property
    def width(self) -> int:
        """d_model."""
        return self.positive.shape[1]

    @property
    def mean_difference(self) -> Tensor:
        """`[d_model]` float64."""
        return self.positive.mean(dim=0) - self.negative.mean(dim=0)

    @property
    def same_mean(self) -> bool:
        """Whether the means differ by no more than rounding, in every coordinate."""
        size = torch.cat([self.positive, self.negative]).square().mean(dim=0).sqrt()
        return bool((self.mean_difference.abs() <= self.rounding * size).all())

    @property
    def axis(self) -> Tensor:
        """`[d_model]` the mean difference at length 1.

        Raises:
            InputError: the sides have the same mean.
        """
        if self.same_mean:
            raise InputError(SAME, code="no-direction", field="data")
        direction: Tensor = self.mean_difference / self.mean_difference.norm()
        return direction

    @cached_property
    def shrunk(self) -> ShrunkDifference:
        """The mean difference, shrunk toward the directions that are known beforehand.

        Raises:
            InputError: fewer than two rows or clusters, sides of different number, a direction without length.
        """
        known = np.stack([row.double().cpu().numpy() for row in self.known.values()])
        clusters = None if self.clusters is None else np.array(self.clusters)
        try:
            return shrunk_difference(
                self.positive.cpu().numpy(), self.negative.cpu().numpy(), known, clusters,
                pairing="natural" if self.paired else "random",
            )  # fmt: skip
        except InputError as error:
            raise error.at(f"shrinking toward {', '.join(self.known)}") from error

    def differences(self, seed: int) -> Tensor:
        """`[min(n, m), d_model]` differences; unpaired rows are matched at random."""
        if self.paired:
            return self.positive - self.negative
        generator, k = torch.Generator().manual_seed(seed), min(len(self.positive), len(self.negative))
        order = [torch.randperm(len(s), generator=generator)[:k].to(s.device) for s in (self.positive, self.negative)]
        return self.positive[order[0]] - self.negative[order[1]]


Data = Mapping[str, Mapping[Site, Sides]]
"""Activations by attribute and site."""


@dataclass(frozen=True)
class SidesMethod(Method):
    """A method that learns from two sides of activations, one vector per text, by attribute and site."""

    material: ClassVar[Material] = "sides"

    @abstractmethod
    def edit(self, sides: Mapping[str, Sides], seed: int) -> StoredEdit:
        """The edit at one site, with one strength per attribute in their order; strength 1 is the method's own."""

    def edits(self, by_site: Mapping[Site, Mapping[str, Sides]], seed: int) -> Mapping[Site, StoredEdit]:
        """Edits at all sites; overridden by methods that look at several sites together."""
        return {site: self.edit(sides, seed) for site, sides in by_site.items()}

    def fit(
        self,
        data: Data,
        *,
        seed: int = 0,
        made_for: ModelFacts | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Steering:
        """Make the steering.

        Args:
            data: activations by attribute and site; every attribute at the same sites.
            seed: of random choices.
            made_for: the model that the activations come from.
            digests: of the training data, by attribute.

        Raises:
            InputError: no attribute or site, attributes at other sites, widths that differ, sides with the same
                mean at every site.
        """
        sites = {frozenset(by_site) for by_site in data.values()}
        if len(sites) != 1 or not next(iter(sites)):
            raise InputError(
                "give at least one attribute, each with activations at the same sites",
                code="missing-value",
                field="data",
            )
        by_site = {site: {name: data[name][site] for name in data} for site in sorted(next(iter(sites)))}
        for site, sides in by_site.items():
            if len({side.width for side in sides.values()}) > 1:
                raise InputError(
                    f"site {site}: the attributes' activations have different widths", code="wrong-shape", field="data"
                )
        for name, own in data.items():
            if all(side.same_mean for side in own.values()):
                raise InputError(f"attribute {name!r}: {SAME}", code="no-direction", field="data")
        edits, origin = self.edits(by_site, seed), self.origin(seed, digests)
        return Steering(edits, dict.fromkeys(data, 1.0), origin, made_for=made_for)

    def learn(self, materials: Materials) -> Sequence[Learned]:
        """One steering, made from the sides at the sites that it reads."""
        data, made_for = materials.sides(self), materials.made_for
        return [Learned(self.fit(data, seed=materials.seed, made_for=made_for, digests=materials.digests))]


def stacked(rows: Mapping[str, Tensor] | list[Tensor]) -> Tensor:
    """`[A, d_model]` float32, one row for each attribute."""
    values: Any = rows.values() if isinstance(rows, Mapping) else rows
    return torch.stack(list(values)).float()


def as_long_as_the_difference(direction: Tensor, sides: Sides) -> Tensor:
    """The direction, pointing to the positive side, as long as the mean difference's component along it.

    So strength 1 means as much as it does for a mean difference: it moves a token as far along the direction as the
        class
    means lie apart.

    Raises:
        InputError: the direction has no length, or is orthogonal to the difference.
    """
    along: Tensor = direction / direction.norm()
    length = float(sides.mean_difference @ along)
    if not torch.isfinite(along).all() or abs(length) <= 1e-9 * float(sides.mean_difference.norm()):
        raise InputError(
            "the two sides do not differ along the fitted direction; give other examples",
            code="no-direction",
            field="data",
        )
    return along * length
