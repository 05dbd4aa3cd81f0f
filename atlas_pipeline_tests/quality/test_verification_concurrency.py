"""Verifying while others write: tables that are replaced or locked, lost connections, verifications side by side."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.warehouse.connect import WarehouseError, connect
from atlas_pipeline_tests.quality.verifications import (
    MOODS,
    WAITING,
    WAITS,
    Checks,
    run,
    write,
)


def test_two_tables_by_one_contract(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    things.execute("CREATE TABLE staging.things AS SELECT * FROM silver.things WHERE mood IS NOT NULL")
    things.commit()
    path = write(tmp_path, [{"row_count": {}}], columns={"mood": [{"missing": {}}]})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda schema: run(path, warehouse_url, schema), ["silver", "staging"] * 8))
    assert {tuple(one.measured for one in outcomes.values()) for outcomes in found[::2]} == {(5, 1)}
    assert {tuple(one.measured for one in outcomes.values()) for outcomes in found[1::2]} == {(4, 0)}


def test_faults_of_one_contract_are_not_heard_beside_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    good = write(tmp_path / "good", [{"row_count": {}}], columns={"mood": [{"missing": {"threshold": {"must_be": 1}}}]})
    bad = write(tmp_path / "bad", [{"metric": {"query": "SELECT 1 / 0", "threshold": {"must_be": 1}}}])
    before = logging.getLogger("soda").propagate, logging.getLogger("soda").level
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: run(path, url), [good, bad] * 12))
    assert all(one.passed for outcomes in found[::2] for one in outcomes.values())
    assert {one.status for outcomes in found[1::2] for one in outcomes.values()} == {"not evaluated"}
    assert (logging.getLogger("soda").propagate, logging.getLogger("soda").level) == before


def await_sessions(url: str, condition: str, *, count: int = 1) -> list[int]:
    """The processes of Postgres that meet a condition, once there are that many."""
    query = f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
    deadline = time.monotonic() + 30
    with connect(url, autocommit=True) as watcher:
        while time.monotonic() < deadline:
            if len(found := watcher.execute(query).fetchall()) >= count:  # type: ignore[arg-type]
                return [pid for (pid,) in found]
            time.sleep(0.005)
    raise AssertionError(f"no session with {condition}")


class Paused:
    """A verification that was halted by WAITS, with its session's process; `go` lets it end."""

    def __init__(self, url: str, verification: Callable[[], dict[str, Outcome]]):
        self._holder = connect(url, autocommit=True)
        self._holder.execute("SELECT pg_advisory_lock(4711)")
        self._pool = ThreadPoolExecutor(1)
        self.found: Future[dict[str, Outcome]] = self._pool.submit(verification)
        (self.pid,) = await_sessions(url, WAITING)

    def go(self) -> dict[str, Outcome]:
        self.close()
        return self.found.result(timeout=60)

    def close(self) -> None:
        self._holder.close()


@pytest.fixture
def paused(warehouse_url: str) -> Iterator[Callable[..., Paused]]:
    made: list[Paused] = []

    def pause(path: Path, **how: Any) -> Paused:
        made.append(Paused(warehouse_url, lambda: run(path, warehouse_url, **how)))
        return made[-1]

    yield pause
    for one in made:
        one.close()


def test_a_table_that_is_replaced_before_it_is_read(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    """The swap is not yet committed when the verification begins: it sees all of what is put in place."""
    checks: Checks = [
        {"row_count": {}},
        {"metric": {"query": "SELECT count(*) FROM silver.things", "threshold": {"must_be": 3}}},
    ]
    path = write(tmp_path, checks, columns={"mood": [{"missing": {}}]})
    things.execute("CREATE TABLE staging.next AS SELECT n AS id, 'good' AS mood FROM generate_series(1, 3) n")
    things.execute("DROP TABLE silver.things")
    things.execute("ALTER TABLE staging.next SET SCHEMA silver")
    things.execute("ALTER TABLE silver.next RENAME TO things")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(run, path, warehouse_url)
        await_sessions(warehouse_url, "wait_event_type = 'Lock'")
        things.commit()
        outcomes = found.result(timeout=60)
    assert {path: (one.status, one.measured) for path, one in outcomes.items()} == {
        "checks.row_count": ("passed", 3),
        "checks.metric": ("passed", 3),
        "columns.mood.checks.missing": ("passed", 0),
    }


def test_a_table_cannot_be_replaced_while_it_is_read(
    things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    path = write(tmp_path, [WAITS, {"row_count": {}}, {"failed_rows": {"query": "SELECT * FROM silver.things"}}])
    halted = paused(path)
    things.execute("SET lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        things.execute("DROP TABLE silver.things")
    things.rollback()
    things.execute("INSERT INTO silver.things (id) VALUES (6), (7)")
    things.commit()
    found = halted.go()
    assert (found["checks.row_count"].measured, found["checks.failed_rows"].measured) == (5, 5)
    things.execute("DROP TABLE silver.things")


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_what_is_under_a_view_cannot_be_replaced_either(
    kind: str, things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    things.execute(f"CREATE {kind} staging.seen AS SELECT * FROM silver.things")
    things.commit()
    halted = paused(
        write(tmp_path, [WAITS, {"row_count": {"threshold": {"must_be": 5}}}]), schema="staging", table="seen"
    )
    things.execute("SET lock_timeout = '50ms'")
    if kind == "VIEW":
        with pytest.raises(psycopg.errors.LockNotAvailable):
            things.execute("TRUNCATE silver.things")
    else:
        things.execute("TRUNCATE silver.things")
    things.rollback()
    assert halted.go()["checks.row_count"].passed


REPLACED = "DROP TABLE silver.moods; CREATE TABLE silver.moods AS SELECT unnest('{good,bad}'::text[]) AS mood"
SWAPPED = "DROP TABLE silver.moods; ALTER TABLE staging.moods SET SCHEMA silver"
INDEXED = "CREATE INDEX ON silver.moods (mood); REINDEX TABLE silver.moods; ANALYZE silver.moods"


@pytest.mark.parametrize(
    ("meanwhile", "problem"),
    [
        (REPLACED, "silver.moods was replaced while the checks were made: run again"),
        ("TRUNCATE silver.moods", "silver.moods was replaced while the checks were made: run again"),
        ("DELETE FROM silver.moods", None),
        (SWAPPED, None),
        (INDEXED, None),
    ],
)
def test_another_table_that_is_replaced_while_checks_are_made(
    meanwhile: str, problem: str | None, things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    things.execute("CREATE TABLE staging.moods AS SELECT * FROM silver.moods")
    things.commit()
    mood: Checks = [{"invalid": {"valid_reference_data": MOODS, "threshold": {"must_be": 1}}}]
    halted = paused(write(tmp_path, [WAITS, {"row_count": {}}], columns={"mood": mood}))
    things.execute(meanwhile)
    things.commit()
    found = halted.go()
    wanted = ("passed", None) if problem is None else ("not evaluated", problem)
    assert {(one.status, one.problem) for one in found.values()} == {wanted}


def test_a_table_that_is_locked_is_waited_for(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"row_count": {}}], columns={"id": [{"missing": {}}]})
    things.execute("LOCK TABLE silver.things IN ACCESS EXCLUSIVE MODE")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(run, path, warehouse_url)
        await_sessions(warehouse_url, "wait_event_type = 'Lock'")
        things.execute("INSERT INTO silver.things (id) VALUES (6)")
        things.commit()
        outcomes = found.result(timeout=60)
    assert outcomes["checks.row_count"].measured == 6


def test_a_database_that_does_not_wait_for_locks(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, [{"row_count": {}}])
    things.execute(sql.SQL("ALTER DATABASE {} SET lock_timeout = '20ms'").format(sql.Identifier(things.info.dbname)))
    things.commit()
    things.execute("LOCK TABLE silver.things IN ACCESS EXCLUSIVE MODE")
    (found,) = run(path, warehouse_url).values()
    assert (found.status, found.problem) == ("not evaluated", "silver.things is locked by another session")


def test_a_connection_that_is_lost(
    things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    halted = paused(write(tmp_path, [WAITS, {"row_count": {}}], columns={"id": [{"missing": {}}]}))
    things.execute("SELECT pg_terminate_backend(%s)", [halted.pid])
    with pytest.raises(WarehouseError, match="lost Postgres"):
        halted.found.result(timeout=60)


def test_a_connection_that_is_lost_while_rows_are_sampled(url: str, tmp_path: Path) -> None:
    """The second time that it is asked, the query ends its own session."""
    query = (
        "SELECT id FROM silver.things WHERE id = 1"
        " OR (id = 2 AND NOT pg_try_advisory_xact_lock(1) IS NULL AND (SELECT count(*) FROM pg_locks"
        " WHERE locktype = 'advisory' AND objid = 2 AND pid = pg_backend_pid()) > 0"
        " AND pg_terminate_backend(pg_backend_pid())) OR (id = 3 AND pg_try_advisory_xact_lock(2))"
    )
    path = write(tmp_path, [{"failed_rows": {"query": query}}])
    with pytest.raises(WarehouseError, match="lost Postgres"):
        run(path, url, key=["id"])


def test_a_query_that_is_cancelled(
    things: Any, paused: Callable[..., Paused], warehouse_url: str, tmp_path: Path
) -> None:
    halted = paused(write(tmp_path, [WAITS, {"row_count": {}}], columns={"id": [{"missing": {}}]}))
    things.execute("SELECT pg_cancel_backend(%s)", [halted.pid])
    found = halted.found.result(timeout=60)
    assert {path: one.problem for path, one in found.items() if not one.passed} == {
        "checks.metric.waits": "Postgres refused it (QueryCanceled)"
    }


def test_logging_is_as_it_was_and_records_of_the_host_are_not_kept(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another test used Soda as it comes, and left its handler behind."""
    own = [one for one in logging.root.handlers if not type(one).__module__.startswith("soda_core.")]
    monkeypatch.setattr(logging.root, "handlers", own)
    path = write(tmp_path, [{"row_count": {}}], columns={"mood": [{"missing": {}}, {"invalid": {"valid_min": 1}}]})
    soda, host = logging.getLogger("soda"), logging.getLogger("host")
    soda.setLevel(logging.WARNING)
    before = (
        list(logging.root.handlers),
        logging.root.level,
        list(soda.handlers),
        soda.level,
        soda.propagate,
        soda.disabled,
    )
    try:
        for _ in range(3):
            run(path, url)
        after = (
            list(logging.root.handlers),
            logging.root.level,
            list(soda.handlers),
            soda.level,
            soda.propagate,
            soda.disabled,
        )
        assert after == before
        caplog.clear()
        with caplog.at_level(logging.INFO):
            host.info("said once")
            soda.warning("so is this")
        assert [record.getMessage() for record in caplog.records] == ["said once", "so is this"]
        assert {record.thread for record in caplog.records} == {threading.get_ident()}
    finally:
        soda.setLevel(logging.NOTSET)


def test_nothing_is_left_behind_by_fifty_verifications(things: Any, warehouse_url: str, tmp_path: Path) -> None:
    mood: Checks = [
        {"missing": {}},
        {"invalid": {"valid_values": ["good"]}},
        {"invalid": {"qualifier": "x", "valid_min": 1}},
    ]
    path = write(tmp_path, [{"row_count": {}}], columns={"mood": mood})

    def count() -> tuple[int, int]:
        gc.collect()
        alive = gc.get_objects()
        records = sum(isinstance(one, logging.LogRecord) for one in alive)
        return records, sum(str(type(one).__module__).startswith(("soda_", "psycopg")) for one in alive)

    run(path, warehouse_url, key=["id"])
    records, objects = count()
    for _ in range(50):
        run(path, warehouse_url, key=["id"])
        logging.getLogger("host").warning("one of fifty")
    after_records, after_objects = count()
    assert after_records - records <= 50  # which pytest keeps, each once
    assert after_objects - objects < 50
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert things.execute(sessions).fetchone()[0] == 0
