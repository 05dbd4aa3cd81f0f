"""Write, audit, publish: how a finished staging table becomes the one that readers see.

Belongs here: names of staging tables, the lock on a table, the swap, and the record of it. Does not belong here: how
the staging table was filled (`ingest/silver.py`, `gold.py`) and how it is audited (`quality/`).
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from atlas_pipeline.warehouse import dependants
from atlas_pipeline.warehouse.bootstrap import ANALYST

STAGING = "staging"
Table = tuple[str, str]
"""Layer and name."""


class PublishError(Exception):
    """A finished table cannot be put in the place of the published one, which stays as it was."""


class TableBusy(Exception):
    """Another run has been writing the same table for longer than this one may wait."""


@dataclass(frozen=True)
class Publication:
    """What `atlas.publications` says of a table. `duplicates` is null when that was not counted."""

    rows: int
    quarantined: int
    duplicates: int | None
    definition: str
    published_at: datetime


@dataclass(frozen=True)
class Change:
    """What a view in staging makes of the published table.

    Attributes:
        added: table in staging of the rows that come.
        replaced: that of the rows that they take the place of; null where there can be none.
    """

    added: str
    replaced: str | None = None


def staging_name(layer: str, name: str, part: str = "") -> str:
    """Name of the staging table of `layer`.`name`, within Postgres's 63 bytes."""
    return f"{layer}__{name}" + (f"__{part}" if part else "")


@contextmanager
def table_lock(connection: psycopg.Connection, layer: str, name: str, wait_seconds: int) -> Iterator[None]:
    """Hold the right to write `layer`.`name`; it goes with the connection if the process is killed.

    Args:
        connection: that holds it; without an open transaction.
        layer: bronze, silver or gold.
        name: of the table.
        wait_seconds: how long to wait for another run.

    Raises:
        TableBusy: another run has held it for all that time.
    """
    take = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
    connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(f"{wait_seconds}s")))
    try:
        connection.execute(take, [f"{layer}.{name}"])
    except psycopg.errors.LockNotAvailable:
        connection.rollback()
        raise TableBusy(
            f"another run has been writing {layer}.{name} for more than {wait_seconds} s: wait for it or end it "
            "(Runs page), then start this one again"
        ) from None
    connection.execute("SET lock_timeout = 0")
    connection.commit()
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [f"{layer}.{name}"])
            connection.commit()


def published(connection: psycopg.Connection, layer: str, name: str) -> Publication | None:
    """The newest publication of a table whose table is still there, or null."""
    row = connection.execute(
        "SELECT rows, quarantined, duplicates, definition, published_at FROM atlas.publications"
        " WHERE layer = %s AND name = %s AND to_regclass(format('%%I.%%I', layer, name)) IS NOT NULL",
        [layer, name],
    ).fetchone()
    return Publication(*row) if row else None


def versions(connection: psycopg.Connection, tables: Iterable[Table]) -> dict[Table, int]:
    """Numbers of the newest publications of these tables, as (layer, name), without those that have none.

    Asked before the tables are read, it never says more than what is read then: who builds from them may build once too
    often, never once too seldom.
    """
    rows = connection.execute("SELECT layer, name, version FROM atlas.publications").fetchall()
    known = {(layer, name): int(version) for layer, name, version in rows}
    return {table: known[table] for table in tables if table in known}


def add_key(connection: psycopg.Connection, table: str, key: Sequence[str]) -> None:
    """Give a staging table a primary key, whose name will not clash when the tables are swapped.

    Args:
        connection: in the transaction that stages the table.
        table: its name in staging.
        key: its columns; none for a table without a key.
    """
    if not key:
        return
    statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})").format(
        sql.Identifier(STAGING, table),
        sql.Identifier(f"pk_{secrets.token_hex(8)}"),
        sql.SQL(", ").join(map(sql.Identifier, key)),
    )
    connection.execute(statement)


def describe(connection: psycopg.Connection, table: str, columns: Mapping[str, str]) -> None:
    """Put descriptions on the columns of a staging table, where a database client shows them.

    Args:
        connection: in the transaction that stages the table.
        table: its name in staging.
        columns: descriptions by column.
    """
    for column, text in columns.items():
        name = sql.Identifier(STAGING, table, column)
        connection.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(name, sql.Literal(text)))


@retry(
    retry=retry_if_exception_type(psycopg.errors.LockNotAvailable),
    stop=stop_after_attempt(6),
    wait=wait_exponential_jitter(multiplier=1, max=20),
    reraise=True,
)
def _remove(connection: psycopg.Connection, layer: str, name: str) -> dependants.Kept:
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '3s'")
        kept = dependants.look(connection, layer, name)
        dependants.drop_views(connection, kept)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(layer, name)))
    return kept


def swap(connection: psycopg.Connection, layer: str, name: str) -> None:
    """Put the staging table in the place of `layer`.`name`. To be called inside the publishing transaction.

    Readers see the old table until that transaction commits, and the new one after. A reader in the middle of a long
    query is waited for in short turns, so that others are not queued up behind the wait. Views that others made upon
    the table, and what was granted on it, are kept.

    Args:
        connection: in that transaction.
        layer: silver or gold.
        name: of the table.

    Raises:
        PublishError: something else in the database depends on the old table, is in its place, or has held it for the
            whole wait.
    """
    staged = staging_name(layer, name)
    try:
        kept = _remove(connection, layer, name)
    except dependants.CannotKeep as error:
        raise PublishError(f"{layer}.{name} cannot be replaced: {error}; the published table is as it was") from None
    except psycopg.errors.DependentObjectsStillExist as error:
        depends = (error.diag.message_detail or "").splitlines()[0] if error.diag.message_detail else "another object"
        raise PublishError(
            f"{layer}.{name} cannot be replaced: {depends}. Make it a gold model, or drop it; "
            "the published table is as it was"
        ) from None
    except psycopg.errors.WrongObjectType:
        raise PublishError(
            f"{layer}.{name} is not a table but something else of that name, which Atlas did not make: drop it"
        ) from None
    except psycopg.errors.LockNotAvailable:
        raise PublishError(
            f"{layer}.{name} cannot be replaced: queries have held it for the whole wait; it is as it was, run again"
        ) from None
    move = sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(sql.Identifier(STAGING, staged), sql.Identifier(layer))
    connection.execute(move)
    if staged != name:
        rename = sql.SQL("ALTER TABLE {} RENAME TO {}").format(sql.Identifier(layer, staged), sql.Identifier(name))
        connection.execute(rename)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ANALYST]).fetchone():
        grant = sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(layer, name), sql.Identifier(ANALYST))
        connection.execute(grant)
    try:
        dependants.put_back(connection, layer, name, kept)
    except dependants.CannotKeep as error:
        raise PublishError(f"{layer}.{name} cannot be replaced: {error}; the published table is as it was") from None


def drop(connection: psycopg.Connection, layer: str, name: str) -> None:
    """Take a published table away, if it is there. To be called inside the publishing transaction.

    Raises PublishError: something else depends on it, or queries have held it for the whole wait.
    """
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '20s'")
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(layer, name)))
    except (psycopg.errors.DependentObjectsStillExist, psycopg.errors.LockNotAvailable) as error:
        held = isinstance(error, psycopg.errors.LockNotAvailable)
        raise PublishError(
            f"{layer}.{name} is declared no longer, and cannot be dropped: "
            + ("queries hold it. Run again" if held else "something depends on it. Drop that, and run again")
        ) from None


def record(
    connection: psycopg.Connection,
    layer: str,
    name: str,
    definition: str,
    run_id: str,
    rows: int,
    quarantined: int = 0,
    duplicates: int = 0,
    reads: Mapping[Table, int] | None = None,
    *,
    anew: bool = True,
) -> None:
    """Record the publication. To be called inside the publishing transaction.

    Args:
        connection: in that transaction.
        layer: silver or gold.
        name: of the table.
        definition: fingerprint of all that decides what the table holds.
        run_id: of the run that publishes it.
        rows: that the table has.
        quarantined: rows in quarantine.
        duplicates: rows that gave way to a later one of their key.
        reads: numbers of the publications that it was made from; null for a table that reads no published one.
        anew: whether the table is another one, instead of the one before with new rows in it.
    """
    sources = (
        None if reads is None else Jsonb({f"{schema}.{table}": number for (schema, table), number in reads.items()})
    )
    connection.execute(
        "WITH now AS ("
        "INSERT INTO atlas.publications AS p (layer, name, rows, quarantined, duplicates, definition, batch, reads,"
        " version, anew) SELECT %s, %s, %s::bigint, %s::bigint, %s::bigint, %s, %s, %s::jsonb, v, v"
        " FROM nextval('atlas.publication_versions') v ON CONFLICT (layer, name) DO UPDATE SET rows = excluded.rows,"
        " quarantined = excluded.quarantined, duplicates = excluded.duplicates, definition = excluded.definition,"
        " batch = excluded.batch, reads = excluded.reads, version = excluded.version, published_at = clock_timestamp(),"
        " anew = CASE WHEN %s THEN excluded.version ELSE p.anew END"
        " RETURNING layer, name, version, rows, batch, published_at)"
        " INSERT INTO atlas.publication_history (layer, name, version, rows, batch, published_at) SELECT * FROM now",
        [layer, name, rows, quarantined, duplicates, definition, run_id, sources, anew],
    )


def drop_staging(connection: psycopg.Connection, *names: str) -> None:
    """Remove tables and views from staging, in this order, if they are there."""
    for name in names:
        table = sql.Identifier(STAGING, name)
        kind = "SELECT relkind = 'v' FROM pg_class WHERE oid = to_regclass(%s)"
        row = connection.execute(kind, [table.as_string(connection)]).fetchone()
        if row:
            drop = "DROP VIEW {}" if row[0] else "DROP TABLE {}"
            connection.execute(sql.SQL(drop).format(table))
