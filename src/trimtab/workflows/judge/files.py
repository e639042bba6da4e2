"""The files of a judging: the record, and a row for every judgement."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trimtab.errors import InputError
from trimtab.evaluation import PairVerdict, RatedAnswer
from trimtab.results.judging import Judging
from trimtab.storage.atomic import whole

ANSWERS: Final = "answers.jsonl"
RECORD: Final = "judging.json"
ROWS: Final = "judgements.csv"
_WORDS: Final = {1: "second", -1: "first", 0: "tie"}


def save(record: Judging, judgements: Sequence[PairVerdict] | Sequence[RatedAnswer], folder: Path) -> None:
    """Write `judgements.csv` and `judging.json`, each whole, the record last.

    Args:
        record: the result.
        judgements: of every row.
        folder: where to.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with whole(folder / ROWS) as place, place.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows(_rows(judgements))
        with whole(folder / RECORD) as place:
            place.write_text(record.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}; give another folder",
            code="unwritable-file",
            field="out",
        ) from None


def _rows(judgements: Sequence[PairVerdict] | Sequence[RatedAnswer]) -> list[list[object]]:
    scores = list(dict.fromkeys(name for one in judgements if isinstance(one, RatedAnswer) for name in one.scores))
    pairs = any(isinstance(one, PairVerdict) for one in judgements)
    rows: list[list[object]] = [
        ["id", "rater", "verdict", "orders_disagreed", "missing"] if pairs else ["id", "rater", *scores, "missing"]
    ]
    for one in judgements:
        if isinstance(one, PairVerdict):
            word = "" if one.verdict is None else _WORDS[one.verdict]
            rows.append([one.id, one.rater, word, one.disagreed, one.missing or ""])
        else:
            rows.append([one.id, one.rater, *(one.scores.get(name, "") for name in scores), one.missing or ""])
    return rows
