"""Building `gold.<model>`: one SELECT over silver and gold, published whole or not at all.

Belongs here: running a model. Does not belong here: reading it (`sql/`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.warehouse import publish
from atlas_pipeline.warehouse.publish import STAGING


class ModelFailed(Exception):
    """Postgres refused the model, or its table failed the contract; the published table is as it was."""


@dataclass
class GoldResult:
    """Rows published, and rows that the table had before."""

    published: int
    before: int | None


def build(
    connection: psycopg.Connection,
    name: str,
    model_sql: str,
    *,
    batch: str,
    verify: Callable[[str, str], bool],
    key: Sequence[str] = (),
    record: Callable[[], None] = lambda: None,
    lock_seconds: int = 600,
    progress: Callable[[str], None] = lambda message: None,
) -> GoldResult:
    """Run the model into staging, and publish it when `verify(schema, table)` agrees.

    `record` is called in the publishing transaction.

    Raises ModelFailed, publish.PublishError, publish.TableBusy, psycopg.OperationalError.
    """
    table = publish.staging_name("gold", name)
    definition = hashlib.sha256(model_sql.encode()).hexdigest()
    with publish.table_lock(connection, "gold", name, lock_seconds):
        before = publish.published(connection, "gold", name)
        publish.drop_staging(connection, table)
        progress(f"{name}: running the model")
        target = sql.Identifier(STAGING, table)
        body = sql.SQL(model_sql.strip().rstrip(";"))
        try:
            connection.execute("SET LOCAL work_mem = '128MB'")
            connection.execute(sql.SQL("CREATE TABLE {} AS (\n{}\n)").format(target, body))
            publish.add_key(connection, table, key)
        except psycopg.ProgrammingError as error:
            connection.rollback()
            raise ModelFailed(f"gold.{name}: {error.diag.message_primary or type(error).__name__}") from None
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # The server's own message quotes the value that it stumbled over, which may be personal.
            connection.rollback()
            raise ModelFailed(f"gold.{name}: Postgres refused a value ({type(error).__name__})") from None
        connection.execute(sql.SQL("ANALYZE {}").format(target))
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(target)).fetchone()
        rows = int(row[0]) if row else 0
        connection.commit()
        progress(f"{name}: checking")
        if not verify(STAGING, table):
            raise ModelFailed(
                f"gold.{name} was not published: the new table fails its contract, the published one is as it was. "
                f"Look at {STAGING}.{table}"
            )
        with connection.transaction():
            publish.swap(connection, "gold", name)
            publish.record(connection, "gold", name, definition, batch, rows)
            record()
    return GoldResult(published=rows, before=before.rows if before else None)


def column_types(connection: psycopg.Connection, name: str) -> dict[str, str]:
    """The columns of a published model and their Postgres types, in order."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = format('gold.%%I', %s::text)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [name],
    )
    return dict(rows.fetchall())
