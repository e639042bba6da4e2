"""How large an edit is, whatever its kind."""

import torch

from trimtab.errors import InputError
from trimtab.experiment.instrument import Floats
from trimtab.experiment.stages import Stages
from trimtab.interventions import Site
from trimtab.models import steer
from trimtab.models.capture import capture
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays


def dose(stages: Stages, steering: Steering, strength: float) -> float:
    """Median norm of what a steering changes in an activation, over an activation's; the largest of its sites.

    Over the last tokens of the dev examples' bare texts, as the unsteered model has them.

    Args:
        stages: of the behavior.
        steering: any edits.
        strength: factor on its default strengths.

    Raises:
        InputError: the edit is too large for a float32 to hold its length.
    """
    row = steer(steering, steering.scaled(strength)).strength
    found = []
    for site, edit in steering.edits.items():
        h = torch.from_numpy(_typical(stages, site)).float()[None]
        moved = (edit(h, row) - h)[0].norm(dim=1).quantile(0.5)
        if not bool(moved.isfinite()):
            told = f"at strength {float(row.abs().max()):g} the edit at site {site} has no finite length"
            raise InputError(f"{told}; give a smaller one")
        found.append(float(moved) / stages.median_norm(site))
    return max(found, default=0.0)


def _typical(stages: Stages, site: Site) -> Floats:
    """`[n, d_model]` last tokens of the dev examples' bare texts at the site."""

    def compute() -> Arrays:
        rows = [row for side in stages.instrument.bare(stages.splits.dev.examples) for row in side]
        return {"h": capture(stages.model, rows, [site], "last").activations[site].cpu().numpy()}

    return stages.step("dose", f"typical activations {site}", compute, 0)["h"]
