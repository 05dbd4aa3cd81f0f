"""Names of tables in pg_dump's way: patterns of them, and quoted names taken apart.

Belongs here: which tables `--exclude-table-data` means, so that pg_dump is told names and no patterns, and the rest
of a backup knows the same. Does not belong here: what follows from it.
"""

import re
from collections.abc import Iterable, Sequence

import psycopg

from atlas_pipeline.backup.pg_dump import state

_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


def matching(connection: psycopg.Connection, wanted: Sequence[str]) -> dict[str, state.Table]:
    """The tables that match, by quoted name.

    Args:
        connection: a session of the database.
        wanted: patterns of pg_dump; one without a schema means tables on the search path.
    """
    tables = state.tables(connection) if wanted else []
    found = {}
    for pattern in wanted:
        parts = [re.compile(part) for part in regexes(pattern)]
        name, schema = parts[-1], parts[-2] if len(parts) > 1 else None
        for table in tables:
            if name.fullmatch(table.name) and (schema.fullmatch(table.schema) if schema else table.visible):
                found[table.quoted] = table
    return found


def regexes(pattern: str) -> list[str]:
    """A regular expression for each part of a pattern: `*` and `?` stand for letters, quotes keep what is in them."""
    parts, quoted = [""], False
    for letter in pattern.replace('""', "\0"):
        if letter == '"':
            quoted = not quoted
        elif letter == "\0":
            parts[-1] += '"'
        elif quoted:
            parts[-1] += re.escape(letter)
        elif letter == ".":
            parts.append("")
        else:
            parts[-1] += {"*": ".*", "?": "."}.get(letter, re.escape(letter.lower()))
    return parts


def filter_file(tables: Iterable[str]) -> str:
    """What `pg_dump --filter` is told to leave the rows out of; the names are quoted."""
    return "".join(f"exclude table_data {_all_quoted(name)}\n" for name in tables)


def _all_quoted(name: str) -> str:
    return state.quoted(*split(name))


def split(name: str) -> tuple[str, str]:
    """Schema and name of a quoted name."""
    parts = [quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(name)]
    schema, relation = parts
    return schema, relation
