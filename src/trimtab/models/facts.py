"""Which model something was made for, and whether another one will do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.models.model import Model

Fit = Literal["exact", "architecture"]


@dataclass(frozen=True)
class ModelFacts:
    """A model as artifacts remember it.

    Args:
        id: its name.
        revision: commit on the Hub, if it came from there.
        architecture: class of the transformers model.
        d_model: width of the residual stream.
        n_blocks: number of decoder blocks.
        digest: of the weights, see `Model.digest`.
        shapes: SHA-256 over names and shapes of all weights.
    """

    id: str
    revision: str | None
    architecture: str
    d_model: int
    n_blocks: int
    digest: str
    shapes: str

    def fit(self, model: "Model") -> Fit:
        """How well a model fits: `exact` (the same weights) or `architecture` (their names and shapes).

        Raises:
            InputError: neither; says what differs.
        """
        if self.digest == model.digest:  # asked before every steered call, so nothing more is computed for it
            return "exact"
        here = model.facts
        if self.shapes == here.shapes:
            return "architecture"
        names = ("architecture", "d_model", "n_blocks")
        odd = [
            f"{n} {getattr(self, n)} instead of {getattr(here, n)}"
            for n in names
            if getattr(self, n) != getattr(here, n)
        ]
        raise InputError(
            f"the steering was made for {self.id}, which has {', '.join(odd) or 'weights of other names or shapes'}; "
            f"it cannot steer {here.id}"
        )

    def ensure(self, model: "Model", allow_mismatch: bool) -> None:
        """Refuse a model that does not fit exactly, unless its architecture does and that is allowed.

        Raises:
            InputError: it does not fit.
        """
        if self.fit(model) != "exact" and not allow_mismatch:
            half = model.dtype == torch.float16
            what = "nothing was measured on these, unless they are the same and the steering was made in float16"
            if half:
                what = (
                    "float16 rounds the same weights to others; load the model as float32 or bfloat16 (--dtype), which "
                    "count as the same"
                )
            raise InputError(
                f"the steering was made for {self.id} (weights {self.digest[:12]}), and {model.id}"
                f"{', loaded as float16,' if half else ''} has other weights ({model.digest[:12]}) of the same shapes; "
                f"{what}. To try them, load the steering with allow_mismatch=True (--allow-mismatch), and check it"
            )
