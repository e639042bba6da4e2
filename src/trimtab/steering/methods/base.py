"""What every method has in common, whatever it learns from: sides of activations, tokens, or text."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch

from trimtab.interventions import Component, ModelFacts, Site
from trimtab.steering.mat_steer import Trained
from trimtab.steering.mat_steer.training import PromptMaterial as Progress
from trimtab.steering.steering import Origin, Steering

if TYPE_CHECKING:
    from trimtab.steering.methods.prompting import PromptMaterial
    from trimtab.steering.methods.sides import Data
    from trimtab.steering.methods.tokens import TokenData, Which

Material = Literal["sides", "tokens", "text"]


@dataclass(frozen=True, eq=False)
class Learned:
    """A steering as a method makes it, at strength 1.

    Args:
        steering: an attribute for every behavior.
        by_site: curves and gate statistics, of methods that train on tokens.
    """

    steering: Steering
    by_site: Mapping[Site, Trained] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenGroup:
    """Sites that are trained together, with what is trained on there.

    Args:
        title: of the training, for messages.
        data: tokens of training examples by attribute and site.
        dev: the same of held-out ones.
        folder: keeps the state of an unfinished training; None for nowhere.
    """

    title: str
    data: "TokenData"
    dev: "TokenData"
    folder: Path | None


class Materials(Protocol):
    """Behaviors on a model, from which a method takes what it learns from."""

    @property
    def seed(self) -> int:
        """Of all random choices."""
        ...

    @property
    def made_for(self) -> ModelFacts:
        """The model."""
        ...

    @property
    def digests(self) -> Mapping[str, str]:
        """Of the training data, by attribute."""
        ...

    @property
    def device(self) -> torch.device:
        """Where to train."""
        ...

    @property
    def progress(self) -> Progress:
        """Is told of every epoch."""
        ...

    def sides(self, method: "Method") -> "Data":
        """Activations of both sides by attribute, at the sites that the method reads."""
        ...

    def tokens(self, method: "Method", which: "Which", blocks: int) -> "Sequence[TokenGroup]":
        """Tokens of both sides: one group of the sites that were given, or one for each of the best blocks."""
        ...

    def texts(self) -> "Mapping[str, PromptMaterial]":
        """What each attribute can be asked by."""
        ...

    def those_that_work(self, attempts: Sequence[tuple[str, Callable[[], Learned]]]) -> list[Learned]:
        """What attempts give, by their titles; those that cannot be made are told, unless none can."""
        ...


@dataclass(frozen=True)
class Method(ABC):
    """A way to make a steering; its fields are its hyperparameters. See `SidesMethod`, `TokenMethod`, `PromptMethod`.

    `name` stands in artifacts and on the command line, `source` says where it comes from and what was assumed where
    the source is silent, `material` what it learns from. `reads` is the component whose activations it is given, and
    `all_blocks` says that it looks at all blocks where no site is named; others get the one block that does best on
    dev. `needs_condition` makes `fit` ask for prompts that the attributes shall act on, and for others.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    material: ClassVar[Material]
    reads: ClassVar[Component | None] = None
    all_blocks: ClassVar[bool] = False
    needs_condition: ClassVar[bool] = False

    @abstractmethod
    def learn(self, given: Materials) -> Sequence[Learned]:
        """The steering; several where the method leaves the choice between them to dev.

        Raises:
            InputError: what is given cannot be learned from.
        """

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """By name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def origin(self, seed: int | None, digests: Mapping[str, str] | None) -> Origin:
        """How a steering of this method came about."""
        return Origin(self.name, self.hyperparameters, seed, dict(digests or {}))
