"""The state of a database, so that two can be compared: proves that a restore equals its backup.

Belongs here: counting, hashing and comparing. Does not belong here: queries of the catalogs (`catalog.py`).

Rows are hashed in Postgres, each by itself, and the hashes are summed, so that their order does not matter. A value is
hashed by its type's hash where that tells all values apart and is the same in every database and version; as its binary
form where that is exact; as text otherwise. Postgres's hash of 8 bytes is not exact, for it folds them into 4 first:
-1 and 4294967295 have the same. Definitions are kept as hashes, for they may quote values or hold passwords. Rows of
materialized views are not looked at: a restore computes them anew.
"""

import hashlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from atlas_pipeline.backup.manifest import DatabaseState
from atlas_pipeline.backup.pg_dump import catalog

_SESSION = """
SET search_path = ''; SET extra_float_digits = 3; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';
SET timezone = 'UTC'; SET bytea_output = 'hex'; SET xmloption = 'content'; SET lc_monetary = 'C';
SET quote_all_identifiers = off; SET row_security = off; SET statement_timeout = 0; SET lock_timeout = {};
SET idle_in_transaction_session_timeout = 0; SET synchronize_seqscans = on; SET jit = off
"""
_READS_PAGES = "SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')"
_MASK = (1 << 64) - 1
# How a value is hashed, by its type; the column's number keeps equal values of two columns apart. All 64 bits of a seed
# count. The hash of a float takes -0 for 0, and that of character(n) leaves out blanks at the end.
_FLOAT = "CASE WHEN {value} = 0 THEN hashtextextended({value}::text, {number}) ELSE {hash}({value}, {number}) END"
_TEXT = 'hashtextextended({value} COLLATE "C", {number})'
_PADDED = 'hashtextextended({value} COLLATE "C", {number} + (octet_length({value})::int8 << 16))'
_BINARY = "hashbyteaextended({function}({value}), {number})"
# Servers before 18 have no function for bytea; the hash of a record of one column is that of the column.
_BYTEA = re.compile(r"^hashbyteaextended\((.*), \{number\}\)$")
_BYTEA_BEFORE_18 = r"CASE WHEN {value} IS NOT NULL THEN hash_record_extended(ROW(\1), {number}) END"
_HASHES = {
    "bool": "hashint4extended({value}::int4, {number})",
    "bytea": "hashbyteaextended({value}, {number})",
    "char": "hashcharextended({value}, {number})",
    "name": "hashnameextended({value}, {number})",
    "int8": "hashint4extended({number}, {value})",
    "int2": "hashint2extended({value}, {number})",
    "int4": "hashint4extended({value}, {number})",
    "oid": "hashoidextended({value}, {number})",
    "uuid": "uuid_hash_extended({value}, {number})",
    "text": _TEXT,
    "varchar": _TEXT,
    "bpchar": _PADDED,
    "float4": _FLOAT.replace("{hash}", "hashfloat4extended"),
    "float8": _FLOAT.replace("{hash}", "hashfloat8extended"),
    **{
        name: _BINARY.replace("{function}", f"{name}_send")
        for name in ("numeric", "date", "time", "timestamp", "timestamptz")
    },
}
_AS_TEXT = 'hashtextextended({value}::text COLLATE "C", {number})'
# A dump writes some casts in another way, once: (x::varchar)::text[] becomes x::varchar::text.
_CASTS = re.compile(r"::(?:character varying|text)(?:\(\d+\))?(?:\[\])?|[()\s]+")
_GRANTOR = re.compile(r'/(?:"(?:[^"]|"")*"|[^/"]+)$')
_ALL_ON_TABLE = re.compile(r"(=(?:[arwdDxt]\*?){7})m\*?(?=[,;]|$)")


@dataclass(frozen=True)
class Table:
    """A table whose rows are in a dump."""

    oid: int
    schema: str
    name: str
    quoted: str
    partitioned: bool
    visible: bool


def prepare(connection: psycopg.Connection, lock_seconds: float) -> None:
    """Set up a session so that equal values have equal text on every server.

    Args:
        connection: the session.
        lock_seconds: how long it waits for a lock.
    """
    connection.execute(sql.SQL(_SESSION).format(sql.Literal(round(lock_seconds * 1000))))
    if connection.info.server_version >= 170000:
        connection.execute("SET transaction_timeout = 0")


def tables(connection: psycopg.Connection) -> list[Table]:
    """Tables, partitioned ones too, the biggest first."""
    return [Table(*row) for row in connection.execute(catalog.TABLES)]


def hashed(connection: psycopg.Connection, table: Table) -> tuple[int, str]:
    """Number of rows of a table, and the hash of its content in hex.

    Args:
        connection: a session that `prepare` set up.
        table: not partitioned.
    """
    columns = connection.execute(catalog.COLUMNS, [table.oid]).fetchall()
    texts = [_HASHES.get(kind or "", _AS_TEXT) for _, kind in columns]
    if connection.info.server_version < 180000:
        texts = [_BYTEA.sub(_BYTEA_BEFORE_18, text) for text in texts]
    named = enumerate(zip(columns, texts, strict=True), 1)
    hashes = [_hash(sql.Identifier("t", name), text, number) for number, ((name, _), text) in named]
    # Hashed once more: otherwise values exchanged between two rows could leave the sum unchanged.
    row = sql.SQL("hashint4extended(0, {})").format(_combine(hashes)) if hashes else sql.SQL("0")
    query = sql.SQL("SELECT count(*), sum({}) FROM ONLY {} t").format(row, sql.Identifier(table.schema, table.name))
    rows, digest = connection.execute(query).fetchone() or (0, 0)
    return rows, _hex(digest)


def _hash(column: sql.Identifier, text: str, number: int) -> sql.Composed:
    value_hash = sql.SQL(text).format(value=column, number=sql.Literal(number))
    return sql.SQL("coalesce({}, {})").format(value_hash, sql.Literal(number))


def _combine(hashes: Sequence[sql.Composed]) -> sql.Composed:
    """XOR of all hashes, as a balanced tree: nesting 1,600 columns deep would exceed the stack."""
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        odd = hashes[len(hashes) // 2 * 2 :]
        hashes = [*(sql.SQL("({} # {})").format(*pair) for pair in pairs), *odd]
    return hashes[0]


def hash_all(
    tables_to_hash: Iterable[Table], connections: Sequence[psycopg.Connection], stopped: threading.Event
) -> dict[str, tuple[int, str]]:
    """Number of rows and hash of each table, by quoted name.

    Args:
        tables_to_hash: tables; partitioned ones are passed over, as their partitions hold the rows.
        connections: sessions of one snapshot, each in its own thread.
        stopped: ends it after the tables in progress.
    """
    queue = deque(table for table in tables_to_hash if not table.partitioned)
    hashes: dict[str, tuple[int, str]] = {}

    def work(connection: psycopg.Connection) -> None:
        while not stopped.is_set():
            try:
                table = queue.popleft()
            except IndexError:
                return
            hashes[table.quoted] = hashed(connection, table)

    with ThreadPoolExecutor(max(1, len(connections)), thread_name_prefix="backup-state") as pool:
        for future in [pool.submit(work, connection) for connection in connections]:
            future.result()
    return dict(sorted(hashes.items()))


def large_objects(connection: psycopg.Connection) -> tuple[int, str]:
    """Number of large objects, and the hash of their contents, owners and grants."""
    row = connection.execute(_READS_PAGES).fetchone()
    pages = catalog.PAGES if row and row[0] else catalog.PAGES_OF_OTHERS
    count, *digests = connection.execute(catalog.LARGE_OBJECTS.replace("{pages}", pages)).fetchone() or (0,)
    return count, ".".join(_hex(digest) for digest in digests)


def unreadable_large_objects(connection: psycopg.Connection) -> int:
    """How many large objects this role may not read."""
    row = connection.execute(catalog.UNREADABLE_LARGE_OBJECTS).fetchone()
    return row[0] if row else 0


def without_large_objects(state: DatabaseState) -> DatabaseState:
    """The state of a database whose large objects are left out of the backup."""
    kept = {name: text for name, text in state.objects.items() if not name.startswith("comment on large object ")}
    return replace(state, large_objects=(0, ".".join([_hex(None)] * 3)), objects=kept)


def sequences(connection: psycopg.Connection) -> dict[str, str]:
    """`last_value` and `is_called` of each sequence, as text."""
    names = connection.execute(catalog.SEQUENCES).fetchall()
    values = {}
    for schema, name in names:
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        last, called = connection.execute(query).fetchone() or (0, False)
        values[quoted(schema, name)] = sequence_text(last, called)
    return values


def quoted(schema: str, name: str) -> str:
    """A qualified name, always quoted: programs differ in which names need quotes.

    Args:
        schema: as Postgres stores it.
        name: as Postgres stores it.
    """
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))


def sequence_text(last: int, called: bool) -> str:
    """The state of a sequence as text.

    Args:
        last: its `last_value`.
        called: its `is_called`: whether that value was given out.
    """
    return f"{last} {'given out' if called else 'next'}"


def objects(connection: psycopg.Connection) -> dict[str, str]:
    """Owner, grants and the hash of the definition of everything that has a name."""
    definitions = {}
    for query in catalog.OBJECTS.values():
        for name, owner, acl, default, definition in connection.execute(query):
            parts = [f"owner {owner}"] if owner else []
            if acl is not None and (listed := access(acl)) != access(default or []):
                parts.append(f"grants {listed}")
            parts.append(digest(_CASTS.sub("", definition or "")))
            definitions[name] = "; ".join(parts)
    return dict(sorted(definitions.items()))


def access(acl: Sequence[str]) -> str:
    """An access control list, sorted and without grantors."""
    return ",".join(sorted(_GRANTOR.sub("", item) for item in acl)) or "none"


def digest(text: str) -> str:
    """16 hex digits of SHA-256, for text that must not be shown."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def extensions(connection: psycopg.Connection) -> dict[str, str]:
    """Version and schema of each extension."""
    return dict(connection.execute(catalog.EXTENSIONS).fetchall())


def settings(connection: psycopg.Connection) -> dict[str, str]:
    """Encoding and collation, owner and grants of the database; the values of its settings are hashed."""
    cursor = connection.execute(catalog.DATABASE)
    names = [column.name for column in cursor.description or ()]
    row: dict[str, Any] = dict(zip(names, cursor.fetchone() or (), strict=True))
    acl, default, comment = row.pop("acl"), row.pop("default_acl"), row.pop("comment")
    values = {name: value for name, value in row.items() if value is not None}
    values["grants"] = "default" if acl is None or access(acl) == access(default) else access(acl)
    if comment is not None:
        values["comment"] = digest(comment)
    for role, config in connection.execute(catalog.CONFIGURATION):
        values |= {f"{'of ' + role + ' ' if role else ''}{name}": digest(value) for name, value in pairs(config)}
    return values


def pairs(config: Sequence[str] | None) -> list[tuple[str, str]]:
    """Names and values of `setconfig` entries (`name=value`)."""
    return [(name, value) for name, _, value in (item.partition("=") for item in config or ())]


def unrestorable(connection: psycopg.Connection) -> tuple[str, ...]:
    """What a restore will lack, since pg_dump leaves it out, and why."""
    return tuple(text for (text,) in connection.execute(catalog.UNRESTORABLE))


def difference(expected: DatabaseState, actual: DatabaseState) -> list[str]:
    """How two databases differ, one text for each difference. A table whose rows were excluded may be empty.

    Args:
        expected: the state in a manifest.
        actual: the state of the restored database.
    """
    differences = []
    for name, (rows, content) in expected.tables.items():
        if name not in actual.tables:
            differences.append(f"table {name} is missing ({rows} rows)")
        elif actual.tables[name][0] != rows:
            differences.append(f"table {name} has {actual.tables[name][0]} rows instead of {rows}")
        elif actual.tables[name][1] != content:
            differences.append(f"table {name} has {rows} rows as expected, but other values")
    for name in actual.tables.keys() - expected.tables.keys():
        if f"table {name}" not in expected.objects:
            differences.append(f"table {name} is not expected")
        elif rows := actual.tables[name][0]:
            differences.append(f"table {name} has {rows} rows, but its rows were left out of the backup")
    if expected.large_objects[0] != actual.large_objects[0]:
        differences.append(f"{actual.large_objects[0]} large objects instead of {expected.large_objects[0]}")
    elif expected.large_objects != actual.large_objects:
        differences.append(f"the {expected.large_objects[0]} large objects have other content, owners or grants")
    differences += _compare(
        "sequence {}", expected.sequences, actual.sequences, lambda a, b: f"is at {b} instead of {a}"
    )
    differences += _compare("{}", _by_any_server(expected.objects), _by_any_server(actual.objects), _describe_change)
    differences += _compare("role {}", expected.roles, actual.roles, lambda a, b: "has other attributes or memberships")
    differences += _compare(
        "extension {}", expected.extensions, actual.extensions, lambda a, b: f"is {b} instead of {a}"
    )
    differences += _compare("setting {} of the database", expected.settings, actual.settings, lambda a, b: "is another")
    return differences


def _by_any_server(texts: Mapping[str, str]) -> dict[str, str]:
    """Definitions with grants as servers before 17 have them: all rights on a table include MAINTAIN since."""
    return {name: _ALL_ON_TABLE.sub(r"\1", text) for name, text in texts.items()}


def _compare(
    name: str, expected: Mapping[str, str], actual: Mapping[str, str], describe: Callable[[str, str], str]
) -> list[str]:
    missing = [f"{name.format(key)} is missing" for key in expected if key not in actual]
    extra = [f"{name.format(key)} is not expected" for key in actual if key not in expected]
    other = [
        f"{name.format(key)} {describe(text, actual[key])}"
        for key, text in expected.items()
        if key in actual and actual[key] != text
    ]
    return missing + extra + other


def _describe_change(expected: str, actual: str) -> str:
    *access_before, definition_before = expected.split("; ")
    *access_now, definition_now = actual.split("; ")
    parts = ["definition"] * (definition_before != definition_now) + ["owner or grants"] * (access_before != access_now)
    return f"has another {' and another '.join(parts)}"


def _hex(digest: int | None) -> str:
    return f"{int(digest or 0) & _MASK:016x}"
