"""Building `gold.<model>`: one SELECT over silver and gold, published whole or not at all.

Belongs here: running a model into staging, and publishing it. Does not belong here: reading it (`sql/`), and what is
audited in between (`orchestration/tables/gold.py`).
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.warehouse import publish as publishing
from atlas_pipeline.warehouse.publish import STAGING, Table

SMALL = "small"
"""Part of the name of the table beside the staged one that lists its groups of few persons."""


class ModelFailed(Exception):
    """Postgres refused the model; the published table is as it was."""


@dataclass(frozen=True)
class GoldBuild:
    """What a build works with.

    Attributes:
        connection: writes the table; the caller holds the table's lock on it.
        name: of the model.
        statement: a SELECT.
        run_id: recorded with the publication.
        key: columns of the primary key, none when empty.
        sources: tables that the statement reads.
        progress: told what is being done.
        counted: the same SELECT with further columns, for whoever treats the staged table; null for none.
        rules: what else decides what the table holds.
    """

    connection: psycopg.Connection
    name: str
    statement: str
    run_id: str
    key: Sequence[str] = ()
    sources: Collection[Table] = ()
    progress: Callable[[str], None] = lambda message: None
    counted: str | None = None
    rules: Sequence[str] = ()


@dataclass(frozen=True)
class Staged:
    """The finished table `schema`.`table` and its rows; `before` are those of the published one, null without one.

    `reads` are the numbers of the publications that it was made from.
    """

    schema: str
    table: str
    rows: int
    before: int | None
    reads: Mapping[Table, int]


def fingerprint(statement: str, key: Sequence[str], rules: Sequence[str] = ()) -> str:
    """32 characters that are the same as long as a model is.

    Args:
        statement: its SELECT.
        key: columns of its primary key.
        rules: what else decides what its table holds.
    """
    return hashlib.sha256("\0".join([statement, *key, *rules]).encode()).hexdigest()[:32]


def stage(build: GoldBuild) -> Staged:
    """Run the model into staging.

    Raises ModelFailed when Postgres refuses it, psycopg.OperationalError.
    """
    connection, name = build.connection, build.name
    table = publishing.staging_name("gold", name)
    before = publishing.published(connection, "gold", name)
    reads = publishing.versions(connection, build.sources)
    publishing.drop_staging(connection, table, f"{table}__{SMALL}")
    build.progress(f"{name}: running the model")
    target = sql.Identifier(STAGING, table)
    body = sql.SQL((build.counted or build.statement).strip().rstrip(";"))
    try:
        connection.execute("SET LOCAL work_mem = '128MB'")
        connection.execute(sql.SQL("CREATE TABLE {} AS (\n{}\n)").format(target, body))
        publishing.add_key(connection, table, build.key)
    except psycopg.ProgrammingError as error:
        connection.rollback()
        raise ModelFailed(f"gold.{name}: {error.diag.message_primary or type(error).__name__}") from None
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # The server's own message quotes the value that it stumbled over, which may be personal.
        connection.rollback()
        raise ModelFailed(f"gold.{name}: Postgres refused a value ({type(error).__name__})") from None
    connection.execute(sql.SQL("ANALYZE {}").format(target))
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(target)).fetchone()
    connection.commit()
    build.progress(f"{name}: checking")
    return Staged(STAGING, table, int(row[0]) if row else 0, before.rows if before else None, reads)


def publish(build: GoldBuild, staged: Staged) -> None:
    """Put the staged table in the place of the published one. To be called inside the publishing transaction.

    Args:
        build: what to work with.
        staged: its table.

    Raises publish.PublishError.
    """
    definition = fingerprint(build.statement, build.key, build.rules)
    publishing.swap(build.connection, "gold", build.name)
    publishing.record(build.connection, "gold", build.name, definition, build.run_id, staged.rows, reads=staged.reads)


def column_types(connection: psycopg.Connection, name: str) -> dict[str, str]:
    """The columns of a published model and their Postgres types, in order."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = format('gold.%%I', %s::text)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [name],
    )
    return dict(rows.fetchall())
