"""Prompting instead of editing: text in front of the prompt, with the same interface as the other methods."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts
from trimtab.phrases import Phrase
from trimtab.steering.methods.base import Learned, Material, Materials, Method
from trimtab.steering.steering import Steering

WORDINGS: Final = (
    "{this}",
    "{this} {this}",
    "Follow this instruction: {this}",
    "Important! {this}",
    "Rule: {this} There is no exception to it.",
    "{this} Whoever reads the answer relies on it.",
    "{this} Do so from the very first word.",
    "Please keep to this in every sentence that you write. {this}",
    "Bear this in mind before every word: {this}",
    "You play a part from now on, and stay in it to the end. {this}",
    "You were chosen for this, since nobody does it better. {this}",
    "{this} Never answer as somebody would who was told: {other}",
    "There are two kinds of answers. The first kind follows this: {other} The second kind follows this: {this} Give an "
    "answer of the second kind.",
    "What follows was written by somebody who had been told: {this}",
    "Instruction:\n{this}\n\nText:",
)
"""Ways to say an instruction: short, said twice, as a command, a rule, a reason, a request, a part to play, against its
opposite, and as a fact about the text."""

NO_SHOTS: Final = Phrase("of so few different questions none are set aside as solved examples")


@dataclass(frozen=True)
class PromptMaterial:
    """Texts that ask for an attribute.

    Args:
        instructions: one for the behavior and one against it.
        shots: prompts with their matching and non-matching answers, used neither for training nor for measuring.
        description: of the behavior, for people; empty where there is none.
    """

    instructions: tuple[str, str]
    shots: Sequence[tuple[str, str, str]] = ()
    description: str = ""


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
        return self._asking({name: self.texts(own) for name, own in materials.items()}, made_for, digests)

    def _asking(
        self,
        prompts: Mapping[str, tuple[str, str]],
        made_for: ModelFacts | None,
        digests: Mapping[str, str] | None,
    ) -> Steering:
        """The steering of texts, by attribute."""
        origin = self.origin(None, digests)
        return Steering({}, dict.fromkeys(prompts, 1.0), origin, made_for=made_for, prompts=prompts)

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
class SearchedInstruction(PromptMethod):
    """The one of several wordings of the behavior's instruction that does best on dev.

    Args:
        own: further instructions to try, one a line; behind a tab the opposite one, else that of the behavior.
    """

    name: ClassVar[str] = "searched-instruction"
    source: ClassVar[str] = (
        "The choice among candidates of the Automatic Prompt Engineer (2211.01910), by propensities on dev. Assumed: a "
        "fixed list of wordings in place of a model that writes them; a race on ever more examples; of those not "
        "plainly behind, the one that pushes the fewest examples the wrong way."
    )
    own: str = ""

    def texts(self, material: PromptMaterial) -> tuple[str, str]:
        """The behavior's own wording, which the search begins with."""
        return self.candidates_of(material)[0]

    def candidates_of(self, material: PromptMaterial) -> list[tuple[str, str]]:
        """Texts to try, each for the behavior and against it."""
        this, other = material.instructions
        found = [(w.format(this=this, other=other), w.format(this=other, other=this)) for w in WORDINGS]
        if material.description:
            found.append((f"What is wanted here: {material.description}", f"Not wanted here: {material.description}"))
        for line in filter(None, map(str.strip, self.own.splitlines())):
            mine, _, opposite = map(str.strip, line.partition("\t"))
            found.append((mine, opposite or other))
        return [(f"{mine}\n\n", f"{opposite}\n\n") for mine, opposite in dict.fromkeys(found)]

    def learn(self, materials: Materials) -> Sequence[Learned]:
        """One steering, of the wordings that do best on dev.

        Raises:
            InputError: instructions of one's own for several attributes.
        """
        asked = materials.texts()
        if self.own and len(asked) > 1:
            raise InputError(
                f"own instructions are of one behavior, and {len(asked)} are given; leave them out, or fit one alone",
                code="conflicting-arguments",
                field="options.own",
            )
        tried = materials.tried({name: self.candidates_of(own) for name, own in asked.items()})
        prompts = {name: next(t.text for t in some if t.taken) for name, some in tried.items()}
        return [Learned(self._asking(prompts, materials.made_for, materials.digests), tried=tried)]


@dataclass(frozen=True)
class InContextExamples(PromptMethod):
    """Solved examples in front of every prompt; below strength 0 with the non-matching answers.

    Args:
        shots: number of examples, at most those that the split sets aside (five; none where there are few).
    """

    name: ClassVar[str] = "in-context-examples"
    source: ClassVar[str] = (
        "In-context learning, Brown et al. 2005.14165; a baseline of MAT-Steer (2502.12446). Assumed: five examples, "
        "the same for every prompt, in the order of the split."
    )
    shots: int = 5

    def texts(self, material: PromptMaterial) -> tuple[str, str]:
        """The examples with their matching, and with their non-matching answers."""
        if not material.shots:
            raise InputError(NO_SHOTS, code="too-few-examples", field="behaviors")
        if not 1 <= self.shots <= len(material.shots):
            raise InputError(
                f"shots {self.shots}; between 1 and the {len(material.shots)} that are set aside for it",
                code="out-of-range",
                field="options.shots",
            )
        some = material.shots[: self.shots]
        return "".join(f"{x}{y}\n\n" for x, y, _ in some), "".join(f"{x}{y}\n\n" for x, _, y in some)
