"""Bringing a gold table up to date for the keys whose rows are new in silver, instead of computing it as a whole.

Belongs here: whether that is possible for this build, which keys they are, staging their rows, and putting them in the
place of the old ones. Does not belong here: whether a model can be computed by its keys (`sql/increments.py`), and
computing it as a whole (`gold.py`).

What is new is known from the ledger, not from a time in the rows: each file has the number of the publication of silver
that its rows came with, and a gold table has the number of the publication that it read. So rows that come late are
new, and none is taken twice. Silver that was built anew says nothing of what is new in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.warehouse import publish as publishing
from atlas_pipeline.warehouse.publish import STAGING, Table

_MOST_OF_TABLE = 3
"""From a third of the table's rows on it is computed as a whole."""
_FEW_KEYS = 1000


@dataclass(frozen=True)
class Incremental:
    """How a model follows new rows.

    Attributes:
        source: the table of silver.
        columns: for each column of the unique key that of the source.
        statement: the model over `part`, instead of over the source.
        file_column: column of the source that has the id of a row's file.
        deleted: table that has the keys whose rows were deleted, with the same column; null where none are.
    """

    source: Table
    columns: Mapping[str, str]
    statement: str
    file_column: str
    deleted: Table | None = None


@dataclass(frozen=True)
class Increment:
    """Rows of a table that are staged, those they replace, and by how many the table grows."""

    keys: int
    rows: int
    replaced: int

    @property
    def growth(self) -> int:
        """By how many rows the table grows."""
        return self.rows - self.replaced


@dataclass(frozen=True)
class Names:
    """Names of the tables in staging: the whole table or the view of it, its new rows, those they replace, the keys of
    both, and the rows of the source that they are made from.
    """

    table: str
    new: str
    replaced: str
    keys: str
    part: str

    @classmethod
    def of(cls, name: str) -> "Names":
        """The names for a model."""
        parts = (publishing.staging_name("gold", name, part) for part in ("new", "replaced", "keys", "part"))
        return cls(publishing.staging_name("gold", name), *parts)

    @property
    def all(self) -> tuple[str, ...]:
        """All, those that depend on others first."""
        return (self.table, self.new, self.replaced, self.part, self.keys)


def part_of(name: str) -> str:
    """The quoted name of the table that the statement of an increment reads."""
    return sql.Identifier(STAGING, Names.of(name).part).as_string()


def why_whole(
    connection: psycopg.Connection, name: str, definition: str, incremental: Incremental, reads: Mapping[Table, int]
) -> str | None:
    """Why a table cannot be brought up to date by its new rows; null when it can.

    Args:
        connection: to the warehouse.
        name: of the model.
        definition: fingerprint of the model as it is now.
        incremental: how it follows new rows.
        reads: numbers of the publications that it will be made from.
    """
    row = connection.execute(
        "SELECT definition, reads FROM atlas.publications WHERE layer = 'gold' AND name = %s"
        " AND to_regclass(format('gold.%%I', name)) IS NOT NULL",
        [name],
    ).fetchone()
    if row is None:
        return "it was never built"
    if row[0] != definition:
        return "its definition changed"
    before = {place: int(version) for place, version in (row[1] or {}).items()}
    source = ".".join(incremental.source)
    anew = connection.execute(
        "SELECT anew FROM atlas.publications WHERE layer = %s AND name = %s", [*incremental.source]
    ).fetchone()
    if source not in before or anew is None or anew[0] is None:
        return f"which rows of {source} it was built from was not recorded"
    if anew[0] > before[source]:
        return f"{source} was built anew"
    for table, version in reads.items():
        place = ".".join(table)
        if table != incremental.source and before.get(place) != version:
            return f"{place}, which it reads too, is newer"
    return None


def stage_increment(
    connection: psycopg.Connection, name: str, incremental: Incremental, key: Sequence[str]
) -> Increment | str:
    """Stage the rows of the keys that are new in the source, and a view of the table as it will be.

    Args:
        connection: in the transaction that stages them; the source is locked against being replaced.
        name: of the model.
        incremental: how it follows new rows.
        key: columns of its primary key.

    Returns:
        What is staged; or why nothing is, and the table has to be computed as a whole.

    Raises psycopg.Error.
    """
    names = Names.of(name)
    new, keys, part = (sql.Identifier(STAGING, one) for one in (names.new, names.keys, names.part))
    gold = sql.Identifier("gold", name)
    connection.execute(sql.SQL("CREATE TABLE {} AS {}").format(keys, _changed(name, incremental)))
    connection.execute(sql.SQL("ANALYZE {}").format(keys))
    found = _count(connection, keys)
    before = publishing.published(connection, "gold", name)
    missing = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier(own)) for own in incremental.columns)
    why = None
    if before is None or found * _MOST_OF_TABLE > before.rows + _FEW_KEYS:
        why = "most of it would be replaced"
    elif _count(connection, sql.SQL("{} WHERE {}").format(keys, missing)):
        why = "a column of unique_key is null in new rows"
    if why:
        publishing.drop_staging(connection, names.keys)
        return why
    of_source = _same(incremental.columns, "s")
    statement = "CREATE TABLE {} AS SELECT s.* FROM {} s WHERE EXISTS (SELECT FROM {} k WHERE {})"
    connection.execute(sql.SQL(statement).format(part, sql.Identifier(*incremental.source), keys, of_source))
    connection.execute(sql.SQL("ANALYZE {}").format(part))
    connection.execute(sql.SQL("CREATE TABLE {} AS (\n{}\n)").format(new, sql.SQL(incremental.statement)))
    publishing.add_key(connection, names.new, key)
    connection.execute(sql.SQL("ANALYZE {}").format(new))
    publishing.drop_staging(connection, names.part)
    of_gold = _same({column: column for column in incremental.columns}, "o")
    columns = _columns(connection, name)
    view = (
        "CREATE VIEW {} AS SELECT {} FROM {} o WHERE NOT EXISTS (SELECT FROM {} k WHERE {}) UNION ALL SELECT {} FROM {}"
    )
    table = sql.Identifier(STAGING, names.table)
    connection.execute(sql.SQL(view).format(table, columns, gold, keys, of_gold, columns, new))
    going = sql.SQL("CREATE TABLE {} AS SELECT o.* FROM {} o WHERE EXISTS (SELECT FROM {} k WHERE {})")
    replaced = sql.Identifier(STAGING, names.replaced)
    connection.execute(going.format(replaced, gold, keys, of_gold))
    return Increment(found, _count(connection, new), _count(connection, replaced))


def publish_increment(connection: psycopg.Connection, name: str, incremental: Incremental) -> None:
    """Put the staged rows in the place of the old ones of their keys, in the transaction that publishes."""
    names = Names.of(name)
    gold, new, keys = sql.Identifier("gold", name), *(sql.Identifier(STAGING, one) for one in (names.new, names.keys))
    same = _same({column: column for column in incremental.columns}, "o")
    connection.execute(sql.SQL("DELETE FROM {} o USING {} k WHERE {}").format(gold, keys, same))
    columns = _columns(connection, name)
    connection.execute(sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(gold, columns, columns, new))
    publishing.drop_staging(connection, *names.all)


def _changed(name: str, incremental: Incremental) -> sql.Composed:
    """The keys of rows that came, or were deleted, since the source was read."""
    files = sql.SQL(
        "(SELECT file_id FROM atlas.files WHERE dataset = {} AND silver_version > (SELECT (reads ->> {})::bigint"
        " FROM atlas.publications WHERE layer = 'gold' AND name = {}))"
    ).format(*map(sql.Literal, (incremental.source[1], ".".join(incremental.source), name)))
    column = sql.Identifier(incremental.file_column)
    selected = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.Identifier(of), sql.Identifier(own)) for own, of in incremental.columns.items()
    )
    tables = [incremental.source, *([incremental.deleted] if incremental.deleted else [])]
    one = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} IN {}")
    return sql.SQL(" UNION ").join(one.format(selected, sql.Identifier(*table), column, files) for table in tables)


def _same(columns: Mapping[str, str], row: str) -> sql.Composed:
    """The condition that a row with that alias has the key of row `k`."""
    return sql.SQL(" AND ").join(
        sql.SQL("{}.{} = k.{}").format(sql.Identifier(row), sql.Identifier(of), sql.Identifier(own))
        for own, of in columns.items()
    )


def _columns(connection: psycopg.Connection, name: str) -> sql.Composed:
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = format('gold.%%I', %s::text)::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        [name],
    )
    return sql.SQL(", ").join(sql.Identifier(column) for (column,) in rows)


def _count(connection: psycopg.Connection, of: sql.Composable) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(of)).fetchone()
    return int(row[0]) if row else 0
