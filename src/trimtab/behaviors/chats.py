"""Examples from chats: prompts given as turns, and preference pairs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.behaviors.behavior import Example, Message
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError

_ROLES = ("system", "user", "assistant")
_REPLY = "\n\nAssistant:"


def read_messages(table: Table) -> list[Example]:
    """Rows with `messages`, the turns before the answer, and the two answers.

    Raises:
        InputError: turns that are none, or that do not end with the user's.
    """
    examples = []
    for row in table.rows:
        turns = _turns(row, "messages")
        answers = row.answer("positive"), row.answer("negative")
        examples.append(Example(flatten(turns), *answers, row.group(), turns, row.source))
    return examples


def flatten(turns: Sequence[Message]) -> str:
    """The turns as plain text: one user turn is just its words, several are named and end in `Assistant:`."""
    spoken = [turn for turn in turns if turn.role != "system"]
    if len(spoken) == 1:
        return "\n\n".join(turn.content for turn in turns)
    named = [turn.content if turn.role == "system" else f"{turn.role.title()}: {turn.content}" for turn in turns]
    return "\n\n".join([*named, "Assistant:"])


@dataclass(frozen=True)
class _Reply:
    """One side of a preference: the prompt it came with (empty if it came alone) and the answer."""

    prompt: str
    turns: tuple[Message, ...]
    answer: str


def read_preferences(table: Table) -> tuple[list[Example], list[str]]:
    """Rows with `chosen` and `rejected`: texts after a `prompt`, chats, or Human/Assistant transcripts.

    Returns:
        the examples, and notes that count the rows left out: those whose two prompts differ, and
        transcripts that end without an answer.

    Raises:
        InputError: a row that cannot be read, or none that is left.
    """
    examples: list[Example] = []
    differing = empty = 0
    for row in table.rows:
        chosen, rejected = _reply(row, "chosen"), _reply(row, "rejected")
        prompt, turns = _prompt(row, chosen)
        if chosen.prompt != rejected.prompt or (chosen.prompt and prompt.strip() not in chosen.prompt):
            differing += 1
        elif not chosen.answer.strip() or not rejected.answer.strip():
            empty += 1
        else:
            turns = chosen.turns or turns
            prompt = chosen.prompt or prompt
            examples.append(Example(prompt, chosen.answer, rejected.answer, row.group(), turns, row.source))
    notes = []
    if differing:
        notes.append(f"{differing} of {len(table.rows)} rows left out: the prompts of their two answers differ")
    if empty:
        notes.append(f"{empty} of {len(table.rows)} rows left out: a transcript ends without an answer")
    if not examples:
        raise InputError(f"{table.file}: no row is left; {'; '.join(notes)}")
    return examples, notes


def _reply(row: Row, name: str) -> _Reply:
    value = row.fields.get(name)
    if isinstance(value, list):
        turns = _turns(row, name, last="assistant")
        answer = turns[-1].content
        if not answer.strip():
            raise InputError(f"{row.source}: the last turn of {name!r} is empty; write an answer or remove the row")
        return _Reply(flatten(turns[:-1]) if len(turns) > 1 else "", turns[:-1], answer)
    if row.fields.get("prompt") is not None:
        return _Reply("", (), row.answer(name))
    text = row.answer(name)
    prompt, cut, answer = text.rpartition(_REPLY)
    if not cut:
        raise InputError(
            f"{row.source}: the field 'prompt' is missing, and {name!r} is no transcript with '\\n\\nAssistant:'; "
            f"found {row.found()}"
        )
    return _Reply(prompt.lstrip("\n") + cut, _transcript(prompt), answer)


def _prompt(row: Row, chosen: _Reply) -> tuple[str, tuple[Message, ...]]:
    value = row.fields.get("prompt")
    if value is None and chosen.prompt:
        return "", ()
    if isinstance(value, list):
        turns = _turns(row, "prompt")
        return flatten(turns), turns
    return row.text("prompt"), ()


def _transcript(text: str) -> tuple[Message, ...]:
    """The turns of a Human/Assistant transcript; none where they do not alternate, as chat templates require."""
    _, *parts = re.split(r"(?:^|\n\n)(Human|Assistant):", text)
    names, words = parts[::2], parts[1::2]
    if not names or names != ["Human", "Assistant"] * (len(names) // 2) + ["Human"]:
        return ()
    roles = ["user" if name == "Human" else "assistant" for name in names]
    return tuple(Message(role, said.strip()) for role, said in zip(roles, words, strict=True))


def _turns(row: Row, name: str, last: str = "user") -> tuple[Message, ...]:
    value = row.fields.get(name)
    if not isinstance(value, list) or not value:
        raise InputError(f"{row.source}: {name!r} must be a list of turns with role and content; found {row.found()}")
    turns = []
    for k, turn in enumerate(value):
        where = f"{name}[{k}]"
        if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
            raise InputError(f"{row.source}: {where} must be an object with role and content")
        role = row.checked(f"{where}.role", turn["role"])
        if role not in _ROLES:
            raise InputError(f"{row.source}: {where} has the role {role!r}; it can be {', '.join(_ROLES)}")
        turns.append(Message(role, row.checked(f"{where}.content", turn["content"])))
    if turns[-1].role != last:
        raise InputError(f"{row.source}: the last turn of {name!r} must be the {last}'s, not the {turns[-1].role}'s")
    return tuple(turns)
