"""The outcomes in the store: kept all, of which the last of a request, metric and source counts.

An outcome belongs to its request, and by it to the release, version and arm by which the request was answered, however
late it comes. What is given for a unit belongs to the last answer that the store has of that unit. Order is that of the
rows, not of clocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import time
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, func, insert, select

from trimtab.errors import InputError
from trimtab.operations.exposures.log import ExposureLog
from trimtab.operations.exposures.texts import TextCipher
from trimtab.operations.outcomes.edits import answer_of, edit_distance
from trimtab.operations.outcomes.outcome import EDIT_DISTANCE, Outcome
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES, OUTCOME_TEXTS, OUTCOMES

_SAME: Final = ("metric", "source", "value", "label", "who", "by_unit", "consent")


@dataclass(frozen=True)
class Recorded:
    """What became of an outcome.

    Args:
        number: of its row; of two for the same request, metric and source the higher counts.
        request: that it belongs to.
        matched: whether the request's exposure is in the store; else it counts once that is.
        again: whether it was kept before, by its key, and nothing was done.

    Example:
        >>> from trimtab.operations import Recorded
        >>> Recorded(1, "request-1", matched=True).again
        False
    """

    number: int
    request: str
    matched: bool
    again: bool = False


class OutcomeLog:
    """The outcomes of a store.

    Args:
        store: see `Store`.
        cipher: of texts, where outcomes have any.
        texts: whether comments and corrected texts are kept; else outcomes that have some are refused.

    Raises:
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Exposure, ExposureLog, Outcome, OutcomeLog, Store
        >>> with Store("outcomes.db", create=True) as store:
        ...     _ = ExposureLog(store).write([Exposure("request-1", 0.0, "smollm2", "treatment", unit="ada")])
        ...     [kept] = OutcomeLog(store).write([Outcome("thumbs", unit="ada", label="up")])
        >>> kept.request, kept.matched
        ('request-1', True)
    """

    def __init__(self, store: Store, cipher: TextCipher | None = None, *, texts: bool = False) -> None:
        self.store = store
        self.cipher = cipher or TextCipher()
        self.texts = texts
        self._exposures = ExposureLog(store, self.cipher)

    def write(self, outcomes: Sequence[Outcome], *, may_come: bool = False) -> list[Recorded]:
        """Keep outcomes, all or none, in one transaction.

        Args:
            outcomes: any.
            may_come: keep those of requests without an exposure too: it is written up to a second after the answer.

        Raises:
            InputError: a request or unit is not known (`unknown-choice`); its answer is not there to be corrected;
                there are texts and none are kept; a key came before with something else (`conflict`).
            TrimtabError: the store cannot be written.
        """
        for outcome in outcomes:
            self._check_texts(outcome)
        with self.store.appending() as connection:
            return [self._write(connection, outcome, may_come) for outcome in outcomes]

    def count(self, metric: str, source: str, since: float) -> int:
        """How many outcomes of a metric and source came since a time, in seconds since 1970.

        Raises:
            TrimtabError: the store cannot be read.
        """
        o = OUTCOMES.c
        wanted = select(func.count()).where(o.metric == metric, o.source == source, o.came >= since)
        with self.store.reading() as connection:
            return int(connection.execute(wanted).scalar_one())

    def of_request(self, request: str) -> Iterator[dict[str, Any]]:
        """All outcomes of a request in their order, with texts as far as they are kept.

        Raises:
            InputError: the texts are encrypted by a key that was not given.
        """
        joined = OUTCOMES.outerjoin(OUTCOME_TEXTS, OUTCOMES.c.number == OUTCOME_TEXTS.c.number)
        wanted = select(OUTCOMES, OUTCOME_TEXTS.c.encrypted, OUTCOME_TEXTS.c.content).select_from(joined)
        wanted = wanted.where(OUTCOMES.c.request == request).order_by(OUTCOMES.c.number)
        with self.store.reading() as connection:
            rows = connection.execute(wanted).mappings().all()
        for row in rows:
            said: dict[str, Any] = {column.name: row[column.name] for column in OUTCOMES.c if column.name != "key"}
            if row["content"] is not None:
                said |= self.cipher.opened(bytes(row["content"]), encrypted=row["encrypted"])
            yield said

    def _check_texts(self, outcome: Outcome) -> None:
        for field in ("comment", "corrected_text"):
            if getattr(outcome, field) is not None and not self.texts:
                raise InputError(
                    f"{field}: no texts are kept here, so it cannot be taken; leave it out, or keep texts (store text)",
                    code="unsupported",
                    field=field,
                )

    def _write(self, connection: Connection, outcome: Outcome, may_come: bool) -> Recorded:
        key = None if outcome.key is None else sha256(f"{outcome.who}\0{outcome.key}".encode()).hexdigest()
        if key is not None and (former := _by_key(connection, key)) is not None:
            return _again(connection, former, outcome)
        request, matched = self._request(connection, outcome, may_come)
        now = time()
        common = {
            "request": request, "who": outcome.who, "by_unit": outcome.unit is not None, "consent": outcome.consent,
            "happened": now if outcome.happened is None else outcome.happened, "came": now,
        }  # fmt: skip
        rows: list[dict[str, Any]] = []
        if outcome.metric is not None:
            given = {"metric": outcome.metric, "source": outcome.source, "value": outcome.value, "label": outcome.label}
            rows.append(common | given)
        if outcome.corrected_text is not None:
            answer = answer_of(connection, self.cipher, request)
            distance = edit_distance(answer, outcome.corrected_text)
            rows.append(common | {"metric": EDIT_DISTANCE, "source": "system", "value": distance, "label": None})
        numbers = [self._insert(connection, row | {"key": key if i == 0 else None}) for i, row in enumerate(rows)]
        self._keep_texts(connection, numbers, outcome, now)
        return Recorded(numbers[0], request, matched)

    def _insert(self, connection: Connection, row: dict[str, Any]) -> int:
        made = connection.execute(insert(OUTCOMES).values(row)).inserted_primary_key
        assert made is not None
        return int(made[0])

    def _keep_texts(self, connection: Connection, numbers: list[int], outcome: Outcome, now: float) -> None:
        """A comment beside the value, a corrected text beside its distance."""
        kept: dict[int, dict[str, str | None]] = {}
        if outcome.comment is not None:
            kept.setdefault(numbers[0], {})["comment"] = outcome.comment
        if outcome.corrected_text is not None:
            kept.setdefault(numbers[-1], {})["corrected_text"] = outcome.corrected_text
        for number, texts in kept.items():
            content = {"encrypted": self.cipher.encrypts, "content": self.cipher.sealed(texts)}
            connection.execute(insert(OUTCOME_TEXTS).values({"number": number, "time": now, **content}))

    def _request(self, connection: Connection, outcome: Outcome, may_come: bool) -> tuple[str, bool]:
        """The request that an outcome belongs to, and whether its exposure is there."""
        if outcome.request is not None:
            there = connection.execute(select(EXPOSURES.c.number).where(EXPOSURES.c.request == outcome.request)).first()
            if there is None and (not may_come or outcome.corrected_text is not None):
                raise InputError(
                    f"there is no record of a request {outcome.request!r}; it is written within a second of the answer",
                    code="unknown-choice",
                    field="request",
                )
            return outcome.request, there is not None
        assert outcome.unit is not None
        theirs = select(EXPOSURES.c.request).where(EXPOSURES.c.unit == self._exposures.hashed(outcome.unit))
        last = connection.execute(theirs.order_by(EXPOSURES.c.number.desc()).limit(1)).scalar()
        if last is None:
            raise InputError(
                "there is no record of an answer to this unit; one is written within a second",
                code="unknown-choice",
                field="unit",
            )
        return str(last), True


def _by_key(connection: Connection, key: str) -> RowMapping | None:
    return connection.execute(select(OUTCOMES).where(OUTCOMES.c.key == key)).mappings().first()


def _again(connection: Connection, former: RowMapping, outcome: Outcome) -> Recorded:
    """The same call once more.

    Raises:
        InputError: it is another.
    """
    now = {name: getattr(outcome, name) for name in _SAME if name != "by_unit"}
    now["by_unit"] = outcome.unit is not None
    if outcome.metric is None:  # a corrected text alone, whose row holds the distance
        now |= {"metric": former["metric"], "source": former["source"], "value": former["value"]}
    same = all(former[name] == now[name] for name in _SAME)
    if not same or outcome.request not in (None, former["request"]):
        raise InputError(
            "this key came before with other content; repeat the call as it was, or use a new key",
            code="conflict",
            field="key",
        )
    wanted = select(EXPOSURES.c.number).where(EXPOSURES.c.request == former["request"])
    matched = connection.execute(wanted).first() is not None
    return Recorded(former["number"], former["request"], matched, again=True)
