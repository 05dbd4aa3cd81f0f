"""Which row of a key stays, and how new rows come into a published table.

Belongs here: the SQL over staged rows and the published table. Does not belong here: when it runs, and what is audited
in between (`silver.py`). Of rows with the same key the one with the greatest `latest_by` stays; without it, or where it
is equal, the one of the file that arrived last.
"""

from collections.abc import Callable

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.bronze import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.warehouse.ledger import moved
from atlas_pipeline.warehouse.publish import STAGING

_FEW = 0.1  # of the rows of a table


def pick_winners(
    connection: psycopg.Connection, dataset: Dataset, table: str, delta: str, *, beside_published: bool
) -> int:
    """Fill a staging table with the row of each key in the delta that stays.

    Args:
        connection: in the transaction that stages the rows.
        dataset: with a plan in each column.
        table: the staging table to fill.
        delta: the staging table that has all new rows.
        beside_published: rows of a key of which the published table has a later one do not stay.

    Returns:
        How many rows give way to a later one of their key, those of the published table among them.
    """
    columns, new = _column_list(dataset), sql.Identifier(STAGING, delta)
    place = _place if moved(connection, dataset.name) else _own_place
    picked: sql.Composable = sql.SQL("SELECT {} FROM {}").format(columns, new)
    keep: sql.Composable = sql.SQL("")
    old = sql.Identifier("silver", dataset.name)
    if dataset.key:
        key = sql.SQL(", ").join(map(sql.Identifier, dataset.key))
        pick = sql.SQL("SELECT DISTINCT ON ({}) {} FROM {} d ORDER BY {}, {}")
        picked = pick.format(key, columns, new, key, _latest_first(dataset, place))
    if dataset.key and beside_published:
        # Partitions are built in any order, so what is published may have been loaded after what is new.
        both = (*map(sql.Identifier, (FILE_ID, LINE)), place("o"), place("w"))
        later: sql.Composable = sql.SQL("({2}, o.{0}, o.{1}) > ({3}, w.{0}, w.{1})").format(*both)
        if dataset.latest_by:
            later = sql.SQL(
                "(o.{0} > w.{0} OR (w.{0} IS NULL AND o.{0} IS NOT NULL) OR (o.{0} IS NOT DISTINCT FROM w.{0} AND {1}))"
            ).format(sql.Identifier(dataset.latest_by), later)
        keep = sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} o WHERE {} AND {})").format(old, _same_key(dataset), later)
    connection.execute("SET LOCAL work_mem = '128MB'")
    connection.execute(sql.SQL("ANALYZE {}").format(new))
    add = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) w{}")
    target = sql.Identifier(STAGING, table)
    winners = connection.execute(add.format(target, columns, columns, picked, keep)).rowcount
    connection.execute(sql.SQL("ANALYZE {}").format(target))
    replaced: sql.Composable = sql.SQL("0")
    if dataset.key and beside_published:
        replaced = sql.SQL("(SELECT count(*) FROM {} o JOIN {} w ON {})").format(old, target, _same_key(dataset))
    row = connection.execute(sql.SQL("SELECT count(*) + {} FROM {}").format(replaced, new)).fetchone()
    return int(row[0]) - winners if row else 0


def leave_latest(connection: psycopg.Connection, dataset: Dataset, table: str, spare: str) -> int:
    """Take the rows out of a staging table that give way to a later one of their key.

    Few are deleted. Where they are many, which would leave the table mostly holes, those that stay are copied.

    Args:
        connection: in the transaction that fills the table.
        dataset: with a plan in each column.
        table: the staging table; it has its name afterwards too.
        spare: a name in staging that is free.

    Returns:
        How many rows gave way.
    """
    name = sql.Identifier(STAGING, table)
    connection.execute(sql.SQL("ANALYZE {}").format(name))
    if not dataset.key:
        return 0
    connection.execute("SET LOCAL work_mem = '128MB'")
    key = sql.SQL(", ").join(map(sql.Identifier, dataset.key))
    count = sql.SQL(
        "SELECT coalesce(sum(n - 1), 0)::bigint, (SELECT reltuples FROM pg_class WHERE oid = {}::regclass)"
        " FROM (SELECT count(*) AS n FROM {} GROUP BY {} HAVING count(*) > 1) k"
    )
    row = connection.execute(count.format(sql.Literal(name.as_string(connection)), name, key)).fetchone()
    assert row is not None
    repeated, rows = int(row[0]), row[1]
    if repeated > _FEW * rows:
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(name, sql.Identifier(spare)))
        made = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING COMMENTS)")
        connection.execute(made.format(name, sql.Identifier(STAGING, spare)))
        return pick_winners(connection, dataset, table, spare, beside_published=False)
    if repeated:
        place = _place if moved(connection, dataset.name) else _own_place
        delete = sql.SQL(
            "WITH ranked AS (SELECT ctid AS place, row_number() OVER (PARTITION BY {0} ORDER BY {1}) AS rank FROM {2} d"
            " WHERE ({0}) IN (SELECT {0} FROM {2} GROUP BY {0} HAVING count(*) > 1))"
            " DELETE FROM {2} t USING ranked r WHERE t.ctid = r.place AND r.rank > 1"
        )
        return connection.execute(delete.format(key, _latest_first(dataset, place), name)).rowcount
    return 0


def create_preview(connection: psycopg.Connection, dataset: Dataset, view: str, winners: str) -> None:
    """Make a view of the table as it will be: what is published and not replaced, and the winners.

    Args:
        connection: in the transaction that stages the rows.
        dataset: with a plan in each column.
        view: its name in staging.
        winners: the staging table of the new rows that stay.
    """
    columns, new, old = _column_list(dataset), sql.Identifier(STAGING, winners), sql.Identifier("silver", dataset.name)
    stays: sql.Composable = sql.SQL("")
    if dataset.key:
        stays = sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} w WHERE {})").format(new, _same_key(dataset))
    statement = sql.SQL("CREATE VIEW {} AS SELECT {} FROM {} o{} UNION ALL SELECT {} FROM {}")
    name = sql.Identifier(STAGING, view)
    connection.execute(statement.format(name, columns, old, stays, columns, new))


def merge(connection: psycopg.Connection, dataset: Dataset, winners: str) -> int:
    """Put new rows into the published table, in place of those with the same key.

    Args:
        connection: in the transaction that publishes.
        dataset: with a plan in each column.
        winners: the staging table of the new rows that stay.

    Returns:
        By how many rows the published table grew.
    """
    columns, new, old = _column_list(dataset), sql.Identifier(STAGING, winners), sql.Identifier("silver", dataset.name)
    replaced = 0
    if dataset.key:
        statement = sql.SQL("DELETE FROM {} o USING {} w WHERE {}").format(old, new, _same_key(dataset))
        replaced = connection.execute(statement).rowcount
    insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(old, columns, columns, new)
    return connection.execute(insert).rowcount - replaced


def _latest_first(dataset: Dataset, place: Callable[[str], sql.Composable]) -> sql.Composed:
    """The order in which the row `d` of a key that stays comes first."""
    latest = [sql.SQL("d.{} DESC NULLS LAST").format(sql.Identifier(dataset.latest_by))] if dataset.latest_by else []
    return sql.SQL(", ").join([*latest, sql.SQL("{} DESC").format(place("d")), *_newest_first("d")])


def _column_list(dataset: Dataset) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, (*(c.name for c in dataset.published_columns), FILE_ID, LINE)))


def _own_place(row: str) -> sql.Composable:
    """Where the file of a row stands, when all stand in their own places."""
    return sql.SQL("{}.{}").format(sql.Identifier(row), sql.Identifier(FILE_ID))


def _place(row: str) -> sql.Composable:
    """Where the file of a row stands in the order of files."""
    query = "(SELECT coalesce(f.position, f.file_id) FROM atlas.files f WHERE f.file_id = {})"
    return sql.SQL(query).format(_own_place(row))


def _newest_first(row: str) -> list[sql.Composed]:
    return [sql.SQL("{}.{} DESC").format(sql.Identifier(row), sql.Identifier(name)) for name in (FILE_ID, LINE)]


def _same_key(dataset: Dataset) -> sql.Composed:
    """The condition that rows `o` and `w` have the same key."""
    return sql.SQL(" AND ").join(sql.SQL("o.{0} = w.{0}").format(sql.Identifier(name)) for name in dataset.key)
