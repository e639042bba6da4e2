"""What all methods have in common, whether they learn from sides of activations, from tokens, or from text."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch

from trimtab.interventions import Component, ModelFacts, Site
from trimtab.phrases import Phrase
from trimtab.statistics import Interval
from trimtab.steering.mat_steer import Trained
from trimtab.steering.mat_steer.training import Progress
from trimtab.steering.steering import Origin, Steering

if TYPE_CHECKING:
    from trimtab.steering.methods.prompting import PromptMaterial
    from trimtab.steering.methods.sides import Data, Sides
    from trimtab.steering.methods.tokens import TokenData, Which

Material = Literal["sides", "tokens", "text"]


@dataclass(frozen=True)
class TriedText:
    """A text in front of prompts, as dev shows it.

    Args:
        text: for the behavior, and against it.
        n: dev examples that it was tried on; fewer than others where it was plainly behind.
        effect: mean effect on them.
        wrong: share of them pushed the wrong way.
        taken: whether it is the one.
    """

    text: tuple[str, str]
    n: int
    effect: Interval
    wrong: Interval
    taken: bool


@dataclass(frozen=True, eq=False)
class Learned:
    """What a method returns: a steering whose strength 1 is the method's own.

    Args:
        steering: with an attribute for every behavior.
        by_site: training curves and gate statistics; empty unless the method trains on tokens.
        tried: by attribute, texts that a search has tried; empty unless the method searches.
        rival: whether it is the plain one, which others of its method have to beat for certain on dev.
        notes: what to say of it if it is taken.
    """

    steering: Steering
    by_site: Mapping[Site, Trained] = field(default_factory=dict)
    tried: Mapping[str, Sequence[TriedText]] = field(default_factory=dict)
    rival: bool = False
    notes: tuple[Phrase, ...] = ()


@dataclass(frozen=True, eq=False)
class PromptedSides:
    """Activations of one behavior's examples at one site, each with what its prompt looks like to the model.

    Args:
        name: the behavior's.
        site: where both sides were read, and where to steer.
        sides: of the examples.
        prompts: `[n, d_model]` mean activations of their prompts, as conditions read them.
        prompts_site: where these were read.
        texts: their prompts.
        clusters: cluster of each example.
    """

    name: str
    site: Site
    sides: "Sides"
    prompts: torch.Tensor
    prompts_site: Site
    texts: tuple[str, ...]
    clusters: tuple[str, ...]


@dataclass(frozen=True)
class TokenGroup:
    """Sites that are trained together, with their training data.

    Args:
        title: name of the training, for messages.
        data: tokens of training examples by attribute and site.
        dev: tokens of held-out examples.
        folder: where the state of an unfinished training is kept; None to keep none.
    """

    title: str
    data: "TokenData"
    dev: "TokenData"
    folder: Path | None


class Materials(Protocol):
    """Access to the data of behaviors on a model; a method takes what it learns from."""

    @property
    def seed(self) -> int:
        """Seed of all random choices."""
        ...

    @property
    def made_for(self) -> ModelFacts:
        """The model that the activations come from."""
        ...

    @property
    def digests(self) -> Mapping[str, str]:
        """Digests of the training data by attribute."""
        ...

    @property
    def device(self) -> torch.device:
        """The device to train on."""
        ...

    @property
    def progress(self) -> Progress:
        """Called after every epoch."""
        ...

    def sides(self, method: "Method") -> "Data":
        """Activations of both sides by attribute, at the sites that the method reads."""
        ...

    def tokens(self, method: "Method", which: "Which", blocks: int) -> "Sequence[TokenGroup]":
        """Tokens of both sides: one group for the requested sites, or one for each of the best blocks."""
        ...

    def prompted(self, method: "Method", blocks: int) -> Sequence[PromptedSides]:
        """Activations with those of the prompts, of a single behavior: at each requested site, or at some blocks."""
        ...

    def texts(self) -> "Mapping[str, PromptMaterial]":
        """Instructions and solved examples for each attribute."""
        ...

    def tried(self, candidates: Mapping[str, Sequence[tuple[str, str]]]) -> Mapping[str, Sequence[TriedText]]:
        """By attribute, texts for it and against it, as dev shows them; the one that does best is marked."""
        ...

    def those_that_work(self, attempts: Sequence[tuple[str, Callable[[], Learned]]]) -> list[Learned]:
        """Results of the attempts that succeed; failed ones are noted by title, and raise if all fail."""
        ...


@dataclass(frozen=True)
class Method(ABC):
    """A way to make a steering; its fields are its hyperparameters. See `SidesMethod`, `TokenMethod`, `PromptMethod`.

    `name` is used in artifacts and on the command line; `source` cites the paper and lists what was assumed where it is
    silent; `material` says what the method learns from. `reads` is the component whose activations it needs.
    `all_blocks` means that it uses all blocks if no site is named; other methods get the one block that does best on
    dev. `needs_condition` makes `fit` ask for prompts that the attributes should act on and for prompts they should
    not. `routes` means that it may give one behavior several attributes, each with a condition of its own.
    `candidates` are settings that comparisons try on dev where none are given: different things, a few of each.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    material: ClassVar[Material]
    reads: ClassVar[Component | None] = None
    all_blocks: ClassVar[bool] = False
    needs_condition: ClassVar[bool] = False
    routes: ClassVar[bool] = False
    candidates: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)

    @abstractmethod
    def learn(self, materials: Materials) -> Sequence[Learned]:
        """Make the steering; or several, if the choice between them is left to dev.

        Raises:
            InputError: the data cannot be learned from.
        """

    @property
    def last_tokens(self) -> int | None:
        """How many of each text's last tokens its vector is the mean of; None to read texts as checks read them."""
        return None

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Hyperparameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def origin(self, seed: int | None, digests: Mapping[str, str] | None) -> Origin:
        """The origin of a steering made by this method."""
        return Origin(self.name, self.hyperparameters, seed, dict(digests or {}))
