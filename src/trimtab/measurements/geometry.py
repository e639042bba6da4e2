"""The geometry of training activations: what a prompt type looks like before anything is steered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.experiment.instrument import Floats
from trimtab.phrases import Phrase
from trimtab.results.figures import Estimate, estimate
from trimtab.statistics import (
    Interval,
    SeparabilityInterval,
    agreement_interval,
    directional_agreement,
    projection,
    rematched_agreement,
    separability,
    separability_interval,
)

CAME_FINISHED = Phrase("the steering came finished, without its training activations")
_MISSING = Estimate(reason=CAME_FINISHED)
NO_GEOMETRY: Mapping[str, object] = {
    "directional_agreement_loo": _MISSING,
    "separability_held_out": _MISSING,
    "auroc_held_out": _MISSING,
}


def attempted(measure: Callable[[], Interval], n: int) -> Estimate:
    """An interval as a record; not measured, with the reason, where the examples are too few for it."""
    try:
        return estimate(measure(), n)
    except InputError as error:
        return Estimate(reason=Phrase("too few examples: {error}", error=error.message))


@dataclass(frozen=True, eq=False)
class Geometry:
    """Activations of the training examples under one prompt type at the site.

    Args:
        positive: `[n, d_model]` of the positive contexts.
        negative: `[n, d_model]` of the negative ones.
        clusters: cluster of each row.
        arbitrary: True where row i of one side does not belong to row i of the other.
        n_massive: massive activations left out: tokens of means, or examples of which one token was read.
        texts: of arbitrary pairs the text of each row, by side: texts of a shorter list are in several rows.
        kept: number of the training example of each row; None where no row was left out.
    """

    positive: Floats
    negative: Floats
    clusters: tuple[str, ...]
    arbitrary: bool
    n_massive: int
    texts: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    kept: tuple[int, ...] | None = None

    def without_massive(self, massive: NDArray[np.generic] | None) -> "Geometry":
        """Without the rows that have a massive activation on either side, if most rows are left.

        Where most are, that is how the model represents such tokens, and leaving them out would leave nothing.
        """
        if massive is None or not massive.any() or 2 * massive.sum() >= len(massive):
            return self
        return replace(self.without(massive.astype(bool)), n_massive=int(massive.sum()))

    def without(self, rows: NDArray[np.bool_]) -> "Geometry":
        """The same without some rows."""
        left = ~rows
        clusters, *texts = (tuple(compress(of_rows, left)) for of_rows in (self.clusters, *(self.texts or ())))
        sides = (texts[0], texts[1]) if texts else None
        return replace(
            self, positive=self.positive[left], negative=self.negative[left], clusters=clusters, texts=sides,
            kept=tuple(compress(self.examples, left)),
        )  # fmt: skip

    @property
    def examples(self) -> Sequence[int]:
        """Number of the training example of each row."""
        return range(len(self.clusters)) if self.kept is None else self.kept

    @property
    def distinct(self) -> tuple[list[int], list[int]]:
        """The first row of each text, of either side; every row where rows are pairs."""
        if self.texts is None:
            rows = list(range(len(self.clusters)))
            return rows, rows
        positive, negative = (sorted(np.unique(side, return_index=True)[1].tolist()) for side in self.texts)
        return positive, negative

    @property
    def differences(self) -> Floats:
        """`[n, d_model]`."""
        return self.positive - self.negative

    @property
    def vector(self) -> Floats:
        """`[d_model]` mean difference."""
        return np.asarray(self.differences.mean(axis=0))

    def left_out_projections(self) -> tuple[Floats, tuple[str, ...]]:
        """Where each example lies on the unit direction of all clusters but its own, and its cluster.

        `[n]` projections of differences; of arbitrary pairs those of all positive texts from the middle, and of all
        negative ones with their sign turned, each text once.
        """
        _, code = np.unique(self.clusters, return_inverse=True)
        sums = np.zeros((int(code.max()) + 1, self.differences.shape[1]))
        np.add.at(sums, code, self.differences)
        others = (sums.sum(axis=0) - sums)[code]
        others /= np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-30)
        if not self.arbitrary:
            return np.asarray(np.einsum("nd,nd->n", self.differences, others)), self.clusters
        middle = (self.positive.mean(axis=0) + self.negative.mean(axis=0)) / 2
        sides = (self.positive - middle, middle - self.negative)
        projections = [
            np.einsum("nd,nd->n", side, others)[rows] for side, rows in zip(sides, self.distinct, strict=True)
        ]
        return np.concatenate(projections), tuple(self.clusters[i] for rows in self.distinct for i in rows)

    def agreement(self, seed: int, level: float = 0.95) -> Interval:
        """Leave-one-out directional agreement; over 50 re-matchings where the matching is arbitrary."""
        fixed = agreement_interval(self.differences, np.array(self.clusters), level)
        if not self.arbitrary:
            return fixed
        positive, negative = self.distinct
        mean, _ = rematched_agreement(self.positive[positive], self.negative[negative], seed)
        shift = mean - fixed.value
        return Interval(mean, fixed.low + shift, fixed.high + shift)

    def summary(self, seed: int, level: float) -> dict[str, object]:
        """The part of a prompt type's record that needs no steering."""
        n = len(set(self.clusters))
        labels = np.array(self.clusters)
        sides = (np.char.add("+", labels), np.char.add("-", labels)) if self.arbitrary else (labels, None)
        centre = self.positive.mean(axis=0), self.negative.mean(axis=0)

        @cache  # one fit gives both figures
        def held_out() -> SeparabilityInterval:
            return separability_interval(self.positive, self.negative, *sides, seed=seed, level=level)

        return {
            "directional_agreement": directional_agreement(self.differences),
            "directional_agreement_loo": attempted(lambda: self.agreement(seed, level), n),
            "separability": separability(projection(self.positive, *centre), projection(self.negative, *centre)),
            "separability_held_out": attempted(lambda: held_out().separability, n),
            "auroc_held_out": attempted(lambda: held_out().auroc, n),
            "n_massive": self.n_massive,
        }


def cosine_types(vectors: Mapping[str, Floats]) -> tuple[Sequence[str], Floats]:
    """Names and vectors, stacked, in the order of the seven types."""
    return [str(t) for t in vectors], np.stack(list(vectors.values()))
