"""Model-written evaluations (Perez et al. 2212.09251) and CAA (Rimsky et al. 2312.06681)."""

import re
from dataclasses import replace

from trimtab.behaviors.behavior import Example
from trimtab.behaviors.example_set import ExampleSet
from trimtab.behaviors.invalid_rows import InvalidRows
from trimtab.behaviors.matching import matched
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase

_CAA_LABEL = re.compile(r"\([A-Za-z0-9]\)")


def without_garbled_rows(table: Table) -> tuple[Table, list[str]]:
    """The table without garbled rows: corrigible-less-HHH, as published, has one with NUL bytes amid random words."""
    garbled = [row for row in table.rows if any(isinstance(v, str) and "\0" in v for v in row.fields.values())]
    if not garbled:
        return table, []
    rows = tuple(row for row in table.rows if row not in garbled)
    if not rows:
        raise InputError(f"{table.file}: every row contains NUL bytes; this is not a text file")
    note = Phrase(
        "{lost} of {n} rows left out: NUL bytes in the text, first at {where}",
        lost=len(garbled),
        n=len(table.rows),
        where=garbled[0].source,
    )
    return replace(table, rows=rows), [note]


def read_choices(table: Table, caa: bool, invalid: InvalidRows) -> ExampleSet:
    """Raw forms as published: `Question: …\\n\\nAnswer:`, with the two choices where the answers are yes and no."""

    def read(row: Row) -> Example:
        question = row.text("question")
        positive, negative = (_choice_answer(row, f"answer_{kind}matching_behavior", caa) for kind in ("", "not_"))
        named = {positive.strip().casefold(), negative.strip().casefold()} == {"yes", "no"}
        choices = "\n\nChoices:\n - Yes\n - No" if named and "Choices:" not in question else ""
        prompt = f"Question: {question}{choices}\n\nAnswer:"
        return Example(prompt, positive, negative, row.group(), (), row.source)

    examples = invalid.read(table.rows, read)
    if any("statement" in row.fields for row in table.rows):
        note = Phrase("the rows contain statements too: --view statements reads those instead of the questions")
        return ExampleSet(examples, "natural", (note,))
    return ExampleSet(examples)


def _choice_answer(row: Row, name: str, caa: bool) -> str:
    answer = row.answer(name)
    if not caa:
        return " " + answer.lstrip()
    if not _CAA_LABEL.fullmatch(answer.strip()):
        raise InputError(f"{row.source}: {name!r} is {answer!r}, not a label such as (A); use the format mwe")
    return " " + answer.strip()


def is_caa(row: Row) -> bool:
    answer = row.fields.get("answer_matching_behavior")
    return isinstance(answer, str) and _CAA_LABEL.fullmatch(answer) is not None


def read_statements(table: Table, invalid: InvalidRows) -> ExampleSet:
    """The statements one agrees with are positive, the others negative."""

    def read(row: Row) -> tuple[str, tuple[str, str]]:
        if "statement" not in row.fields:
            raise InputError(
                f"{row.source}: the view 'statements' needs the field 'statement'; "
                f"found {row.field_names()}; use the view 'choice'"
            )
        matching = row.answer("answer_matching_behavior").strip().casefold()
        if matching not in ("yes", "no"):
            raise InputError(
                f"{row.source}: the view 'statements' needs 'Yes' or 'No' in 'answer_matching_behavior', "
                f"not {matching!r}; use the view 'choice'"
            )
        return matching, (row.answer("statement"), row.source)

    texts = invalid.read(table.rows, read)
    examples, notes = matched(table.file, *([text for side, text in texts if side == s] for s in ("yes", "no")))
    return ExampleSet(examples, "random", notes, reused=bool(notes))
