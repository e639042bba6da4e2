"""From turns to the text that a chat template makes of them, checked to hold what was said."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2.exceptions import TemplateError

from trimtab.errors import InputError
from trimtab.texts import Message

TODAY = datetime(2024, 7, 26)  # a date that stands for any; the one that Llama's template falls back to
_ANSWER = "Yes"  # what an answer's place is found by
# what templates raise on purpose, and what they run into with turns that they were not written for
_REFUSALS = (TemplateError, ValueError, TypeError, KeyError, IndexError, AttributeError)

_NOW = re.compile(r"""strftime_now\(\s*(?P<mark>['"])(?P<format>.*?)(?P=mark)\s*\)""")

NO_SYSTEM = "the chat template has no place for a system turn: what it says stands before the first user turn's words"
NO_OPENING = "the chat template does not open the assistant's turn by itself; the opening that it writes was put behind"
NO_DATE = f"the chat template writes today's date; {TODAY:%d %B %Y} stands in its place, so that results repeat"


@dataclass(frozen=True)
class Opened:
    """Turns as text, up to the answer.

    Args:
        text: what stands before the answer.
        joint: the white space that the template puts in front of an answer, as part of it.
    """

    text: str
    joint: str


class Chat:
    """A tokenizer's chat template.

    Args:
        tokenizer: a Hugging Face tokenizer.

    Attributes:
        notes: what was done to texts to fit the template, each once.

    Raises:
        InputError: there is no template, or one of several would have to be chosen.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        own = _template(tokenizer)
        self.template = _dated(own)
        self.dated = self.template != own
        self._told: dict[str, None] = {}
        self._endings: dict[tuple[str, ...], tuple[str, str]] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to texts to fit the template, each once."""
        return tuple(self._told)

    def opened(self, turns: Sequence[Message]) -> Opened:
        """Turns as text, with the opening of the assistant's turn behind them.

        A system turn that the template refuses or leaves out is put before the first user turn's words. Templates that
        expect the content in parts, as those of vision models do, are given parts.

        Raises:
            InputError: the template refuses the turns, or leaves out what they say.
        """
        refused: list[str] = []
        for form, note in _forms(turns):
            try:
                text = self._rendered(form, add_generation_prompt=True)
            except _REFUSALS as error:
                refused.append(f"refuses turns by {_roles(turns)}: {(str(error) or repr(error)).splitlines()[0]}")
                continue
            lost = _lost(form, text)
            if lost is None:
                self._told |= dict.fromkeys([note] if note else [])
                header, joint = self._ending(form, text)
                return Opened(text + header, joint)
            refused.append(f"leaves out what the {lost.role} says, {lost.content.strip()[:60]!r}")
        raise InputError(
            f"the model's chat template {refused[0]}; {_mend(turns)}", code="unsupported", field="chat_template"
        )

    def _rendered(self, form: Sequence[Mapping[str, Any]], add_generation_prompt: bool) -> str:
        options: dict[str, Any] = {}
        if self.template != self.tokenizer.chat_template:
            options["chat_template"] = self.template
        self._told |= dict.fromkeys([NO_DATE] if self.dated else [])
        text: str = self.tokenizer.apply_chat_template(
            [dict(turn) for turn in form], tokenize=False, add_generation_prompt=add_generation_prompt, **options
        )
        return text

    def _ending(self, form: Sequence[Mapping[str, Any]], text: str) -> tuple[str, str]:
        """The opening of the assistant's turn where the template left it out, and white space before the answer."""
        roles = tuple(turn["role"] for turn in form)
        if roles not in self._endings:
            self._endings[roles] = self._found_ending(form, text)
        header, joint = self._endings[roles]
        if header:
            self._told[NO_OPENING] = None
        return header, joint

    def _found_ending(self, form: Sequence[Mapping[str, Any]], text: str) -> tuple[str, str]:
        parts = not isinstance(form[-1]["content"], str)
        answer = {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}] if parts else _ANSWER}
        try:
            whole = self._rendered([*form, answer], add_generation_prompt=False)
            front, result, _ = whole.rpartition(_ANSWER)
            between = front.removeprefix(text)
            if not result or not front.startswith(text):
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
    named = dict(own) if isinstance(own, Mapping) else {str(t["name"]): t["template"] for t in own}
    if "default" not in named:
        names = ", ".join(map(repr, named))
        raise InputError(
            f"this model's tokenizer has several chat templates, {names}, and none is the default; choose one, such as "
            f"model.tokenizer.chat_template = model.tokenizer.get_chat_template({next(iter(named))!r}), or save the "
            "tokenizer with that one alone"
        )
    return str(named["default"])


def _dated(template: str) -> str:
    """The template with a date that stays in place of today's."""
    template = _NOW.sub(lambda call: repr(TODAY.strftime(call["format"])), template)
    if "strftime_now(" in template:  # in a format that is made on the way
        template = "{%- macro strftime_now(format) -%}" + f"{TODAY:%Y-%m-%d}" + "{%- endmacro -%}" + template
    return template


def _forms(turns: Sequence[Message]) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Ways to put turns to a template, and what to say of each: as they are, in parts, without a system turn."""
    ways = [(list(turns), "")]
    if any(turn.role == "system" for turn in turns):
        ways.append((without_system(turns), NO_SYSTEM))
    for some, note in ways:
        yield [{"role": t.role, "content": t.content} for t in some], note
        yield [{"role": t.role, "content": [{"type": "text", "text": t.content}]} for t in some], note


def without_system(turns: Sequence[Message]) -> list[Message]:
    """What system turns say in front of the user turn behind them, or in one of its own."""
    out: list[Message] = []
    said: list[str] = []
    for turn in turns:
        if turn.role == "system":
            said.append(turn.content)
        elif turn.role == "user" and said:
            out.append(Message("user", "\n\n".join([*said, turn.content])))
            said = []
        else:
            out.append(turn)
    return [*out, Message("user", "\n\n".join(said))] if said else out


def _lost(form: Sequence[Mapping[str, Any]], text: str) -> Message | None:
    """A turn whose words are not in the text; white space aside."""
    rest = "".join(text.split())
    for turn in sorted((_said(turn) for turn in form), key=lambda turn: -len(turn.content)):
        words = "".join(turn.content.split())
        if words not in rest:
            return turn
        rest = rest.replace(words, "\0", 1)  # the same words of another turn stand for themselves
    return None


def _said(turn: Mapping[str, Any]) -> Message:
    """A turn's words; templates leave out what an assistant thought before."""
    content = turn["content"]
    words = content if isinstance(content, str) else content[0]["text"]
    return Message(turn["role"], words.rpartition("</think>")[2] if turn["role"] == "assistant" else words)


def _roles(turns: Sequence[Message]) -> str:
    return ", ".join(turn.role for turn in turns)


def _mend(turns: Sequence[Message]) -> str:
    if len(turns) == 1:
        return "leave the chat template off, or give the tokenizer another template (model.tokenizer.chat_template)"
    return (
        "most templates want the user's turn first and then the assistant's by turns: join neighbouring turns of one "
        "speaker in the data, leave the chat template off, or give the tokenizer another template"
    )
