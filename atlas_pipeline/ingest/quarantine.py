"""`quarantine.<dataset>`: each record that did not reach silver, with the reason and where to find it.

Belongs here: the table and the ways into it. Does not belong here: deciding what is rejected (`readers/`, `silver.py`,
and for rows that kept a table from being published its contract).
It holds no value of the record, which might be personal: file id and line lead to the record in bronze, or, when the
line was no record, in `atlas.rejected_lines`; both are for the pipeline's role only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.batch import Reject

READING, TYPING, AUDITING = "bronze", "silver", "contract"


def create_quarantine(connection: psycopg.Connection, dataset: str) -> None:
    """Make the table if it is not there. `stage` is the layer that rejected the record."""
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (file_id bigint NOT NULL, line bigint NOT NULL, stage text NOT NULL,"
            " rule text NOT NULL, columns text[] NOT NULL, reason text NOT NULL, file text NOT NULL,"
            " rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (file_id, line))"
        ).format(sql.Identifier("quarantine", dataset))
    )


def quarantine_lines(connection: psycopg.Connection, dataset: str, file_id: int, rejects: Sequence[Reject]) -> None:
    """Keep lines that are no records: their bytes for the pipeline's role, the reason in quarantine."""
    with connection.cursor() as cursor:
        statement = "COPY atlas.rejected_lines (dataset, file_id, line, raw) FROM STDIN"
        with cursor.copy(statement) as copy:
            for reject in rejects:
                copy.write_row((dataset, file_id, reject.line, reject.raw))
        insert = sql.SQL(
            "INSERT INTO {} (file_id, line, stage, rule, columns, reason, file)"
            " SELECT %s, %s, %s, %s, '{{}}', %s, uri FROM atlas.files WHERE file_id = %s"
        ).format(sql.Identifier("quarantine", dataset))
        rows = [(file_id, one.line, READING, one.rule, one.reason, file_id) for one in rejects]
        cursor.executemany(insert, rows)


@dataclass(frozen=True)
class FailedRow:
    """A row for which a table was not published: where it came from, the check it failed, and its columns."""

    file_id: int
    line: int
    check: str
    columns: tuple[str, ...]
    reason: str


def quarantine_failed(connection: psycopg.Connection, dataset: str, rows: Sequence[FailedRow]) -> None:
    """Name the rows that failed the last audit, instead of those of the one before."""
    release_failed(connection, dataset)
    insert = sql.SQL(
        "INSERT INTO {} (file_id, line, stage, rule, columns, reason, file)"
        " SELECT %s, %s, %s, %s, %s, %s, uri FROM atlas.files WHERE file_id = %s ON CONFLICT DO NOTHING"
    ).format(sql.Identifier("quarantine", dataset))
    values = [(one.file_id, one.line, AUDITING, one.check, list(one.columns), one.reason, one.file_id) for one in rows]
    with connection.cursor() as cursor:
        cursor.executemany(insert, values)
    connection.commit()


def release_failed(connection: psycopg.Connection, dataset: str) -> None:
    """Forget the rows that failed an audit, since the table was published."""
    statement = sql.SQL("DELETE FROM {} WHERE stage = %s").format(sql.Identifier("quarantine", dataset))
    connection.execute(statement, [AUDITING])


def count_quarantined(connection: psycopg.Connection, dataset: str) -> int:
    """Records in quarantine."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("quarantine", dataset))
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
