"""A connection to PostgreSQL that waits for what it tells."""

from typing import Any

from sqlalchemy import Engine

from trimtab.errors import TrimtabError


class Listening:
    """A connection that waits for what PostgreSQL tells on a channel; use `Store.listening`."""

    def __init__(self, engine: Engine, channel: str, place: str) -> None:
        self._place = place
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection.exec_driver_sql(f"LISTEN {channel}")
        self._driver: Any = self._connection.connection.driver_connection

    def wait(self, seconds: float) -> bool:
        """Wait until something is told, at most so long; says whether it was.

        Raises:
            TrimtabError: the connection is lost.
        """
        import psycopg

        try:
            return any(True for _ in self._driver.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:
            raise TrimtabError(
                f"the store {self._place} cannot be reached: {error}", code="store-failed", field="store"
            ) from error

    def close(self) -> None:
        """Give the connection up."""
        self._connection.invalidate()
        self._connection.close()
