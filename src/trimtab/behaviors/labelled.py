"""Rows of one text and its side: two lists, or answers to prompts that are paired by their prompt."""

from collections.abc import Mapping, Sequence

from trimtab.behaviors.behavior import Example
from trimtab.behaviors.chats import flatten, holds_turns, turns_of, with_system
from trimtab.behaviors.invalid_rows import InvalidRows
from trimtab.behaviors.matching import Text
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import Message

TEXT_FIELDS = ("text", "statement", "sentence")
_POSITIVE = ("1", "1.0", "true", "positive", "pos")
_NEGATIVE = ("0", "0.0", "false", "negative", "neg")
_POSITIVE_WORDS = ("yes", "y", "t", "good", "chosen", "desirable")  # reported in a note
_NEGATIVE_WORDS = ("no", "n", "f", "bad", "rejected", "undesirable")
LABELS: Mapping[str, int] = {
    **dict.fromkeys((*_POSITIVE, *_POSITIVE_WORDS), 1),
    **dict.fromkeys((*_NEGATIVE, *_NEGATIVE_WORDS), 0),
    **dict.fromkeys(("-1", "-1.0"), -1),
}


def label(row: Row) -> int:
    """1 for the positive side, 0 or -1 for the negative one.

    Raises:
        InputError: no label, or one that does not say which side.
    """
    if "label" not in row.fields:
        raise InputError(f"{row.source}: the field 'label' is missing; found {row.field_names()}")
    value = row.fields["label"]
    side = LABELS.get(str(value).strip().casefold())
    if side is None:
        raise InputError(
            f"{row.source}: the label {value!r} is unknown; use 1 or 0, 1 or -1, true or false, yes or no, "
            "positive or negative"
        )
    return side


def label_notes(table: Table) -> list[Phrase]:
    """How words other than true and false, positive and negative were read."""
    labels = {str(row.fields.get("label")).strip().casefold() for row in table.rows}
    words = [*sorted(labels & set(_POSITIVE_WORDS)), *sorted(labels & set(_NEGATIVE_WORDS))]
    read = [
        Phrase("{name} as {ours}", name=repr(word), ours="positive" if word in _POSITIVE_WORDS else "negative")
        for word in words
    ]
    return [Phrase("read the label {labels}", labels=with_commas(read))] if read else []


def check_one_scale(rows: Sequence[Row], labels: Sequence[int]) -> None:
    """
    Raises:
        InputError: labels 1, 0 and -1 together, which are three classes.
    """
    if {0, -1} <= set(labels):
        where = rows[labels.index(-1)].source
        raise InputError(f"{where}: the labels 1, 0 and -1 are three classes; keep the rows of two")


def two_lists(table: Table, invalid: InvalidRows) -> tuple[list[Text], list[Text]]:
    """The positive and the negative texts of labelled rows.

    Raises:
        InputError: a row that does not fit, or three classes.
    """

    def read(row: Row) -> tuple[Row, Text, int]:
        name = next((name for name in TEXT_FIELDS if name in row.fields), "text")
        return row, (row.answer(name), row.source), label(row)

    read_rows = invalid.read(table.rows, read)
    check_one_scale([row for row, _, _ in read_rows], [side for _, _, side in read_rows])
    positive = [text for _, text, side in read_rows if side == 1]
    return positive, [text for _, text, side in read_rows if side != 1]


# --- answers of several prompts ---


def paired_completions(table: Table, invalid: InvalidRows) -> tuple[list[Example], list[Phrase]]:
    """Labelled answers, paired with those of the other side to the same prompt, in order.

    Returns:
        the examples, and a note on the answers without a partner.

    Raises:
        InputError: a row that does not fit; three classes; no prompt that has both sides.
    """

    def read(row: Row) -> tuple[Row, str, tuple[Message, ...], str, int]:
        return row, *_completion(row), label(row)

    read_rows = invalid.read(table.rows, read)
    check_one_scale([row for row, *_ in read_rows], [side for *_, side in read_rows])
    prompts: dict[tuple[str, tuple[Message, ...]], dict[bool, list[tuple[Row, str]]]] = {}
    for row, prompt, turns, answer, side in read_rows:
        prompts.setdefault((prompt, turns), {True: [], False: []})[side == 1].append((row, answer))
    examples = [
        Example(prompt, good, bad, row.group(), turns, f"{row.source} + {other.source}")
        for (prompt, turns), sides in prompts.items()
        for (row, good), (other, bad) in zip(sides[True], sides[False], strict=False)
    ]
    if not examples:
        raise InputError(
            f"{table.rows[0].source}: labelled rows with a 'prompt' cannot be paired: no prompt has both a positive "
            "and a negative answer; give each prompt both answers, as the fields prompt, positive, negative"
        )
    n_left_out = len(read_rows) - 2 * len(examples)
    notes = [Phrase("answers with the label of either side were paired by their prompt: {n} pairs", n=len(examples))]
    if n_left_out:
        notes.append(
            Phrase(
                "{lost} of {n} rows left out: no answer of the other side to the same prompt",
                lost=n_left_out,
                n=len(read_rows),
            )
        )
    return examples, notes


def _completion(row: Row) -> tuple[str, tuple[Message, ...], str]:
    """Prompt, its turns, and the answer."""
    if holds_turns(row.fields.get("completion")):
        turns = turns_of(row, "completion", last="assistant")
        before, answer = turns[:-1], turns[-1].content
        if not answer.strip():
            raise InputError(f"{row.source}: the last turn of 'completion' is empty; write an answer or remove the row")
    else:
        before, answer = (), row.answer("completion")
    if before:
        turns = before
    elif isinstance(row.fields.get("prompt"), list):
        turns = turns_of(row, "prompt")
    else:
        text = row.answer("prompt")
        turns = () if row.blank("system") else (Message("user", text),)
        if not turns:
            return text, (), answer
    turns = with_system(row, turns)
    return flatten(turns), turns, answer
