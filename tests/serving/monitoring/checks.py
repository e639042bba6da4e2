"""Checks without a model, for canaries that are held against them."""

from typing import Any

import numpy as np

from trimtab.behaviors import Example
from trimtab.interventions import AnswerScore
from trimtab.serving.monitoring import Checked
from trimtab.statistics.contrast import Contrast


def checked(effects: Any, *, base: Any = None, noise: float = 1e-3, **fields: Any) -> Checked:
    """A check whose rows had these effects, half of each on either answer; their intervals are the check's."""
    rows = np.asarray(effects, dtype=np.float64)
    n = len(rows)
    clusters = fields.pop("clusters", tuple(map(str, range(n))))
    pairing = fields.pop("pairing", "natural")
    contrast = Contrast(rows / 2, -rows / 2, clusters, pairing, acting=fields.get("acting"))
    given: dict[str, Any] = {
        "name": "kind", "artifact": "5f2c", "attributes": {"kind": 1.0}, "scope": "all", "unit": "nats/token",
        "choices": False, "chat_template": False, "seed": 0,
        "examples": tuple(Example(f"Row {i}", " yes", " no", source=f"rows:{i + 1}") for i in range(n)),
    }  # fmt: skip
    return Checked(
        **(given | fields), clusters=clusters, pairing=pairing, base=np.zeros(n) if base is None else base,
        positive=rows / 2, negative=-rows / 2, noise=noise, largest_noise=2 * noise, effect=contrast.mean(),
        anti_steerable=contrast.below_zero(),
    )  # fmt: skip


def scores_of(effects: Any, base: Any = None, kappa: Any = None, acts: Any = None) -> list[AnswerScore]:
    """What an engine says where rows have these effects now, with answers of two tokens, and are acted on or not."""
    rows = np.asarray(effects, dtype=np.float64)
    plain = np.zeros(len(rows)) if base is None else base
    found = []
    for i, (effect, m) in enumerate(zip(rows.tolist(), plain.tolist(), strict=True)):
        for sign in (1, -1):
            own = {} if kappa is None else {"kind": {"1": float(kappa[i]) + (0.0 if sign > 0 else 100.0)}}
            b = -5.0 + sign * m / 2
            acted = acts is None or bool(acts[i])
            found.append(AnswerScore(2, 2 * b, 2 * (b + sign * effect / 2), projections=own, acts=acted))
    return found
