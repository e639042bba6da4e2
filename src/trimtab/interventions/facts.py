"""Which model something was made for, and whether another one will do."""

from dataclasses import dataclass
from typing import Literal, Protocol

from trimtab.errors import InputError

Fit = Literal["exact", "architecture"]


class KnownModel(Protocol):
    """What `ModelFacts.fit` needs to know of a model; `trimtab.Model` is one.

    The digest is compared first, since computing the facts may take a while.

    Example:
        >>> import trimtab as tt
        >>> model = tt.load("smollm2")
        >>> len(model.digest), model.facts.n_blocks
        (64, 30)
    """

    @property
    def digest(self) -> str:
        """Digest of its weights."""
        ...

    @property
    def facts(self) -> "ModelFacts":
        """The model as artifacts record it."""
        ...


@dataclass(frozen=True)
class ModelFacts:
    """A model as artifacts record it.

    Args:
        id: its name.
        revision: commit on the Hub, if it came from there.
        architecture: class of the transformers model.
        d_model: width of the residual stream.
        n_blocks: number of decoder blocks.
        digest: of the weights, see `Model.digest`.
        shapes: SHA-256 over names and shapes of all weights.

    Example:
        >>> import trimtab as tt
        >>> model = tt.load("smollm2")
        >>> model.facts.d_model, model.facts.fit(model)
        (576, 'exact')
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
            InputError: neither; the message says what differs.
        """
        if self.digest == model.digest:  # asked before every steered call, so nothing more is computed for it
            return "exact"
        here = model.facts
        if self.shapes == here.shapes:
            return "architecture"
        names = ("architecture", "d_model", "n_blocks")
        differences = [
            f"{n} {getattr(self, n)} instead of {getattr(here, n)}"
            for n in names
            if getattr(self, n) != getattr(here, n)
        ]
        what = ", ".join(differences) or "weights of other names or shapes"
        raise InputError(f"the steering was made for {self.id}, which has {what}; it cannot steer {here.id}")
