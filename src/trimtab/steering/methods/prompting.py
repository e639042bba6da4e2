"""PromptingBaseline in place of editing: text in front of the prompt, on the interface of all other methods."""

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
    """What an attribute can be asked by.

    Args:
        instructions: for the behavior and against it.
        shots: prompts with their matching and their non-matching answers, none of them trained or measured on.
    """

    instructions: tuple[str, str]
    shots: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class PromptMethod(Method):
    """A method whose steering is text: on above strength 0, the opposite below, and no more at 2 than at 1."""

    material: ClassVar[Material] = "text"

    @abstractmethod
    def texts(self, described: PromptMaterial) -> tuple[str, str]:
        """What stands in front of prompts for the behavior, and against it."""

    def fit_texts(
        self,
        described: Mapping[str, PromptMaterial],
        *,
        made_for: ModelFacts | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Steering:
        """Make the steering: an attribute for each behavior.

        Raises:
            InputError: no attribute.
        """
        if not described:
            raise InputError("give at least one attribute", code="missing-value", field="data")
        prompts = {name: self.texts(own) for name, own in described.items()}
        origin = self.origin(None, digests)
        return Steering({}, dict.fromkeys(described, 1.0), origin, made_for=made_for, prompts=prompts)

    def learn(self, given: Materials) -> Sequence[Learned]:
        """One steering, of the instructions or the shots."""
        return [Learned(self.fit_texts(given.texts(), made_for=given.made_for, digests=given.digests))]


@dataclass(frozen=True)
class Instruction(PromptMethod):
    """The behavior's instruction in front of every prompt; below 0 the opposite one."""

    name: ClassVar[str] = "instruction"
    source: ClassVar[str] = (
        "A baseline that AxBench (2501.17148) finds hard to beat. Assumed: the instruction stands in the text or the "
        "user turn, a blank line behind it."
    )

    def texts(self, described: PromptMaterial) -> tuple[str, str]:
        """The two instructions."""
        return f"{described.instructions[0]}\n\n", f"{described.instructions[1]}\n\n"


@dataclass(frozen=True)
class InContextExamples(PromptMethod):
    """Solved examples in front of every prompt; below 0 with the non-matching answers.

    Args:
        shots: how many, at most as many as the split keeps for it (five).
    """

    name: ClassVar[str] = "in-context-examples"
    source: ClassVar[str] = (
        "In-context learning, Brown et al. 2005.14165; a baseline of MAT-Steer (2502.12446). Assumed: five examples, "
        "the same for every prompt, in the order of the split."
    )
    shots: int = 5

    def texts(self, described: PromptMaterial) -> tuple[str, str]:
        """The examples with their matching, and with their non-matching answers."""
        if not 1 <= self.shots <= len(described.shots):
            raise InputError(
                f"shots {self.shots}; between 1 and the {len(described.shots)} that are kept for it",
                code="out-of-range",
                field="options.shots",
            )
        some = described.shots[: self.shots]
        return "".join(f"{x}{y}\n\n" for x, y, _ in some), "".join(f"{x}{y}\n\n" for x, _, y in some)
