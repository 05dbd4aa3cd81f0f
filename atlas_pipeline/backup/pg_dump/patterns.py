"""pg_dump's patterns of table names, and quoted names split into schema and table.

Belongs here: which tables `--exclude-table-data` matches, so that pg_dump gets names instead of patterns and the state
leaves out the same tables. Does not belong here: leaving them out.
"""

import re
from collections.abc import Iterable, Sequence

import psycopg

from atlas_pipeline.backup.pg_dump import state

_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


def matching(connection: psycopg.Connection, patterns: Sequence[str]) -> dict[str, state.Table]:
    """The tables that match, by quoted name.

    Args:
        connection: a session of the database.
        patterns: patterns of pg_dump; one without a schema means tables on the search path.
    """
    tables = state.tables(connection) if patterns else []
    matches = {}
    for pattern in patterns:
        parts = [re.compile(part) for part in regexes(pattern)]
        name, schema = parts[-1], parts[-2] if len(parts) > 1 else None
        for table in tables:
            if name.fullmatch(table.name) and (schema.fullmatch(table.schema) if schema else table.visible):
                matches[table.quoted] = table
    return matches


def regexes(pattern: str) -> list[str]:
    """A regular expression for each part of a pattern: `*` and `?` are wildcards outside of double quotes."""
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


def exclusions(tables: Iterable[str]) -> list[str]:
    """Arguments for pg_dump of any version that leave out the rows of these tables; the names are quoted."""
    return [f"--exclude-table-data={state.quoted(*split(name))}" for name in tables]


def split(name: str) -> tuple[str, str]:
    """Schema and name of a quoted name."""
    parts = [quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(name)]
    schema, relation = parts
    return schema, relation
