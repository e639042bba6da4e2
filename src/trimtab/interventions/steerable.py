"""What whoever carries out a steering asks of it: its edits, names and conditions, and the text in front of prompts."""

from collections.abc import Mapping
from typing import Protocol

from trimtab.interventions.condition import Condition
from trimtab.interventions.edit import Edit
from trimtab.interventions.facts import ModelFacts
from trimtab.interventions.sites import Site
from trimtab.interventions.strengths import Attributes, Strengths, strength_rows


class PromptTexts(Attributes, Protocol):
    """What `prompt_prefixes` asks of a steering."""

    @property
    def prompts(self) -> Mapping[str, tuple[str, str]]:
        """By attribute, what stands in front of the prompt while its strength is above 0, and while it is below."""
        ...


class Steerable(PromptTexts, Protocol):
    """What models and engines need to know of a steering; `trimtab.steering.Steering` is one."""

    @property
    def edits(self) -> Mapping[Site, Edit]:
        """One edit per site; each takes one strength per attribute, in the order of `attributes`."""
        ...

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """What a prompt must meet for an attribute to act, by its name; those left out always act."""
        ...

    @property
    def made_for(self) -> ModelFacts | None:
        """The model whose activations it was made from; None where nobody said."""
        ...

    @property
    def allow_mismatch(self) -> bool:
        """Whether other weights of the same shapes will do."""
        ...


def prompt_prefixes(steering: PromptTexts, strength: Strengths = None) -> list[str]:
    """What stands in front of the prompts: one text for all rows, or one per row.

    Texts of several attributes follow each other in the attributes' order.

    Args:
        steering: with texts for some attributes.
        strength: as of `strength_rows`.

    Raises:
        InputError: as there.
    """
    if not steering.prompts:
        return [""]
    rows = strength_rows(steering, strength)
    return ["".join(texts[row[name] < 0] for name, texts in steering.prompts.items() if row[name]) for row in rows]
