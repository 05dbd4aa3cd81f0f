"""Create the database that a restore fills, and swap it with the live one in one transaction, or back.

Belongs here: the database that a restore fills, the exchange, what is kept of it, and what a target must not hold.
Does not belong here: filling it (`engine.py`).

Postgres renames databases within a transaction, so both renames happen or none does, whenever a process is killed.
While a rename waits for the sessions of its database to end it holds a lock on which new ones wait; so sessions are
ended while it waits, and nobody comes back in between. No database is closed to connections for it, so none can stay
closed. No database is ever dropped or taken back that Atlas did not make or put aside: the name of a target ends in a
check of itself, so that its comment is free for what the backup says, and what was put aside says so in its comment.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlencode

import psycopg
from psycopg import conninfo, sql

from atlas_pipeline.backup.engine import RestoreFailed
from atlas_pipeline.backup.lock import RESTORE_LOCK, SWAP_LOCK, held
from atlas_pipeline.backup.rights import refuse_missing_rights
from atlas_pipeline.warehouse.connect import WarehouseError, connect

_MARK = "Atlas restore: "
_NAME_BYTES = 63
_SWAP_SECONDS = 30
_TERMINATE_EVERY_SECONDS = 0.05
_PROVIDERS = {"b": "builtin", "i": "icu", "c": "libc", "d": "libc"}
_SETTINGS = """
SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
       to_jsonb(d) ->> 'datlocprovider' AS provider, to_jsonb(d) ->> 'daticurules' AS icu_rules,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale
FROM pg_database d WHERE datname = %s
"""
_CONTENT = """
WITH own AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
SELECT what FROM (
  SELECT 1, format('schema %I', nspname) FROM own WHERE nspname <> 'public'
  UNION ALL SELECT 2, format('%s %I.%I', CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
      WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END, nspname, relname)
    FROM pg_class JOIN own ON relnamespace = own.oid WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
  UNION ALL SELECT 3, format('function %I.%I', nspname, proname) FROM pg_proc JOIN own ON pronamespace = own.oid
  UNION ALL SELECT 4, format('type %I.%I', nspname, typname) FROM pg_type JOIN own ON typnamespace = own.oid
    WHERE typtype IN ('e', 'd', 'r')
  UNION ALL SELECT 5, format('extension %I', extname) FROM pg_extension WHERE extname <> 'plpgsql'
  UNION ALL SELECT 6, format('%s large objects', count(*)) FROM pg_largeobject_metadata HAVING count(*) > 0
) AS found (rank, what) ORDER BY rank, what
"""

Kind = Literal["before", "undone"]


@dataclass(frozen=True)
class Target:
    """The empty database to restore into."""

    name: str
    url: str


@dataclass(frozen=True)
class OldCopy:
    """A database that was renamed by a restore (`before`), or by undoing one (`undone`)."""

    name: str
    kind: Kind
    at: datetime
    bytes: int | None


@dataclass(frozen=True)
class _Mark:
    """The comment of such a database; `comment` is its comment before."""

    kind: Kind
    database: str
    at: str
    comment: str | None = None

    def __str__(self) -> str:
        return _MARK + json.dumps(asdict(self), ensure_ascii=False)


@contextmanager
def restoring(admin_url: str, database: str, settings: Mapping[str, str] | None = None) -> Iterator[Target]:
    """Create an empty database for one restore, and drop it at the end unless it was swapped in.

    Databases that killed restores left are dropped first.

    Args:
        admin_url: connection URL of another database of the server.
        database: the database to be restored.
        settings: encoding and locale, from a manifest's state; null takes those of `database`.

    Raises:
        AlreadyRunning: another restore of the database is running.
        RestoreFailed: the database cannot be created.
    """
    _refuse_itself(admin_url, database)
    with held(admin_url, RESTORE_LOCK, database, f"another restore of {database} is running"):
        _drop_abandoned_targets(admin_url, database)
        url = prepare_target(admin_url, database, settings)
        name = str(conninfo.conninfo_to_dict(url)["dbname"])
        try:
            yield Target(name, url)
        finally:
            # Should the server be away, the next restore drops it.
            with suppress(psycopg.Error, WarehouseError), connect(admin_url, autocommit=True) as admin:
                _drop(admin, name, force=True)


def prepare_target(admin_url: str, database: str, settings: Mapping[str, str] | None = None) -> str:
    """Create an empty `<database>__restoring_<id>`. `restoring` calls this, and drops it afterwards.

    Args:
        admin_url: connection URL of another database of the server.
        database: the database to be restored.
        settings: encoding and locale, from a manifest's state; null takes those of `database`.

    Returns:
        Its connection URL.

    Raises:
        RestoreFailed: it cannot be created.
    """
    with connect(admin_url, autocommit=True) as admin:
        name = _target_name(database, secrets.token_hex(3))
        clauses = [
            sql.SQL(f"{key} {{}}").format(sql.Literal(value))
            for key, value in _options(admin, database, settings).items()
        ]
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
        try:
            admin.execute(create.format(sql.Identifier(name), sql.SQL(" ").join(clauses)))
        except psycopg.Error as error:
            raise RestoreFailed(f"cannot make a database to restore {database} into: {_message_of(error)}") from None
    return _url_of(admin_url, name)


def swap(admin_url: str, database: str, restored: str, now: datetime) -> str | None:
    """Rename a restored database to the live one's name; the live one is kept under another.

    Both renames are one transaction, for which the sessions of both databases are ended. The restored database keeps
    its owner, grants, settings and comment.

    Args:
        admin_url: connection URL of a third database of the server.
        database: name of the live database.
        restored: name of the database that `restoring` made.
        now: the timestamp in the new name of the live database.

    Returns:
        The name under which the live database is kept; null if there was none.

    Raises:
        RestoreFailed: everything is as it was.
        AlreadyRunning: another swap of the database is running.
    """
    _refuse_itself(admin_url, database)
    with _exclusively(admin_url, database) as admin:
        names = _comments(admin)
        if restored not in names or not _is_target(restored, database):
            raise RestoreFailed(f"{restored} was not created to restore {database} into: nothing changed")
        renames = [(restored, database, names[restored])]
        old = _free_name(names, database, f"__before_{_stamp(now)}") if database in names else None
        if old:
            renames.insert(0, (database, old, str(_Mark("before", database, _stamp(now), names[database]))))
        _swap_names(admin, admin_url, database, renames)
    return old


def undo(admin_url: str, database: str, now: datetime | None = None) -> str | None:
    """Put the newest `__before_` copy back in place of the restored database.

    Args:
        admin_url: connection URL of a third database of the server.
        database: name of the database.
        now: the timestamp in the new name of the restored database; null for the present.

    Returns:
        The name under which the restored database is kept; null if there was none.

    Raises:
        RestoreFailed: there is no copy, or the swap failed; everything is as it was.
        AlreadyRunning: another swap of the database is running.
    """
    _refuse_itself(admin_url, database)
    refuse_missing_rights(admin_url, database)
    with _exclusively(admin_url, database) as admin:
        name, mark = _newest_before(admin, database)
        names = _comments(admin)
        stamp = _stamp(now or datetime.now(UTC))
        renames = [(name, database, mark.comment)]
        undone = _free_name(names, database, f"__undone_{stamp}") if database in names else None
        if undone:
            renames.insert(0, (database, undone, str(_Mark("undone", database, stamp, names[database]))))
        _swap_names(admin, admin_url, database, renames)
    return undone


def former(admin_url: str, database: str) -> str:
    """The name of the copy that `undo` puts back.

    Args:
        admin_url: connection URL of another database of the server.
        database: name of the database.

    Raises:
        RestoreFailed: there is none.
    """
    with connect(admin_url, autocommit=True) as admin:
        return _newest_before(admin, database)[0]


def old_copies(admin_url: str, database: str) -> list[OldCopy]:
    """The databases that restores replaced, newest first.

    Args:
        admin_url: connection URL of another database of the server.
        database: name of the database that was restored.
    """
    size = "SELECT CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END FROM pg_database"
    with connect(admin_url, autocommit=True) as admin:
        copies = []
        for name, mark in _marks(admin, database).items():
            if row := admin.execute(f"{size} WHERE datname = %s", [name]).fetchone():
                at = datetime.strptime(mark.at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                copies.append(OldCopy(name, mark.kind, at, row[0]))
    return sorted(copies, key=lambda copy: (copy.at, copy.name), reverse=True)


def drop_copy(admin_url: str, name: str) -> None:
    """Drop a database that a restore replaced.

    Args:
        admin_url: connection URL of another database of the server.
        name: as `old_copies` lists it.

    Raises:
        RestoreFailed: it is another database, or cannot be dropped.
    """
    with connect(admin_url, autocommit=True) as admin:
        if name not in _marks(admin):
            raise RestoreFailed(f"{name} was not dropped: it is not a database that a restore put aside")
        try:
            _drop(admin, name, force=True)
        except psycopg.Error as error:
            raise RestoreFailed(f"{name} was not dropped: {_message_of(error)}") from None


def refuse_content(url: str) -> None:
    """Raise RestoreFailed if the database at `url` is not empty, naming up to five of its objects."""
    with connect(url) as connection:
        contents = [description for (description,) in connection.execute(_CONTENT)]
        name = connection.info.dbname
    if contents:
        more = f" and {len(contents) - 5} more" if len(contents) > 5 else ""
        raise RestoreFailed(
            f"the database {name} is not empty ({', '.join(contents[:5])}{more}), and nothing in it was changed: "
            "restore into a new one"
        )


@contextmanager
def _exclusively(admin_url: str, database: str) -> Iterator[psycopg.Connection]:
    with (
        held(admin_url, SWAP_LOCK, database, f"another restore of {database} is being put in place"),
        connect(admin_url, autocommit=True) as admin,
    ):
        yield admin


def _swap_names(
    admin: psycopg.Connection, admin_url: str, database: str, renames: Sequence[tuple[str, str, str | None]]
) -> None:
    """Rename in one transaction, terminating sessions of these databases until it is done."""
    deadline = time.monotonic() + _SWAP_SECONDS
    oids = "SELECT oid FROM pg_database WHERE datname = ANY(%s)"
    databases = [oid for (oid,) in admin.execute(oids, [[old for old, _, _ in renames]])]
    terminate = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = ANY(%s) AND pid <> pg_backend_pid()"
    )
    terminate += " AND usesysid IS NOT NULL"  # autovacuum has none: the rename ends it by itself, and not everyone may
    # Not its `with` block: that would tell a failure in its own words.
    terminator = connect(admin_url, autocommit=True)
    try:
        while True:
            with ThreadPoolExecutor(1) as pool:
                renaming = pool.submit(_rename, admin, renames)
                while not renaming.done():
                    terminator.execute(terminate, [databases])
                    wait([renaming], timeout=_TERMINATE_EVERY_SECONDS)
            try:
                renaming.result()
                return
            except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable):
                if time.monotonic() > deadline:
                    raise
    except psycopg.Error as error:
        raise RestoreFailed(f"{database} could not be exchanged and is as it was: {_message_of(error)}") from None
    finally:
        terminator.close()


def _rename(admin: psycopg.Connection, renames: Sequence[tuple[str, str, str | None]]) -> None:
    with admin.transaction():
        admin.execute("SET LOCAL lock_timeout = '10s'")
        for old, new, comment in renames:
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            admin.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))
            _mark(admin, new, comment)


def _mark(admin: psycopg.Connection, name: str, comment: str | None) -> None:
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(comment)))


def _drop_abandoned_targets(admin_url: str, database: str) -> None:
    with connect(admin_url, autocommit=True) as admin:
        for name in _comments(admin):
            if _is_target(name, database):
                # A program that outlived its restore may still write into it, or it is another role's: left to later.
                with suppress(psycopg.errors.ObjectInUse, psycopg.errors.InsufficientPrivilege):
                    _drop(admin, name)


def _drop(admin: psycopg.Connection, name: str, *, force: bool = False) -> None:
    drop = "DROP DATABASE IF EXISTS {}" + (" WITH (FORCE)" if force else "")
    admin.execute(sql.SQL(drop).format(sql.Identifier(name)))


def _comments(admin: psycopg.Connection) -> dict[str, str | None]:
    """Comments of the server's databases, by name."""
    return dict(admin.execute("SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database").fetchall())


def _marks(admin: psycopg.Connection, database: str | None = None) -> dict[str, _Mark]:
    marks = {}
    for name, comment in _comments(admin).items():
        if comment and comment.startswith(_MARK):
            with suppress(ValueError, TypeError):
                mark = _Mark(**json.loads(comment.removeprefix(_MARK)))
                if database in (None, mark.database):
                    marks[name] = mark
    return marks


def _newest_before(admin: psycopg.Connection, database: str) -> tuple[str, _Mark]:
    before = [(mark.at, name, mark) for name, mark in _marks(admin, database).items() if mark.kind == "before"]
    if not before:
        raise RestoreFailed(f"nothing to undo: no copy of {database} from before a restore is there")
    return max(before, key=lambda copy: copy[:2])[1:]


def _options(admin: psycopg.Connection, database: str, settings: Mapping[str, str] | None) -> dict[str, str]:
    """Encoding and locale as options of CREATE DATABASE; without settings and live database the server's defaults."""
    if settings is None:
        cursor = admin.execute(_SETTINGS, [database])
        names = [column.name for column in cursor.description or ()]
        row = cursor.fetchone()
        settings = {name: value for name, value in zip(names, row or (), strict=False) if value is not None}
    pairs = {"encoding": "ENCODING", "collate": "LC_COLLATE", "ctype": "LC_CTYPE", "icu_rules": "ICU_RULES"}
    options = {option: settings[name] for name, option in pairs.items() if name in settings}
    if options and admin.info.server_version >= 150000:
        # A database of Postgres 14 has no provider, which was always libc.
        options["LOCALE_PROVIDER"] = provider = _PROVIDERS[settings.get("provider", "c")]
        if provider != "libc" and "locale" in settings:
            options["BUILTIN_LOCALE" if provider == "builtin" else "ICU_LOCALE"] = settings["locale"]
    return options


def _target_name(database: str, token: str) -> str:
    check = hashlib.sha256(f"{database}\0{token}".encode()).hexdigest()[:6]
    return _with_suffix(database, f"__restoring_{token}{check}")


def _is_target(name: str, database: str) -> bool:
    """Whether `_target_name` made that name for that database: its checksum matches."""
    return name == _target_name(database, name[-12:-6])


def _free_name(existing: Mapping[str, object], database: str, suffix: str) -> str:
    number = 1
    while (name := _with_suffix(database, suffix if number == 1 else f"{suffix}_{number}")) in existing:
        number += 1
    return name


def _with_suffix(database: str, suffix: str) -> str:
    """`database` with a suffix, within 63 bytes: a long name is truncated and made unique by a hash."""
    if len(f"{database}{suffix}".encode()) <= _NAME_BYTES:
        return database + suffix
    suffix = f"_{hashlib.sha256(database.encode()).hexdigest()[:8]}{suffix}"
    return database.encode()[: _NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix


def _stamp(moment: datetime) -> str:
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}"


def _url_of(admin_url: str, name: str) -> str:
    parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(admin_url).items() if key != "dbname"}
    return f"postgresql:///{quote(name, safe='')}?{urlencode(parts, quote_via=quote, safe='')}"


def _refuse_itself(admin_url: str, database: str) -> None:
    if conninfo.conninfo_to_dict(admin_url).get("dbname") == database:
        raise RestoreFailed(f"{database} cannot be exchanged from within: connect to another database, as postgres is")


def _message_of(error: psycopg.Error) -> str:
    return " ".join(filter(None, [error.diag.message_primary or type(error).__name__, error.diag.message_detail]))
