"""The exposures in the store: written in batches, counted, and forgotten on request."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from time import time
from typing import Any, Final

from sqlalchemy import Connection, Delete, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from trimtab.operations.audit import Change, record
from trimtab.operations.exposures.exposure import OF_UNIT, Exposure
from trimtab.operations.exposures.texts import TextCipher
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURE_TEXTS, EXPOSURES, OUTCOME_TEXTS, OUTCOMES

_SALT: Final = "unit_salt"


@dataclass(frozen=True)
class Count:
    """How many requests an arm of a release had.

    Example:
        >>> from trimtab.operations import Count
        >>> Count("first", "treatment", False, 12, 3).units
        3
    """

    release: str
    arm: str
    dry_run: bool
    requests: int
    units: int


class ExposureLog:
    """The exposures of a store.

    Args:
        store: see `Store`.
        cipher: of texts, where exposures have any.

    Raises:
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Exposure, ExposureLog, Store
        >>> one = Exposure("request-1", 0.0, "smollm2", "treatment", unit="ada", release="first", version=2)
        >>> with Store("exposed.db", create=True) as store:
        ...     log = ExposureLog(store)
        ...     print(log.write([one]), log.write([one]), log.counts()[0].requests)
        1 0 1
    """

    def __init__(self, store: Store, cipher: TextCipher | None = None) -> None:
        self.store = store
        self.cipher = cipher or TextCipher()
        self._salt = bytes.fromhex(store.setting(_SALT))

    def hashed(self, unit: str) -> str:
        """A unit's id as it is kept: BLAKE2b, keyed with the store's salt, in hexadecimal."""
        return blake2b(unit.encode(errors="surrogatepass"), key=self._salt, digest_size=16).hexdigest()

    def write(self, exposures: Sequence[Exposure]) -> int:
        """Keep exposures, all or none, in one transaction; an id that is kept already is left as it is.

        Returns:
            How many were new.

        Raises:
            TrimtabError: the store cannot be written.
        """
        if not exposures:
            return 0
        rows = [self._row(one) for one in exposures]
        texts = [self._text(one) for one in exposures if one.prompt is not None or one.answer is not None]
        with self.store.appending() as connection:
            new = _insert(connection, EXPOSURES, rows)
            if texts:
                _insert(connection, EXPOSURE_TEXTS, texts)
        return new

    def counts(self, release: str | None = None) -> list[Count]:
        """Requests and units by release and arm; of one release, if it is named."""
        columns = (EXPOSURES.c.release, EXPOSURES.c.arm, EXPOSURES.c.dry_run, EXPOSURES.c.unit)
        of = EXPOSURES.c.release.is_not(None) if release is None else EXPOSURES.c.release == release
        units = (
            select(*columns, func.count().label("n")).where(of).group_by(*columns).subquery()
        )  # in the index's order
        arms = (units.c.release, units.c.arm, units.c.dry_run)
        wanted = select(*arms, func.sum(units.c.n), func.count(units.c.unit)).group_by(*arms).order_by(*arms)
        with self.store.reading() as connection:
            return [Count(row[0], row[1], bool(row[2]), int(row[3]), row[4]) for row in connection.execute(wanted)]

    def of_unit(self, unit: str) -> Iterator[dict[str, Any]]:
        """What a unit was given, with texts as far as they are kept.

        Raises:
            InputError: the texts are encrypted by a key that was not given.
        """
        joined = EXPOSURES.outerjoin(EXPOSURE_TEXTS, EXPOSURES.c.request == EXPOSURE_TEXTS.c.request)
        wanted = select(EXPOSURES, EXPOSURE_TEXTS.c.encrypted, EXPOSURE_TEXTS.c.content.label("text"))
        wanted = wanted.select_from(joined).where(EXPOSURES.c.unit == self.hashed(unit)).order_by(EXPOSURES.c.number)
        with self.store.reading() as connection:
            rows = connection.execute(wanted).mappings().all()
        for row in rows:
            names = ("request", "time", "model", "release", "version", "arm", "dry_run", "artifact")
            said = {name: row[name] for name in names} | json.loads(row["content"])
            said.pop(OF_UNIT, None)
            if row["text"] is not None:
                prompt, answer = self.cipher.texts(bytes(row["text"]), encrypted=row["encrypted"])
                said |= {"prompt": prompt, "answer": answer}
            yield said

    def forget(self, unit: str, *, by: str, why: str = "") -> tuple[int, int]:
        """Remove a unit's texts, and from its exposures whose they are; the audit keeps that it was done.

        Comments and corrected texts are texts too. The unit's hash is not in the audit. The numbers of the exposures,
        and scores and labels that came of them, stay.

        Returns:
            How many texts were removed, and how many exposures have no unit any more.

        Raises:
            TrimtabError: the store cannot be written.
        """
        hashed = self.hashed(unit)
        with self.store.changing() as connection:
            texts = connection.execute(_feedback_of(hashed)).rowcount
            texts += connection.execute(delete(EXPOSURE_TEXTS).where(EXPOSURE_TEXTS.c.unit == hashed)).rowcount
            theirs = update(EXPOSURES).where(EXPOSURES.c.unit == hashed)
            unlinked = connection.execute(theirs.values(unit=None)).rowcount
            after = {"texts_removed": texts, "exposures_unlinked": unlinked}
            record(connection, Change(by, "store.forget", "a unit", why, None, after))
        return texts, unlinked

    def expire(self, days: float, *, by: str, now: float | None = None) -> int:
        """Remove texts that are older; recorded in the audit, if there were any.

        Returns:
            How many were removed.

        Raises:
            TrimtabError: the store cannot be written.
        """
        oldest = (time() if now is None else now) - days * 86_400
        with self.store.changing() as connection:
            removed = sum(
                connection.execute(delete(texts).where(texts.c.time < oldest)).rowcount
                for texts in (EXPOSURE_TEXTS, OUTCOME_TEXTS)
            )
            if removed:
                after = {"texts_removed": removed, "older_than_days": days}
                record(connection, Change(by, "store.expire", "texts", "", None, after))
        return removed

    def _row(self, one: Exposure) -> dict[str, Any]:
        return {
            "request": one.request,
            "time": one.time,
            "model": one.model,
            "release": one.release,
            "version": one.version,
            "arm": one.arm,
            "dry_run": one.dry_run,
            "unit": None if one.unit is None else self.hashed(one.unit),
            "artifact": one.artifact,
            "content": json.dumps(one.details),
        }

    def _text(self, one: Exposure) -> dict[str, Any]:
        return {
            "request": one.request,
            "unit": None if one.unit is None else self.hashed(one.unit),
            "time": one.time,
            "encrypted": self.cipher.encrypts,
            "content": self.cipher.content(one.prompt, one.answer),
        }


def _feedback_of(hashed: str) -> Delete:
    """Removes the texts of the feedback on a unit's requests."""
    requests = select(EXPOSURES.c.request).where(EXPOSURES.c.unit == hashed)
    numbers = select(OUTCOMES.c.number).where(OUTCOMES.c.request.in_(requests))
    return delete(OUTCOME_TEXTS).where(OUTCOME_TEXTS.c.number.in_(numbers))


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows of requests that are new, and count them.

    One short statement for all rows: to read one with placeholders for a hundred takes longer than to run it.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(table).on_conflict_do_nothing(index_elements=["request"])
    return connection.execute(new, rows, execution_options={"preserve_rowcount": True}).rowcount
