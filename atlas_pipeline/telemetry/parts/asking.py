"""Queries with a hard timeout, also of a server that accepts connections and does not answer.

Belongs here: connecting, the timeout, and metrics of queries. Does not belong here: the queries.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg

from atlas_pipeline.telemetry.parts.tally import Tally

_SESSION = "-c default_transaction_read_only=on -c statement_timeout={}"
_CONNECT_SECONDS = 2
_KINDS = ("timeout", "connection", "statement")


class Away(Exception):
    """The database did not answer; the message says how it failed, and holds no address, name or value."""


class Database:
    """A database that is queried over one connection, which is reopened after it was lost.

    `name` is `warehouse` or `dagster`, and the label under which `tally` has what questions took. Nobody waits longer
    than `seconds` for an answer: the server has that limit too, and if it does not act, this side cuts the connection.
    """

    def __init__(self, name: str, url: str, tally: Tally, seconds: float = 2.0):
        """A database that is not connected to yet.

        Args:
            name: the label `database` of its metrics.
            url: libpq URL.
            tally: counts queries, their seconds, and errors.
            seconds: how long a query may take.
        """
        self.name = name
        self._url = url
        self._tally = tally
        self._seconds = seconds
        self._asking = threading.Lock()
        self._cutting = threading.Lock()
        self._connection: psycopg.Connection | None = None
        for kind in _KINDS:
            tally.add("atlas_db_errors_total", 0, database=name, error=kind)

    def rows(self, statement: LiteralString, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query.

        Args:
            statement: SQL, with `%s` for parameters.
            parameters: its parameters.

        Raises:
            Away: the database did not answer in time, cannot be reached, or refused the query.
        """
        with self._asking:
            started = time.monotonic()
            try:
                rows = self._answer(statement, parameters)
            except psycopg.Error as error:
                took = time.monotonic() - started
                late = isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.ConnectionTimeout)
                lost = isinstance(error, psycopg.OperationalError)
                kind = "timeout" if late or took >= self._seconds else "connection" if lost else "statement"
                self._tally.add("atlas_db_errors_total", 1, database=self.name, error=kind)
                if lost or self._connection is None or self._connection.closed:
                    self._close()
                raise Away(_said(kind, error, self._seconds)) from None
            self._tally.observe("atlas_db_query_duration_seconds", time.monotonic() - started, database=self.name)
            return rows

    def _answer(self, statement: LiteralString, parameters: Sequence[Any] | None) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = psycopg.Connection.connect(
                self._url,
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                application_name="atlas ops",
                options=_SESSION.format(int(self._seconds * 1000)),
            )
        connection = self._connection
        finished = threading.Event()
        timer = threading.Timer(self._seconds * 1.1, self._cut, [connection, finished])
        timer.daemon = True
        timer.start()
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            with self._cutting:
                finished.set()
            timer.cancel()

    def _cut(self, connection: psycopg.Connection, finished: threading.Event) -> None:
        """End the wait of the querying thread by a shutdown of the socket; its descriptor stays open."""
        with self._cutting:
            if not finished.is_set() and not connection.closed:
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as copy:
                    copy.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _said(kind: str, error: psycopg.Error, seconds: float) -> str:
    if kind == "timeout":
        return f"no answer within {seconds:g} s"
    return "it cannot be reached" if kind == "connection" else f"a question was refused ({type(error).__name__})"
