"""What a probe's items say of the model, steered or not."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trimtab.behaviors import Probe, Rendered
from trimtab.errors import InputError
from trimtab.models import Model, Steer
from trimtab.models.scoring import score_variants


def margins(model: Model, probe: Probe, variants: Sequence[tuple[Steer, ...]] = ((),)) -> NDArray[np.float64]:
    """How much likelier the right ending is than the wrong one: the difference of their log-probabilities.

    Args:
        model: any.
        probe: of pairs, such as `Probe.builtin("capability")`.
        variants: edits to measure under, each or none.

    Returns:
        `[variants, n]` nats; above 0 the model has it right.

    Raises:
        InputError: a probe of texts, or an ending without tokens.
    """
    if not probe.examples:
        raise InputError(f"probe {probe.name!r} holds texts, not pairs of endings")
    encode = model.encoder().encode
    rows = encode([Rendered("", e.prompt, e.positive) for e in probe.examples])
    rows += encode([Rendered("", e.prompt, e.negative) for e in probe.examples])
    n = len(probe.examples)
    totals = [s.total.double().cpu().numpy() for s in score_variants(model, rows, list(variants))]
    return np.stack([total[:n] - total[n:] for total in totals])
