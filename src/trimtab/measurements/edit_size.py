"""How large an edit is, whatever its kind."""

import torch

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.measurements.activations import median_norm, typical
from trimtab.models import steer
from trimtab.steering import Steering


def dose(on: Experiment, steering: Steering, strength: float) -> float:
    """Median norm of what a steering changes in an activation, over an activation's; the largest of its sites.

    Over the last tokens of the dev examples' bare texts, as the unsteered model has them.

    Args:
        on: the behavior's experiment.
        steering: any edits.
        strength: factor on its default strengths.

    Raises:
        InputError: the edit is too large for a float32 to hold its length.
    """
    row = steer(steering, steering.scaled(strength)).strength
    found = []
    for site, edit in steering.edits.items():
        h = torch.from_numpy(typical(on, site)).float()[None]
        moved = (edit(h, row) - h)[0].norm(dim=1).quantile(0.5)
        if not bool(moved.isfinite()):
            told = f"at strength {float(row.abs().max()):g} the edit at site {site} has no finite length"
            raise InputError(f"{told}; give a smaller one")
        found.append(float(moved) / median_norm(on, site))
    return max(found, default=0.0)
