"""What goes wrong in a dump or a restore: it says so, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
from tenacity import stop_after_delay

from atlas_pipeline.backup.engine import BackupFailed, RestoreFailed
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.pg_dump.tools import Tools, reason
from atlas_pipeline.warehouse import connect as connecting
from atlas_pipeline.warehouse.connect import OWNER, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import MemorySink, execute, programs, quiet

pytestmark = pytest.mark.slow

MIB = 1 << 20
BIG = "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 10) a FROM generate_series(1, 300000) i"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[PgDump]:
    made = PgDump(tmp_path / "spool", lock_seconds=1)
    yield made
    assert programs(made.spool) == []
    assert not made.spool.exists() or list(made.spool.iterdir()) == []


class Watching(MemorySink):
    """Does something at each piece of a big file."""

    def __init__(self, at_piece: Callable[[int], object]) -> None:
        super().__init__()
        self._at_piece = at_piece

    def put(self, files: Sequence[str], chunks: Iterator[bytes]) -> None:
        """Look at each piece on its way."""
        super().put(files, self._watched(chunks))

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            self._at_piece(number)
            yield chunk


def dump(engine: PgDump, url: str, sink: MemorySink, jobs: int = 2) -> None:
    """A backup of all."""
    engine.backup(url, sink, jobs=jobs, exclude=[], progress=quiet)


def nobody_is_connected(url: str) -> bool:
    """Whether only we are there, after a moment for others to go."""
    deadline = time.monotonic() + 10
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with closing(connect(url, autocommit=True)) as connection:
        while connection.execute(query).fetchone() != (0,):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
    return True


def test_preflight(engine: PgDump, database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    url = database()
    engine.preflight(url)
    old = replace(Tools.installed()[-1], version="13.2")
    monkeypatch.setattr(Tools, "installed", lambda: [old])
    with pytest.raises(BackupFailed, match=r"is Postgres 18, and the newest pg_dump here is 13\.2"):
        engine.preflight(url)


def test_preflight_of_a_database_that_is_missing(
    engine: PgDump, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting._attempt.retry, "stop", stop_after_delay(0))  # type: ignore[attr-defined]
    with pytest.raises(BackupFailed, match=r"absent.*does not exist"):
        engine.preflight(postgres.url("absent", SUPERUSER))


def test_preflight_of_a_role_that_may_not_read(
    engine: PgDump, database: Callable[[], str], postgres: EmbeddedPostgres
) -> None:
    url = database()
    execute(url, "CREATE TABLE t (a int)", "CREATE TABLE hidden (a int)", f"GRANT SELECT ON hidden TO {OWNER}")
    as_owner = url.replace(f"//{SUPERUSER}@", f"//{OWNER}@")
    with pytest.raises(BackupFailed, match=r"may not read public\.t: GRANT pg_read_all_data"):
        engine.preflight(as_owner)
    execute(url, f"GRANT SELECT ON t TO {OWNER}", "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    with pytest.raises(BackupFailed, match=r"row security hides rows of public\.hidden"):
        engine.preflight(as_owner)
    execute(url, "ALTER TABLE hidden DISABLE ROW LEVEL SECURITY")
    engine.preflight(as_owner)


def test_a_role_that_reads_all_can_back_up_and_owner_can_restore(engine: PgDump, database: Callable[[], str]) -> None:
    url, sink = database(), MemorySink()
    execute(url, "CREATE TABLE t AS SELECT 1 a")
    dump(engine, url.replace(f"//{SUPERUSER}@", "//atlas_backup@"), sink)
    target = database()
    engine.restore(target, sink.contents(), jobs=1, progress=quiet)
    assert engine.state(target).rows == 1


def test_a_locked_table(engine: PgDump, database: Callable[[], str]) -> None:
    url = database()
    execute(url, "CREATE TABLE t AS SELECT 1 a")
    with closing(connect(url)) as connection:
        connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        with pytest.raises(BackupFailed, match="stayed locked"):
            dump(engine, url, MemorySink())
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_server_ends_a_connection(engine: PgDump, database: Callable[[], str], jobs: int) -> None:
    url = database()
    execute(url, BIG)

    def end(number: int) -> None:
        if number == 1:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            execute(url, query + "AND application_name = 'atlas backup' AND query LIKE 'COPY%'")

    engine.spool_bytes = 16 * MIB
    # Which of the two libpq says depends on whether it reads the server's last words before the end of the stream.
    ended = "(?:FATAL:  terminating connection due to administrator command|server closed the connection unexpectedly)"
    wanted = f'pg_dump ended with 1: Dumping the contents of table "big" failed.*; .*{ended}'
    with pytest.raises(BackupFailed, match=wanted) as caught:
        dump(engine, url, Watching(end), jobs)
    assert "COPY public" not in str(caught.value)
    assert nobody_is_connected(url)


@pytest.mark.parametrize("failure", [OSError("the store is full"), KeyboardInterrupt()])
def test_the_sink_fails(engine: PgDump, database: Callable[[], str], failure: BaseException) -> None:
    url = database()
    execute(url, BIG)

    def fail(number: int) -> None:
        if number == 2:
            raise failure

    engine.spool_bytes = 16 * MIB
    with pytest.raises(type(failure)):
        dump(engine, url, Watching(fail))
    assert nobody_is_connected(url)


def test_the_spool_is_bounded(engine: PgDump, database: Callable[[], str]) -> None:
    url = database()
    execute(url, BIG, "CREATE TABLE big2 AS SELECT * FROM big")
    for number in range(20):
        execute(url, f"CREATE TABLE small{number} AS SELECT * FROM big LIMIT 3000")
    taken, stopped = [0], threading.Event()

    def measure() -> None:
        while not stopped.wait(0.01):
            try:
                taken.append(sum(one.stat().st_blocks * 512 for one in engine.spool.glob("*/dump/*")))
            except FileNotFoundError:
                continue

    watcher = threading.Thread(target=measure)
    watcher.start()
    engine.spool_bytes = 24 * MIB
    sink = Watching(lambda number: time.sleep(0.02))
    try:
        dump(engine, url, sink)
    finally:
        stopped.set()
        watcher.join()
    total = sum(len(data) for data in sink.kept.values())
    assert total > 200 * MIB
    # What was written until pg_dump was stopped, and what was read but not yet given back.
    assert max(taken) < 24 * MIB + 80 * MIB
    target = database()
    engine.restore(target, sink.contents(), jobs=2, progress=quiet)
    assert engine.state(target).tables == engine.state(url).tables


def test_nobody_sees_the_password(engine: PgDump, database: Callable[[], str]) -> None:
    url = database().replace(f"{SUPERUSER}@", f"{SUPERUSER}:s3cr%3A%5Ct@")
    execute(url, BIG)
    secret, seen = b"s3cr", []

    def look(_: int) -> None:
        for process in psutil.Process().children(recursive=True):
            place = Path(f"/proc/{process.pid}")
            with suppress(OSError, psutil.Error):
                seen.append((process.name(), (place / "cmdline").read_bytes() + (place / "environ").read_bytes()))
        for one in engine.spool.rglob("pass"):
            assert one.stat().st_mode & 0o77 == one.parent.stat().st_mode & 0o77 == 0

    engine.spool_bytes = 16 * MIB
    dump(engine, url, Watching(look))
    assert "pg_dump" in {name for name, _ in seen}
    assert not [name for name, text in seen if secret in text]


_KILLED = """
import sys, time
from pathlib import Path
from atlas_pipeline.backup.pg_dump import PgDump
class Slow:
    objects = ()
    def put(self, files, chunks):
        for chunk in chunks:
            print("piece", flush=True)
            time.sleep(1)
PgDump(Path(sys.argv[2]), spool_bytes=16 << 20).backup(
    sys.argv[1], Slow(), jobs=2, exclude=[], progress=print)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle(engine: PgDump, database: Callable[[], str], number: signal.Signals) -> None:
    url = database()
    execute(url, BIG)
    command = [sys.executable, "-c", _KILLED, url, str(engine.spool)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    assert child.stdout
    assert child.stdout.readline() == b"piece\n"
    deadline = time.monotonic() + 10
    while psutil.STATUS_STOPPED not in {one.status() for one in programs(engine.spool)} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert programs(engine.spool)
    child.send_signal(number)
    child.wait()
    child.stdout.close()
    assert nobody_is_connected(url)
    deadline = time.monotonic() + 5
    while (programs(engine.spool) or list(engine.spool.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(engine.spool.iterdir()) == []


def test_a_restore_needs_an_empty_database(engine: PgDump, database: Callable[[], str]) -> None:
    url, sink = database(), MemorySink()
    execute(url, "CREATE TABLE t AS SELECT 1 a")
    dump(engine, url, sink)
    for statement in ("CREATE TABLE u (a int)", "CREATE SCHEMA s", "SELECT lo_create(0)", "CREATE EXTENSION vector"):
        target = database()
        execute(target, statement)
        before = engine.state(target)
        with pytest.raises(RestoreFailed, match="already holds"):
            engine.restore(target, sink.contents(), jobs=1, progress=quiet)
        assert engine.state(target) == before


def test_a_restore_whose_objects_fail(engine: PgDump, database: Callable[[], str]) -> None:
    url, sink = database(), MemorySink()
    execute(url, BIG)
    dump(engine, url, sink)
    (big,) = (name for name in sink.kept if name.endswith(".dat"))

    def breaks() -> Iterator[bytes]:
        yield sink.kept[big][: 2 * MIB]
        raise OSError("the store went away")

    with pytest.raises(RestoreFailed, match=f"{big} of the backup cannot be read: the store went away"):
        engine.restore(database(), {**sink.contents(), big: breaks}, jobs=2, progress=quiet)
    cut = lambda: iter([sink.kept[big][: 2 * MIB]])  # noqa: E731
    with pytest.raises(RestoreFailed, match=f"{big} of the backup has {2 * MIB} bytes instead of"):
        engine.restore(database(), {**sink.contents(), big: cut}, jobs=2, progress=quiet)
    spoilt = lambda: iter([b"no number\t1\n" + sink.kept[big][12:]])  # noqa: E731
    with pytest.raises(RestoreFailed, match=r"pg_restore ended with 1: .*invalid input syntax") as caught:
        engine.restore(database(), {**sink.contents(), big: spoilt}, jobs=2, progress=quiet)
    assert "CONTEXT" not in str(caught.value)
    assert "no number" not in str(caught.value)
    without = {name: contents for name, contents in sink.contents().items() if name != big}
    with pytest.raises(RestoreFailed, match=f"lacks 1 objects, the first is {big}"):
        engine.restore(database(), without, jobs=2, progress=quiet)
    with pytest.raises(RestoreFailed, match=r"has no roles\.sql"):
        engine.restore(database(), {}, jobs=2, progress=quiet)
    odd = {**sink.contents(), "../evil": breaks}
    with pytest.raises(RestoreFailed, match="not part of a dump"):
        engine.restore(database(), odd, jobs=2, progress=quiet)


def test_reasons_quote_no_values() -> None:
    said = (
        'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type integer: "1-800 x"\n'
        'CONTEXT:  COPY t, line 1, column a: "1-800 x"\n'
    )
    assert reason(said) == 'COPY failed for table "t": ERROR:  invalid input syntax for type integer …'
    said = "pg_dump: error: query failed: ERROR:  bad 'value' of pa55\npg_dump: detail: Query was: SELECT 'value'\n"
    assert reason(said, "pa55") == "query failed: ERROR:  bad … of ***"
    assert reason("") == "it printed no error message"


def test_connections_are_closed(engine: PgDump, database: Callable[[], str]) -> None:
    url = database()
    execute(url, "CREATE TABLE t AS SELECT 1 a")
    dump(engine, url, MemorySink())
    engine.state(url)
    assert nobody_is_connected(url)
    with pytest.raises(psycopg.errors.SyntaxError):
        execute(url, "no statement")


def test_what_a_lost_machine_left_is_swept(engine: PgDump, database: Callable[[], str]) -> None:
    url = database()
    left = engine.spool / "pg-dump-left" / "dump"
    left.mkdir(parents=True)
    (left / "1.dat").write_bytes(b"rows")
    (left.parent / "lock").touch()
    dump(engine, url, MemorySink())
    assert not left.exists()
