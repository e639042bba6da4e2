"""The one format that can store every behavior unchanged: a header line, then one example a line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab.behaviors.behavior import Behavior, Example
from trimtab.errors import InputError
from trimtab.storage.atomic import output_path, whole


def write(behavior: Behavior, file: str | Path, provenance: Sequence[Mapping[str, object]] = ()) -> None:
    """Write a behavior as JSONL; an existing file is replaced once all is written.

    The header says `exact`, so that `Behavior.load` reads the rows unchanged and gives the same digest.

    Args:
        behavior: any.
        file: the target; missing folders are created.
        provenance: where each example comes from, kept beside it in its row and not read again; none, or one each.

    Raises:
        InputError: it cannot be written, or would be inside a steering's folder.
    """
    file = output_path(file)
    header: dict[str, object] = {"trimtab": "behavior", "exact": True, "name": behavior.name}
    for name in ("description", "positive_instruction", "negative_instruction"):
        if value := getattr(behavior, name):
            header[name] = value
    header["pairing"] = behavior.pairing
    if behavior.notes:
        header["notes"] = list(behavior.notes)
    rows = [_row(example) for example in behavior.examples]
    for row, where_from in zip(rows, provenance, strict=bool(provenance)):
        row["provenance"] = dict(where_from)
    lines = [json.dumps(line, ensure_ascii=False) for line in (header, *rows)]
    try:
        with whole(file) as work:
            work.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror or error}") from None


def _row(example: Example) -> dict[str, object]:
    row: dict[str, object] = {"prompt": example.prompt} if example.prompt else {}
    row |= {"positive": example.positive, "negative": example.negative}
    if example.group:
        row["group"] = example.group
    if example.messages:
        row["messages"] = [{"role": turn.role, "content": turn.content} for turn in example.messages]
    if example.source:
        row["source"] = example.source
    return row
