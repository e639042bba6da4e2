"""What methods have in common that learn from every token of the answers, for all attributes together."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, get_args

import torch

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts, Site
from trimtab.models.journal import stem
from trimtab.steering.mat_steer import Trained
from trimtab.steering.mat_steer.data import CPU, TokenSides
from trimtab.steering.mat_steer.training import Progress
from trimtab.steering.methods.base import Learned, Material, Materials, Method, TokenGroup
from trimtab.steering.steering import Steering

TokenData = Mapping[str, Mapping[Site, TokenSides]]
"""Tokens by attribute and site."""
Which = Literal["response", "all", "last"]


@dataclass(frozen=True)
class TokenMethod(Method):
    """A method that learns from the tokens of both sides of every attribute, not from one vector per text."""

    material: ClassVar[Material] = "tokens"
    tokens: Which = "response"
    """Which tokens of the training texts: those of the `response`; `all` but those that both sides share; or the
    `last`."""
    blocks: int = 1
    """If no site is named: at how many blocks to train. The blocks that do best by mean difference are tried, and the
    best of them on dev is taken."""

    def __post_init__(self) -> None:
        if self.tokens not in get_args(Which):
            raise InputError(
                f"tokens {self.tokens!r} must be one of {', '.join(get_args(Which))}",
                code="unknown-choice",
                field="options.tokens",
            )
        if self.blocks < 1:
            raise InputError(f"blocks {self.blocks!r} must be at least 1", code="out-of-range", field="options.blocks")

    @abstractmethod
    def at_site(
        self,
        data: Mapping[str, TokenSides],
        dev: Mapping[str, TokenSides] | None,
        seed: int,
        checkpoint: Path | None,
        progress: Progress | None,
        device: torch.device,
    ) -> Trained:
        """The edit at one site, with its training curves and statistics; arguments as for `fit_tokens`."""

    def fit_tokens(
        self,
        data: TokenData,
        dev: TokenData | None = None,
        *,
        seed: int = 0,
        made_for: ModelFacts | None = None,
        digests: Mapping[str, str] | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
        device: torch.device = CPU,
    ) -> Learned:
        """Train at every site separately.

        Args:
            data: tokens by attribute and site; every attribute at the same sites.
            dev: held-out tokens of the same attributes, for early stopping and the statistics.
            seed: of all random choices.
            made_for: the model that the activations come from.
            digests: of the training data, by attribute.
            folder: where the state of unfinished trainings is kept.
            progress: called after every epoch.
            device: where to train, such as the model's.

        Raises:
            InputError: no attribute or site, attributes at other sites, tokens that cannot be used.
            GateCollapse: an attribute's gates stay shut where they should open.
        """
        sites = {frozenset(by_site) for by_site in data.values()}
        if len(sites) != 1 or not next(iter(sites)):
            raise InputError(
                "give at least one attribute, each with tokens at the same sites", code="missing-value", field="data"
            )
        if dev is not None and list(dev) != list(data):
            raise InputError(
                f"dev has the attributes {', '.join(dev)} and the data {', '.join(data)}; give the same",
                code="conflicting-arguments",
                field="dev",
            )
        by_site = {}
        for site in sorted(next(iter(sites))):
            by_site[site] = self.at_site(
                {name: own[site] for name, own in data.items()},
                None if dev is None else {name: own[site] for name, own in dev.items()},
                seed,
                None if folder is None else folder / stem(site),
                progress,
                device,
            )
        edits, origin = {site: trained.edit for site, trained in by_site.items()}, self.origin(seed, digests)
        return Learned(Steering(edits, dict.fromkeys(data, 1.0), origin, made_for=made_for), by_site)

    def learn(self, materials: Materials) -> Sequence[Learned]:
        """A steering for each group of sites."""

        def trained(group: TokenGroup) -> Learned:
            return self.fit_tokens(
                group.data, group.dev, seed=materials.seed, made_for=materials.made_for, digests=materials.digests,
                folder=group.folder, progress=materials.progress, device=materials.device,
            )  # fmt: skip

        groups = materials.tokens(self, self.tokens, self.blocks)
        return materials.those_that_work([(group.title, partial(trained, group)) for group in groups])
