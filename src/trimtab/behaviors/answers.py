"""Rows with two answers to a prompt, or two statements: one small function for each format."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from trimtab.behaviors.behavior import Example, Pairing
from trimtab.behaviors.chats import read_messages, read_preferences, turns_of
from trimtab.behaviors.example_set import ExampleSet
from trimtab.behaviors.invalid_rows import InvalidRows
from trimtab.behaviors.joining import behind_prompts, joined
from trimtab.behaviors.labelled import TEXT_FIELDS, label_notes, paired_completions, two_lists
from trimtab.behaviors.matching import matched
from trimtab.behaviors.table import Row, Table
from trimtab.behaviors.turns import plain_turns
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import shown

# --- what convert-data writes ---


def read_exactly(table: Table, invalid: InvalidRows) -> ExampleSet:
    """Rows as `trimtab convert-data` writes them: nothing is inserted, cut, or inferred from other fields."""

    def read(row: Row) -> Example:
        turns = turns_of(row, "messages", last="") if "messages" in row.fields else ()
        prompt = row.text("prompt") if "prompt" in row.fields else ""
        group = row.fields.get("group", "")
        group = group if isinstance(group, str) else row.group()
        return Example(prompt, row.text("positive"), row.text("negative"), group, turns, row.source)

    pairing: Pairing = "random" if table.header.get("pairing") == "random" else "natural"
    return ExampleSet(invalid.read(table.rows, read), pairing)


# --- prompts, pairs, preferences ---


def _prompts(table: Table, invalid: InvalidRows) -> ExampleSet:
    return _two_answers(table, invalid, ("positive", "negative"))


def _preferences(table: Table, invalid: InvalidRows) -> ExampleSet:
    return _two_answers(table, invalid, ("chosen", "rejected"))


def _two_answers(table: Table, invalid: InvalidRows, sides: tuple[str, str]) -> ExampleSet:
    table, notes = _with_input(table)
    examples, left_out = read_preferences(table, invalid, sides)
    if all(not e.prompt for e in examples) and any("prompt" in row.fields for row in table.rows):
        notes.append(Phrase("every prompt is empty, so the answers are read as statements without one"))
    examples, cut = behind_prompts(examples)
    examples, spaced = joined(examples)
    return ExampleSet(examples, "natural", (*notes, *left_out, *cut, *spaced))


def _instructions(table: Table, invalid: InvalidRows) -> ExampleSet:
    rows = (
        Row({("prompt" if k == "instruction" else k): v for k, v in r.fields.items()}, r.source) for r in table.rows
    )
    return _preferences(replace(table, rows=tuple(rows)), invalid)


def _with_input(table: Table) -> tuple[Table, list[Phrase]]:
    """Alpaca's `input` on the line below its instruction, and its `history` as turns before it."""

    def joined_input(row: Row) -> Row:
        prompt, more = row.fields.get("prompt"), row.fields.get("input")
        if isinstance(prompt, str) and isinstance(more, str) and more.strip():
            return Row({**row.fields, "prompt": f"{prompt}\n{more}"}, row.source)
        return row

    rows = tuple(map(joined_input, table.rows))
    n = sum(new is not old for new, old in zip(rows, table.rows, strict=True))
    notes = [Phrase("in {n} of {rows} rows 'input' was appended below the prompt", n=n, rows=len(rows))] if n else []
    earlier = sum(not row.blank("history") for row in rows)
    if earlier:
        notes.append(
            Phrase(
                "in {earlier} of {n} rows 'history' was put before the prompt as turns", earlier=earlier, n=len(rows)
            )
        )
        rows = tuple(map(_with_history, rows))
    return replace(table, rows=rows), notes


def _with_history(row: Row) -> Row:
    history, prompt = row.fields.get("history"), row.fields.get("prompt")
    if row.blank("history") or not isinstance(prompt, str):
        return row
    turns = []
    for pair in history if isinstance(history, list) else [history]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise InputError(
                f"{row.source}: 'history' must be a list of [message, answer] pairs; write it as 'messages'"
            )
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    return Row({**row.fields, "prompt": [*turns, {"role": "user", "content": prompt}]}, row.source)


def _pairs(table: Table, invalid: InvalidRows) -> ExampleSet:
    def read(row: Row) -> Example:
        if not row.blank("prompt") or not row.blank("messages"):
            raise InputError(f"{row.source}: some rows have a prompt and some have none; give every row one, or none")
        return Example("", row.answer("positive"), row.answer("negative"), row.group(), (), row.source)

    examples = invalid.read(table.rows, read)
    return ExampleSet(examples, "natural", _unused(table))


def _unused(table: Table) -> list[Phrase]:
    """A note on other columns of sentences, which may be what the two statements answer."""
    others = [
        name
        for name in dict.fromkeys(name for row in table.rows for name in row.fields)
        if name not in ("positive", "negative", "group", "prompt", "messages", "source")
        and sum(" " in str(row.fields.get(name) or "").strip() for row in table.rows) > len(table.rows) / 2
    ]
    listed = with_commas([repr(shown(name, 40)) for name in others[:3]])
    return (
        [
            Phrase(
                "read as statements without a prompt; {listed} not used (rename it prompt if it is one)", listed=listed
            )
        ]
        if others
        else []
    )


def _messages(table: Table, invalid: InvalidRows) -> ExampleSet:
    examples, notes = joined(read_messages(table, invalid))
    return ExampleSet(examples, "natural", notes)


def _conversations(table: Table, invalid: InvalidRows) -> ExampleSet:
    def prompted(row: Row) -> Row:
        chosen = row.fields.get("chosen")
        whole = isinstance(chosen, list) and len(chosen) > 1  # the answer contains the chat too
        return Row({**row.fields, "prompt": None if whole else row.fields.get("conversations")}, row.source)

    return _preferences(replace(table, rows=tuple(map(prompted, table.rows))), invalid)


def _rejected_response(table: Table, invalid: InvalidRows) -> ExampleSet:
    def split(row: Row) -> Row:
        turns, other = row.fields.get("messages"), row.fields.get("rejected_response")
        before = turns_of(row, "messages", last="assistant")[:-1]
        if not before:
            raise InputError(f"{row.source}: 'messages' has an answer without the user's turn before it; add that turn")
        if not isinstance(other, list) or len(other) == 1:  # an answer alone, to the same turns
            shared = [{"role": turn.role, "content": turn.content} for turn in before]
            other = [*shared, *(other if isinstance(other, list) else [{"role": "assistant", "content": other}])]
        return Row({**row.fields, "prompt": None, "chosen": turns, "rejected": other}, row.source)

    return _preferences(replace(table, rows=tuple(invalid.read(table.rows, split))), invalid)


def _openai(table: Table, invalid: InvalidRows) -> ExampleSet:
    names = {"input": "prompt", "preferred_output": "chosen", "non_preferred_output": "rejected"}
    rows = (Row({names.get(k, k): v for k, v in row.fields.items()}, row.source) for row in table.rows)
    return _preferences(replace(table, rows=tuple(rows)), invalid)


def _ranked(table: Table, invalid: InvalidRows) -> ExampleSet:
    """One prompt with several answers: the best against the worst."""

    def extremes(row: Row) -> Row:
        name = next((name for name in ("completions", "answers") if name in row.fields), "completions")
        answers = row.fields.get(name)
        if not isinstance(answers, list) or len(answers) < 2 or not all(_is_ranked(answer) for answer in answers):
            raise InputError(f"{row.source}: {name!r} must be a list of at least two answers, each with its 'rank'")
        best, worst = min(answers, key=lambda a: a["rank"]), max(answers, key=lambda a: a["rank"])
        if best["rank"] == worst["rank"]:
            raise InputError(f"{row.source}: all answers have the rank {best['rank']}; rank the better one lower")
        chosen, rejected = [
            plain_turns(a.get("completion", a.get("answer")), f"{row.source}: {name!r}", Counter())
            for a in (best, worst)
        ]
        return Row(
            {**row.fields, "prompt": row.fields.get("context"), "chosen": chosen, "rejected": rejected}, row.source
        )

    parsed = _preferences(replace(table, rows=tuple(invalid.read(table.rows, extremes))), invalid)
    return replace(
        parsed, notes=(Phrase("the answer with the lowest rank against the one with the highest"), *parsed.notes)
    )


def _is_ranked(answer: object) -> bool:
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("rank"), int | float)
        and ("completion" in answer or "answer" in answer)
    )


# --- labelled texts ---


def _completions(table: Table, invalid: InvalidRows) -> ExampleSet:
    table, notes = _with_input(table)
    examples, paired = paired_completions(table, invalid)
    examples, cut = behind_prompts(examples)
    examples, spaced = joined(examples)
    return ExampleSet(examples, "natural", (*notes, *label_notes(table), *paired, *cut, *spaced))


def _lists(table: Table, invalid: InvalidRows) -> ExampleSet:
    if any(not row.blank("prompt") for row in table.rows):
        name = next((name for name in TEXT_FIELDS if name in table.rows[0].fields), "text")
        rows = (Row({("completion" if k == name else k): v for k, v in r.fields.items()}, r.source) for r in table.rows)
        return _completions(replace(table, rows=tuple(rows)), invalid)
    notes = label_notes(table)
    examples, unequal = matched(table.file, *two_lists(table, invalid))
    if any("group" in row.fields for row in table.rows):
        notes.append(Phrase("the field 'group' is not used: the two texts of a row come from different places"))
    return ExampleSet(examples, "random", (*unequal, *notes), reused=bool(unequal))


def _labelled_chats(table: Table, invalid: InvalidRows) -> ExampleSet:
    """Chats that end with an answer, and whether it is a good one."""
    rows = (
        Row({("completion" if k == "messages" else k): v for k, v in r.fields.items()}, r.source) for r in table.rows
    )
    return _completions(replace(table, rows=tuple(rows)), invalid)


READERS: Mapping[str, Callable[[Table, InvalidRows], ExampleSet]] = {
    "messages": _messages,
    "openai": _openai,
    "ranked": _ranked,
    "conversations": _conversations,
    "rejected-response": _rejected_response,
    "instructions": _instructions,
    "preferences": _preferences,
    "completions": _completions,
    "labelled-chats": _labelled_chats,
    "prompts": _prompts,
    "pairs": _pairs,
    "lists": _lists,
}
