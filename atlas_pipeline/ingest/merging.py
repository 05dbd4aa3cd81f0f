"""Which row of a key stays, and how new rows come into a published table.

Belongs here: the SQL over staged rows and the published table. Does not belong here: when it runs, and what is audited
in between (`silver.py`). Of rows with the same key the one with the greatest `latest_by` stays; without it, or where it
is equal, the one of the file that arrived last. When that one says that the key is deleted, none stays; it is
remembered in `bronze.<name>__deleted`, so that an earlier row that comes later does not bring the key back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import MISSING_SINCE, Dataset, deleted_name
from atlas_pipeline.ingest.repeats import Repeated
from atlas_pipeline.ingest.staging import StagingTables, dead_columns
from atlas_pipeline.warehouse.ledger import moved
from atlas_pipeline.warehouse.publish import STAGING

_DEAD = sql.Identifier("_atlas_deleted")
_FEW = 0.1  # of the rows of a table


@dataclass(frozen=True)
class Picked:
    """Rows that are accounted for though silver does not have them.

    `duplicates` gave way to a later one of their key, those of the published table among them; `deleted` say that their
    key is deleted, and nothing later is known of it.
    """

    duplicates: int
    deleted: int


def pick_winners(
    connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, new: str, *, beside_published: bool
) -> Picked:
    """Fill a staging table with the row of each key in the delta that stays.

    Args:
        connection: in the transaction that stages the rows.
        dataset: with a plan in each column.
        tables: whose delta has all new rows.
        new: the staging table to fill.
        beside_published: rows of a key of which the published table has a later one do not stay.

    Returns:
        What became of the others.
    """
    delta, target = sql.Identifier(STAGING, tables.delta), sql.Identifier(STAGING, new)
    columns, beside = column_list(dataset), bool(dataset.key) and beside_published
    connection.execute("SET LOCAL work_mem = '128MB'")
    connection.execute(sql.SQL("ANALYZE {}").format(delta))
    picked = _picked(connection, dataset, delta)
    keep = _keep(connection, dataset) if beside and not dataset.intake.flag_missing else sql.SQL("")
    if dataset.deleted_by:
        dead = _dead_list(dataset)
        statement = sql.SQL(
            "WITH staying AS (SELECT * FROM ({picked}) w{keep}), gone AS (INSERT INTO {deleted} ({dead})"
            " SELECT {dead} FROM staying WHERE {flag}) INSERT INTO {target} ({columns})"
            " SELECT {columns} FROM staying WHERE NOT {flag}"
        ).format(
            picked=picked,
            keep=keep,
            deleted=sql.Identifier(STAGING, tables.deleted),
            dead=dead,
            flag=_DEAD,
            target=target,
            columns=columns,
        )
    else:
        add = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) w{}")
        statement = add.format(target, columns, columns, picked, keep)
    connection.execute(statement)
    connection.execute(sql.SQL("ANALYZE {}").format(target))
    if beside:
        going = sql.SQL("CREATE TABLE {} AS SELECT {} FROM {} o WHERE EXISTS (SELECT FROM {} w WHERE {})")
        replaced, old = sql.Identifier(STAGING, tables.replaced), sql.Identifier("silver", dataset.name)
        connection.execute(going.format(replaced, columns, old, _taken(dataset, tables, new), same_key(dataset)))
    return _counted(connection, dataset, tables, new, beside_published=beside_published)


def leave_latest(
    connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, repeated: Repeated | None
) -> int:
    """Take the rows out of a staging table that give way to a later one of their key.

    Few are deleted. Where they are many, which would leave the table mostly holes, those that stay are copied.

    Args:
        connection: in the transaction that fills the table.
        dataset: with a plan in each column.
        tables: whose table it is; there is no delta.
        repeated: its rows that may share their key with others; null has Postgres look.

    Returns:
        How many rows gave way.
    """
    name = sql.Identifier(STAGING, tables.table)
    connection.execute(sql.SQL("ANALYZE {}").format(name))
    if not dataset.key or (repeated and not repeated.surplus):
        return 0
    connection.execute("SET LOCAL work_mem = '128MB'")
    if repeated is None:
        gone = _delete_of_all(connection, dataset, name)
    else:
        gone = _delete_of(connection, dataset, name, repeated) if repeated.surplus <= _FEW * repeated.rows else None
    if gone is not None:
        return gone
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(name, sql.Identifier(tables.delta)))
    made = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING COMMENTS)")
    connection.execute(made.format(name, sql.Identifier(STAGING, tables.delta)))
    return pick_winners(connection, dataset, tables, tables.table, beside_published=False).duplicates


def _delete_of(connection: psycopg.Connection, dataset: Dataset, table: sql.Identifier, repeated: Repeated) -> int:
    """Delete those of some rows that give way. Returns their number."""
    places = (FILE_ID, LINE)
    some = sql.SQL("({}) IN (SELECT * FROM unnest({}::bigint[], {}::bigint[]))").format(
        sql.SQL(", ").join(map(sql.Identifier, places)), sql.Literal(repeated.file_ids), sql.Literal(repeated.lines)
    )
    statement = sql.SQL("DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT place FROM {ranked} WHERE rank > 1))")
    return connection.execute(statement.format(table=table, ranked=_ranked(connection, dataset, table, some))).rowcount


def _delete_of_all(connection: psycopg.Connection, dataset: Dataset, table: sql.Identifier) -> int | None:
    """Delete the rows that give way, if they are few: null where they are many. Returns their number.

    The rows are grouped once, and looked at again only where few give way.
    """
    key = key_list(dataset)
    some = sql.SQL("(SELECT few AND rows > 0 FROM surplus) AND ({0}) IN (SELECT {0} FROM repeated)").format(key)
    statement = sql.SQL(
        "WITH repeated AS MATERIALIZED (SELECT {key}, count(*) AS n FROM {table} GROUP BY {key} HAVING count(*) > 1),"
        " surplus AS MATERIALIZED (SELECT coalesce(sum(n - 1), 0)::bigint AS rows, coalesce(sum(n - 1), 0) <="
        " {share} * (SELECT reltuples FROM pg_class WHERE oid = {name}::regclass) AS few FROM repeated),"
        " gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT place FROM {ranked} WHERE rank > 1)))"
        " SELECT rows, few FROM surplus"
    ).format(
        key=key,
        table=table,
        share=sql.Literal(_FEW),
        name=sql.Literal(table.as_string(connection)),
        ranked=_ranked(connection, dataset, table, some),
    )
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0]) if row[1] else None


def _ranked(
    connection: psycopg.Connection, dataset: Dataset, table: sql.Identifier, some: sql.Composable
) -> sql.Composed:
    """Where rows that fulfil a condition are, and their rank among those of their key, the one that stays first."""
    ranked = "(SELECT ctid AS place, row_number() OVER (PARTITION BY {} ORDER BY {}) AS rank FROM {} d WHERE {}) ranked"
    order = ordered(dataset, "d", place_of(connection, dataset), "DESC NULLS LAST")
    return sql.SQL(ranked).format(key_list(dataset), order, table, some)


def _picked(connection: psycopg.Connection, dataset: Dataset, delta: sql.Composable) -> sql.Composed:
    """The rows of the delta that are the last ones of their keys."""
    chosen: sql.Composable = column_list(dataset)
    if dataset.deleted_by:
        chosen = sql.SQL("{}, ({}) IS TRUE AS {}").format(chosen, sql.SQL(dataset.deleted_by.condition), _DEAD)
    if not dataset.key:
        return sql.SQL("SELECT {} FROM {} d").format(chosen, delta)
    key = key_list(dataset)
    order = ordered(dataset, "d", place_of(connection, dataset), "DESC NULLS LAST")
    return sql.SQL("SELECT DISTINCT ON ({}) {} FROM {} d ORDER BY {}, {}").format(key, chosen, delta, key, order)


def _keep(connection: psycopg.Connection, dataset: Dataset) -> sql.Composed:
    """That nothing later than a row is published; partitions are built in any order."""
    later = is_later(dataset, place_of(connection, dataset))
    old = [sql.Identifier("silver", dataset.name), *([memory_of(dataset.name)] if dataset.deleted_by else [])]
    absent = [sql.SQL("NOT EXISTS (SELECT FROM {} o WHERE {} AND {})").format(t, same_key(dataset), later) for t in old]
    return sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(absent))


def _counted(
    connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, new: str, *, beside_published: bool
) -> Picked:
    def count(source: sql.Composable) -> int:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(source)).fetchone()
        return int(row[0]) if row else 0

    replaced = count(sql.Identifier(STAGING, tables.replaced)) if dataset.key and beside_published else 0
    read, live = count(sql.Identifier(STAGING, tables.delta)), count(sql.Identifier(STAGING, new))
    dead = count(sql.Identifier(STAGING, tables.deleted)) if dataset.deleted_by else 0
    duplicates = read + replaced - live - dead
    if not (dataset.deleted_by and beside_published):
        return Picked(duplicates, dead)
    taken, gone = _taken(dataset, tables, new), 0
    if dataset.key:
        gone = count(sql.SQL("{} o JOIN {} w ON {}").format(memory_of(dataset.name), taken, same_key(dataset)))
    return Picked(duplicates + gone, count(memory_of(dataset.name)) - gone + dead)


def create_preview(
    connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, flag: sql.Composable
) -> None:
    """Make a view of the table as it will be: what is published and not replaced, and the winners.

    Args:
        connection: in the transaction that stages the rows.
        dataset: with a plan in each column.
        tables: whose table becomes the view.
        flag: what the column of missing rows will say of a published row `o`.
    """
    columns, new, old = (
        column_list(dataset),
        sql.Identifier(STAGING, tables.winners),
        sql.Identifier("silver", dataset.name),
    )
    stays: sql.Composable = sql.SQL("")
    if dataset.key:
        taken = _taken(dataset, tables, tables.winners)
        stays = sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} w WHERE {})").format(taken, same_key(dataset))
    kept, added = columns, columns
    if dataset.intake.flag_missing:
        name = sql.Identifier(MISSING_SINCE)
        kept = sql.SQL("{}, {} AS {}").format(columns, flag, name)
        added = sql.SQL("{}, {}").format(columns, name)
    statement = sql.SQL("CREATE VIEW {} AS SELECT {} FROM {} o{} UNION ALL SELECT {} FROM {}")
    view = sql.Identifier(STAGING, tables.table)
    connection.execute(statement.format(view, kept, old, stays, added, new))


def merge(connection: psycopg.Connection, dataset: Dataset, tables: StagingTables) -> int:
    """Put new rows into the published table, in place of those with the same key.

    Args:
        connection: in the transaction that publishes.
        dataset: with a plan in each column.
        tables: whose winners are the new rows that stay.

    Returns:
        By how many rows the published table grew.
    """
    columns, new, old = (
        column_list(dataset),
        sql.Identifier(STAGING, tables.winners),
        sql.Identifier("silver", dataset.name),
    )
    replaced = 0
    if dataset.key:
        taken = _taken(dataset, tables, tables.winners)
        delete = sql.SQL("DELETE FROM {} o USING {} w WHERE {}")
        replaced = connection.execute(delete.format(old, taken, same_key(dataset))).rowcount
        if dataset.deleted_by:
            connection.execute(delete.format(memory_of(dataset.name), taken, same_key(dataset)))
    if dataset.deleted_by:
        dead = _dead_list(dataset)
        remember = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}")
        deleted = sql.Identifier(STAGING, tables.deleted)
        connection.execute(remember.format(memory_of(dataset.name), dead, dead, deleted))
    if dataset.intake.flag_missing:
        columns = sql.SQL("{}, {}").format(columns, sql.Identifier(MISSING_SINCE))
    insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(old, columns, columns, new)
    return connection.execute(insert).rowcount - replaced


def memory_of(name: str) -> sql.Identifier:
    """The table of rows that say that their key is deleted, where nothing later is known of it."""
    return sql.Identifier("bronze", deleted_name(name))


def replace_memory(connection: psycopg.Connection, dataset: Dataset, tables: StagingTables) -> None:
    """Remember the deleted keys of a table that was built anew, in the transaction that publishes it."""
    memory = memory_of(dataset.name)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(memory))
    if dataset.deleted_by:
        move = sql.SQL("ALTER TABLE {} SET SCHEMA bronze").format(sql.Identifier(STAGING, tables.deleted))
        connection.execute(move)
        moved_to = sql.Identifier("bronze", tables.deleted)
        rename = sql.SQL("ALTER TABLE {} RENAME TO {}").format(moved_to, sql.Identifier(deleted_name(dataset.name)))
        connection.execute(rename)


def count_deleted(connection: psycopg.Connection, dataset: Dataset) -> int:
    """Rows that say that their key is deleted, where nothing later is known of it."""
    if not dataset.deleted_by:
        return 0
    memory = memory_of(dataset.name)
    row = connection.execute("SELECT to_regclass(%s)", [memory.as_string(connection)]).fetchone()
    if row is None or row[0] is None:
        return 0
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(memory)).fetchone()
    return int(row[0]) if row else 0


Place = Callable[[str], sql.Composable]
"""SQL for the place in the order of files of the row with that alias."""


def place_of(connection: psycopg.Connection, dataset: Dataset) -> Place:
    """How the place of a row's file is told: by its id, unless a file stands in another place than its own."""
    return _looked_up if moved(connection, dataset.name) else _own


def ordered(dataset: Dataset, row: str, place: Place, direction: str) -> sql.Composed:
    """What the rows of one key are ordered by. Of snapshots the newest counts, whatever its rows say.

    Args:
        dataset: says what tells which row is the latest.
        row: alias of the rows.
        place: of their files.
        direction: of the order.
    """
    latest = (
        [sql.SQL("{}.{}").format(sql.Identifier(row), sql.Identifier(dataset.latest_by))] if dataset.latest_by else []
    )
    names = [sql.SQL("{}.{}").format(sql.Identifier(row), sql.Identifier(name)) for name in (FILE_ID, LINE)]
    terms = [place(row), *latest, *names] if dataset.intake.flag_missing else [*latest, place(row), *names]
    return sql.SQL(", ").join(sql.SQL("{} {}").format(term, sql.SQL(direction)) for term in terms)


def is_later(dataset: Dataset, place: Place) -> sql.Composed:
    """The condition that row `o` is later than row `w` of the same key."""
    both = (*map(sql.Identifier, (FILE_ID, LINE)), place("o"), place("w"))
    later = sql.SQL("({2}, o.{0}, o.{1}) > ({3}, w.{0}, w.{1})").format(*both)
    if dataset.latest_by:
        later = sql.SQL(
            "(o.{0} > w.{0} OR (w.{0} IS NULL AND o.{0} IS NOT NULL) OR (o.{0} IS NOT DISTINCT FROM w.{0} AND {1}))"
        ).format(sql.Identifier(dataset.latest_by), later)
    return later


def column_list(dataset: Dataset) -> sql.Composed:
    """The columns that the delta and silver share, with lineage."""
    return sql.SQL(", ").join(map(sql.Identifier, (*(c.name for c in dataset.published_columns), FILE_ID, LINE)))


def key_list(dataset: Dataset) -> sql.Composed:
    """The columns of the key."""
    return sql.SQL(", ").join(map(sql.Identifier, dataset.key))


def same_key(dataset: Dataset, one: str = "o", other: str = "w") -> sql.Composed:
    """The condition that rows with these aliases have the same key."""
    names = map(sql.Identifier, dataset.key)
    aliases = sql.Identifier(one), sql.Identifier(other)
    return sql.SQL(" AND ").join(sql.SQL("{1}.{0} = {2}.{0}").format(name, *aliases) for name in names)


def _taken(dataset: Dataset, tables: StagingTables, new: str) -> sql.Composable:
    """The keys of which new rows say what becomes of them, each once."""
    live = sql.Identifier(STAGING, new)
    if not dataset.deleted_by:
        return live
    union = sql.SQL("(SELECT {} FROM {} UNION ALL SELECT {} FROM {})")
    key = key_list(dataset)
    return union.format(key, live, key, sql.Identifier(STAGING, tables.deleted))


def _dead_list(dataset: Dataset) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, (*(c.name for c in dead_columns(dataset)), FILE_ID, LINE)))


def _own(row: str) -> sql.Composable:
    return sql.SQL("{}.{}").format(sql.Identifier(row), sql.Identifier(FILE_ID))


def _looked_up(row: str) -> sql.Composable:
    query = "(SELECT coalesce(f.position, f.file_id) FROM atlas.files f WHERE f.file_id = {})"
    return sql.SQL(query).format(_own(row))
