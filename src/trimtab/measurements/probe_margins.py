"""How a model, steered or not, does on the items of a probe."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trimtab.behaviors import Probe
from trimtab.errors import InputError
from trimtab.experiment.instrument import SIDES, Treatment, by_prompt_prefix
from trimtab.models import Model, Unsteered
from trimtab.models.scoring import score_variants
from trimtab.texts import Rendered


def margins(
    model: Model, probe: Probe, treatments: Sequence[Treatment] = (Treatment(),), unsteered: Unsteered | None = None
) -> NDArray[np.float64]:
    """How much likelier the right ending is than the wrong one: the difference of their log-probabilities.

    Args:
        model: any.
        probe: of pairs, such as `Probe.builtin("capability")`.
        treatments: what to measure under.
        unsteered: what earlier calls with the same probe left behind; of treatments without text in front of prompts.

    Returns:
        `[treatments, n]` nats; above 0 the model has it right.

    Raises:
        InputError: a probe of texts, or an ending without tokens.
    """
    if not probe.examples:
        raise InputError(
            f"probe {probe.name!r} consists of texts; give a probe of pairs of endings, such as “capability”"
        )
    n, values = len(probe.examples), np.zeros((len(treatments), len(probe.examples)))
    for prompt_prefix, same in by_prompt_prefix(treatments):
        texts = [Rendered(prompt_prefix, e.prompt, getattr(e, side)) for side in SIDES for e in probe.examples]
        below = None if prompt_prefix else unsteered
        rows, variants = model.encoder().encode(texts), [treatments[i].steers for i in same]
        scores = score_variants(model, rows, variants, unsteered=below)
        for i, s in zip(same, scores, strict=True):
            total = s.total.double().cpu().numpy()
            values[i] = total[:n] - total[n:]
    return values
