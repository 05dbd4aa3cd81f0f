"""The engine: dumps one database into a sink in one snapshot, with its state, and restores it.

Belongs here: the order of steps and the arguments of pg_dump. Does not belong here: reading its files (`stream.py`),
processes (`tools.py`), the state (`state.py`), restoring (`restore.py`).
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from atlas_pipeline.backup.engine import BackupFailed, Dumped, Progress, Sink
from atlas_pipeline.backup.manifest import DatabaseState
from atlas_pipeline.backup.pg_dump import patterns, restore, roles, state
from atlas_pipeline.backup.pg_dump.spool import FREE_SPACE_HINT, disk_full_message, free_bytes, is_full, private_folder
from atlas_pipeline.backup.pg_dump.state import Table
from atlas_pipeline.backup.pg_dump.stream import TOC, DumpStream
from atlas_pipeline.backup.pg_dump.tools import Child, Tools, environment, output, reason
from atlas_pipeline.warehouse.connect import WarehouseError, connect, where
from atlas_pipeline.warehouse.embedded import ServerError

GIB = 1 << 30
_MIN_FREE_BYTES = 64 << 20
_TABLES_PER_LOCK = 200
_PROGRESS_SECONDS = 5.0
_SETVAL = re.compile(r"setval\('((?:[^']|'')*)', (-?\d+), (true|false)\)")
_READS_ALL = """
SELECT rolsuper OR pg_has_role(oid, 'pg_read_all_data', 'USAGE'), rolsuper OR rolbypassrls
FROM pg_roles WHERE rolname = current_user
"""
_UNREADABLE = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) ORDER BY 1 LIMIT 1
"""
_FILTERED = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')) ORDER BY 1 LIMIT 1
"""


class PgDump:
    """Backs up by pg_dump, in parallel. The spool at `spool` takes about `spool_bytes` of disk at most."""

    name = "pg_dump"

    def __init__(self, spool: Path, *, spool_bytes: int = GIB, lock_seconds: float = 60.0):
        self.spool = spool
        self.spool_bytes = spool_bytes
        self.lock_seconds = lock_seconds
        self.max_unread = 0

    def preflight(self, url: str) -> None:
        """Prove that the database can be backed up: reachable, a server no newer than the tools, readable.

        Raises BackupFailed.
        """
        with _as_backup_failed(url), closing(connect(url)) as connection:
            self._check(connection, url)

    def backup(self, url: str, sink: Sink, *, jobs: int, exclude: Sequence[str], progress: Progress) -> Dumped:
        """Dump with pg_dump and hash all rows, in one exported snapshot. Implements Engine.backup.

        Args:
            url: connection URL of the database.
            sink: takes the files of the dump.
            jobs: workers of pg_dump, and as many sessions that hash rows.
            exclude: patterns of tables whose rows are left out.
            progress: called with a message on the way.

        Raises:
            BackupFailed: the database or pg_dump failed, or the spool is full.
        """
        jobs = max(1, jobs)
        with _as_backup_failed(url), self._disk_full_as_backup_failed(url), ExitStack() as stack:
            connection = stack.enter_context(closing(connect(url)))
            tools = self._check(connection, url)
            folder = stack.enter_context(private_folder(self.spool))
            limit = self._limit(url)
            excluded = patterns.matching(connection, exclude)
            env = environment(connection, url, folder, tools)
            connection.rollback()
            snapshot = _export(connection, self.lock_seconds)
            dumped_tables = [table for table in state.tables(connection) if table.quoted not in excluded]
            self._lock(connection, dumped_tables)
            command = [*self._command(tools, folder, snapshot, jobs), *patterns.exclusions(excluded)]
            unreadable = state.unreadable_large_objects(connection)
            command += ["--no-blobs"] if unreadable else []
            child = Child.start(command, env, folder)
            stack.callback(child.end)
            stream = DumpStream(folder / "dump", child, sink, jobs=jobs, limit=limit)
            stack.callback(stream.stop)
            (folder / "roles.sql").write_text(roles.roles_sql(roles.read_roles(connection)), encoding="utf-8")
            (folder / "database.sql").write_text(roles.database_sql(connection), encoding="utf-8")
            snapshot_state = _catalog_state(connection)
            counter = stack.enter_context(self._row_counter(url, snapshot, dumped_tables, jobs, beside_dump=True))
            self._drain(url, child, stream, counter, progress, connection.info.password)
            self.max_unread = stream.max_unread
            snapshot_state = replace(snapshot_state, tables=counter.result(), sequences=_sequences(tools, folder))
            lacking = state.unrestorable(connection)
            if unreadable:
                snapshot_state = state.without_large_objects(snapshot_state)
                user = connection.info.user
                lacking += (f"all large objects: {unreadable} of them cannot be read by {user}, so none was",)
            else:
                snapshot_state = replace(snapshot_state, large_objects=state.large_objects(connection))
            stream.close([folder / "roles.sql", folder / "database.sql", folder / "dump" / TOC])
            return Dumped(sink.objects, snapshot_state, _version(connection), tools.version, lacking)

    def restore(
        self, url: str, objects: Mapping[str, Callable[[], Iterator[bytes]]], *, jobs: int, progress: Progress
    ) -> None:
        """Restore with pg_restore. Implements Engine.restore.

        Args:
            url: connection URL of the empty database.
            objects: reads the raw contents of an object, by each name that the sink was given for it.
            jobs: workers of pg_restore.
            progress: called with a message on the way.

        Raises:
            RestoreFailed: the dump or the server is at fault, or the spool is full.
        """
        restore.restore(self.spool, url, objects, jobs=max(1, jobs), progress=progress)

    def state(self, url: str) -> DatabaseState:
        """The state of a database in one snapshot, to be compared with a manifest's. Raises BackupFailed."""
        session = restore.silent(url)
        with _as_backup_failed(url), closing(connect(url, session=session)) as connection:
            snapshot = _export(connection, self.lock_seconds)
            tables = state.tables(connection)
            with self._row_counter(url, snapshot, tables, 2, beside_dump=False, session=session) as counter:
                current = replace(
                    _catalog_state(connection),
                    large_objects=state.large_objects(connection),
                    sequences=state.sequences(connection),
                )
                counter.begin()
                return replace(current, tables=counter.result())

    def _check(self, connection: psycopg.Connection, url: str) -> Tools:
        server = connection.info.server_version // 10000
        tools = Tools.for_server(server, url)[0]
        if server > tools.major:
            raise BackupFailed(
                f"{where(url)} is Postgres {server}, and the newest pg_dump here is {tools.version}, which cannot dump "
                f"it: install Postgres {server}'s client programs"
            )
        user = connection.info.user
        reads_all, sees_all = connection.execute(_READS_ALL).fetchone() or (False, False)
        if not reads_all and (unreadable := connection.execute(_UNREADABLE).fetchone()):
            raise BackupFailed(
                f"{where(url)}: the role {user} may not read {unreadable[0]}: GRANT pg_read_all_data TO {user}"
            )
        if not sees_all and (filtered := connection.execute(_FILTERED).fetchone()):
            raise BackupFailed(
                f"{where(url)}: row security hides rows of {filtered[0]} from the role {user}: "
                f"ALTER ROLE {user} BYPASSRLS"
            )
        return tools

    def _limit(self, url: str) -> int:
        free = free_bytes(self.spool)
        if free < _MIN_FREE_BYTES:
            raise BackupFailed(
                f"{where(url)}: only {free >> 20} MiB are free at {self.spool}, where a dump passes through: "
                f"{FREE_SPACE_HINT}"
            )
        return min(self.spool_bytes, free // 2)

    @contextmanager
    def _disk_full_as_backup_failed(self, url: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not is_full(error):
                raise
            raise BackupFailed(f"{where(url)}: {disk_full_message(self.spool)}") from None

    def _lock(self, connection: psycopg.Connection, tables: Sequence[Table]) -> None:
        """Lock the tables against DDL until all is read: pg_dump's own locks end with it."""
        for start in range(0, len(tables), _TABLES_PER_LOCK):
            names = [sql.Identifier(table.schema, table.name) for table in tables[start : start + _TABLES_PER_LOCK]]
            lock = sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(names))
            connection.execute(lock)

    def _command(self, tools: Tools, folder: Path, snapshot: str, jobs: int) -> list[str | Path]:
        return [
            tools.folder / "pg_dump",
            "--format=directory",
            f"--file={folder / 'dump'}",
            f"--jobs={jobs}",
            "--compress=0",
            f"--snapshot={snapshot}",
            "--no-sync",
            "--no-password",
            f"--lock-wait-timeout={round(self.lock_seconds * 1000)}",
        ]

    @contextmanager
    def _row_counter(
        self, url: str, snapshot: str, tables: Sequence[Table], jobs: int, *, beside_dump: bool, session: str = ""
    ) -> Iterator["_RowCounter"]:
        with ExitStack() as stack:
            connections = []
            for _ in range(min(jobs, len(tables))):
                connection = stack.enter_context(closing(connect(url, autocommit=True, session=session)))
                state.prepare(connection, self.lock_seconds)
                if beside_dump:  # pg_dump has a worker for each processor
                    connection.execute("SET max_parallel_workers_per_gather = 0")
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
                connections.append(connection)
            counter = _RowCounter(tables, connections)
            try:
                yield counter
            finally:
                counter.stop()

    def _drain(
        self, url: str, child: Child, stream: DumpStream, counter: "_RowCounter", progress: Progress, password: str
    ) -> None:
        reported = time.monotonic()

        def on_poll() -> None:
            nonlocal reported
            if stream.started:
                counter.begin()
            counter.check()
            if time.monotonic() - reported >= _PROGRESS_SECONDS:
                reported = time.monotonic()
                progress(f"{stream.read >> 20:,} MiB dumped")

        if status := stream.drain(on_poll):
            stderr = child.stderr()
            why = disk_full_message(self.spool) if is_full(stderr) else reason(stderr, password)
            raise BackupFailed(f"{where(url)}: pg_dump ended with {status}: {why}")
        counter.begin()


class _RowCounter:
    """Counts and hashes the rows of tables in threads of its own, while the dump is written."""

    def __init__(self, tables: Sequence[Table], connections: Sequence[psycopg.Connection]):
        self._tables = tables
        self._connections = connections
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[dict[str, tuple[int, str]]] | None = None

    def begin(self) -> None:
        """Start, unless it is running."""
        if self._future is None:
            self._future = self._pool.submit(state.hash_all, self._tables, self._connections, self._stopped)

    def check(self) -> None:
        """Raise the error of a thread that failed."""
        if self._future and self._future.done():
            self._future.result()

    def result(self) -> dict[str, tuple[int, str]]:
        """Wait for the result: rows and hash by table."""
        self.begin()
        assert self._future
        return self._future.result()

    def stop(self) -> None:
        """Cancel running queries and end the threads."""
        self._stopped.set()
        if self._future and not self._future.done():
            for connection in self._connections:
                connection.cancel_safe(timeout=5)
        self._pool.shutdown(wait=True)


def _export(connection: psycopg.Connection, lock_seconds: float) -> str:
    connection.autocommit = True
    state.prepare(connection, lock_seconds)
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    assert row
    return row[0]


def _catalog_state(connection: psycopg.Connection) -> DatabaseState:
    """The part of the state that comes from the catalogs, without tables, sequences and large objects."""
    return DatabaseState(
        tables={},
        sequences={},
        large_objects=(0, ""),
        objects=state.objects(connection),
        roles={role.name: role.text for role in roles.read_roles(connection)},
        extensions=state.extensions(connection),
        settings=state.settings(connection),
    )


def _sequences(tools: Tools, folder: Path) -> dict[str, str]:
    """Values of sequences as the dump has them: sequences are not transactional, so a snapshot does not hold them."""
    listed = output([tools.folder / "pg_restore", "--list", folder / "dump"], folder)
    chosen = [line for line in listed.splitlines() if " SEQUENCE SET " in line]
    if not chosen:
        return {}
    (folder / "sequences").write_text("\n".join(chosen), encoding="utf-8", errors="surrogateescape")
    program, dump = tools.folder / "pg_restore", folder / "dump"
    script = output([program, f"--use-list={folder / 'sequences'}", "--file=-", dump], folder)
    values = {}
    for name, last, called in _SETVAL.findall(script):
        schema, relation = patterns.split(name.replace("''", "'"))
        values[state.quoted(schema, relation)] = state.sequence_text(int(last), called == "true")
    return dict(sorted(values.items()))


def _version(connection: psycopg.Connection) -> str:
    return str(connection.info.parameter_status("server_version")).split()[0]


@contextmanager
def _as_backup_failed(url: str) -> Iterator[None]:
    """Turn errors of the database and the tools into BackupFailed, without values."""
    try:
        yield
    except (WarehouseError, ServerError) as error:
        raise BackupFailed(str(error)) from None
    except psycopg.errors.LockNotAvailable:
        raise BackupFailed(
            f"{where(url)}: a table stayed locked by another session that changes it: try again when that is done"
        ) from None
    except psycopg.Error as error:
        message = error.diag.message_primary or str(error).strip().split("\n")[0] or type(error).__name__
        raise BackupFailed(f"{where(url)}: {reason('error: ' + message)}") from None
