"""One backup of a database at a time, also when the first one is killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from atlas_pipeline.backup.lock import BACKUP_LOCK, AlreadyRunning, backup_lock
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.warehouse.connect import WarehouseError, connect

HOLDER = """
import sys, time
from atlas_pipeline.backup.lock import backup_lock
with backup_lock(sys.argv[1], "app"):
    print("held", flush=True)
    time.sleep(120)
"""


@contextmanager
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def locks(url: str) -> int:
    """How many backups hold a lock in this database."""
    query = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with connect(url, autocommit=True) as connection:
        ((number,),) = connection.execute(query, [BACKUP_LOCK]).fetchall()
        return int(number)


def test_a_second_one_is_told_at_once_and_may_when_the_first_is_done(postgres_dsn: str) -> None:
    started = time.monotonic()
    with (
        backup_lock(postgres_dsn, "app"),
        pytest.raises(AlreadyRunning, match="another backup of app is running"),
        backup_lock(postgres_dsn, "app"),
    ):
        pass
    assert time.monotonic() - started < 5
    with backup_lock(postgres_dsn, "app"):
        pass


def test_databases_do_not_wait_for_each_other(postgres_dsn: str, warehouse_url: str) -> None:
    with backup_lock(postgres_dsn, "app"), backup_lock(postgres_dsn, "app_test"), backup_lock(warehouse_url, "app"):
        assert (locks(postgres_dsn), locks(warehouse_url)) == (2, 1)
    assert (locks(postgres_dsn), locks(warehouse_url)) == (0, 0)


def test_it_is_given_back_when_a_backup_fails(postgres_dsn: str) -> None:
    with pytest.raises(ZeroDivisionError), backup_lock(postgres_dsn, "app"):
        raise ZeroDivisionError
    with backup_lock(postgres_dsn, "app"):
        pass


def test_an_end_of_its_session_fails_nothing(postgres_dsn: str) -> None:
    with backup_lock(postgres_dsn, "app"), connect(postgres_dsn, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
            " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        )
        assert ended.fetchall() == [(True,)]
        assert locks(postgres_dsn) == 0
    with backup_lock(postgres_dsn, "app"):
        assert locks(postgres_dsn) == 1


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_away_is_no_other_backup() -> None:
    with pytest.raises(WarehouseError, match="cannot reach"), backup_lock("postgresql://127.0.0.1:1/app", "app"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_holds_nothing(postgres_dsn: str, end: signal.Signals) -> None:
    with holder(postgres_dsn) as process:
        with pytest.raises(AlreadyRunning), backup_lock(postgres_dsn, "app"):
            pass
        process.send_signal(end)
        process.wait(10)
        for _ in range(100):
            try:
                with backup_lock(postgres_dsn, "app"):
                    return
            except AlreadyRunning:
                time.sleep(0.1)
        pytest.fail("still held 10 s after its process ended")


def test_the_session_is_not_ended_for_saying_nothing(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        user = connection.info.user
        connection.execute(f"ALTER ROLE {user} IN DATABASE {connection.info.dbname} SET idle_session_timeout = '200ms'")
    try:
        with backup_lock(postgres_dsn, "app"):
            time.sleep(0.7)
            with pytest.raises(AlreadyRunning), backup_lock(postgres_dsn, "app"):
                pass
    finally:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {user} IN DATABASE {connection.info.dbname} RESET ALL")
