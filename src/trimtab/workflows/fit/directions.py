"""What a mean difference of few pairs is shrunk toward: directions by the names that a fit is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from trimtab.behaviors import PromptType
from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.steps import Step
from trimtab.interventions import Site
from trimtab.measurements.known_directions import (
    built_in_directions,
    built_in_steps,
    instruction_direction,
    instruction_step,
)
from trimtab.models import Model, ensure_fits
from trimtab.nearest import meant
from trimtab.phrases import Phrase, untranslated, with_commas
from trimtab.results.fit import Shrinkage
from trimtab.steering import Steering
from trimtab.steering.edits import Additive
from trimtab.steering.methods import Sides
from trimtab.steering.methods.mean_difference import MeanDifference

INSTRUCTION: Final = "instruction"
BUILT_IN: Final = "built-in"
METHODS: Final = (MeanDifference.name,)  # that shrink
_TOLD: Final = 0.01  # share of a vector below which a direction is not named


@dataclass(frozen=True)
class Toward:
    """Directions known beforehand.

    Args:
        names: `instruction`, `built-in`, or neither.
        steerings: finished ones of the same model, whose vectors are directions too.
    """

    names: tuple[str, ...] = ()
    steerings: tuple[Steering, ...] = ()

    @staticmethod
    def of(given: Sequence[str | Steering] | str | Steering, model: Model, method: str) -> "Toward":
        """What a fit was given, checked.

        Raises:
            InputError: an unknown name, a method that does not shrink, a steering of another model.
        """
        every = [given] if isinstance(given, str | Steering) else list(given)
        if every and method not in METHODS:
            raise InputError(
                f"method {method} does not shrink toward directions known beforehand; {METHODS[0]} does",
                code="conflicting-arguments",
                field="shrink_toward",
            )
        for one in every:
            if isinstance(one, Steering):
                ensure_fits(one, model)
            elif one not in (INSTRUCTION, BUILT_IN):
                raise InputError(
                    f"nothing to shrink toward is called {one!r}; {meant(str(one), (INSTRUCTION, BUILT_IN))}"
                    f"give {INSTRUCTION}, {BUILT_IN} or a steering",
                    code="unknown-choice",
                    field="shrink_toward",
                )
        names = dict.fromkeys(one for one in every if isinstance(one, str))
        return Toward(tuple(names), tuple(one for one in every if isinstance(one, Steering)))

    def __bool__(self) -> bool:
        return bool(self.names or self.steerings)

    @property
    def recorded(self) -> list[str]:
        """What the artifact says of it: names, and ids of steerings."""
        return [*self.names, *(steering.id for steering in self.steerings)]

    def steps(self, on: Experiment, sites: tuple[Site, ...]) -> list[Step]:
        """What is read of the model, for a forecast."""
        steps: list[Step] = [instruction_step(on, sites)] if INSTRUCTION in self.names else []
        return [*steps, *(built_in_steps(on, sites) if BUILT_IN in self.names else [])]

    def at(self, on: Experiment, sites: tuple[Site, ...]) -> dict[Site, dict[str, Tensor]]:
        """By site and name the directions `[d_model]` of an experiment's behavior.

        Raises:
            InputError: a steering that adds no vector at a site, an instruction without meaning.
        """
        found: dict[Site, dict[str, Tensor]] = {site: {} for site in sites}
        if INSTRUCTION in self.names:
            if on.prompt_types[0] == PromptType.INSTRUCTION:
                raise InputError(
                    "the examples are put to the model by the instruction alone, whose direction this is already",
                    code="conflicting-arguments",
                    field="shrink_toward",
                )
            for site, direction in instruction_direction(on, sites).items():
                found[site][INSTRUCTION] = torch.from_numpy(direction)
        if BUILT_IN in self.names:
            for name, by_site in built_in_directions(on, sites).items():
                for site, direction in by_site.items():
                    found[site][name] = torch.from_numpy(direction)
        for steering in self.steerings:
            for site in sites:
                found[site] |= _of(steering, site)
        return found


def _of(steering: Steering, site: Site) -> dict[str, Tensor]:
    """The vectors that a steering adds at a site, by attribute."""
    edit = steering.edits.get(site)
    vectors = edit.vectors if isinstance(edit, Additive) else torch.zeros(0)
    named = {
        f"{name} ({steering.id[:8]})": row
        for name, row in zip(steering.attributes, vectors, strict=False)
        if bool(row.any())
    }
    if not named:
        raise InputError(
            f"the steering {steering.id[:8]} adds no vector at site {site}; "
            f"it edits {', '.join(map(str, steering.edits)) or 'nothing'}",
            code="no-such-site",
            field="shrink_toward",
        )
    return named


def shrinkages(data: Mapping[str, Mapping[Site, Sides]], sites: Sequence[Site]) -> dict[str, tuple[Shrinkage, ...]]:
    """By attribute what the shrinkage at each of the sites came to."""
    return {name: tuple(_recorded(site, by_site[site]) for site in sites) for name, by_site in data.items()}


def _recorded(site: Site, side: Sides) -> Shrinkage:
    found = side.shrunk
    vector, plain = torch.from_numpy(found.vector), side.mean_difference.cpu()
    shares = dict(zip(side.known, found.shares.tolist(), strict=True))
    return Shrinkage(
        site=str(site), drawn=found.shrinkage, examples=found.own_share,
        directions={name: shares[name] for name in sorted(shares, key=lambda name: -abs(shares[name]))},
        cosine=float(torch.cosine_similarity(vector, plain, dim=0)),
    )  # fmt: skip


def told(name: str, found: Shrinkage) -> Phrase:
    """One sentence on a shrinkage, for the notes of a fit."""
    most = [
        untranslated(f"{other} {decimals(share, '.0%')}")
        for other, share in found.directions.items()
        if abs(share) >= _TOLD
    ]
    sentence = Phrase(
        "{name}: at site {site} {own} of the vector comes from the examples, {known} from directions known beforehand",
        name=name, site=found.site, own=decimals(found.examples, ".0%"), known=decimals(1 - found.examples, ".0%"),
    )  # fmt: skip
    return Phrase("{sentence}: {directions}", sentence=sentence, directions=with_commas(most)) if most else sentence


def read_toward(words: Sequence[str]) -> list[str | Steering]:
    """Names as they are, and the steerings of folders.

    Raises:
        InputError: neither a name nor a folder with a steering.
    """
    return [
        word if word in (INSTRUCTION, BUILT_IN) or not Path(word).exists() else Steering.load(word) for word in words
    ]
