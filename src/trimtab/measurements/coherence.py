"""Whether training activations share one direction: permutation tests, halves that differ, labels that look wrong."""

from collections.abc import Sequence

import numpy as np

from trimtab.behaviors import Example, Part
from trimtab.errors import InputError
from trimtab.measurements.geometry import Geometry
from trimtab.phrases import Phrase
from trimtab.results.consequences import Direction
from trimtab.results.figures import Estimate, estimate
from trimtab.results.report import LabelNoise
from trimtab.statistics import Interval
from trimtab.statistics.direction import heterogeneity, permutation_test
from trimtab.statistics.label_noise import exchanged_labels

_MIN_SEPARATION, _MIN_SHARE, _MAX_NAMED = 1.2, 0.03, 5  # μ/σ, share of exchanged labels, examples named
_MAX_SHARE = 0.5  # a share that reaches it means that there is no direction, not that labels are noisy
_MAX_LETTERS = 70  # of an example that is named


def direction(geometry: Geometry, seed: int, examples: Sequence[Example] = ()) -> Direction:
    """Permutation tests on the training activations of the chosen prompt type.

    Args:
        geometry: the activations.
        seed: of the permutations.
        examples: the training examples; without them no examples of the halves are shown.
    """
    pairing = "random" if geometry.arbitrary else "natural"
    activations = (geometry.positive, geometry.negative, np.array(geometry.clusters))
    try:
        p_value = permutation_test(*activations, pairing=pairing, seed=seed)  # type: ignore[arg-type]
        halves = heterogeneity(*activations, pairing=pairing, seed=seed)  # type: ignore[arg-type]
    except InputError as error:
        return Direction(reason=Phrase("too few examples: {error}", error=error.message))
    return Direction(
        p_value=p_value, halves_cosine=halves.cosine, halves_expected=halves.expected, halves_p_value=halves.p_value,
        halves=_shown(halves.ends, [examples[i] for i in geometry.examples]) if examples else None,
    )  # fmt: skip


def _shown(
    ends: tuple[tuple[int, ...], tuple[int, ...]], examples: Sequence[Example]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The examples at the far ends of two halves, in short."""
    low, high = (tuple(in_short(f"{examples[i].prompt}{examples[i].positive}") for i in some) for some in ends)
    return low, high


def in_short(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LETTERS else line[: _MAX_LETTERS - 1] + "…"


def label_noise(geometry: Geometry, part: Part, seed: int) -> LabelNoise:
    """How many training labels look exchanged, by where each example lies on the direction of the others.

    Args:
        geometry: activations of the training examples.
        part: these examples.
        seed: of the bootstrap.
    """
    projections, clusters = geometry.left_out_projections()
    try:
        labels = exchanged_labels(projections, seed)
    except InputError as error:
        return LabelNoise(reason=error.message, share=Estimate(reason=error.message))
    if labels.separation < _MIN_SEPARATION:
        why = Phrase("the two sides lie too close together to distinguish exchanged labels from hard examples")
        return LabelNoise(reason=why, share=Estimate(reason=why))
    if labels.share.high >= _MAX_SHARE:
        why = Phrase(
            "as many examples lie against the direction of the others as along it, as if there were no direction"
        )
        return LabelNoise(reason=why, share=Estimate(reason=why))
    is_noisy = labels.p_value < 0.01 and labels.share.low >= _MIN_SHARE
    source = {cluster: e.source for cluster, e in zip(part.clusters, part.examples, strict=True) if e.source}
    clear = [source[clusters[i]] for i in labels.clear if clusters[i] in source][:_MAX_NAMED] if is_noisy else []
    share = labels.share if is_noisy else Interval(0.0, 0.0, labels.share.high)
    return LabelNoise(share=estimate(share, len(projections)), p_value=labels.p_value, examples=tuple(clear))
