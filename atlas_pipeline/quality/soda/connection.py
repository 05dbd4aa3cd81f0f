"""The caller's connection as Soda takes it: reading only, one statement at a time, and quiet about values.

Belongs here: running a query, and why Postgres refused it. Does not belong here: opening the connection.
"""

import re
from collections.abc import Callable
from typing import Any

import psycopg
from soda_core.common.data_source_connection import DataSourceConnection

DATA_SOURCE = "atlas"
_QUERY = re.compile(r"(?is)(\s|\(|--[^\n]*\n|/\*.*?\*/)*(select|with|values|table)\b")


class Connection(DataSourceConnection):  # type: ignore[misc]
    """The caller's connection, each query in a savepoint; `refusal` is why Postgres refused the last one."""

    def __init__(self, connection: psycopg.Connection, rewrite: Callable[[str], str]):
        self.refusal: str | None = None
        self._rewrite = rewrite
        super().__init__(DATA_SOURCE, {}, connection)

    def _create_connection(self, config: Any) -> Any:
        return self.connection

    def execute_query(self, sql: str, log_query: bool = True) -> Any:
        statement = self._rewrite(sql)
        return self._guarded(statement, lambda: DataSourceConnection.execute_query(self, statement, log_query=False))

    def execute_query_one_by_one(
        self, sql: str, row_callback: Any, log_query: bool = True, row_limit: Any = None
    ) -> Any:
        statement = self._rewrite(sql)
        return self._guarded(
            statement,
            lambda: DataSourceConnection.execute_query_one_by_one(self, statement, row_callback, False, row_limit),
        )

    def check(self) -> None:
        """Raise when the connection is lost."""
        if self.connection.broken:
            raise psycopg.OperationalError("the connection was lost")

    def _guarded(self, statement: str, work: Callable[[], Any]) -> Any:
        if not _QUERY.match(statement):  # COMMIT would end the snapshot, and COPY the conversation.
            self.refusal = "it is no query: expected SELECT, WITH, VALUES or TABLE"
            raise psycopg.ProgrammingError(self.refusal)
        try:
            # A pipeline takes one statement at a time, where otherwise `SELECT 1; COMMIT; DELETE …` would be three.
            with self.connection.transaction(), self.connection.pipeline():
                found = work()
        except psycopg.Error as error:
            self.refusal = _reason(error)
            raise
        self.refusal = None
        return found


def _reason(error: psycopg.Error) -> str:
    """Why Postgres refused, in its own words where they can only be about the query and names in it.

    Faults that it finds in the text of the query have a position there. What has none may come from a value: a text
    that was cast to the name of a table, a word for the full-text search, SQL that a function put together.
    """
    in_text = (error.sqlstate or "").startswith("42") and error.diag.statement_position
    if in_text or isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.ReadOnlySqlTransaction):
        return f"Postgres: {error.diag.message_primary}"
    return f"Postgres refused it ({type(error).__name__})"
