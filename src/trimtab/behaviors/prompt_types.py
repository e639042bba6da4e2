"""The seven ways to put an example to the model (Braun et al. 2505.22637; docs/verdict.md).

They are all non-empty subsets of {prefilled answer, instruction, five shots}. Every text is laid out as

    [instruction\n\n][shot_1\n\n … shot_5\n\n]prompt[answer]

and the two contexts of an example differ in everything that is in brackets and nothing else.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from trimtab.behaviors.behavior import Behavior, Example, Side
from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.phrases import Phrase
from trimtab.texts import Rendered


class PromptType(StrEnum):
    """One of the seven prompt types.

    Example:
        >>> from trimtab.behaviors import PromptType
        >>> len(PromptType), PromptType("prefilled+5-shot").shots, PromptType.PREFILLED.shots
        (7, True, False)
    """

    PREFILLED = "prefilled"
    INSTRUCTION = "instruction"
    FIVE_SHOT = "5-shot"
    PREFILLED_INSTRUCTION = "prefilled+instruction"
    PREFILLED_FIVE_SHOT = "prefilled+5-shot"
    INSTRUCTION_FIVE_SHOT = "instruction+5-shot"
    PREFILLED_INSTRUCTION_FIVE_SHOT = "prefilled+instruction+5-shot"

    @property
    def prefilled(self) -> bool:
        """The text ends with the example's own answer."""
        return "prefilled" in self.split("+")

    @property
    def instruction(self) -> bool:
        """The behavior's instruction stands in front."""
        return "instruction" in self.split("+")

    @property
    def shots(self) -> bool:
        """Five solved examples stand in front."""
        return "5-shot" in self.split("+")

    @staticmethod
    def named(names: Sequence[str] | str) -> "tuple[PromptType, ...]":
        """The types of these names, in the field's order; `all`, or no name, for the seven.

        Raises:
            InputError: a name that is none of them.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in wanted if name not in {*PromptType, "all"}]
        if unknown:
            near = meant(unknown[0], PromptType)
            raise InputError(f"unknown prompt type {unknown[0]!r}; {near}one of {', '.join(PromptType)}, or all")
        return tuple(t for t in PromptType if not wanted or "all" in wanted or t in wanted)


def render(
    behavior: Behavior, example: Example, side: Side, prompt_type: PromptType, shots: Sequence[Example] = ()
) -> Rendered:
    """The text that shows one side of an example under a prompt type.

    For a type without prefilled answer both sides end in the same token: the answer is only the opening
    bracket that choices such as ` (A)` share, or empty. For a bare statement the answer is the whole statement;
    the reader of a non-prefilled type cuts it after its first third. The same statement then serves both
    sides, taken alternately from the two classes (`shared_statement`).

    Example:
        >>> import trimtab as tt
        >>> from trimtab.behaviors import PromptType, render
        >>> example = tt.Example("Tea?", " Gladly.", " Never.")
        >>> text = render(tt.Behavior("polite", [example]), example, "positive", PromptType.PREFILLED_INSTRUCTION)
        >>> text.context + text.prompt + text.answer
        'You are polite.\\n\\nTea? Gladly.'
    """
    context = behavior.instruction(side) + "\n\n" if prompt_type.instruction else ""
    if prompt_type.shots:
        context += "".join(shot.prompt + getattr(shot, side) + "\n\n" for shot in shots)
    answer: str = getattr(example, side)
    if behavior.bare:
        return Rendered(context, "", answer, bare=True)
    answer = _until_letter(answer) if prompt_type.prefilled else _shared_opening(example)
    return Rendered(context, example.prompt, answer, example.messages)


def render_bare(example: Example, side: Side, context: str = "") -> Rendered:
    """The evaluation text: no instruction, no shots, only the prompt and one answer; optionally after a context.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.behaviors import render_bare
        >>> text = render_bare(tt.Example("Tea?", " Gladly.", " Never."), "negative")
        >>> text.context + text.prompt + text.answer
        'Tea? Never.'
    """
    return Rendered(context, example.prompt, getattr(example, side), example.messages, bare=not example.prompt)


def shared_statement(behavior: Behavior, examples: Sequence[Example]) -> list[Example]:
    """For bare statements: examples with one statement on both sides, taken alternately from the classes.

    A non-prefilled type compares two *contexts* on the same prompt; a statement's first third is
    that prompt. Behaviors with prompts are returned as they are.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.behaviors import shared_statement
        >>> behavior = tt.Behavior("calm", [tt.Example("", "I rest.", "I rage."), tt.Example("", "I nap.", "I yell.")])
        >>> [(e.positive, e.negative) for e in shared_statement(behavior, behavior.examples)]
        [('I rest.', 'I rest.'), ('I yell.', 'I yell.')]
    """
    if not behavior.bare:
        return list(examples)
    chosen = [e.positive if i % 2 == 0 else e.negative for i, e in enumerate(examples)]
    return [Example("", text, text, e.group, e.messages, e.source) for text, e in zip(chosen, examples, strict=True)]


def not_measured(behavior: Behavior, prompt_type: PromptType) -> Phrase | None:
    """Why a prompt type has no meaning for this behavior, or None if it has one.

    Without an answer in the text, the two contexts differ by instruction and shots alone. If moreover
    every example has the same prompt, all differences are equal: agreement 1 and d′ infinite, by
    construction.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.behaviors import PromptType, not_measured
        >>> rows = [tt.Example("Tea?", " Gladly.", " Never."), tt.Example("Tea?", " Please.", " Go.")]
        >>> behavior = tt.Behavior("polite", rows)
        >>> [t.value for t in PromptType if not_measured(behavior, t)]
        ['instruction', '5-shot', 'instruction+5-shot']
    """
    if prompt_type.prefilled or behavior.bare:
        return None
    if len({e.prompt for e in behavior.examples}) == 1:
        return Phrase(
            "every example has the same prompt, so without its answer all differences are equal by construction"
        )
    return None


def _shared_opening(example: Example) -> str:
    """` (` for a pair such as ` (A)` / ` (B)`: what both label answers begin with."""
    opening = re.match(r"\s*\(", example.positive)
    if opening and example.negative.startswith(opening.group()) and _is_letter(example.positive):
        return opening.group()
    return ""


def _until_letter(answer: str) -> str:
    """` (A)` becomes ` (A`, so that the letter is the last token."""
    return answer.rstrip().removesuffix(")") if _is_letter(answer) else answer


def _is_letter(answer: str) -> bool:
    return re.fullmatch(r"\s*\([A-Za-z0-9]\)\s*", answer) is not None
