"""How much of an answer its reader changed."""

import json

from sqlalchemy import Connection, select

from trimtab.errors import InputError
from trimtab.operations.exposures.texts import TextCipher
from trimtab.operations.store.tables import EXPOSURE_TEXTS, EXPOSURES


def edit_distance(answer: str, corrected: str) -> float:
    """Insertions, removals and replacements of characters over the length of the longer text, 0 to 1 (Levenshtein).

    Args:
        answer: as it was given.
        corrected: as it should have been.
    """
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_distance(answer, corrected))


def answer_of(connection: Connection, cipher: TextCipher, request: str) -> str:
    """The answer to a request, as it is kept.

    Raises:
        InputError: it is not kept, or there are several; the texts are encrypted by another key.
    """
    joined = EXPOSURES.outerjoin(EXPOSURE_TEXTS, EXPOSURES.c.request == EXPOSURE_TEXTS.c.request)
    wanted = select(EXPOSURES.c.content, EXPOSURE_TEXTS.c.encrypted, EXPOSURE_TEXTS.c.content.label("text"))
    row = connection.execute(wanted.select_from(joined).where(EXPOSURES.c.request == request)).mappings().one()
    answer = None if row["text"] is None else cipher.texts(bytes(row["text"]), encrypted=row["encrypted"])[1]
    several = json.loads(row["content"]).get("answers", 1) > 1
    if answer is None or several:
        why = "it has several answers" if several else "its answer is not kept (any more)"
        raise InputError(
            f"corrected_text: request {request!r} cannot be corrected, as {why}; give a score or a label instead",
            code="unsupported",
            field="corrected_text",
        )
    return answer
