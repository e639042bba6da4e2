"""What methods have in common that learn from every token of the answers, of all attributes together."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from trimtab.errors import InputError
from trimtab.models import ModelFacts, Site
from trimtab.models.journal import stem
from trimtab.steering.edits import StoredEdit
from trimtab.steering.mat_steer import Trained
from trimtab.steering.mat_steer.data import CPU, TokenSides
from trimtab.steering.mat_steer.training import Told
from trimtab.steering.methods.base import Method, Sides
from trimtab.steering.steering import Origin, Steering

TokenData = Mapping[str, Mapping[Site, TokenSides]]
"""Tokens by attribute and site."""
Which = Literal["response", "all", "last"]


@dataclass(frozen=True)
class Learned:
    """A steering with what its training showed.

    Args:
        steering: one gated edit at each site.
        by_site: curves and gate statistics.
    """

    steering: Steering
    by_site: Mapping[Site, Trained]


@dataclass(frozen=True)
class TokenMethod(Method):
    """A method that is given tokens of both sides of every attribute, not one vector per text."""

    tokens: Which = "response"
    """Which tokens of the training texts: those of the `response`; `all`, without those that are the same on both
    sides; or the `last`."""
    blocks: int = 1
    """Where no site is named, at how many of the blocks that do best by mean difference it is trained; the best of them
    on dev is taken."""

    def __post_init__(self) -> None:
        if self.tokens not in get_args(Which):
            raise InputError(
                f"tokens {self.tokens!r} must be one of {', '.join(get_args(Which))}",
                code="unknown-choice",
                field="options.tokens",
            )
        if self.blocks < 1:
            raise InputError(f"blocks {self.blocks!r} must be at least 1", code="out-of-range", field="options.blocks")

    def edit(self, sides: Mapping[str, Sides], seed: int) -> StoredEdit:
        """None: `fit_tokens` makes the steering.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{self.name} is trained on tokens, not on one vector per text; use fit_tokens",
            code="unsupported",
            field="method",
        )

    @abstractmethod
    def at_site(
        self,
        data: Mapping[str, TokenSides],
        dev: Mapping[str, TokenSides] | None,
        seed: int,
        checkpoint: Path | None,
        progress: Told | None,
        device: torch.device,
    ) -> Trained:
        """The edit of one site, with what its training showed; arguments as of `fit_tokens`."""

    def fit_tokens(
        self,
        data: TokenData,
        dev: TokenData | None = None,
        *,
        seed: int = 0,
        made_for: ModelFacts | None = None,
        digests: Mapping[str, str] | None = None,
        folder: Path | None = None,
        progress: Told | None = None,
        device: torch.device = CPU,
    ) -> Learned:
        """Train at every site by itself.

        Args:
            data: tokens by attribute and site; every attribute at the same sites.
            dev: held-out tokens of the same, for early stopping and the statistics.
            seed: of all random choices.
            made_for: the model that the activations are of.
            digests: of the training data, by attribute.
            folder: keeps the state of unfinished trainings there.
            progress: is told of every epoch.
            device: where it is trained, such as the model's.

        Raises:
            InputError: no attribute or site, attributes at other sites, tokens that cannot be used.
            GateCollapse: the gates of an attribute stay shut where they should open.
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
        found = {}
        for site in sorted(next(iter(sites))):
            found[site] = self.at_site(
                {name: by_site[site] for name, by_site in data.items()},
                None if dev is None else {name: by_site[site] for name, by_site in dev.items()},
                seed,
                None if folder is None else folder / stem(site),
                progress,
                device,
            )
        told: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        origin = Origin(self.name, told, seed, dict(digests or {}))
        edits = {site: trained.edit for site, trained in found.items()}
        return Learned(Steering(edits, dict.fromkeys(data, 1.0), origin, made_for=made_for), found)
