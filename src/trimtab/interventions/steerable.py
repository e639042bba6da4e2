"""What models and engines need of a steering: its edits, names and conditions, and the text in front of prompts."""

from collections.abc import Mapping
from typing import Protocol

from trimtab.interventions.condition import Condition
from trimtab.interventions.edit import Edit
from trimtab.interventions.facts import ModelFacts
from trimtab.interventions.sites import Site
from trimtab.interventions.strengths import Attributes, Strengths, strength_rows


class PromptTexts(Attributes, Protocol):
    """What `prompt_prefixes` needs of a steering.

    Example:
        >>> import trimtab as tt
        >>> tt.Steering({}, {"brief": 1.0}, prompts={"brief": ("Be brief. ", "")}).prompts["brief"]
        ('Be brief. ', '')
    """

    @property
    def prompts(self) -> Mapping[str, tuple[str, str]]:
        """By attribute, the texts in front of the prompt at strengths above and below 0."""
        ...


class Steerable(PromptTexts, Protocol):
    """What models and engines need to know of a steering; `trimtab.Steering` is one.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> steering = tt.Steering.from_vector(14, torch.ones(576), "warm")
        >>> list(steering.edits), dict(steering.conditions), steering.made_for
        ([Site(block=14, component='residual')], {}, None)
    """

    @property
    def edits(self) -> Mapping[Site, Edit]:
        """One edit per site; each takes one strength per attribute, in the order of `attributes`."""
        ...

    @property
    def conditions(self) -> Mapping[str, tuple[Condition, ...]]:
        """By attribute, the conditions that a prompt must all meet for it to act; attributes without any always act."""
        ...

    @property
    def made_for(self) -> ModelFacts | None:
        """The model whose activations it was made from; None if that is not known."""
        ...

    @property
    def allow_mismatch(self) -> bool:
        """Whether it may steer models with other weights of the same shapes."""
        ...


def prompt_prefixes(steering: PromptTexts, strength: Strengths = None) -> list[str]:
    """The text in front of the prompts: one for all rows, or one per row.

    Texts of several attributes follow each other in the attributes' order.

    Args:
        steering: its `prompts` has the texts.
        strength: as for `strength_rows`.

    Raises:
        InputError: as for `strength_rows`.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.interventions import prompt_prefixes
        >>> steering = tt.Steering({}, {"brief": 1.0}, prompts={"brief": ("Be brief. ", "Be wordy. ")})
        >>> prompt_prefixes(steering, [1.0, -1.0, 0.0])
        ['Be brief. ', 'Be wordy. ', '']
    """
    if not steering.prompts:
        return [""]
    rows = strength_rows(steering, strength)
    return ["".join(texts[row[name] < 0] for name, texts in steering.prompts.items() if row[name]) for row in rows]
