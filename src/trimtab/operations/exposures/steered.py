"""Steered answers as monitoring saw them: their scores are written, and all of it is read back after a restart."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, or_, select

from trimtab.interventions import AnswerScore, Scope
from trimtab.operations.exposures.exposure import OF_UNIT
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import ANSWER_SCORES, EXPOSURES

FIRST: Final = 2_000
"""Answers under a steering that are read back from its beginning on: a reference rests on these."""
LAST: Final = 20_000
"""Those that are read back from its end."""
_WHOLE: Final = ("stop", "length")  # how an answer ends that came to its end


@dataclass(frozen=True)
class SteeredAnswer:
    """An answer under a steering.

    Args:
        unit: hashed; None if nobody said whose it is.
        artifact, strength, scope: of the steering.
        gates: by attribute, the mean over the tokens in scope.
        edit_size: mean over these tokens; None where it was not recorded.
        score: None where it was not scored.

    Example:
        >>> from trimtab.operations import SteeredAnswer
        >>> SteeredAnswer(None, "5f2c", {"warm": 1.0}, "all", {}, 0.1, None).score is None
        True
    """

    unit: str | None
    artifact: str
    strength: Mapping[str, float]
    scope: Scope
    gates: Mapping[str, float]
    edit_size: float | None
    score: AnswerScore | None


class SteeredAnswers:
    """The steered answers of a store.

    Args:
        store: see `Store`.

    Example:
        >>> from trimtab.interventions import AnswerScore
        >>> from trimtab.operations import Exposure, ExposureLog, SteeredAnswers, Store
        >>> one = Exposure("r1", 0.0, "m", "named", artifact="5f2c", strength={"warm": 1.0}, scope="all", finish="stop")
        >>> with Store("steered.db", create=True) as store:
        ...     answers = SteeredAnswers(store)
        ...     answers.scored("r1", AnswerScore(1, -1.0, -0.5, kl=0.2))
        ...     _ = ExposureLog(store).write([one])
        ...     [found] = answers.read("m", ["5f2c"])
        >>> found.score.kl
        0.2
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def scored(self, request: str, score: AnswerScore) -> None:
        """Keep the score of a request's answer, of which there is one.

        Raises:
            TrimtabError: the store cannot be written, or has it already.
        """
        content = asdict(score)
        del content["acts"]  # which servers of 0.2.0 on the same store would not read
        with self._store.appending() as connection:
            connection.execute(insert(ANSWER_SCORES).values(request=request, content=json.dumps(content)))

    def read(self, model: str, artifacts: Collection[str], since: float = 0.0) -> list[SteeredAnswer]:
        """Answers under steerings that came to their end, in the order in which they were written.

        Of each steering the first 2,000 and the last 20,000. Those of forgotten units are left out.

        Args:
            model: by which requests asked for it, with `@` and the name of a steering or without.
            artifacts: ids of the steerings.
            since: only requests that came from then on, seconds since 1970.

        Raises:
            TrimtabError: the store cannot be read.
        """
        rows: dict[int, Any] = {}
        with self._store.reading() as connection:
            for artifact in artifacts:
                rows |= {row.number: row for row in _rows(connection, model, artifact, since)}
        found = (_answer(rows[number]) for number in sorted(rows))
        return [one for one in found if one is not None]


def _rows(connection: Connection, model: str, artifact: str, since: float) -> list[Any]:
    e = EXPOSURES.c
    joined = EXPOSURES.outerjoin(ANSWER_SCORES, e.request == ANSWER_SCORES.c.request)
    wanted = select(e.number, e.unit, e.artifact, e.content, ANSWER_SCORES.c.content.label("score"))
    asked = or_(e.model == model, e.model.startswith(f"{model}@", autoescape=True))
    wanted = wanted.select_from(joined).where(e.artifact == artifact, asked, e.time >= since)
    ends = (wanted.order_by(e.number).limit(FIRST), wanted.order_by(e.number.desc()).limit(LAST))
    return [row for end in ends for row in connection.execute(end)]


def _answer(row: Any) -> SteeredAnswer | None:
    said = json.loads(row.content)
    if said["finish"] not in _WHOLE or (row.unit is None and said.get(OF_UNIT)):
        return None
    score = None if row.score is None else AnswerScore(**json.loads(row.score))
    return SteeredAnswer(
        row.unit, row.artifact, said["strength"], said["scope"], said["gates"], said.get("edit_size_ratio"), score
    )
