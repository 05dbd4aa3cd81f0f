"""Building `gold.<model>`: one SELECT over silver and gold, published whole or not at all.

Belongs here: running a model into staging, and publishing it. Does not belong here: reading it (`sql/`), and what is
audited in between (`orchestration/tables/gold.py`).
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.warehouse import publish as publishing
from atlas_pipeline.warehouse.increments import (
    Increment,
    Incremental,
    Names,
    publish_increment,
    stage_increment,
    why_whole,
)
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
        incremental: how it follows new rows; null for a table that is computed as a whole each time.
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
    incremental: Incremental | None = None

    @property
    def definition(self) -> str:
        """Fingerprint of what decides what the table holds."""
        return fingerprint(self.statement, self.key, self.rules)


@dataclass(frozen=True)
class Staged:
    """The finished table `schema`.`table` and its rows; `before` are those of the published one, null without one.

    `reads` are the numbers of the publications that it was made from. With an `increment` the table is a view, which
    makes a `change` of the published table, and in the same schema `new` has the rows that are; else `whole` says why
    an incremental model was computed as a whole.
    """

    schema: str
    table: str
    rows: int
    before: int | None
    reads: Mapping[Table, int]
    new: str
    increment: Increment | None = None
    whole: str | None = None
    change: publishing.Change | None = None


def fingerprint(statement: str, key: Sequence[str], rules: Sequence[str] = ()) -> str:
    """32 characters that are the same as long as a model is.

    Args:
        statement: its SELECT.
        key: columns of its primary key.
        rules: what else decides what its table holds.
    """
    return hashlib.sha256("\0".join([statement, *key, *rules]).encode()).hexdigest()[:32]


def stage(build: GoldBuild) -> Staged:
    """Run the model into staging, as a whole or for the keys that are new.

    Raises ModelFailed when Postgres refuses it, psycopg.OperationalError.
    """
    connection, name, incremental = build.connection, build.name, build.incremental
    names = Names.of(name)
    before = publishing.published(connection, "gold", name)
    publishing.drop_staging(connection, *names.all, f"{names.table}__{SMALL}")
    whole: str | None = None
    increment: Increment | None = None
    with _refusals(build):
        if incremental:
            # Nothing may take the place of what is read, after it was asked what that is.
            lock = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE")
            connection.execute(lock.format(sql.Identifier(*incremental.source)))
        reads = publishing.versions(connection, build.sources)
        build.progress(f"{name}: running the model")
        connection.execute("SET LOCAL work_mem = '128MB'")
        if incremental:
            whole = _why_whole(build, incremental, reads)
            if whole is None:
                found = stage_increment(connection, name, incremental, build.key)
                increment, whole = (found, None) if isinstance(found, Increment) else (None, found)
        rows = before.rows + increment.growth if before and increment else _stage_whole(build, names.table)
    connection.commit()
    build.progress(f"{name}: checking")
    new = names.new if increment else names.table
    change = publishing.Change(new, names.replaced) if increment else None
    return Staged(STAGING, names.table, rows, before.rows if before else None, reads, new, increment, whole, change)


def _why_whole(build: GoldBuild, incremental: Incremental, reads: Mapping[Table, int]) -> str | None:
    if build.counted:
        return "persons are counted in all of its groups"
    return why_whole(build.connection, build.name, build.definition, incremental, reads)


@contextmanager
def _refusals(build: GoldBuild) -> Iterator[None]:
    """Raise ModelFailed for what Postgres refuses of a model."""
    connection, name = build.connection, build.name
    try:
        yield
    except psycopg.ProgrammingError as error:
        connection.rollback()
        raise ModelFailed(f"gold.{name}: {error.diag.message_primary or type(error).__name__}") from None
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # The server's own message quotes the value that it stumbled over, which may be personal.
        connection.rollback()
        raise ModelFailed(f"gold.{name}: Postgres refused a value ({type(error).__name__})") from None


def _stage_whole(build: GoldBuild, table: str) -> int:
    """Compute the whole table. Returns its rows."""
    connection, target = build.connection, sql.Identifier(STAGING, table)
    body = sql.SQL((build.counted or build.statement).strip().rstrip(";"))
    connection.execute(sql.SQL("CREATE TABLE {} AS (\n{}\n)").format(target, body))
    publishing.add_key(connection, table, build.key)
    connection.execute(sql.SQL("ANALYZE {}").format(target))
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(target)).fetchone()
    return int(row[0]) if row else 0


def publish(build: GoldBuild, staged: Staged) -> None:
    """Put what was staged before the readers. To be called inside the publishing transaction.

    Args:
        build: what to work with.
        staged: its table.

    Raises publish.PublishError.
    """
    connection, anew = build.connection, True
    if staged.increment and build.incremental:
        publish_increment(connection, build.name, build.incremental)
        anew = False
    else:
        publishing.swap(connection, "gold", build.name)
    counts = (build.run_id, staged.rows)
    publishing.record(connection, "gold", build.name, build.definition, *counts, reads=staged.reads, anew=anew)


def column_types(connection: psycopg.Connection, name: str) -> dict[str, str]:
    """The columns of a published model and their Postgres types, in order."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = format('gold.%%I', %s::text)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [name],
    )
    return dict(rows.fetchall())
