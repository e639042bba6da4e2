"""MAT-Steer as a method like the others: what it is given are tokens of both sides, not one vector per text."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch

from trimtab.errors import InputError
from trimtab.models import ModelFacts, Site
from trimtab.models.journal import stem
from trimtab.steering.edits import StoredEdit
from trimtab.steering.mat_steer import Options, Trained, train
from trimtab.steering.mat_steer.data import CPU, TokenSides
from trimtab.steering.mat_steer.training import Told
from trimtab.steering.methods.base import Method, Sides
from trimtab.steering.steering import Origin, Steering

TokenData = Mapping[str, Mapping[Site, TokenSides]]
"""Tokens by attribute and site."""


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
class MATSteer(Options, Method):
    """Gates and vectors for several attributes, trained together; every option of `mat_steer.Options` is one here."""

    name: ClassVar[str] = "mat-steer"
    source: ClassVar[str] = (
        "MAT-Steer, Nguyen et al. 2502.12446. Assumed, where the paper is silent or does not work as written: means in "
        "place of sums, λ of 0.3 for 0.9, a kernel as wide as the activations lie apart, the length of θ held, gates "
        "held shut on other attributes' tokens, a start from mean differences; each is an option."
    )
    tokens: Literal["response", "all", "last"] = "response"
    """Which tokens of the training texts: those of the `response`; `all`, without those that are the same on both
    sides; or the `last`."""
    blocks: int = 1
    """Where no site is named, at how many of the blocks that do best by mean difference it is trained; the best of them
    on dev is taken."""

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = get_args(self.__annotations__["tokens"])
        if self.tokens not in kinds:
            raise InputError(f"tokens {self.tokens!r} must be one of {', '.join(kinds)}")
        if self.blocks < 1:
            raise InputError(f"blocks {self.blocks!r} must be at least 1")

    def edit(self, sides: Mapping[str, Sides], seed: int) -> StoredEdit:
        """None: `fit_tokens` makes the steering.

        Raises:
            InputError: always.
        """
        raise InputError("mat-steer is trained on tokens, not on one vector per text; use fit_tokens")

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
            raise InputError("give at least one attribute, each with tokens at the same sites")
        found = {}
        for site in sorted(next(iter(sites))):
            found[site] = train(
                {name: by_site[site] for name, by_site in data.items()},
                self,
                dev=None if dev is None else {name: by_site[site] for name, by_site in dev.items()},
                seed=seed,
                checkpoint=None if folder is None else folder / stem(site),
                progress=progress,
                device=device,
            )
        told: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        origin = Origin(self.name, told, seed, dict(digests or {}))
        edits = {site: trained.edit for site, trained in found.items()}
        return Learned(Steering(edits, dict.fromkeys(data, 1.0), origin, made_for=made_for), found)
