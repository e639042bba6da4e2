"""Examples from chats: prompts given as turns, and preference pairs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.behaviors.behavior import Example
from trimtab.behaviors.invalid_rows import InvalidRows
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.texts import Message

_ROLES = ("system", "user", "assistant")
_REPLY = "\n\nAssistant:"
# Where an answer begins in a text that holds its prompt, as templates of chats mark it.
_MARKS = (
    _REPLY, "<|im_start|>assistant\n", "[/INST]", "<start_of_turn>model\n", "<|assistant|>\n", "### Assistant:",
    "<|start_header_id|>assistant<|end_header_id|>\n\n", "### Response:", "\n\nAI:", "\nAssistant:", "\n\nA:",
)  # fmt: skip
_ANY_MARK = re.compile("|".join(map(re.escape, _MARKS)))


def read_messages(table: Table, invalid: InvalidRows) -> list[Example]:
    """Rows with `messages`, the turns before the answer, and the two answers.

    Raises:
        InputError: invalid turns, or turns that do not end with the user's.
    """

    def read(row: Row) -> Example:
        turns = with_system(row, turns_of(row, "messages"))
        answers = _answer_text(row, "positive"), _answer_text(row, "negative")
        return Example(flatten(turns), *answers, row.group(), turns, row.source)

    return invalid.read(table.rows, read)


def flatten(turns: Sequence[Message]) -> str:
    """The turns as plain text: one user turn is just its words, several are named and end in `Assistant:`."""
    spoken = [turn for turn in turns if turn.role != "system"]
    if len(spoken) == 1:
        return "\n\n".join(turn.content for turn in turns)
    named = [turn.content if turn.role == "system" else f"{turn.role.title()}: {turn.content}" for turn in turns]
    return "\n\n".join([*named, "Assistant:"])


def with_system(row: Row, turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns with the text of the field `system` before them, where the row has one and they have none."""
    if row.blank("system") or not turns or turns[0].role == "system":
        return turns
    return (Message("system", row.text("system")), *turns)


@dataclass(frozen=True)
class _Reply:
    """One side of a preference: the prompt it came with (empty if it came alone) and the answer."""

    prompt: str
    turns: tuple[Message, ...]
    answer: str


def read_preferences(
    table: Table, invalid: InvalidRows, sides: tuple[str, str] = ("chosen", "rejected")
) -> tuple[list[Example], list[Phrase]]:
    """Rows with a wanted and an unwanted answer: texts after a `prompt`, chats, or Human/Assistant transcripts.

    Args:
        table: rows whose turns are plain.
        invalid: rows that cannot be read.
        sides: the fields of the wanted and the unwanted answer.

    Returns:
        the examples, and notes that count the rows left out: those whose two prompts differ, and
        transcripts that end without an answer.

    Raises:
        InputError: a row that cannot be read, or none that is left.
    """
    differing: list[str] = []
    empty: list[str] = []
    cut = 0

    def read(row: Row) -> Example | None:
        nonlocal cut
        chosen, rejected = _replies(row, *sides)
        prompt, turns = _prompt(row, chosen)
        if chosen.prompt != rejected.prompt or (chosen.prompt and prompt.strip() not in chosen.prompt):
            differing.append(f"{row.source}: {_difference(chosen, rejected, prompt, sides)}")
            return None
        if not chosen.answer.strip() or not rejected.answer.strip():
            empty.append(row.source)
            return None
        cut += isinstance(row.fields[sides[0]], str) and bool(chosen.prompt) and row.fields.get("prompt") is not None
        turns = with_system(row, chosen.turns or turns)
        prompt = flatten(turns) if turns and turns != chosen.turns else chosen.prompt or prompt
        return Example(prompt, chosen.answer, rejected.answer, row.group(), turns, row.source)

    examples = [example for example in invalid.read(table.rows, read) if example is not None]
    n = len(table.rows)
    notes = []
    if differing:
        notes.append(
            Phrase("{lost} of {n} rows left out: the prompts of their two answers differ", lost=len(differing), n=n)
        )
    if empty:
        notes.append(Phrase("{lost} of {n} rows left out: a transcript ends without an answer", lost=len(empty), n=n))
    if not examples:
        first = f"; such as {differing[0]}" if differing else ""
        raise InputError(f"{table.file}: no row is left; {'; '.join(notes)}{first}")
    if cut:
        notes.append(
            Phrase(
                "in {cut} of {n} rows both answers contain their prompt as a transcript, and were cut after it",
                cut=cut,
                n=n,
            )
        )
    return examples, notes


def _difference(chosen: _Reply, rejected: _Reply, prompt: str, sides: tuple[str, str]) -> str:
    has_system = [bool(reply.turns) and reply.turns[0].role == "system" for reply in (chosen, rejected)]
    if has_system[0] != has_system[1]:
        with_turn, other = sides if has_system[0] else sides[::-1]
        return (
            f"{with_turn!r} has a system turn and {other!r} has none, so that more than the answers differs; "
            "give both the same system turn, or none"
        )
    if chosen.prompt == rejected.prompt:
        return f"the prompt {prompt[:40]!r} is not in the field {sides[0]!r}, which has another one"
    return f"{chosen.prompt[-40:]!r} against {rejected.prompt[-40:]!r}; give both answers the same turns before them"


def _replies(row: Row, *sides: str) -> tuple[_Reply, _Reply]:
    """The two answers, each with the prompt that it may hold."""
    texts = [row.fields.get(side) for side in sides]
    if all(isinstance(text, str) for text in texts) and not any(_is_transcript(row, side) for side in sides):
        before = _shared_before(row, *texts)
        if before:
            both = [_Reply(before.lstrip("\n"), (), str(text)[len(before) :]) for text in texts]
            return both[0], both[1]
    return _reply(row, sides[0]), _reply(row, sides[1])


def _shared_before(row: Row, chosen: object, rejected: object) -> str:
    """What two texts share up to a mark such as `[/INST]`, if that is their prompt as a chat template renders it."""
    assert isinstance(chosen, str)
    assert isinstance(rejected, str)
    own = row.fields.get("prompt")
    if isinstance(own, list) or not _ANY_MARK.search(chosen):
        return ""
    start = own.strip() if isinstance(own, str) and not row.blank("prompt") else ""
    for mark in _MARKS:
        at, other = chosen.rfind(mark) + len(mark), rejected.rfind(mark) + len(mark)
        before = chosen[:at]
        if at >= len(mark) and before == rejected[:other] and start in before and (not start or _opens(before)):
            return before
    return ""


def _opens(before: str) -> bool:
    """Whether a text begins as a rendered chat does, rather than as an answer."""
    return re.match(r"\s*(User:|### |<\|im_start\|>|<s>|\[INST\]|<start_of_turn>|<bos>|<\|)", before) is not None


def _is_transcript(row: Row, side: str) -> bool:
    """Whether an answer is a Human/Assistant transcript that holds the prompt, if the row has one of its own."""
    text, prompt = row.fields.get(side), row.fields.get("prompt")
    if not isinstance(text, str) or _REPLY not in text or isinstance(prompt, list):
        return False
    if prompt is None:
        return True
    if not text.lstrip().startswith("Human:"):
        return False
    return row.blank("prompt") or (isinstance(prompt, str) and prompt.strip() in text.rpartition(_REPLY)[0])


def _reply(row: Row, name: str) -> _Reply:
    value = row.fields.get(name)
    if holds_turns(value):
        turns = turns_of(row, name, last="assistant")
        answer = turns[-1].content
        if not answer.strip():
            raise InputError(f"{row.source}: the last turn of {name!r} is empty; write an answer or remove the row")
        return _Reply(flatten(turns[:-1]) if len(turns) > 1 else "", turns[:-1], answer)
    if _is_transcript(row, name):
        prompt, cut, answer = row.answer(name).rpartition(_REPLY)
        return _Reply(prompt.lstrip("\n") + cut, _transcript(prompt), answer)
    answer = row.answer(name)
    if "prompt" in row.fields:
        return _Reply("", (), answer)
    fix = ""
    if name == "chosen":
        fix = (
            "\n  write the prompt that both answers follow; to compare them as statements without one:"
            "\n  trimtab convert-data IN OUT.jsonl --positive chosen --negative rejected"
        )
    raise InputError(
        f"{row.source}: the field 'prompt' is missing, and {name!r} is not a transcript with '\\n\\nAssistant:'; "
        f"found {row.field_names()}{fix}"
    )


def _prompt(row: Row, chosen: _Reply) -> tuple[str, tuple[Message, ...]]:
    value = row.fields.get("prompt")
    if value is None and chosen.prompt:
        return "", ()
    if isinstance(value, list) and value:
        turns = turns_of(row, "prompt")
        return flatten(turns), turns
    if row.blank("prompt"):
        return (value, ()) if isinstance(value, str) and not value.strip() else ("", ())
    text = row.text("prompt")
    return text, (Message("user", text),) if not row.blank("system") and not chosen.turns else ()


def _answer_text(row: Row, name: str) -> str:
    """An answer as text, or as the one turn that holds it."""
    if holds_turns(row.fields.get(name)):
        return turns_of(row, name, last="assistant")[-1].content
    return row.answer(name)


def _transcript(text: str) -> tuple[Message, ...]:
    """The turns of a Human/Assistant transcript; none where they do not alternate, as chat templates require."""
    _, *parts = re.split(r"(?:^|\n\n)(Human|Assistant):", text)
    names, words = parts[::2], parts[1::2]
    if not names or names != ["Human", "Assistant"] * (len(names) // 2) + ["Human"]:
        return ()
    roles = ["user" if name == "Human" else "assistant" for name in names]
    return tuple(Message(role, spoken.strip()) for role, spoken in zip(roles, words, strict=True))


def holds_turns(value: object) -> bool:
    """Whether a value is a list of something other than texts, which must be turns."""
    return isinstance(value, list) and not all(isinstance(held, str) for held in value)


def turns_of(row: Row, name: str, last: str = "user") -> tuple[Message, ...]:
    """The turns that a field holds.

    Args:
        row: of a table whose turns are plain already.
        name: of the field.
        last: whose turn the last one must be; empty for anybody's.

    Raises:
        InputError: no turns, an unknown role, or another's turn at the end.
    """
    value = row.fields.get(name)
    if not isinstance(value, list) or not value:
        raise InputError(
            f"{row.source}: {name!r} must be a list of turns with role and content; found {row.field_names()}"
        )
    turns = []
    for k, turn in enumerate(value):
        where = f"{name}[{k}]"
        if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
            raise InputError(f"{row.source}: {where} must be an object with role and content")
        role = row.checked(f"{where}.role", turn["role"])
        if role not in _ROLES:
            raise InputError(f"{row.source}: {where} has the role {role!r}; it can be {', '.join(_ROLES)}")
        turns.append(Message(role, row.checked(f"{where}.content", turn["content"])))
    if last and turns[-1].role != last:
        raise InputError(f"{row.source}: the last turn of {name!r} must be the {last}'s, not the {turns[-1].role}'s")
    return tuple(turns)
