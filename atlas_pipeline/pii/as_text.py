"""Any column of a table as text that the sweep can read, by an expression of its type.

Belongs here: the expression for each type of Postgres, and which types hold nothing that a sweep looks for. Does not
belong here: the sweep (`sweep.py`) and which columns are swept (`leaks.py`).
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql

_HARMLESS = frozenset(
    ("bool", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid", "int2", "int4", "float4")
)
"""Types that cannot hold what the sweep proves: numbers of nine digits at most are no card and no phone number."""
_NUMBERS = frozenset(("int8", "float8", "numeric", "money", "oid"))
_BRACKETS = '[](){},"'
_READABLE = frozenset(("citext", "hstore", "ltree", "lquery", "ltxtquery", "cube", "isbn", "ean13"))
"""Types of extensions whose text form is plain."""


@dataclass(frozen=True)
class TextColumn:
    """A column, and its value as text; `text` is None where the type has no plain text form."""

    name: str
    type: str
    text: sql.Composable | None
    number: bool = False


_TYPES = """
WITH RECURSIVE base AS (
    SELECT attnum, attname, atttypid AS type FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT attnum, attname, typbasetype FROM base JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd'
)
SELECT attname, format_type(t.oid, NULL), t.typname, t.typtype, t.typcategory, coalesce(e.typname, ''),
    n.nspname = 'pg_catalog'
FROM base JOIN pg_type t ON t.oid = type JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE t.typtype <> 'd' ORDER BY attnum
"""


def columns_as_text(connection: psycopg.Connection, schema: str, table: str) -> list[TextColumn]:
    """The columns of a table in order, but those whose type cannot hold what a sweep looks for.

    Args:
        connection: A connection that may read the catalog.
        schema: The table's schema.
        table: The table's name.
    """
    relation = sql.Identifier(schema, table).as_string(connection)
    columns = []
    for name, shown, typname, typtype, category, element, builtin in connection.execute(_TYPES, [relation]).fetchall():
        if typname in _HARMLESS or element in _HARMLESS:
            continue
        text = _expression(sql.Identifier(name), typname, typtype, category, element, builtin)
        number = typname in _NUMBERS or element in _NUMBERS
        columns.append(TextColumn(name, shown, text, number))
    return columns


def _expression(
    column: sql.Identifier, typname: str, typtype: str, category: str, element: str, builtin: bool
) -> sql.Composable | None:
    """The text of one column.

    Args:
        column: The column.
        typname: Name of its type, as pg_type has it.
        typtype: `b`ase, `c`omposite, `e`num, `r`ange, `m`ultirange.
        category: typcategory of pg_type; `A` is an array.
        element: Name of an array's element type.
        builtin: Whether the type is Postgres's own.
    """
    if typname == "bytea":
        return sql.SQL("encode({}, 'escape')").format(column)
    if element == "bytea":
        return sql.SQL("(SELECT string_agg(encode(one, 'escape'), E'\\n') FROM unnest({}) AS one)").format(column)
    if element in ("money", "numeric"):
        long = "SELECT string_agg(trim_scale(one::numeric)::text, E'\\n') FROM unnest({}) AS one"
        return sql.SQL(f"({long} WHERE abs(one::numeric) >= 1e9)").format(column)
    if category == "A":
        return sql.SQL("array_to_string({}, E'\\n')").format(column)
    if typname in ("money", "numeric"):
        return sql.SQL("CASE WHEN abs({0}::numeric) >= 1e9 THEN trim_scale({0}::numeric)::text END").format(column)
    if typname in ("int8", "float8"):
        long = "CASE WHEN {0} >= 1000000000 OR {0} <= -1000000000 THEN {0}::text END"
        return sql.SQL(long).format(column)
    if typname == "oid":
        return sql.SQL("CASE WHEN {0} >= 1000000000 THEN {0}::text END").format(column)
    if typname == "tsvector":
        return sql.SQL("array_to_string(tsvector_to_array({}), E'\\n')").format(column)
    if typname in ("inet", "cidr"):
        single = (
            "CASE WHEN masklen({0}) = CASE family({0}) WHEN 4 THEN 32 ELSE 128 END THEN host({0}) ELSE {0}::text END"
        )
        return sql.SQL(single).format(column)
    if typtype in ("c", "r", "m"):
        return sql.SQL("translate({}::text, {}, {})").format(column, _BRACKETS, "\n" * len(_BRACKETS))
    if typtype == "e" or builtin or typname in _READABLE:
        return sql.SQL("{}::text").format(column)
    return None
