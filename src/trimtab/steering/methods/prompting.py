"""Prompting instead of editing: text in front of the prompt, with the same interface as the other methods."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts
from trimtab.steering.methods.base import Learned, Material, Materials, Method
from trimtab.steering.steering import Steering


@dataclass(frozen=True)
class PromptMaterial:
    """Texts that ask for an attribute.

    Args:
        instructions: one for the behavior and one against it.
        shots: prompts with their matching and non-matching answers, used neither for training nor for measuring.
    """

    instructions: tuple[str, str]
    shots: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class PromptMethod(Method):
    """A method whose steering is text: one above strength 0 and its opposite below; 2 does no more than 1."""

    material: ClassVar[Material] = "text"

    @abstractmethod
    def texts(self, material: PromptMaterial) -> tuple[str, str]:
        """The texts in front of prompts for the behavior, and against it."""

    def fit_texts(
        self,
        materials: Mapping[str, PromptMaterial],
        *,
        made_for: ModelFacts | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Steering:
        """Make the steering: an attribute for each behavior.

        Raises:
            InputError: no attribute.
        """
        if not materials:
            raise InputError("give at least one attribute", code="missing-value", field="data")
        prompts = {name: self.texts(own) for name, own in materials.items()}
        origin = self.origin(None, digests)
        return Steering({}, dict.fromkeys(materials, 1.0), origin, made_for=made_for, prompts=prompts)

    def learn(self, materials: Materials) -> Sequence[Learned]:
        """One steering, made of the instructions or the shots."""
        return [Learned(self.fit_texts(materials.texts(), made_for=materials.made_for, digests=materials.digests))]


@dataclass(frozen=True)
class Instruction(PromptMethod):
    """The behavior's instruction in front of every prompt; below strength 0 the opposite one."""

    name: ClassVar[str] = "instruction"
    source: ClassVar[str] = (
        "A baseline that AxBench (2501.17148) finds hard to beat. Assumed: the instruction goes in front of the text "
        "or into the user turn, followed by a blank line."
    )

    def texts(self, material: PromptMaterial) -> tuple[str, str]:
        """The two instructions."""
        return f"{material.instructions[0]}\n\n", f"{material.instructions[1]}\n\n"


@dataclass(frozen=True)
class InContextExamples(PromptMethod):
    """Solved examples in front of every prompt; below strength 0 with the non-matching answers.

    Args:
        shots: number of examples, at most those that the split sets aside (five).
    """

    name: ClassVar[str] = "in-context-examples"
    source: ClassVar[str] = (
        "In-context learning, Brown et al. 2005.14165; a baseline of MAT-Steer (2502.12446). Assumed: five examples, "
        "the same for every prompt, in the order of the split."
    )
    shots: int = 5

    def texts(self, material: PromptMaterial) -> tuple[str, str]:
        """The examples with their matching, and with their non-matching answers."""
        if not 1 <= self.shots <= len(material.shots):
            raise InputError(
                f"shots {self.shots}; between 1 and the {len(material.shots)} that are set aside for it",
                code="out-of-range",
                field="options.shots",
            )
        some = material.shots[: self.shots]
        return "".join(f"{x}{y}\n\n" for x, y, _ in some), "".join(f"{x}{y}\n\n" for x, _, y in some)
