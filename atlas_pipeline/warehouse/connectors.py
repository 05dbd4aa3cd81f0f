"""Connectors in the warehouse: where the next extract begins, how extracting goes, and the circuit breaker.

Belongs here: every statement on `atlas.connector_cursors` and `atlas.connectors`. Does not belong here: extracting
(`ingest/connectors/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

FAILURES_TO_OPEN = 3
_FIRST_PAUSE = 60
_LONGEST_PAUSE = 3600
_RESET = "reset"


@dataclass(frozen=True)
class Position:
    """Where a dataset's extracts have come to: how many of this source were loaded, its cursor, kinds of columns."""

    extracts: int = 0
    cursor: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


def position(connection: psycopg.Connection, dataset: str, source: str) -> Position | None:
    """The position of a dataset, or null when none of its extracts was loaded, or that was of another source.

    Args:
        connection: to the warehouse.
        dataset: its name.
        source: fingerprint of what is extracted.
    """
    row = connection.execute(
        "SELECT extracts, cursor, columns FROM atlas.connector_cursors WHERE dataset = %s AND source IN (%s, %s)",
        [dataset, source, _RESET],
    ).fetchone()
    return Position(*row) if row else None


def loaded_before(connection: psycopg.Connection, dataset: str) -> bool:
    """Whether any extract of a dataset was loaded, of whatever source."""
    row = connection.execute("SELECT FROM atlas.connector_cursors WHERE dataset = %s", [dataset]).fetchone()
    return row is not None


def move(connection: psycopg.Connection, dataset: str, source: str, extract: int, after: Position) -> None:
    """Note that an extract is loaded, in the transaction that loads it.

    Args:
        connection: in that transaction.
        dataset: its name.
        source: fingerprint of what was extracted.
        extract: number of the extract; one that was loaded before moves nothing.
        after: the position after it.
    """
    connection.execute(
        "INSERT INTO atlas.connector_cursors AS c (dataset, source, extracts, cursor, columns)"
        " VALUES (%(dataset)s, %(source)s, %(extract)s, %(cursor)s, %(columns)s)"
        " ON CONFLICT (dataset) DO UPDATE SET source = excluded.source, extracts = excluded.extracts,"
        " cursor = excluded.cursor, columns = excluded.columns, moved_at = clock_timestamp()"
        " WHERE c.source <> excluded.source OR c.extracts < excluded.extracts",
        {
            "dataset": dataset,
            "source": source,
            "extract": extract,
            "cursor": after.cursor,
            "columns": Jsonb(dict(after.columns)),
        },
    )


def reset(connection: psycopg.Connection, dataset: str) -> bool:
    """Let the next extract begin where the first one did, whatever the source. Returns whether there was a position."""
    statement = "UPDATE atlas.connector_cursors SET source = %s, cursor = NULL, columns = '{}' WHERE dataset = %s"
    return connection.execute(statement, [_RESET, dataset]).rowcount > 0


@dataclass(frozen=True)
class Attempt:
    """What an attempt to extract came to. `requests` are those to the server, of which `retries` were repeats."""

    rows: int = 0
    bytes: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0


def succeeded(connection: psycopg.Connection, dataset: str, kind: str, attempt: Attempt) -> None:
    """Count an extract that was made, and close the circuit.

    Args:
        connection: to the warehouse; committed.
        dataset: its name.
        kind: of the connector.
        attempt: what it came to.
    """
    _count(connection, dataset, kind, attempt)
    with connection.transaction():
        connection.execute(
            "UPDATE atlas.connectors SET extracts = extracts + 1, failures = 0, open_until = NULL, problem = NULL,"
            " succeeded_at = clock_timestamp(), last_seconds = %s WHERE dataset = %s",
            [attempt.seconds, dataset],
        )


def failed(
    connection: psycopg.Connection,
    dataset: str,
    kind: str,
    attempt: Attempt,
    problem: str,
    *,
    away: bool,
    pause: float | None = None,
) -> None:
    """Count an extract that failed. The third time in a row that its server is away opens the circuit.

    Args:
        connection: to the warehouse; committed.
        dataset: its name.
        kind: of the connector.
        attempt: what it came to.
        problem: what is said of it, without values.
        away: the server does not answer or asks to be left alone, so that failures in a row count.
        pause: seconds that the server asked for, which open the circuit at once.
    """
    _count(connection, dataset, kind, attempt)
    with connection.transaction():
        connection.execute(
            "UPDATE atlas.connectors SET failed = failed + 1, problem = %(problem)s,"
            " failures = CASE WHEN %(away)s THEN failures + 1 ELSE 0 END,"
            " open_until = CASE WHEN %(pause)s::float8 IS NOT NULL"
            "   THEN clock_timestamp() + make_interval(secs => %(pause)s)"
            "   WHEN %(away)s AND failures + 1 >= %(most)s THEN clock_timestamp() + make_interval(secs =>"
            "   least(%(longest)s, %(first)s * 2 ^ least(failures + 1 - %(most)s, 10))) END"
            " WHERE dataset = %(dataset)s",
            {
                "problem": problem,
                "away": away,
                "pause": pause,
                "most": FAILURES_TO_OPEN,
                "longest": _LONGEST_PAUSE,
                "first": _FIRST_PAUSE,
                "dataset": dataset,
            },
        )


def _count(connection: psycopg.Connection, dataset: str, kind: str, attempt: Attempt) -> None:
    with connection.transaction():
        connection.execute(
            "INSERT INTO atlas.connectors AS c (dataset, kind, rows, bytes, requests, retries, seconds, attempted_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, clock_timestamp()) ON CONFLICT (dataset) DO UPDATE SET"
            " kind = excluded.kind, rows = c.rows + excluded.rows, bytes = c.bytes + excluded.bytes,"
            " requests = c.requests + excluded.requests, retries = c.retries + excluded.retries,"
            " seconds = c.seconds + excluded.seconds, attempted_at = excluded.attempted_at",
            [dataset, kind, attempt.rows, attempt.bytes, attempt.requests, attempt.retries, attempt.seconds],
        )


def open_circuit(connection: psycopg.Connection, dataset: str) -> tuple[datetime, str] | None:
    """Until when the server is not asked, and why; null while the circuit is closed, or may be tried."""
    row = connection.execute(
        "SELECT open_until, problem FROM atlas.connectors WHERE dataset = %s AND open_until > clock_timestamp()",
        [dataset],
    ).fetchone()
    return (row[0], row[1]) if row else None


def states(connection: psycopg.Connection) -> dict[str, dict[str, Any]]:
    """How extracting goes, by dataset."""
    cursor = connection.execute(
        "SELECT dataset, kind, extracts, failed, rows, bytes, requests, retries, seconds, last_seconds, failures,"
        " problem, attempted_at, succeeded_at, open_until,"
        " coalesce(open_until > clock_timestamp(), false) AS open FROM atlas.connectors ORDER BY dataset"
    )
    names = [column.name for column in cursor.description or ()]
    return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in cursor}
