"""How large an edit is, whatever its kind."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from trimtab.errors import NotFiniteError
from trimtab.experiment.experiment import Experiment
from trimtab.interventions import Site
from trimtab.measurements.activations import median_norm
from trimtab.measurements.activations import typical as typical_of
from trimtab.models import Encoded, Model, steer
from trimtab.models.capture import capture
from trimtab.phrases import Phrase
from trimtab.steering import Steering

Typical = Callable[[Site], tuple[Tensor, float]]
"""By site: float32 activations `[n, d_model]` of the texts' last tokens, and the norm of a typical token there."""


def edit_size_ratio(on: Experiment, steering: Steering, strength: float) -> float:
    """Median norm of what a steering changes in an activation, over an activation's; the largest of its sites.

    Over the last tokens of the dev examples' bare texts, as the unsteered model has them.

    Args:
        on: the behavior's experiment.
        steering: any edits.
        strength: factor on its default strengths.

    Raises:
        NotFiniteError: the edit is too large for a float32 to hold its length.
    """
    return _size(
        steering,
        steer(steering, steering.scaled(strength)).strength,
        lambda site: (torch.from_numpy(typical_of(on, site)).float(), median_norm(on, site)),
    )


def edit_size_ratio_of_texts(model: Model, rows: Sequence[Encoded], steering: Steering, strength: Any = None) -> float:
    """The same on texts of one's own.

    Args:
        model: see `trimtab.load`.
        rows: at least one; their last tokens are used.
        steering: any edits.
        strength: of each attribute; see `trimtab.models.steer`.

    Raises:
        NotFiniteError: the edit, or the activation that it makes, is beyond what the model computes in.
    """
    row, sites = steer(steering, strength).strength, sorted(steering.edits)
    if not sites:
        return 0.0
    captured = capture(model, rows, sites, "last")
    for site in sites:
        h = captured.activations[site]
        after = steering.edits[site](h.to(model.dtype)[None], row.to(h.device))
        if not bool(after.float().square().sum(dim=-1).isfinite().all()):
            raise _no_length(site, row)

    def typical(site: Site) -> tuple[Tensor, float]:
        h, norms = captured.activations[site].cpu(), captured.norms[site].cpu()
        norms = torch.where(norms.isnan(), h.norm(dim=1), norms)  # a text of its first token alone
        return h, float(norms.quantile(0.5))

    return _size(steering, row, typical)


def _size(steering: Steering, row: Tensor, typical: Typical) -> float:
    ratios = []
    for site, edit in steering.edits.items():
        h, norm = typical(site)
        change = (edit(h[None], row) - h[None])[0].norm(dim=1).quantile(0.5)
        if not bool(change.isfinite()):
            raise _no_length(site, row)
        ratios.append(float(change) / norm)
    return max(ratios, default=0.0)


def _no_length(site: Site, row: Tensor) -> NotFiniteError:
    return NotFiniteError(
        Phrase(
            "at strength {strength} the edit at site {site} has no finite length; give a smaller one",
            strength=f"{float(row.abs().max()):g}",
            site=str(site),
        ),
        field="strength",
    )
