"""What to steer toward: examples, the two instructions, and how the two sides were paired."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from trimtab.errors import InputError
from trimtab.notebook import summary
from trimtab.phrases import Phrase
from trimtab.texts import NAME_BYTES, Message, checked_text, name_fault, shown

Side = Literal["positive", "negative"]
Pairing = Literal["natural", "random"]
AnswerKind = Literal["choice", "text"]
_IN_WORDS: Mapping[Pairing | AnswerKind, Phrase] = {
    "natural": Phrase("natural"),
    "random": Phrase("random"),
    "choice": Phrase("choice"),
    "text": Phrase("text"),
}

# An answer that is only a label: "(A)", " B", "Yes", "no.", "True".
_LABEL = re.compile(r"\s*(\(?[A-Za-z0-9]\)?|yes|no|true|false)\.?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Example:
    """A prompt with a matching (positive) and a non-matching (negative) answer.

    Args:
        prompt: the text both answers follow; empty for bare statements.
        positive: the answer that matches the behavior, appended to the prompt as it is.
        negative: the answer that does not match.
        group: the question or template the row belongs to; empty means "derive it from the texts".
        messages: the prompt as chat turns, for models with a chat template; empty if it is plain text.
        source: where the row came from, as `file:line`.

    Raises:
        InputError: a field that is not a string, or contains a NUL byte or half of a surrogate pair.

    Example:
        >>> import trimtab as tt
        >>> example = tt.Example("May I come in?", positive=" Please do.", negative=" Go away.")
        >>> example.prompt + example.positive
        'May I come in? Please do.'
    """

    prompt: str
    positive: str
    negative: str
    group: str = ""
    messages: tuple[Message, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        where = shown(self.source) if isinstance(self.source, str) and self.source else "an example"
        for name in ("prompt", "positive", "negative", "group", "source"):
            checked_text(getattr(self, name), where, name)
        if not isinstance(self.messages, tuple) or not all(isinstance(turn, Message) for turn in self.messages):
            raise InputError(f"{where}: the field 'messages' must be a tuple of Message, not {self.messages!r}")
        for k, turn in enumerate(self.messages):
            checked_text(turn.role, where, f"messages[{k}].role")
            checked_text(turn.content, where, f"messages[{k}].content")


@dataclass(frozen=True)
class Behavior:
    """A named behavior and the contrast examples that show it.

    Args:
        name: short name, used in reports and as the name of a folder: at most 100 bytes in UTF-8, without
            `/`, `\\` and control characters.
        examples: at least one; either all have a prompt or none has.
        description: one sentence for people.
        positive_instruction: what to tell the model so that it shows the behavior.
        negative_instruction: the opposite. Both empty: derived from the name, as Tan et al.
            (2407.12404) do: `You are {name}.` / `You are not {name}.`
        pairing: `natural` when the two answers of a row belong together, `random` when the two
            sides were separate lists and the matching is arbitrary.
        notes: what a reader left out or assumed, in plain words; they are printed in the report.
        expected: codes of lint's findings that are the point of this set, such as `length-words`.

    Raises:
        InputError: no examples, an empty answer, prompts in some rows only, one instruction only or twice the same, a
            name that no folder can have, a field of another type.

    Example:
        >>> import trimtab as tt
        >>> behavior = tt.Behavior("very-polite", [tt.Example("May I come in?", " Please do.", " Go away.")])
        >>> behavior.instruction("negative"), behavior.answer_kind
        ('You are not very polite.', 'text')
    """

    name: str
    examples: Sequence[Example]
    description: str = ""
    positive_instruction: str = ""
    negative_instruction: str = ""
    pairing: Pairing = "natural"
    notes: Sequence[str] = field(default=(), compare=False)
    expected: Sequence[str] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name, kind in (("examples", "Example"), ("notes", "str"), ("expected", "str")):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise InputError(f"a behavior's {name!r} must be a list of {kind}, not {type(value).__name__}")
            object.__setattr__(self, name, tuple(value))
        _check(self)

    def instruction(self, side: Side) -> str:
        """What the context of this side tells the model to be."""
        words = re.sub(r"[-_]+", " ", self.name).strip()
        if side == "positive":
            return self.positive_instruction or f"You are {words}."
        return self.negative_instruction or f"You are not {words}."

    @property
    def instructions_derived(self) -> bool:
        """True if no instructions were given, so that `instruction` derives them from the name."""
        return not self.positive_instruction

    @cached_property
    def answer_kind(self) -> AnswerKind:
        """`choice` when every answer is only a label such as ` (A)` or ` Yes`, else `text`."""
        answers = {a for e in self.examples for a in (e.positive, e.negative)}
        return "choice" if all(_LABEL.fullmatch(a) for a in answers) else "text"

    @property
    def bare(self) -> bool:
        """True for statements without a prompt."""
        return not self.examples[0].prompt

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {
            Phrase("examples"): len(self.examples),
            Phrase("answers"): _IN_WORDS[self.answer_kind],
            Phrase("pairing"): _IN_WORDS[self.pairing],
        }
        rows = ((e.prompt, e.positive, e.negative) for e in self.examples)
        columns, n = (Phrase("prompt"), Phrase("positive"), Phrase("negative")), len(self.examples)
        return summary(self.name, facts, columns, rows, n_rows=n, below=self.description)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that can change a result: examples, instructions, pairing."""
        rows = [
            [e.prompt, e.positive, e.negative, e.group, [[m.role, m.content] for m in e.messages]]
            for e in self.examples
        ]
        header = [self.instruction("positive"), self.instruction("negative"), self.pairing]
        return hashlib.sha256(json.dumps([header, rows]).encode()).hexdigest()

    @staticmethod
    def load(
        source: str | Path,
        *,
        view: str | None = None,
        format: str | None = None,
        skip_bad: bool = False,
        fields: Mapping[str, str] | None = None,
    ) -> "Behavior":
        """Read a behavior from a file or folder, a built-in's name or a Hugging Face dataset id.

        Args:
            source: see `trimtab.behaviors.readers.load`.
            view: `choice` or `statements`, for files that hold both.
            format: name of a reader, if the content alone does not show it.
            skip_bad: leave out rows that cannot be read, and say so in a note.
            fields: which fields hold the texts, such as `{"positive": "good", "negative": "bad"}`.

        Raises:
            InputError: names the file, the line, the field and the fix.

        Example:
            >>> import trimtab as tt
            >>> from pathlib import Path
            >>> _ = Path("tea.jsonl").write_text('{"prompt": "Tea?", "positive": "Gladly.", "negative": "Never."}')
            >>> behavior = tt.Behavior.load("tea.jsonl")
            >>> behavior.name, len(behavior.examples)
            ('tea', 1)
        """
        from trimtab.behaviors.readers import load

        return load(source, view=view, format=format, skip_bad=skip_bad, fields=fields)

    @staticmethod
    def builtin(name: str) -> "Behavior":
        """One of the behaviors that come with trimtab, such as `sentiment` or `null`.

        Example:
            >>> import trimtab as tt
            >>> tt.Behavior.builtin("sentiment").instruction("positive")
            'You are a cheerful person who speaks well of everything.'
        """
        from trimtab.behaviors.readers import builtin

        return builtin(name)


def _check(behavior: Behavior) -> None:
    _check_fields(behavior)
    name, examples = behavior.name, behavior.examples
    if not examples:
        raise InputError(f"behavior {name!r} has no examples")
    if bool(behavior.positive_instruction) != bool(behavior.negative_instruction):
        raise InputError(f"behavior {name!r} has only one of the two instructions; give both or none")
    if behavior.positive_instruction and behavior.positive_instruction == behavior.negative_instruction:
        raise InputError(
            f"behavior {name!r}: both instructions are {behavior.positive_instruction!r}; give two that differ"
        )
    for i, e in enumerate(examples):
        if not isinstance(e, Example):
            raise InputError(f"example {i + 1} of {name!r} must be an Example, not {type(e).__name__}")
        where = e.source or f"example {i + 1} of {name!r}"
        for side, answer in (("positive", e.positive), ("negative", e.negative)):
            if not answer.strip():
                raise InputError(f"{where}: the {side} answer is empty")
        if behavior.bare != (not e.prompt):
            raise InputError(f"{where}: some rows have a prompt and some have none; give every row one, or none")


def _check_fields(behavior: Behavior) -> None:
    for field_name in ("name", "description", "positive_instruction", "negative_instruction"):
        checked_text(getattr(behavior, field_name), "a behavior", field_name)
    if fault := name_fault(behavior.name):
        raise InputError(
            f"the name {behavior.name[:NAME_BYTES]!r} cannot be a behavior's: it {fault}; "
            "rename it (in a file: the header's 'name')"
        )
    if behavior.pairing not in ("natural", "random"):
        raise InputError(f"behavior {behavior.name!r}: the pairing is {behavior.pairing!r}; use 'natural' or 'random'")
