"""Whether a model may be steered by a steering that was made for a certain one."""

from typing import TYPE_CHECKING

import torch

from trimtab.errors import InputError
from trimtab.interventions import Steerable

if TYPE_CHECKING:
    from trimtab.models.model import Model


def ensure_fits(steering: Steerable, model: "Model") -> None:
    """Check that a model is the one a steering was made for, or at least has its shapes, if a mismatch is allowed.

    Raises:
        InputError: it does not fit.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.models import ensure_fits
        >>> model = tt.load("smollm2")
        >>> steering = tt.Steering.from_vector(14, torch.ones(model.d_model), made_for=model.facts)
        >>> ensure_fits(steering, model)  # raises InputError if it does not
    """
    facts = steering.made_for
    if facts is None or facts.fit(model) == "exact" or steering.allow_mismatch:
        return
    half = model.dtype == torch.float16
    what = "nothing was measured with these, unless they are the same ones and the steering was made in float16"
    if half:
        what = (
            "float16 rounds the same weights to others; load the model as float32 or bfloat16, which count as the same"
        )
    raise InputError(
        f"the steering was made for {facts.id} (weights {facts.digest[:12]}), and {model.id}"
        f"{', loaded as float16,' if half else ''} has other weights ({model.digest[:12]}) of the same shapes; "
        f"{what}. To try them, load the steering with allow_mismatch=True, and check it",
        code="other-weights",
        field="dtype" if half else "allow_mismatch",
    )
