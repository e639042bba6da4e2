"""Whether training activations hold one direction: permutation tests, halves that differ, labels that look wrong."""

from collections.abc import Sequence

import numpy as np

from trimtab.behaviors import Example, Part
from trimtab.errors import InputError
from trimtab.measurements.geometry import Geometry
from trimtab.results.consequences import Direction
from trimtab.results.figures import Estimate, estimate
from trimtab.results.report import LabelNoise
from trimtab.statistics import Interval
from trimtab.statistics.direction import heterogeneity, permutation_test
from trimtab.statistics.label_noise import exchanged

_APART, _NOISE, _NAMED = 1.2, 0.03, 5  # least μ/σ and share of exchanged labels; examples named
_ALL = 0.5  # a share that reaches so far is no noise in the labels but no direction
_SHOWN_LETTERS = 70  # of an example that is named


def direction(geometry: Geometry, seed: int, examples: Sequence[Example] = ()) -> Direction:
    """Permutation tests on the training activations of the chosen prompt type.

    Args:
        geometry: the activations.
        seed: of the permutations.
        examples: the training examples, parallel to the rows; without them no halves are shown.
    """
    pairing = "random" if geometry.arbitrary else "natural"
    given = (geometry.positive, geometry.negative, np.array(geometry.clusters))
    try:
        p_value = permutation_test(*given, pairing=pairing, seed=seed)  # type: ignore[arg-type]
        halves = heterogeneity(*given, pairing=pairing, seed=seed)  # type: ignore[arg-type]
    except InputError as error:
        return Direction(reason=f"not with so few examples: {error}")
    return Direction(
        p_value=p_value, halves_cosine=halves.cosine, halves_expected=halves.expected, halves_p_value=halves.p_value,
        halves=_shown(halves.ends, examples) if len(examples) == len(geometry.clusters) else None,
    )  # fmt: skip


def _shown(
    ends: tuple[tuple[int, ...], tuple[int, ...]], examples: Sequence[Example]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The examples at the far ends of two halves, in short."""
    low, high = (tuple(_short(f"{examples[i].prompt}{examples[i].positive}") for i in some) for some in ends)
    return low, high


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_LETTERS else line[: _SHOWN_LETTERS - 1] + "…"


def label_noise(geometry: Geometry, part: Part, seed: int) -> LabelNoise:
    """How many training labels look exchanged, by where each example lies on the direction of the others.

    Args:
        geometry: activations of the training examples.
        part: these examples.
        seed: of the bootstrap.
    """
    projections = geometry.left_out_projections()
    try:
        result = exchanged(projections, seed)
    except InputError as error:
        return LabelNoise(reason=str(error), share=Estimate(reason=str(error)))
    if result.separation < _APART:
        why = "the two sides lie too close together for exchanged labels to be told from hard examples"
        return LabelNoise(reason=why, share=Estimate(reason=why))
    if result.share.high >= _ALL:
        why = "the examples lie along the direction of the others and against it alike, as where there is none"
        return LabelNoise(reason=why, share=Estimate(reason=why))
    seen = result.p_value < 0.01 and result.share.low >= _NOISE
    source = {cluster: e.source for cluster, e in zip(part.clusters, part.examples, strict=True) if e.source}
    clusters = [*geometry.clusters, *geometry.clusters] if geometry.arbitrary else geometry.clusters
    clear = [source[clusters[i]] for i in result.clear if clusters[i] in source][:_NAMED] if seen else []
    share = result.share if seen else Interval(0.0, 0.0, result.share.high)
    return LabelNoise(share=estimate(share, len(projections)), p_value=result.p_value, examples=tuple(clear))
