"""What others made upon a published table, kept while another table takes its place: their views and their grants.

Belongs here: reading views and privileges from the catalog, and making them anew in the publishing transaction. Does
not belong here: the swap itself (`publish.py`).

A view is made again as its owner, with what was granted on it; that takes that the pipeline's role is a member of the
owner's. What cannot be kept is not dropped: the table is not published, and the error says why.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

_VIEWS = """
WITH RECURSIVE readers (oid, depth) AS (
    SELECT r.ev_class, 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid = %(table)s::regclass AND r.ev_class <> d.refobjid
    UNION
    SELECT r.ev_class, readers.depth + 1 FROM readers
    JOIN pg_depend d ON d.refobjid = readers.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND r.ev_class <> readers.oid
)
SELECT c.oid, n.nspname, c.relname, c.relkind = 'm', c.relispopulated, pg_get_userbyid(c.relowner),
    pg_has_role(c.relowner, 'USAGE'), pg_get_viewdef(c.oid), coalesce(c.reloptions, '{}'),
    obj_description(c.oid, 'pg_class'),
    ARRAY(SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = c.oid ORDER BY i.indexrelid)
    || ARRAY(SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
        ORDER BY t.oid)
FROM (SELECT oid, max(depth) AS depth FROM readers GROUP BY oid) r
JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') ORDER BY r.depth, c.oid
"""
_GRANTS = """
SELECT coalesce(pg_get_userbyid(nullif(a.grantee, 0)), ''), a.privilege_type, a.is_grantable, g.column_name
FROM (
    SELECT c.relacl AS acl, NULL AS column_name, c.relowner FROM pg_class c WHERE c.oid = %(table)s::regclass
    UNION ALL
    SELECT att.attacl, att.attname::text, c.relowner FROM pg_attribute att JOIN pg_class c ON c.oid = att.attrelid
    WHERE att.attrelid = %(table)s::regclass AND NOT att.attisdropped
) g, aclexplode(g.acl) a WHERE a.grantee <> g.relowner ORDER BY 4 NULLS FIRST, 1, 2
"""


class CannotKeep(Exception):
    """Something that others made upon a table would be lost; the message says what, and what to do."""


@dataclass(frozen=True)
class Grant:
    """A privilege on a table, or on one of its columns. `grantee` is empty for everyone."""

    grantee: str
    privilege: str
    grantable: bool
    column: str | None


@dataclass(frozen=True)
class View:
    """A view or materialized view over the table, or over another one of these.

    `parts` are its indexes and triggers, as statements.
    """

    schema: str
    name: str
    materialized: bool
    populated: bool
    owner: str
    definition: str
    options: Sequence[str]
    comment: str | None
    parts: Sequence[str]
    grants: Sequence[Grant]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def kind(self) -> sql.SQL:
        """What it is in SQL."""
        return sql.SQL("MATERIALIZED VIEW" if self.materialized else "VIEW")


@dataclass(frozen=True)
class Kept:
    """What is upon a table: views, those that others read first, and what was granted."""

    views: Sequence[View]
    grants: Sequence[Grant]


def look(connection: psycopg.Connection, schema: str, name: str) -> Kept:
    """What is upon a table now; nothing when there is no such table.

    Args:
        connection: in the publishing transaction.
        schema: of the table.
        name: of the table.

    Raises:
        CannotKeep: a view belongs to a role that the connection's role is no member of.
    """
    table = sql.Identifier(schema, name).as_string(connection)
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    if not (row and row[0]):
        return Kept([], [])
    with _plain_names(connection):
        rows = connection.execute(_VIEWS, {"table": table}).fetchall()
    views = []
    for oid, space, view, materialized, populated, owner, member, definition, options, comment, parts in rows:
        if not member:
            user = connection.info.user
            raise CannotKeep(
                f"the view {space}.{view} reads it and belongs to {owner}. Let Atlas keep it (GRANT {owner} TO "
                f"{user}), make it a gold model, or drop it"
            )
        grants = _grants(connection, str(oid))
        views.append(View(space, view, materialized, populated, owner, definition, options, comment, parts, grants))
    return Kept(views, _grants(connection, table))


def drop_views(connection: psycopg.Connection, kept: Kept) -> None:
    """Remove the views, so that the table can be dropped; what came since stops that."""
    for view in reversed(kept.views):
        connection.execute(sql.SQL("DROP {} {}").format(view.kind, sql.Identifier(view.schema, view.name)))


def put_back(connection: psycopg.Connection, schema: str, name: str, kept: Kept) -> None:
    """Grant on the new table what was granted on the old one, and make the views anew.

    Args:
        connection: in the same transaction.
        schema: of the new table.
        name: of the new table.
        kept: what `look` found on the old one.

    Raises:
        CannotKeep: the new table lacks what a view reads, or has it in another type.
    """
    _grant(connection, schema, name, kept.grants)
    for view in kept.views:
        try:
            with connection.transaction(), _plain_names(connection), _as(connection, view.owner):
                _make(connection, view)
        except psycopg.DataError as error:
            # The server's own message quotes the value that it stumbled over.
            raise CannotKeep(f"the view {view} cannot be filled ({type(error).__name__}): correct or drop it") from None
        except psycopg.ProgrammingError as error:
            raise CannotKeep(
                f"the view {view} cannot be made again upon the new table ({error.diag.message_primary}): correct or "
                "drop it"
            ) from None


def _make(connection: psycopg.Connection, view: View) -> None:
    target = sql.Identifier(view.schema, view.name)
    options = sql.SQL(" WITH ({})").format(sql.SQL(", ").join(map(_option, view.options)))
    create = sql.SQL("CREATE {} {}{} AS {}{}").format(
        view.kind,
        target,
        options if view.options else sql.SQL(""),
        sql.SQL(view.definition.rstrip().rstrip(";")),
        sql.SQL(" WITH NO DATA" if view.materialized and not view.populated else ""),
    )
    connection.execute(create)
    if view.comment is not None:
        connection.execute(sql.SQL("COMMENT ON {} {} IS {}").format(view.kind, target, sql.Literal(view.comment)))
    for part in view.parts:
        connection.execute(sql.SQL(part))
    _grant(connection, view.schema, view.name, view.grants)


def _option(text: str) -> sql.Composable:
    name, _, value = text.partition("=")
    return sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))


def _grants(connection: psycopg.Connection, table: str) -> list[Grant]:
    return [Grant(*row) for row in connection.execute(_GRANTS, {"table": table}).fetchall()]


def _grant(connection: psycopg.Connection, schema: str, name: str, grants: Sequence[Grant]) -> None:
    columns = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = format('%%I.%%I', %s::text, %s::text)::regclass"
        " AND attnum > 0 AND NOT attisdropped",
        [schema, name],
    )
    there = {column for (column,) in columns.fetchall()}
    for grant in grants:
        if grant.column is not None and grant.column not in there:
            continue
        statement = sql.SQL("GRANT {}{} ON {} TO {}{}").format(
            sql.SQL(grant.privilege),
            sql.SQL("") if grant.column is None else sql.SQL(" ({})").format(sql.Identifier(grant.column)),
            sql.Identifier(schema, name),
            sql.Identifier(grant.grantee) if grant.grantee else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grant.grantable else ""),
        )
        connection.execute(statement)


@contextmanager
def _plain_names(connection: psycopg.Connection) -> Iterator[None]:
    """Have definitions name the schema of everything."""
    row = connection.execute("SELECT current_setting('search_path')").fetchone()
    assert row is not None
    connection.execute("SELECT set_config('search_path', 'pg_catalog', true)")
    yield
    connection.execute("SELECT set_config('search_path', %s, true)", [row[0]])


@contextmanager
def _as(connection: psycopg.Connection, role: str) -> Iterator[None]:
    """Act as a role that one is a member of, so that what is made belongs to it."""
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    yield
    connection.execute("RESET ROLE")
