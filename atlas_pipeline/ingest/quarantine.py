"""`quarantine.<dataset>`: each record that did not reach silver, with the reason and where to find it.

Belongs here: the table and the ways into it. Does not belong here: deciding what is rejected (`readers/`, `silver.py`,
and for rows that kept a table from being published its contract).
It holds no value of the record, which might be personal: file id and line lead to the record in bronze, or, when the
line was not a record, in `atlas.rejected_lines`; both are for the pipeline's role only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.batch import Reject
from atlas_pipeline.warehouse.publish import STAGING

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
    """Keep the lines of a file that are not records: their bytes for the pipeline's role, the reason in quarantine.

    Args:
        connection: in the transaction that loads the file.
        dataset: name of the table in quarantine.
        file_id: of the file's entry in the ledger.
        rejects: the lines.
    """
    with connection.cursor() as cursor:
        statement = "COPY atlas.rejected_lines (dataset, file_id, line, raw) FROM STDIN"
        with cursor.copy(statement) as copy:
            for reject in rejects:
                copy.write_row((dataset, file_id, reject.line, reject.raw))
        insert = sql.SQL(
            "INSERT INTO {} (file_id, line, stage, rule, columns, reason, file)"
            " SELECT %s, %s, %s, %s, '{{}}', %s, uri FROM atlas.files WHERE file_id = %s"
        ).format(sql.Identifier("quarantine", dataset))
        rows = [(file_id, reject.line, READING, reject.rule, reject.reason, file_id) for reject in rejects]
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
    """Name the rows that failed the last audit, instead of those of the one before, and commit."""
    release_failed(connection, dataset)
    insert = sql.SQL(
        "INSERT INTO {} (file_id, line, stage, rule, columns, reason, file)"
        " SELECT %s, %s, %s, %s, %s, %s, uri FROM atlas.files WHERE file_id = %s ON CONFLICT DO NOTHING"
    ).format(sql.Identifier("quarantine", dataset))
    values = [(r.file_id, r.line, AUDITING, r.check, list(r.columns), r.reason, r.file_id) for r in rows]
    with connection.cursor() as cursor:
        cursor.executemany(insert, values)
    connection.commit()


def quarantine_misfits(connection: psycopg.Connection, dataset: str, rejects: str, *, anew: bool) -> None:
    """Name the rows that do not fit their types, in the transaction that publishes the others.

    Args:
        connection: in that transaction.
        dataset: name of the table in quarantine.
        rejects: the staging table that has their file ids, lines and reasons.
        anew: whether these are all, since all of bronze was read.
    """
    quarantine = sql.Identifier("quarantine", dataset)
    if anew:
        connection.execute(sql.SQL("DELETE FROM {} WHERE stage = %s").format(quarantine), [TYPING])
    move = sql.SQL(
        "INSERT INTO {} (file_id, line, stage, rule, columns, reason, file)"
        " SELECT r.file_id, r.line, %s, r.rule, r.columns, r.reason, f.uri FROM {} r JOIN atlas.files f USING (file_id)"
    )
    connection.execute(move.format(quarantine, sql.Identifier(STAGING, rejects)), [TYPING])


def release_files(connection: psycopg.Connection, dataset: str, file_ids: Sequence[int]) -> None:
    """Forget the lines of files that were no records, since the files no longer count.

    Rows that did not fit their types stay until silver is built anew, so that all rows are accounted for.
    """
    if not file_ids:
        return
    statement = sql.SQL("DELETE FROM {} WHERE file_id = ANY(%s) AND stage = %s")
    connection.execute(statement.format(sql.Identifier("quarantine", dataset)), [list(file_ids), READING])


def release_failed(connection: psycopg.Connection, dataset: str) -> None:
    """Forget the rows that failed an audit, since the table was published."""
    statement = sql.SQL("DELETE FROM {} WHERE stage = %s").format(sql.Identifier("quarantine", dataset))
    connection.execute(statement, [AUDITING])


def misfits_by_file(connection: psycopg.Connection, dataset: str) -> list[tuple[str, str, int]]:
    """Rule, file and number of the rows that do not fit their types, most rows first; values are not in it."""
    statement = sql.SQL(
        "SELECT rule, file, count(*) FROM {} WHERE stage = %s GROUP BY rule, file ORDER BY 3 DESC, 1, 2"
    )
    return connection.execute(statement.format(sql.Identifier("quarantine", dataset)), [TYPING]).fetchall()


def count_quarantined(connection: psycopg.Connection, dataset: str) -> int:
    """Records in quarantine."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("quarantine", dataset))
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
