"""Turn messages into the text that a chat template makes of them, and check that no message is lost."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2.exceptions import TemplateError

from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.texts import Message

TODAY = datetime(2024, 7, 26)  # used for today's date; the one that Llama's template falls back to
_ANSWER = "Yes"  # a trial answer, which shows where a template puts answers
# what templates raise on purpose, and by accident with turns that they were not written for
_REFUSALS = (TemplateError, ValueError, TypeError, KeyError, IndexError, AttributeError)

_NOW = re.compile(r"""strftime_now\(\s*(?P<mark>['"])(?P<format>.*?)(?P=mark)\s*\)""")

NO_SYSTEM = Phrase(
    "the chat template has no place for a system turn: its text was put in front of the first user turn's"
)
NO_OPENING = Phrase(
    "the chat template does not open the assistant's turn when asked to; the opening it writes elsewhere was added"
)
NO_DATE = Phrase(
    "the chat template writes today's date; {today} is used instead, so that results repeat", today=f"{TODAY:%d %B %Y}"
)


@dataclass(frozen=True)
class ChatPrompt:
    """Turns as text, up to the answer.

    Args:
        text: everything before the answer.
        joint: the white space that the template puts in front of an answer, counted to the answer.
    """

    text: str
    joint: str


class Chat:
    """A tokenizer's chat template.

    Args:
        tokenizer: a Hugging Face tokenizer.

    Attributes:
        notes: how texts were changed to fit the template, each once.

    Raises:
        InputError: there is no template, or one of several would have to be chosen.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        template = _template(tokenizer)
        self.template = _dated(template)
        self.dated = self.template != template
        self._notes: dict[Phrase, None] = {}
        self._endings: dict[tuple[str, ...], tuple[str, str]] = {}

    @property
    def notes(self) -> tuple[Phrase, ...]:
        """How texts were changed to fit the template, each once."""
        return tuple(self._notes)

    def prompt(self, turns: Sequence[Message]) -> ChatPrompt:
        """Turns as text, with the opening of the assistant's turn behind them.

        A system turn that the template refuses or leaves out is put before the first user turn's words. Templates that
        expect the content in parts, as those of vision models do, are given parts.

        Raises:
            InputError: the template refuses the turns, or leaves out what they say.
        """
        reasons: list[str] = []
        for form, note in _forms(turns):
            try:
                text = self._rendered(form, add_generation_prompt=True)
            except _REFUSALS as error:
                reasons.append(f"refuses turns by {_roles(turns)}: {(str(error) or repr(error)).splitlines()[0]}")
                continue
            missing = _missing_turn(form, text)
            if missing is None:
                self._notes |= dict.fromkeys([note] if note else [])
                header, joint = self._ending(form, text)
                return ChatPrompt(text + header, joint)
            reasons.append(f"leaves out what the {missing.role} says, {missing.content.strip()[:60]!r}")
        raise InputError(
            f"the model's chat template {reasons[0]}; {_fix(turns)}", code="unsupported", field="chat_template"
        )

    def _rendered(self, form: Sequence[Mapping[str, Any]], add_generation_prompt: bool) -> str:
        options: dict[str, Any] = {}
        if self.template != self.tokenizer.chat_template:
            options["chat_template"] = self.template
        self._notes |= dict.fromkeys([NO_DATE] if self.dated else [])
        text: str = self.tokenizer.apply_chat_template(
            [dict(turn) for turn in form], tokenize=False, add_generation_prompt=add_generation_prompt, **options
        )
        return text

    def _ending(self, form: Sequence[Mapping[str, Any]], text: str) -> tuple[str, str]:
        """The opening of the assistant's turn where the template left it out, and white space before the answer."""
        roles = tuple(turn["role"] for turn in form)
        if roles not in self._endings:
            self._endings[roles] = self._find_ending(form, text)
        header, joint = self._endings[roles]
        if header:
            self._notes[NO_OPENING] = None
        return header, joint

    def _find_ending(self, form: Sequence[Mapping[str, Any]], text: str) -> tuple[str, str]:
        parts = not isinstance(form[-1]["content"], str)
        answer = {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}] if parts else _ANSWER}
        try:
            whole = self._rendered([*form, answer], add_generation_prompt=False)
            front, answer_found, _ = whole.rpartition(_ANSWER)
            between = front.removeprefix(text)
            if not answer_found or not front.startswith(text):
                return "", ""
            if not between.strip():
                return "", between
            if self._rendered(form, add_generation_prompt=False) != text:
                return "", ""  # the template opens the turn, and writes answers of the past otherwise
        except _REFUSALS:
            return "", ""
        header = between.rstrip(" ")
        return header, between[len(header) :]


def _template(tokenizer: Any) -> str:
    """The tokenizer's template, or the default one of several."""
    own = getattr(tokenizer, "chat_template", None)
    if not own:
        raise InputError(
            "this model's tokenizer has no chat template; leave the chat template off",
            code="unsupported",
            field="chat_template",
        )
    if isinstance(own, str):
        return own
    templates = dict(own) if isinstance(own, Mapping) else {str(t["name"]): t["template"] for t in own}
    if "default" not in templates:
        names = ", ".join(map(repr, templates))
        raise InputError(
            f"this model's tokenizer has several chat templates, {names}, and none is the default; choose one, such as "
            f"model.tokenizer.chat_template = model.tokenizer.get_chat_template({next(iter(templates))!r}), or save "
            "the tokenizer with that one alone"
        )
    return str(templates["default"])


def _dated(template: str) -> str:
    """The template with a date that stays in place of today's."""
    template = _NOW.sub(lambda call: repr(TODAY.strftime(call["format"])), template)
    if "strftime_now(" in template:  # in a format that is made on the way
        template = "{%- macro strftime_now(format) -%}" + f"{TODAY:%Y-%m-%d}" + "{%- endmacro -%}" + template
    return template


def _forms(turns: Sequence[Message]) -> Iterator[tuple[list[dict[str, Any]], Phrase | None]]:
    """Forms of the turns to try with a template, and a note for each: as they are, in parts, without a system turn."""
    ways: list[tuple[list[Message], Phrase | None]] = [(list(turns), None)]
    if any(turn.role == "system" for turn in turns):
        ways.append((without_system(turns), NO_SYSTEM))
    for some, note in ways:
        yield [{"role": t.role, "content": t.content} for t in some], note
        yield [{"role": t.role, "content": [{"type": "text", "text": t.content}]} for t in some], note


def without_system(turns: Sequence[Message]) -> list[Message]:
    """System texts are put in front of the next user turn, or into a user turn of their own at the end."""
    out: list[Message] = []
    system_texts: list[str] = []
    for turn in turns:
        if turn.role == "system":
            system_texts.append(turn.content)
        elif turn.role == "user" and system_texts:
            out.append(Message("user", "\n\n".join([*system_texts, turn.content])))
            system_texts = []
        else:
            out.append(turn)
    return [*out, Message("user", "\n\n".join(system_texts))] if system_texts else out


def _missing_turn(form: Sequence[Mapping[str, Any]], text: str) -> Message | None:
    """A turn whose text is missing from the rendered text, white space aside."""
    rest = "".join(text.split())
    for turn in sorted((_words(turn) for turn in form), key=lambda turn: -len(turn.content)):
        words = "".join(turn.content.split())
        if words not in rest:
            return turn
        rest = rest.replace(words, "\0", 1)  # the same words of another turn stand for themselves
    return None


def _words(turn: Mapping[str, Any]) -> Message:
    """A turn's text, without an assistant's thinking, which templates leave out."""
    content = turn["content"]
    words = content if isinstance(content, str) else content[0]["text"]
    return Message(turn["role"], words.rpartition("</think>")[2] if turn["role"] == "assistant" else words)


def _roles(turns: Sequence[Message]) -> str:
    return ", ".join(turn.role for turn in turns)


def _fix(turns: Sequence[Message]) -> str:
    if len(turns) == 1:
        return "leave the chat template off, or give the tokenizer another template (model.tokenizer.chat_template)"
    return (
        "most templates want user and assistant turns in alternation, the user's first: join neighbouring turns of one "
        "speaker in the data, leave the chat template off, or give the tokenizer another template"
    )
