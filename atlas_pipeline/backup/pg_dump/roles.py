"""Roles, and owner, grants and settings of the database itself: what pg_dump leaves out.

Belongs here: reading them, and the SQL that recreates them, to be run by psql. Does not belong here: running it.

An existing role is left as it is. Passwords are neither read nor written: set them after a restore.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from atlas_pipeline.backup.pg_dump import catalog
from atlas_pipeline.backup.pg_dump.state import digest, pairs

_ATTRIBUTES = ("SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "LOGIN", "REPLICATION", "BYPASSRLS")
_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
_CREATED_HERE = """CREATE TEMP TABLE made_here AS SELECT name FROM (VALUES {}) v (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name);"""
# A role with CREATEROLE and without SUPERUSER can then transfer ownership to the roles it creates.
_SELF_GRANT = """SELECT set_config('createrole_self_grant', 'set, inherit', false)
WHERE current_setting('server_version_num')::int >= 160000
\\g /dev/null"""
# Before the contents: the owner of a database has more rights in it.
_SET_OWNER = 'ALTER DATABASE :"DBNAME" OWNER TO {};'
_LISTS = {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
_LISTS |= {"shared_preload_libraries", "unix_socket_directories"}


@dataclass(frozen=True)
class Role:
    """A role that owns or is granted something in a database, or that one of those is a member of."""

    name: str
    attributes: tuple[bool, ...]
    connections: int
    until: str | None
    config: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, bool, bool | None, bool | None], ...]
    owns_database: bool

    @property
    def text(self) -> str:
        """All attributes in one line, for comparison; values of settings are hashed."""
        words = [word if on else f"NO{word}" for word, on in zip(_ATTRIBUTES, self.attributes, strict=True)]
        words.append(f"CONNECTION LIMIT {self.connections}")
        words += [f"VALID UNTIL {self.until}"] if self.until else []
        words += [f"{name}={digest(value)}" for name, value in self.config]
        words += [f"member of {sql.Identifier(group).as_string()} {options}" for group, *options in sorted(self.groups)]
        return ", ".join(words)


def read_roles(connection: psycopg.Connection) -> list[Role]:
    """The roles of this database."""
    read = []
    owner = connection.execute(_OWNER).fetchone()
    for name, *attributes, connections, until, config, groups in connection.execute(catalog.ROLES):
        memberships = tuple(dict.fromkeys(tuple(group) for group in groups or ()))
        read.append(
            Role(name, tuple(attributes), connections, until, tuple(pairs(config)), memberships, owner == (name,))
        )
    return read


def roles_sql(roles: Sequence[Role]) -> str:
    """A psql script that creates missing roles with memberships and settings, and sets the owner of the database.

    It runs in the database that is restored, before its contents.
    """
    lines = ["-- Roles without passwords. Existing roles are left alone.", "SET search_path = pg_catalog;", _SELF_GRANT]
    names = sql.SQL(", ").join(sql.SQL("({})").format(sql.Literal(role.name)) for role in roles)
    if roles:
        lines.append(_text(sql.SQL(_CREATED_HERE).format(names)))
    for statement, role in [*_creations(roles), *_memberships(roles)]:
        ask = "SELECT {} FROM pg_temp.made_here WHERE name = {}"
        lines.append(_text(sql.SQL(ask).format(sql.Literal(_text(statement)), sql.Literal(role))) + "\n\\gexec")
    owner = [role.name for role in roles if role.owns_database]
    lines += [_text(sql.SQL(_SET_OWNER).format(sql.Identifier(name))) for name in owner]
    return "\n".join([*lines, ""])


def _creations(roles: Sequence[Role]) -> Iterator[tuple[sql.Composed, str]]:
    for role in roles:
        words = [word if on else f"NO{word}" for word, on in zip(_ATTRIBUTES, role.attributes, strict=True)]
        words.append(f"CONNECTION LIMIT {role.connections}")
        until = sql.SQL(" VALID UNTIL {}").format(sql.Literal(role.until)) if role.until else sql.SQL("")
        yield (
            sql.SQL("CREATE ROLE {} {}{}").format(sql.Identifier(role.name), sql.SQL(" ".join(words)), until),
            role.name,
        )
        for name, value in role.config:
            yield sql.SQL("ALTER ROLE {} SET {}").format(sql.Identifier(role.name), _setting(name, value)), role.name


def _memberships(roles: Sequence[Role]) -> Iterator[tuple[sql.Composed, str]]:
    for role in roles:
        for group, admin, inherit, settable in role.groups:
            options = ["ADMIN " + _boolean(admin)]
            if inherit is not None:
                options += ["INHERIT " + _boolean(inherit), "SET " + _boolean(bool(settable))]
            elif not admin:
                options = []
            grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role.name))
            with_options = sql.SQL(" WITH " + ", ".join(options)) if inherit is not None else sql.SQL("")
            yield (
                grant + (with_options if inherit is not None or not admin else sql.SQL(" WITH ADMIN OPTION")),
                role.name,
            )


def _boolean(value: bool) -> str:
    return "TRUE" if value else "FALSE"


def database_sql(connection: psycopg.Connection) -> str:
    """A psql script that sets owner, grants and settings of the database that it runs in to those of this one."""
    cursor = connection.execute(catalog.DATABASE)
    names = [column.name for column in cursor.description or ()]
    row: dict[str, Any] = dict(zip(names, cursor.fetchone() or (), strict=True))
    target = sql.SQL(':"DBNAME"')
    alter = sql.SQL("ALTER DATABASE {} ").format(target)
    statements = [alter + sql.SQL("OWNER TO {}").format(sql.Identifier(row["owner"]))]
    statements.append(alter + sql.SQL("CONNECTION LIMIT {}").format(sql.SQL(row["connections"])))
    if row["comment"] is not None:
        statements.append(sql.SQL("COMMENT ON DATABASE {} IS {}").format(target, sql.Literal(row["comment"])))
    for role, config in connection.execute(catalog.CONFIGURATION):
        prefix = alter
        if role:
            prefix = sql.SQL("ALTER ROLE {} IN DATABASE {} ").format(sql.Identifier(role), target)
        statements += [prefix + sql.SQL("SET {}").format(_setting(name, value)) for name, value in pairs(config)]
    if row["acl"] is not None:
        statements.append(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(target))
        statements.append(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(target, sql.Identifier(row["owner"])))
        statements += _grants(connection, target)
    lines = [f"{_text(statement)};" for statement in statements]
    return "\n".join(["-- Run by psql while connected to the restored database.", *lines, ""])


def _grants(connection: psycopg.Connection, target: sql.SQL) -> Iterator[sql.Composed]:
    rows = connection.execute(
        "SELECT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable "
        "FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() ORDER BY 1, 2"
    )
    for grantee, privilege, grantable in rows:
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(privilege),
            target,
            sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grantable else ""),
        )


def _setting(name: str, value: str) -> sql.Composed:
    """`name TO value`. Postgres stores lists as written, with each part quoted where needed."""
    dotted = sql.Identifier(*name.split("."))
    if name.lower() in _LISTS:
        return sql.SQL("{} TO {}").format(dotted, sql.SQL(value or "''"))
    return sql.SQL("{} TO {}").format(dotted, sql.Literal(value))


def _text(statement: sql.Composable) -> str:
    return statement.as_string()
