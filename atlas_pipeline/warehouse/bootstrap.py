"""What must be in the databases before the first row: databases, roles, schemas, Atlas's own tables.

Belongs here: idempotent set-up and its versions. Does not belong here: the tables of datasets (`ingest/`, `gold.py`).
Roles: `atlas_owner` (the pipeline), `atlas_analyst` (reads silver and gold), `atlas_backup` (reads everything),
`atlas_monitor` (reads statistics, the ledger, the publications and what was measured of quality). On a server of the
user's own, a role that may not create roles gets a warning instead, and the tables work without them.
"""

from collections.abc import Mapping, Sequence
from importlib import resources

import psycopg
from psycopg import sql

from atlas_pipeline.warehouse.connect import DAGSTER, OWNER, WAREHOUSE, WarehouseError, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

ANALYST = "atlas_analyst"
BACKUP = "atlas_backup"
MONITOR = "atlas_monitor"
LAYERS = ("bronze", "silver", "gold", "quarantine", "staging")
VERSION = 16
_SETUP_LOCK = 0x61746C61


def prepare_embedded(server: EmbeddedPostgres) -> None:
    """Create the owner role and the two databases on the embedded server, if they are not there."""
    with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_SETUP_LOCK])
        # A database without an access list was made by a process that was killed before it could grant.
        listed = connection.execute("SELECT datname, datacl IS NOT NULL FROM pg_database")
        databases: dict[str, bool] = dict(listed.fetchall())
        todo = [name for name in (WAREHOUSE, DAGSTER) if not databases.get(name)]
        if todo:
            _create_databases(connection, databases, todo)
        _restrict_readers(connection, server)


def _create_databases(connection: psycopg.Connection, databases: Mapping[str, bool], todo: Sequence[str]) -> None:
    _ensure_roles(connection)
    for name in todo:
        if name not in databases:
            statement = "CREATE DATABASE {} OWNER {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(OWNER)))
        with connection.transaction():
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            for role in (ANALYST, BACKUP, MONITOR) if name == WAREHOUSE else (BACKUP, MONITOR):
                grant = "GRANT CONNECT ON DATABASE {} TO {}"
                connection.execute(sql.SQL(grant).format(sql.Identifier(name), sql.Identifier(role)))


def _restrict_readers(connection: psycopg.Connection, server: EmbeddedPostgres) -> None:
    """Take from readers what would stop backups or the pipeline. A database that an old backup brought is done anew."""
    open_ones = (
        "SELECT datname FROM pg_database WHERE datname = ANY(%s) AND has_database_privilege('public', oid, 'TEMP')"
    )
    for (name,) in connection.execute(open_ones, [[WAREHOUSE, DAGSTER]]).fetchall():
        with connect(server.url(name, SUPERUSER), autocommit=True) as inside:
            inside.execute(_script("readers.sql"))
    unlimited = connection.execute("SELECT FROM pg_roles WHERE rolname = %s AND rolconnlimit = -1", [ANALYST])
    if unlimited.fetchone() is not None:
        with connection.transaction():
            connection.execute(_script("reader_limits.sql"))


def _script(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


def prepare_warehouse(connection: psycopg.Connection) -> list[str]:
    """Create schemas, ledger and grants in the warehouse, if they are not there. Returns warnings, if any.

    Raises WarehouseError when a later version of Atlas has set it up.
    """
    if refuse_later(connection) == VERSION:
        return []
    warnings = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_SETUP_LOCK])
        if not _ensure_roles(connection):
            warnings.append(
                f"this database user may not create roles, so {ANALYST}, {BACKUP} and {MONITOR} are missing: "
                "create them as an administrator (docs/operations.md) and start again"
            )
        connection.execute(resources.files(__package__).joinpath("schema.sql").read_text())
        for layer in LAYERS:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(layer)))
        if not warnings:
            _grant(connection)
            connection.execute("INSERT INTO atlas.setup (version) VALUES (%s) ON CONFLICT DO NOTHING", [VERSION])
    return warnings


def refuse_later(connection: psycopg.Connection) -> int | None:
    """The version of the schema, unless it is a later one than this: then WarehouseError is raised."""
    version = version_of(connection)
    connection.commit()
    if version is not None and version > VERSION:
        info = connection.info
        raise WarehouseError(
            f"Postgres at {info.host}:{info.port}/{info.dbname} has version {version} of Atlas's schema, and this is "
            f"version {VERSION}: a later Atlas has been here. Run that one, or restore a backup from before it"
        )
    return version


def version_of(connection: psycopg.Connection) -> int | None:
    """The version of the schema in the warehouse, or null where there is none."""
    made = connection.execute("SELECT to_regclass('atlas.setup')").fetchone()
    if not made or made[0] is None:
        return None
    row = connection.execute("SELECT max(version) FROM atlas.setup").fetchone()
    return row[0] if row else None


def _ensure_roles(connection: psycopg.Connection) -> bool:
    roles = (OWNER, ANALYST, BACKUP, MONITOR)
    present = {
        name for (name,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(roles)])
    }
    try:
        with connection.transaction():
            for role in sorted(set(roles) - present):
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
                if role in (BACKUP, MONITOR):
                    group = "pg_read_all_data" if role == BACKUP else "pg_monitor"
                    grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role))
                    connection.execute(grant)
            if ANALYST not in present:
                # So that views which analysts made upon tables can be made again as theirs.
                grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(ANALYST), sql.Identifier(OWNER))
                connection.execute(grant)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _grant(connection: psycopg.Connection) -> None:
    usage = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
    for layer in ("silver", "gold"):
        connection.execute(usage.format(sql.Identifier(layer), sql.Identifier(ANALYST)))
        grant = sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}")
        connection.execute(grant.format(sql.Identifier(layer), sql.Identifier(ANALYST)))
    connection.execute(usage.format(sql.Identifier("atlas"), sql.Identifier(MONITOR)))
    # Not on rejected_lines, which holds what was rejected as it was.
    tables = ["files", "publications", "column_plans", "quality_scores", "check_outcomes", "setup"]
    tables += ["alert_cursor", "alerts", "alert_silences", "alert_messages", "alert_messages_deleted", "alert_channels"]
    tables += ["telemetry_cursor", "telemetry_totals", "connectors", "publication_history", "gold_requests"]
    tables += ["privacy_measures", "table_measures"]
    names = sql.SQL(", ").join(sql.Identifier("atlas", table) for table in tables)
    connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(names, sql.Identifier(MONITOR)))
