"""Phrases: what trimtab says in English, with what it takes to say it in another language.

A phrase is a string, the English text, and remembers the template and the values that it was made of. Code that
computes says `Phrase("only {n} examples", n=12)` where the fact is known; whoever shows it to a person, and nobody
else, has a language translate the template and put the values in (`trimtab.languages`). In files phrases are their
English text; a document keeps beside them what `messages` gives, and `recalled` finds it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Phrase(str):
    """English text made of a template and values; a value may be a phrase itself.

    Args:
        template: literal text, with names in braces where the values go; without values it is taken as it stands.
        values: what is put in. Numbers come as text, since their digits are part of what is said.

    Example:
        >>> from trimtab.phrases import Phrase
        >>> phrase = Phrase("only {n} examples", n=12)
        >>> phrase, phrase.template, dict(phrase.values)
        ('only 12 examples', 'only {n} examples', {'n': '12'})
    """

    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, /, **values: str | int) -> "Phrase":
        kept = {name: value if isinstance(value, str) else str(value) for name, value in values.items()}
        return _made(template.format(**kept) if kept else template, template, kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (str.__str__(self), self.template, dict(self.values))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Records hold phrases as they are; text of a file becomes one without values."""
        from pydantic_core import core_schema

        def kept(value: Any, validated: Any) -> Phrase:
            return value if isinstance(value, Phrase) else Phrase(validated(value))

        return core_schema.no_info_wrap_validator_function(kept, core_schema.str_schema())


def _made(text: str, template: str, values: Mapping[str, str]) -> Phrase:
    """A phrase whose text is known."""
    phrase = str.__new__(Phrase, text)
    phrase.template, phrase.values = template, values or _NOTHING
    return phrase


def untranslated(text: str) -> Phrase:
    """Text that is in no catalogue, such as somebody's note or a name, where a phrase is expected; phrases stay."""
    return text if isinstance(text, Phrase) else _made(text, text, _NOTHING)


def with_commas(parts: Sequence[str]) -> Phrase:
    """Parts one after another: `a, b, c`."""
    first, *others = parts or [""]
    return Phrase("{first}, {others}", first=first, others=with_commas(others)) if others else _one(first)


def with_semicolons(parts: Sequence[str]) -> Phrase:
    """Parts one after another: `a; b; c`."""
    first, *others = parts or [""]
    return Phrase("{first}; {others}", first=first, others=with_semicolons(others)) if others else _one(first)


def with_and(parts: Sequence[str]) -> Phrase:
    """Parts one after another: `a and b and c`."""
    first, *others = parts or [""]
    return Phrase("{first} and {others}", first=first, others=with_and(others)) if others else _one(first)


def with_dots(parts: Sequence[str]) -> Phrase:
    """Parts one after another: `a · b · c`."""
    first, *others = parts or [""]
    return Phrase("{first} · {others}", first=first, others=with_dots(others)) if others else _one(first)


def _one(part: str) -> Phrase:
    """A list of one part, which may be a name."""
    return part if isinstance(part, Phrase) else Phrase("{one}", one=part) if part else untranslated("")


@dataclass(frozen=True)
class Message:
    """What a file keeps of a phrase beside its text.

    Args:
        template: English text with names in braces.
        values: by name what is not language: figures, names, words of others.
        phrases: by name what is a phrase itself, as its text; with values of its own it is a message too.
    """

    template: str
    values: Mapping[str, str]
    phrases: Mapping[str, str]


def messages(phrases: Iterable[Phrase]) -> dict[str, Message]:
    """By text all that phrases with values are made of, in the order of the phrases."""
    found: dict[str, Message] = {}

    def note(phrase: Phrase) -> None:
        if not phrase.values or phrase in found:
            return
        parts = {name: value for name, value in phrase.values.items() if isinstance(value, Phrase)}
        found[str.__str__(phrase)] = Message(
            phrase.template,
            {name: value for name, value in phrase.values.items() if name not in parts},
            {name: str.__str__(value) for name, value in parts.items()},
        )
        for part in parts.values():
            note(part)

    for phrase in phrases:
        note(phrase)
    return found


def recalled(text: str, known: Mapping[str, Message]) -> Phrase:
    """The phrase of a text that a file holds; without values where nothing is known of it."""
    message = known.get(text)
    if message is None:
        return Phrase(text)
    others = {name: each for name, each in known.items() if name != text}  # no file makes this go round in circles
    parts = {name: recalled(part, others) for name, part in message.phrases.items()}
    return _made(text, message.template, {**message.values, **parts})
