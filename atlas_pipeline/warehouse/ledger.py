"""The ledger of files: what was loaded, what was refused and why, so that nothing is loaded twice.

Belongs here: every statement on `atlas.files` and `atlas.rejected_lines`. Does not belong here: reading files.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psycopg

CONTENT_INDEX = "files_content"
"""The unique index that keeps the same content from being loaded twice."""


@dataclass(frozen=True)
class Known:
    """The newest entry of a file: its version then, and what came of it."""

    version: str
    status: str
    rule: str | None
    reason: str | None


def known_files(connection: psycopg.Connection, dataset: str) -> dict[str, Known]:
    """The newest entry of each file of a dataset, by its URI."""
    rows = connection.execute(
        "SELECT DISTINCT ON (uri) uri, version, status, rule, reason FROM atlas.files WHERE dataset = %s"
        " ORDER BY uri, file_id DESC",
        [dataset],
    )
    return {uri: Known(*rest) for uri, *rest in rows}


def begin(
    connection: psycopg.Connection, dataset: str, partition: str | None, uri: str, version: str, run_id: str
) -> int:
    """Enter a file that is about to be loaded.

    Args:
        connection: in the transaction that loads it.
        dataset: that it belongs to.
        partition: its partition, null for a dataset without.
        uri: where it is.
        version: size and change time, or ETag.
        run_id: of the run that loads it.

    Returns:
        Its id.
    """
    row = connection.execute(
        "INSERT INTO atlas.files (dataset, partition, uri, version, status, batch)"
        " VALUES (%s, %s, %s, %s, 'loaded', %s) RETURNING file_id",
        [dataset, partition, uri, version, run_id],
    ).fetchone()
    assert row is not None
    return int(row[0])


def finish(
    connection: psycopg.Connection,
    file_id: int,
    sha256: str,
    size: int,
    rows: int,
    rejected: int,
    columns: Sequence[str],
) -> None:
    """Complete the entry, in the same transaction.

    Args:
        connection: in that transaction.
        file_id: as `begin` returned it.
        sha256: of the file's bytes, in hex.
        size: of the file in bytes.
        rows: records loaded into bronze.
        rejected: lines that are not records.
        columns: that its records have.

    Raises:
        psycopg.errors.UniqueViolation: that content is loaded already.
    """
    connection.execute(
        "UPDATE atlas.files SET sha256 = %s, bytes = %s, rows = %s, rejected = %s, columns = %s,"
        " loaded_at = clock_timestamp() WHERE file_id = %s",
        [sha256, size, rows, rejected, list(columns), file_id],
    )


def note(
    connection: psycopg.Connection,
    dataset: str,
    partition: str | None,
    uri: str,
    version: str,
    run_id: str,
    status: str,
    rule: str | None,
    reason: str | None,
) -> None:
    """Enter a file that was not loaded.

    Args:
        connection: to the warehouse.
        dataset: that it belongs to.
        partition: its partition, null for a dataset without.
        uri: where it is.
        version: size and change time, or ETag.
        run_id: of the run that looked at it.
        status: `duplicate` or `refused`.
        rule: why it was refused, as a stable name.
        reason: the same for people.
    """
    connection.execute(
        "INSERT INTO atlas.files (dataset, partition, uri, version, batch, status, rule, reason)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [dataset, partition, uri, version, run_id, status, rule, reason],
    )


@dataclass(frozen=True)
class LoadedFile:
    """A file in bronze: its id, where it came from, its columns and counts."""

    file_id: int
    uri: str
    columns: tuple[str, ...]
    rows: int
    rejected: int


def loaded_files(
    connection: psycopg.Connection, dataset: str, *, pending: bool, partitions: Collection[str] | None = None
) -> list[LoadedFile]:
    """The files in bronze, in the order they were loaded.

    Args:
        connection: to the warehouse.
        dataset: that they belong to.
        pending: only those that are not in silver yet.
        partitions: only those of these partitions; null for all.
    """
    rows = connection.execute(
        "SELECT file_id, uri, columns, rows, rejected FROM atlas.files WHERE dataset = %s AND status = 'loaded'"
        " AND (NOT %s OR silver_at IS NULL) AND (%s::text[] IS NULL OR partition = ANY(%s)) ORDER BY file_id",
        [dataset, pending, list(partitions) if partitions is not None else None, list(partitions or [])],
    )
    return [LoadedFile(i, uri, tuple(columns), count, bad) for i, uri, columns, count, bad in rows]


def mark_silver(connection: psycopg.Connection, file_ids: Sequence[int]) -> None:
    """Note that the rows of these files are published, in the transaction that publishes them."""
    connection.execute(
        "UPDATE atlas.files SET silver_at = coalesce(silver_at, clock_timestamp()) WHERE file_id = ANY(%s)",
        [list(file_ids)],
    )
