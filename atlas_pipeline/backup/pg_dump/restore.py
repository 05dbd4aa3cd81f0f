"""Restores the objects of a backup into an empty database.

Belongs here: pg_restore and its input. Does not belong here: which database, and what becomes of it.

Small files are unpacked into the spool. Big ones are named pipes there, each filled from its object when pg_restore
opens it, so that they take no disk.
"""

import errno
import json
import os
import re
import tarfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from atlas_pipeline.backup.engine import Progress, RestoreFailed
from atlas_pipeline.backup.pg_dump.spool import disk_full_message, is_full, private_folder
from atlas_pipeline.backup.pg_dump.stream import CONTENTS, TOC, ChunkReader
from atlas_pipeline.backup.pg_dump.tools import Child, Tools, environment, output, reason, run
from atlas_pipeline.warehouse.connect import WarehouseError, connect, where
from atlas_pipeline.warehouse.embedded import ServerError

Contents = Callable[[], Iterator[bytes]]

_PACK = re.compile(r"small-\d+\.tar")
_FILE = re.compile(r"(?:\d+|blob_\d+)\.dat|blobs(?:_\d+)?\.toc|toc\.dat")
_EXTRA_FILES = ("roles.sql", "database.sql", CONTENTS)
_SECOND_PASS = re.compile(r"\d+; \d+ \d+ (?:(?:DEFAULT )?ACL|MATERIALIZED VIEW DATA|(?:COMMENT - )?EVENT TRIGGER) ")
_SENT_SINCE = {"transaction_timeout": 17}
"""Settings that pg_restore sends whatever the server is, and the first version that sends and knows them."""
_ERROR = re.compile(r"(?m)^\S*pg_restore: error: ")
_POLL_SECONDS = 0.05
_PROGRESS_SECONDS = 5.0
# What a restore's sessions are set to, each where the role may. Until all is done and compared nothing need be kept.
_SESSION = {"synchronous_commit": "off", "wal_compression": "off", "event_triggers": "off"}
_SILENT = "-c event_triggers=off"
_HOLDS = """
SELECT CASE
    WHEN EXISTS (SELECT FROM pg_class WHERE oid >= 16384) THEN 'tables or the like'
    WHEN EXISTS (SELECT FROM pg_proc WHERE oid >= 16384) THEN 'functions'
    WHEN EXISTS (SELECT FROM pg_type WHERE oid >= 16384) THEN 'types'
    WHEN EXISTS (SELECT FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_') THEN 'schemas'
    WHEN EXISTS (SELECT FROM pg_largeobject_metadata) THEN 'large objects'
    WHEN EXISTS (SELECT FROM pg_extension WHERE oid >= 16384) THEN 'extensions'
    WHEN EXISTS (SELECT FROM pg_event_trigger) THEN 'event triggers'
END
"""

_ANALYZED = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema'
ORDER BY pg_table_size(c.oid) DESC, c.oid
"""
"""With a partitioned table its partitions are."""


def restore(spool: Path, url: str, objects: Mapping[str, Contents], *, jobs: int, progress: Progress) -> None:
    """Restore a dump into an empty database.

    Args:
        spool: folder for files that pg_restore reads.
        url: connection URL of the database.
        objects: reads the raw contents of an object, by each name that the sink was given for it.
        jobs: tables that are written at the same time.
        progress: called with a message on the way.

    Raises:
        RestoreFailed: the dump or the server is at fault.
    """
    try:
        _restore(spool, url, objects, jobs, progress)
    except (WarehouseError, ServerError) as error:
        raise RestoreFailed(str(error)) from None
    except psycopg.Error as error:
        message = error.diag.message_primary or type(error).__name__
        raise RestoreFailed(f"{where(url)}: {reason('error: ' + message)}") from None
    except OSError as error:
        if not is_full(error):
            raise
        raise RestoreFailed(f"{where(url)}: {disk_full_message(spool)}") from None


def _restore(spool: Path, url: str, objects: Mapping[str, Contents], jobs: int, progress: Progress) -> None:
    with ExitStack() as stack:
        connection = stack.enter_context(closing(connect(url, autocommit=True)))
        row = connection.execute(_HOLDS).fetchone()
        if row and row[0]:
            raise RestoreFailed(f"{where(url)} already holds {row[0]}: a restore goes into an empty database")
        server = connection.info.server_version // 10000
        candidates = Tools.for_server(server, url)
        folder = stack.enter_context(private_folder(spool))
        dump = folder / "dump"
        dump.mkdir(mode=0o700)
        objects = {name: partial(_read, name, contents) for name, contents in objects.items()}
        packs = sorted(name for name in objects if _PACK.fullmatch(name))
        unpacked = {name: _unpack(name, objects[name], folder) for name in packs}
        big = {name: contents for name, contents in objects.items() if not _PACK.fullmatch(name)}
        for name in big:
            if not _FILE.fullmatch(name):
                raise RestoreFailed(f"the backup has an object {name}, which is not part of a dump")
            os.mkfifo(dump / name, 0o600)
        sizes = _complete(folder, unpacked, big)
        tools, entries = _readers(candidates, folder)
        env = environment(connection, url, folder, tools, _permitted_settings(connection))
        password = connection.info.password
        connection.close()
        refused = _refused_settings(tools, server)
        _script(tools, folder, "roles.sql", env, url, password)
        first, last = _restore_lists(entries, folder)
        command: list[str | Path] = [tools.folder / "pg_restore", "--format=directory"]
        command += ["--no-password", "--dbname=service=atlas", dump, *([] if refused else ["--exit-on-error"])]
        child = Child.start([*command, f"--jobs={jobs}", f"--use-list={first}"], env, folder)
        stack.callback(child.end)
        feeder = _PipeFeeder(dump, big, sizes)
        try:
            status, stderr = _tolerant(feeder.run_until_exit(child, progress), child.stderr(), refused)
        finally:
            child.end()
            feeder.stop()
        if status == 0 and feeder.unread:
            raise RestoreFailed(f"{where(url)}: pg_restore left out {len(feeder.unread)} files of the dump")
        if status == 0:
            status, stderr = _tolerant(*run([*command, f"--use-list={last}"], env, folder), refused)
        if status:
            raise RestoreFailed(f"{where(url)}: pg_restore ended with {status}: {reason(stderr, password)}")
        _script(tools, folder, "database.sql", env, url, password)
        progress("gathering statistics")
        _analyze(url, jobs)


def _permitted_settings(connection: psycopg.Connection) -> dict[str, str]:
    allowed = {}
    for name, value in _SESSION.items():
        with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject):
            connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            allowed[name] = value
    return allowed


def silent(url: str) -> str:
    """Settings of a session in which no event trigger fires, for `connect`; empty where the role may not set that.

    A trigger on logins may write: a restored database would differ for having been looked at.
    """
    try:
        psycopg.connect(url, options=_SILENT, connect_timeout=10).close()
    except psycopg.OperationalError:
        return ""
    return _SILENT


def _analyze(url: str, jobs: int) -> None:
    session = silent(url)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(connect(url, autocommit=True, session=session))) for _ in range(jobs)
        ]
        waiting = deque(connections[0].execute(_ANALYZED).fetchall())

        def work(connection: psycopg.Connection) -> None:
            connection.execute("SET statement_timeout = 0")
            if connection.info.server_version >= 170000:
                connection.execute("SET transaction_timeout = 0")
            with suppress(IndexError):
                while True:
                    name = sql.Identifier(*waiting.popleft())
                    connection.execute(sql.SQL("ANALYZE {}").format(name))

        with ThreadPoolExecutor(jobs, thread_name_prefix="backup-analyze") as pool:
            list(pool.map(work, connections))


def _unpack(name: str, contents: Contents, folder: Path) -> int:
    """Unpack a tar file into the spool; refuse members that no dump has. Returns its size in bytes."""
    readable = ChunkReader(contents())
    try:
        with tarfile.open(fileobj=readable, mode="r|") as tar:
            for member in tar:
                target_folder = folder if member.name in _EXTRA_FILES else folder / "dump"
                source = tar.extractfile(member)
                if source is None or not (_FILE.fullmatch(member.name) or target_folder == folder):
                    raise RestoreFailed(f"{name} holds a file that is not part of a dump")
                with (target_folder / member.name).open("xb") as target:
                    while chunk := source.read(1 << 20):
                        target.write(chunk)
        while readable.read(1 << 20):
            pass
    except (tarfile.TarError, FileExistsError) as error:
        raise RestoreFailed(f"{name} of the backup cannot be unpacked ({type(error).__name__})") from None
    return readable.size


def _read(name: str, contents: Contents) -> Iterator[bytes]:
    try:
        yield from contents()
    except RestoreFailed:
        raise
    except Exception as error:
        raise RestoreFailed(f"{name} of the backup cannot be read: {error}") from error


def _complete(folder: Path, unpacked: Mapping[str, int], big: Mapping[str, Contents]) -> dict[str, int]:
    """Sizes of the big files, after it was made sure that all is there."""
    for path in (*(folder / name for name in _EXTRA_FILES), folder / "dump" / TOC):
        if not path.exists():
            raise RestoreFailed(f"the backup has no {path.name}")
    sizes: dict[str, int] = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    if missing := sorted(sizes.keys() - unpacked.keys() - big.keys()):
        raise RestoreFailed(f"the backup lacks {len(missing)} objects, the first is {missing[0]}")
    for name in sizes.keys() & unpacked.keys():
        if sizes[name] != unpacked[name]:
            raise RestoreFailed(f"{name} of the backup has {unpacked[name]} bytes instead of {sizes[name]}")
    return {name: sizes.get(name, -1) for name in big}


def _readers(candidates: Sequence[Tools], folder: Path) -> tuple[Tools, list[str]]:
    """The first of these programs that can read the dump, and its entries: they read dumps of older ones only."""
    for tools in candidates[:-1]:
        with suppress(ServerError):
            return tools, _entries(tools, folder)
    return candidates[-1], _entries(candidates[-1], folder)


def _entries(tools: Tools, folder: Path) -> list[str]:
    return output([tools.folder / "pg_restore", "--list", folder / "dump"], folder).splitlines()


def _refused_settings(tools: Tools, server: int) -> tuple[str, ...]:
    """Settings that this pg_restore sends and this server does not know."""
    return tuple(name for name, since in _SENT_SINCE.items() if server < since <= tools.major)


def _tolerant(status: int, stderr: str, refused: Sequence[str]) -> tuple[int, str]:
    """Status and errors of pg_restore, 0 when all that failed was a setting that the server does not know."""
    errors, names = _ERROR.findall(stderr), "|".join(refused)
    if status == 1 and errors and len(errors) == len(re.findall(rf"(?m)^Command was: SET (?:{names}) = ", stderr)):
        return 0, stderr
    return status, stderr


def _restore_lists(lines: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Two lists for pg_restore: what may be done in parallel, and what comes after it, one by one.

    In parallel, a grant may come before the one that lets its grantor see the schema.

    Args:
        lines: the entries of the dump.
        folder: where the lists are written.
    """
    chosen: dict[bool, list[str]] = {False: [], True: []}
    for line in lines:
        chosen[bool(_SECOND_PASS.match(line))].append(line)
    for later, listed in chosen.items():
        text = "\n".join([*listed, ""])
        (folder / f"list{later:d}").write_text(text, encoding="utf-8", errors="surrogateescape")
    return folder / "list0", folder / "list1"


def _script(tools: Tools, folder: Path, name: str, env: dict[str, str], url: str, password: str) -> None:
    options = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", f"--file={folder / name}"]
    status, stderr = run([tools.folder / "psql", *options], env, folder)
    if status:
        raise RestoreFailed(f"{where(url)}: {name} of the backup failed: {reason(stderr, password)}")


class _PipeFeeder:
    """Fills the named pipes that pg_restore opens, each in its own thread."""

    def __init__(self, folder: Path, files: Mapping[str, Contents], sizes: Mapping[str, int]):
        self._folder = folder
        self._sizes = sizes
        self._waiting = dict(files)
        self._failed: list[BaseException] = []
        self._threads: dict[str, threading.Thread] = {}
        self._stopped = False
        self._fed = 0

    @property
    def unread(self) -> list[str]:
        """Files that pg_restore has not opened."""
        return list(self._waiting)

    def run_until_exit(self, child: Child, progress: Progress) -> int:
        """Fill pipes until pg_restore exits. Raises what filling one raised.

        Args:
            child: pg_restore.
            progress: called with a message on the way.

        Returns:
            Its exit status.
        """
        reported = time.monotonic()
        while (status := child.poll()) is None:
            for name in list(self._waiting):
                self._open_pipe(name)
            if self._failed:
                child.end()
                self.stop()
                raise self._failed[0]
            if time.monotonic() - reported >= _PROGRESS_SECONDS:
                reported = time.monotonic()
                progress(f"{self._fed >> 20:,} MiB restored")
            time.sleep(_POLL_SECONDS)
        for thread in self._threads.values():
            thread.join()
        if self._failed and status == 0:
            raise self._failed[0]
        return status

    def stop(self) -> None:
        """End all threads, after pg_restore has exited."""
        self._stopped = True
        for thread in self._threads.values():
            thread.join()

    def _open_pipe(self, name: str) -> None:
        """Start to fill a pipe if pg_restore has opened it."""
        try:
            pipe = os.open(self._folder / name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        os.set_blocking(pipe, True)
        thread = threading.Thread(target=self._fill, args=(pipe, name, self._waiting.pop(name)), daemon=True)
        self._threads[name] = thread
        thread.start()

    def _fill(self, pipe: int, name: str, contents: Contents) -> None:
        size = 0
        try:
            for chunk in contents():
                view = memoryview(chunk)
                size += len(chunk)
                while view and not self._stopped:
                    written = os.write(pipe, view)
                    view = view[written:]
                    self._fed += written
            if size != self._sizes[name] and not self._stopped:
                raise RestoreFailed(f"{name} of the backup has {size} bytes instead of {self._sizes[name]}")
        except BrokenPipeError:
            self._failed.append(RestoreFailed("pg_restore did not read a file to its end"))
        except BaseException as error:  # noqa: BLE001 — raised where pg_restore is attended
            self._failed.append(error)
            # The reader must not take this for the end of the file: pg_restore is killed before the pipe is closed.
            while not self._stopped:
                time.sleep(_POLL_SECONDS)
        finally:
            with suppress(OSError):
                os.close(pipe)
