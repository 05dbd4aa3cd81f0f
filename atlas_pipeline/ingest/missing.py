"""Rows that the newest snapshot lacks, kept and flagged: the column `missing_since` of `on_missing: flag`.

Belongs here: since when a row is missing. Does not belong here: which row of a key stays (`merging.py`).
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.copying import FILE_ID
from atlas_pipeline.ingest.dataset import MISSING_SINCE, Dataset
from atlas_pipeline.ingest.merging import key_list, same_key
from atlas_pipeline.ingest.staging import StagingTables
from atlas_pipeline.ingest.timeline import FILE, GONE, timeline
from atlas_pipeline.warehouse.ledger import LoadedFile
from atlas_pipeline.warehouse.publish import STAGING

_SINCE = sql.Identifier(MISSING_SINCE)


def flag_missing(
    connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, new: str, files: Sequence[LoadedFile]
) -> None:
    """Note of each key of the delta since when snapshots lack it, in the rows that stay too.

    Args:
        connection: in the transaction that stages the rows.
        dataset: with a plan in each column.
        tables: whose delta has the rows of the files.
        new: the staging table of the rows that stay.
        files: the snapshots.
    """
    seen, key = sql.Identifier(STAGING, tables.seen), key_list(dataset)
    times = timeline(files, {file.file_id for file in files}, states=True)
    statement = sql.SQL(
        "CREATE TABLE {seen} AS SELECT {key}, CASE WHEN NOT bool_or({gone} IS NULL) THEN max({gone}) END"
        " AS {since} FROM {delta} d JOIN {times} f ON f.{file} = d.{id} GROUP BY {key}"
    )
    connection.execute(
        statement.format(
            seen=seen,
            key=key,
            gone=GONE,
            since=_SINCE,
            delta=sql.Identifier(STAGING, tables.delta),
            times=times,
            file=FILE,
            id=sql.Identifier(FILE_ID),
        )
    )
    connection.execute(sql.SQL("ANALYZE {}").format(seen))
    update = "UPDATE {} o SET {} = w.{} FROM {} w WHERE {} AND w.{} IS NOT NULL"
    target = sql.Identifier(STAGING, new)
    connection.execute(sql.SQL(update).format(target, _SINCE, _SINCE, seen, same_key(dataset), _SINCE))


def flag_of_published(dataset: Dataset, tables: StagingTables, files: Sequence[LoadedFile]) -> sql.Composed:
    """SQL for what the column will say of a published row `o` that no new row replaces."""
    seen, first = sql.Identifier(STAGING, tables.seen), sql.Literal(min(file.arrived_at for file in files))
    return sql.SQL(
        "CASE WHEN EXISTS (SELECT FROM {0} w WHERE {1}) THEN (SELECT w.{2} FROM {0} w WHERE {1})"
        " ELSE coalesce(o.{2}, {3}::timestamptz) END"
    ).format(seen, same_key(dataset), _SINCE, first)


def flag_published(
    connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, files: Sequence[LoadedFile]
) -> None:
    """Flag the published rows that the new snapshots lack.

    Args:
        connection: in the transaction that publishes these.
        dataset: with a plan in each column.
        tables: whose `seen` has the keys of the new snapshots.
        files: the new snapshots.
    """
    flag = flag_of_published(dataset, tables, files)
    update = sql.SQL("UPDATE {} o SET {} = {} WHERE o.{} IS DISTINCT FROM {}")
    silver = sql.Identifier("silver", dataset.name)
    connection.execute(update.format(silver, _SINCE, flag, _SINCE, flag))
