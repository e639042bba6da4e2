"""From rows to examples: one small function for each record format, and how to tell them apart."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trimtab.behaviors.behavior import Example, Pairing
from trimtab.behaviors.chats import read_messages, read_preferences
from trimtab.behaviors.joining import joined
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError

View = Literal["choice", "statements"]
VIEWS: tuple[View, ...] = ("choice", "statements")

_TEXT_FIELDS = ("text", "statement", "sentence")
_LABELS: Mapping[object, int] = {
    "1": 1, "1.0": 1, "true": 1, "positive": 1, "pos": 1,
    "0": 0, "0.0": 0, "false": 0, "negative": 0, "neg": 0,
    "-1": -1, "-1.0": -1,
}  # fmt: skip
_CAA_LABEL = re.compile(r"\([A-Za-z0-9]\)")


@dataclass(frozen=True)
class Parsed:
    """What a format makes of the rows."""

    examples: Sequence[Example]
    pairing: Pairing = "natural"
    notes: Sequence[str] = ()


def parse(table: Table, format: str | None = None, view: str | None = None) -> Parsed:
    """The examples of a table.

    Args:
        table: rows of one format.
        format: a key of `FORMATS`; None tells it by the fields.
        view: `choice` (default) or `statements`, for the formats `mwe` and `caa` only.

    Raises:
        InputError: an unknown format or view, a view where there is none, or a row that does not fit.
    """
    if view is not None and view not in VIEWS:
        raise InputError(f"unknown view {view!r}; it can be {' or '.join(VIEWS)}")
    if format is not None and format not in FORMATS:
        raise InputError(f"unknown format {format!r}; it can be {', '.join(FORMATS)}")
    if not table.rows:
        raise InputError(f"{table.file}: no rows; a behavior needs at least one example")
    name = format or detect(table)
    if name in ("mwe", "caa"):
        sound, notes = _sound(table)
        parsed = _statements(sound) if view == "statements" else _choice(sound, name == "caa")
        return replace(parsed, notes=(*notes, *parsed.notes))
    if view is not None:
        raise InputError(f"{table.file}: a view can be chosen for the formats mwe and caa only, this is {name!r}")
    return _READERS[name](table)


def detect(table: Table) -> str:
    """The format whose fields the rows have.

    Raises:
        InputError: none fits; names the fields found and what each format needs.
    """
    found = {name for row in table.rows for name in row.fields}
    text = next((name for name in _TEXT_FIELDS if name in found), "text")
    for name, fields in FORMATS.items():
        if {text if field == "text" else field for field in fields} <= found:
            return "caa" if name == "mwe" and _is_caa(table.rows[0]) else name
    nearest = max(FORMATS, key=lambda name: len(found & set(FORMATS[name])) / len(FORMATS[name]))
    lacking = ", ".join(repr(field) for field in FORMATS[nearest] if field not in found)
    if found & set(FORMATS[nearest]):
        hint = f"the nearest format, {nearest}, also needs {lacking}"
    else:
        hint = "the formats are " + "; ".join(f"{k} ({', '.join(v)})" for k, v in FORMATS.items() if k != "caa")
    raise InputError(
        f"{table.rows[0].source}: no format has these fields; found {table.rows[0].found()}; "
        f"{hint}; rename the fields to fit"
    )


# --- prompts and pairs ---


def _prompts(table: Table) -> Parsed:
    examples, notes = joined(
        [
            Example(row.text("prompt"), row.answer("positive"), row.answer("negative"), row.group(), (), row.source)
            for row in table.rows
        ]
    )
    return Parsed(examples, "natural", notes)


def _pairs(table: Table) -> Parsed:
    return Parsed(
        [Example("", row.answer("positive"), row.answer("negative"), row.group(), (), row.source) for row in table.rows]
    )


# --- two lists ---


def _lists(table: Table) -> Parsed:
    texts: list[tuple[str, str]] = []
    labels: list[int] = []
    for row in table.rows:
        if "prompt" in row.fields:
            raise InputError(
                f"{row.source}: labelled rows with a 'prompt' are not paired, and no matching of them would share "
                "its prompt; give each prompt both answers, as the fields prompt, positive, negative"
            )
        name = next((name for name in _TEXT_FIELDS if name in row.fields), "text")
        texts.append((row.answer(name), row.source))
        labels.append(_label(row))
    if {0, -1} <= set(labels):
        where = table.rows[labels.index(-1)].source
        raise InputError(f"{where}: the labels 1, 0 and -1 are three classes; keep the rows of two")
    positive = [text for text, label in zip(texts, labels, strict=True) if label == 1]
    negative = [text for text, label in zip(texts, labels, strict=True) if label != 1]
    parsed = _matched(table.file, positive, negative)
    if any("group" in row.fields for row in table.rows):
        note = "the field 'group' is not used: the two texts of a row come from different places"
        return replace(parsed, notes=(*parsed.notes, note))
    return parsed


def _label(row: Row) -> int:
    if "label" not in row.fields:
        raise InputError(f"{row.source}: the field 'label' is missing; found {row.found()}")
    value = row.fields["label"]
    known = _LABELS.get(str(value).strip().casefold())
    if known is None:
        raise InputError(
            f"{row.source}: the label {value!r} is unknown; write 1 or 0, 1 or -1, true or false, positive or negative"
        )
    return known


def _matched(file: str, positive: list[tuple[str, str]], negative: list[tuple[str, str]]) -> Parsed:
    """Two lists of (text, source), matched in the order of the file."""
    for side, texts in (("positive", positive), ("negative", negative)):
        if not texts:
            raise InputError(f"{file}: no {side} texts; a behavior needs both classes")
    n = min(len(positive), len(negative))
    examples = [
        Example("", p, q, source=f"{at_p} + {at_q}")
        for (p, at_p), (q, at_q) in zip(positive[:n], negative[:n], strict=True)
    ]
    notes = []
    for side, other, texts in (("positive", "negative", positive), ("negative", "positive", negative)):
        if len(texts) > n:
            unused = len(texts) - n
            notes.append(
                f"{unused} of {len(texts)} {side} texts unused: they are matched one to one with the {n} {other} ones"
            )
    return Parsed(examples, "random", notes)


# --- model-written evaluations (Perez et al. 2212.09251) and CAA (Rimsky et al. 2312.06681) ---


def _sound(table: Table) -> tuple[Table, list[str]]:
    """Without garbled rows: corrigible-less-HHH, as published, has one with NUL bytes amid random words."""
    garbled = [row for row in table.rows if any(isinstance(v, str) and "\0" in v for v in row.fields.values())]
    if not garbled:
        return table, []
    rows = tuple(row for row in table.rows if row not in garbled)
    if not rows:
        raise InputError(f"{table.file}: every row holds NUL bytes; this is no text")
    note = f"{len(garbled)} of {len(table.rows)} rows left out: NUL bytes in the text, first at {garbled[0].source}"
    return replace(table, rows=rows), [note]


def _choice(table: Table, caa: bool) -> Parsed:
    """Raw forms as published: `Question: …\\n\\nAnswer:`, with the two choices where the answers are yes and no."""
    examples = []
    for row in table.rows:
        question = row.text("question")
        positive, negative = (_choice_answer(row, f"answer_{kind}matching_behavior", caa) for kind in ("", "not_"))
        named = {positive.strip().casefold(), negative.strip().casefold()} == {"yes", "no"}
        choices = "\n\nChoices:\n - Yes\n - No" if named and "Choices:" not in question else ""
        prompt = f"Question: {question}{choices}\n\nAnswer:"
        examples.append(Example(prompt, positive, negative, row.group(), (), row.source))
    if any("statement" in row.fields for row in table.rows):
        note = "the rows hold statements too: --view statements reads those instead of the questions"
        return Parsed(examples, "natural", (note,))
    return Parsed(examples)


def _choice_answer(row: Row, name: str, caa: bool) -> str:
    answer = row.answer(name)
    if not caa:
        return " " + answer.lstrip()
    if not _CAA_LABEL.fullmatch(answer.strip()):
        raise InputError(f"{row.source}: {name!r} is {answer!r}, not a label such as (A); use the format mwe")
    return " " + answer.strip()


def _is_caa(row: Row) -> bool:
    answer = row.fields.get("answer_matching_behavior")
    return isinstance(answer, str) and _CAA_LABEL.fullmatch(answer) is not None


def _statements(table: Table) -> Parsed:
    """The statements one agrees with are positive, the others negative."""
    sides: dict[str, list[tuple[str, str]]] = {"yes": [], "no": []}
    for row in table.rows:
        if "statement" not in row.fields:
            raise InputError(
                f"{row.source}: the view 'statements' needs the field 'statement'; "
                f"found {row.found()}; use the view 'choice'"
            )
        matching = row.answer("answer_matching_behavior").strip().casefold()
        if matching not in sides:
            raise InputError(
                f"{row.source}: the view 'statements' needs 'Yes' or 'No' in 'answer_matching_behavior', "
                f"not {matching!r}; use the view 'choice'"
            )
        sides[matching].append((row.answer("statement"), row.source))
    return _matched(table.file, sides["yes"], sides["no"])


# --- chats ---


def _messages(table: Table) -> Parsed:
    examples, notes = joined(read_messages(table))
    return Parsed(examples, "natural", notes)


def _preferences(table: Table) -> Parsed:
    read, left_out = read_preferences(table)
    examples, notes = joined(read)
    return Parsed(examples, "natural", (*left_out, *notes))


# The fields each format needs, most telling first: the first format that has all of its fields is taken.
FORMATS: Mapping[str, tuple[str, ...]] = {
    "mwe": ("question", "answer_matching_behavior", "answer_not_matching_behavior"),
    "caa": ("question", "answer_matching_behavior", "answer_not_matching_behavior"),
    "messages": ("messages", "positive", "negative"),
    "preferences": ("chosen", "rejected"),
    "prompts": ("prompt", "positive", "negative"),
    "pairs": ("positive", "negative"),
    "lists": ("text", "label"),
}
_READERS: Mapping[str, Callable[[Table], Parsed]] = {
    "prompts": _prompts,
    "pairs": _pairs,
    "lists": _lists,
    "messages": _messages,
    "preferences": _preferences,
}
