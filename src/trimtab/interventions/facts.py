"""Which model something was made for, and whether another one will do."""

from dataclasses import dataclass
from typing import Literal, Protocol

from trimtab.errors import InputError

Fit = Literal["exact", "architecture"]


class KnownModel(Protocol):
    """What is asked of a model to know whether it is the one; asked in this order, since facts may take a while."""

    @property
    def digest(self) -> str:
        """Of its weights."""
        ...

    @property
    def facts(self) -> "ModelFacts":
        """As artifacts remember it."""
        ...


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

    def fit(self, model: KnownModel) -> Fit:
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
