"""Privileges that a restore needs, checked before anything is created or changed.

Belongs here: which rights are missing, and the statement that gives each. Does not belong here: restoring
(`pg_dump/restore.py`), exchanging (`swap.py`), and what a role needs to back up (`pg_dump/engine.py`).

A superuser has them all. For anyone else this looks at what can be known beforehand; what it does not foresee fails the
restore later, with everything as it was.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.backup.engine import RestoreFailed
from atlas_pipeline.backup.manifest import DatabaseState
from atlas_pipeline.warehouse.connect import connect

_ME = "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
_ME += " WHERE rolname = current_user"
_OWNED_BY = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
# A session may be ended by who has the rights of its role, or of pg_signal_backend; a superuser's only by superusers.
_CANNOT_END = """
SELECT DISTINCT r.rolname, r.rolsuper FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %s
  AND (r.rolsuper OR NOT pg_has_role(r.oid, 'USAGE') AND NOT pg_has_role('pg_signal_backend', 'USAGE'))
ORDER BY 1
"""
_EXTENSIONS = """
SELECT DISTINCT name FROM pg_available_extension_versions
WHERE format('%%I', name) = ANY(%s) AND superuser AND NOT trusted AND name <> 'plpgsql' ORDER BY 1
"""
_OWNER = re.compile(r"owner (.*?)(?:; grants .*)?; [0-9a-f]{16}", re.DOTALL)
_GROUP = re.compile(r'member of ("(?:[^"]|"")+") \[')
_RESTRICTED_ATTRIBUTES = ("SUPERUSER", "REPLICATION", "BYPASSRLS")
"""Attributes that a role can only grant if it has them (Postgres 16 on); before 16 only superusers can."""


@dataclass(frozen=True)
class _Role:
    """The role that restores."""

    name: str
    superuser: bool
    createdb: bool
    createrole: bool
    replication: bool
    bypassrls: bool

    @property
    def quoted(self) -> str:
        return _quoted(self.name)


def refuse_missing_rights(admin_url: str, database: str, state: DatabaseState | None = None) -> None:
    """Check that a role may restore a database. Nothing is changed.

    Args:
        admin_url: connection URL of another database of the server, as the role to check.
        database: the database to replace.
        state: that of the manifest to restore; null when existing databases are swapped.

    Raises:
        RestoreFailed: privileges are missing; the message names each, and the statement that grants it.
    """
    with connect(admin_url, autocommit=True) as admin:
        row = admin.execute(_ME).fetchone()
        assert row
        me = _Role(*row)
        missing = [] if me.superuser else list(_missing(admin, me, database, state))
    if missing:
        raise RestoreFailed(
            f"the role {me.name} may not restore {database}, and nothing was changed. It lacks {'; '.join(missing)}"
        )


def _missing(admin: psycopg.Connection, me: _Role, database: str, state: DatabaseState | None) -> Iterator[str]:
    if not me.createdb:
        yield f"CREATEDB: ALTER ROLE {me.quoted} CREATEDB"
    live = admin.execute(_OWNED_BY, [database]).fetchone()
    owners = {live[0]} if live else set()
    for role, superuser in admin.execute(_CANNOT_END, [database]).fetchall():
        if superuser:
            yield f"the right to end sessions of {role}, a superuser, that are in {database}: end them"
        else:
            yield f"the right to end sessions of {role} in {database}: GRANT pg_signal_backend TO {me.quoted}"
    if state:
        existing: dict[str, bool] = dict(admin.execute("SELECT rolname, rolsuper FROM pg_roles").fetchall())
        owners |= {owner for owner in _owners(state) if owner in existing}
        yield from _missing_for_roles(
            admin, me, {name: text for name, text in state.roles.items() if name not in existing}, existing
        )
        for (name,) in admin.execute(_EXTENSIONS, [list(state.extensions)]).fetchall():
            yield f"SUPERUSER, which the extension {name} needs: restore as an administrator"
    yield from _missing_memberships(admin, me, owners)


def _missing_memberships(admin: psycopg.Connection, me: _Role, owners: set[str]) -> Iterator[str]:
    """Memberships that are missing to transfer ownership to these roles and then work with the objects."""
    newer = admin.info.server_version >= 160000
    kinds = "USAGE, SET" if newer else "USAGE"
    query = "SELECT rolsuper, {} FROM pg_roles WHERE rolname = %s"
    both = " AND ".join(f"pg_has_role(oid, '{kind}')" for kind in kinds.split(", "))
    for owner in sorted(owners - {me.name}):
        superuser, may = admin.execute(sql.SQL(query).format(sql.SQL(both)), [owner]).fetchone() or (False, True)
        if superuser:
            yield f"SUPERUSER, which {owner}, who owns something, is: restore as an administrator"
        elif not may:
            options = " WITH INHERIT TRUE, SET TRUE" if newer else ""
            yield f"membership of {owner}, who owns something: GRANT {_quoted(owner)} TO {me.quoted}{options}"


def _missing_for_roles(
    admin: psycopg.Connection, me: _Role, roles: dict[str, str], existing: dict[str, bool]
) -> Iterator[str]:
    """Rights that are missing to create these roles, by name with their attributes and memberships."""
    if not roles:
        return
    if not me.createrole:
        yield f"CREATEROLE, to make {', '.join(sorted(roles))}: ALTER ROLE {me.quoted} CREATEROLE"
    newer = admin.info.server_version >= 160000
    own = {"REPLICATION": me.replication and newer, "BYPASSRLS": me.bypassrls and newer}
    for name, text in sorted(roles.items()):
        words = text.split(", ")
        for word in _RESTRICTED_ATTRIBUTES:
            if word in words and not own.get(word):
                fix = f"ALTER ROLE {me.quoted} {word}" if newer and word in own else "restore as an administrator"
                yield f"{word}, to make {name}: {fix}"
    groups = {quoted_name[1:-1].replace('""', '"') for text in roles.values() for quoted_name in _GROUP.findall(text)}
    for group in sorted(groups & existing.keys()):
        query = "SELECT pg_has_role(oid, 'MEMBER WITH ADMIN OPTION') FROM pg_roles WHERE rolname = %s"
        if newer and admin.execute(query, [group]).fetchone() != (True,):
            grant = f"GRANT {_quoted(group)} TO {me.quoted} WITH ADMIN OPTION"
            yield f"the right to make others members of {group}: {grant}"
        elif existing[group]:
            yield f"SUPERUSER, to make others members of {group}: restore as an administrator"


def _owners(state: DatabaseState) -> set[str]:
    """The roles that own the database or something in it, without Postgres's own (`pg_…`)."""
    owners = {match[1] for text in state.objects.values() if (match := _OWNER.fullmatch(text))}
    owners.add(state.settings.get("owner", ""))
    return {owner for owner in owners if owner and not owner.startswith("pg_")}


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string()
