"""kill -9 in the middle of every phase: nothing half done is seen, and the next run ends with exactly the right rows.

The work is done by a process of its own that says when it has reached the phase, and waits there to be killed.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.silver import SilverBuild, build_silver
from atlas_pipeline.ingest.sources import SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse import gold
from atlas_pipeline.warehouse.bootstrap import prepare_embedded, prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline.warehouse.publish import table_lock
from atlas_pipeline_tests.builds import build_gold
from atlas_pipeline_tests.forks import StartFork, stop
from atlas_pipeline_tests.servers import own_postgres

pytestmark = pytest.mark.slow

ROWS = 6_000
STEP = 5_000
NOTE = "n" * 800
MODEL = "SELECT value, count(*) AS things, sum(id) AS ids FROM silver.things GROUP BY value"
LOCKING_MODEL = f"SELECT m.* FROM ({MODEL}) m, (SELECT pg_advisory_lock(4711)) l"
_STALL_BYTES = 4_500_000

Reached = Callable[[str], None]


class Stalling:
    """A file of which so much is read that a part of it is in the database, and no more."""

    def __init__(self, file: SourceFile, reached: Reached):
        self.opened, self.reached, self.given = file.open(), reached, 0

    def __enter__(self) -> "Stalling":
        self.file = self.opened.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.opened.__exit__(*error)

    def read(self, size: int = -1) -> bytes:
        if self.given > _STALL_BYTES:
            self.reached("mid COPY of bronze")
        data = self.file.read(min(size, 600_000) if size > 0 else size)
        self.given += len(data)
        return data


def work(url: str, home: Path, phase: str = "", model: str = MODEL) -> None:
    """Load, build and model what has landed; stop at `phase`."""
    reached = stop_at(phase)

    def progress(message: str) -> None:
        for phase in ("typed", "merging"):
            if phase in message:
                reached(phase)

    def verify(*_: object) -> list[Outcome]:
        reached("silver's staging is full")
        return []

    columns = (Column("id", "integer"), Column("value"), Column("note", optional=True))
    dataset = Dataset("things", FileSource("*.csv"), columns, key=("id",))
    with connect(url) as connection:
        files = dataset.source.list(Settings(home=home))
        files = [replace(f, open=partial(Stalling, f, reached)) if f.name == "2.csv" else f for f in files]
        bronze.load(connection, "things", files, run_id="b")
        reached("between bronze and silver")
        keys = load_keys(Settings(home=home))
        build_silver(SilverBuild(connection, url, dataset, "b", keys, progress=progress), verify)
        build = gold.GoldBuild(connection, "totals", model, "b", key=["value"])
        with table_lock(connection, "gold", "totals", 600):
            staged = gold.stage(build)
            reached("gold's staging is full")
            with connection.transaction():
                gold.publish(build, staged)


def stop_at(wanted: str) -> Reached:
    def reached(phase: str) -> None:
        if phase == wanted:
            stop()

    return reached


def content(number: int) -> str:
    """Rows of one file: the first 2,000 keys are those of the file before, and five rows do not fit."""
    ids = range(number * STEP, number * STEP + ROWS)
    bad = "".join(f"bad,{number},\n" for _ in range(4)) + f"1,2,3,4,{number}\n"
    return "id,value,note\n" + "".join(f"{i},v{number},{NOTE}\n" for i in ids) + bad


def expected(files: int) -> list[tuple[str, int, int]]:
    """What gold must say of the first `files` files, the latest row of each key counted."""
    totals = []
    for number in range(files):
        last = number == files - 1
        ids = range(number * STEP, number * STEP + (ROWS if last else STEP))
        totals.append((f"v{number}", len(ids), sum(ids)))
    return totals


def land(landing: Path, numbers: range) -> None:
    landing.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (landing / f"{number}.csv").write_text(content(number))


def check_whole(url: str, bronze_files: int, silver_files: int) -> None:
    """Every layer holds whole files: what another connection sees, counted by its rows and by its books."""
    with psycopg.connect(url) as reader:
        found = reader.execute(MODEL + " ORDER BY value").fetchall()
        assert found == expected(silver_files)
        ledger = "SELECT count(*), sum(rows), sum(rejected), count(silver_at) FROM atlas.files WHERE status = 'loaded'"
        assert reader.execute(ledger).fetchone() == (
            bronze_files,
            bronze_files * (ROWS + 4),
            bronze_files,
            silver_files,
        )
        assert reader.execute("SELECT count(*) FROM bronze.things").fetchone() == (bronze_files * (ROWS + 4),)
        by_file = "SELECT count(*) FROM bronze.things GROUP BY _atlas_file_id"
        assert reader.execute(by_file).fetchall() == [(ROWS + 4,)] * bronze_files
        stages = "SELECT stage, count(*) FROM quarantine.things GROUP BY stage ORDER BY stage"
        assert reader.execute(stages).fetchall() == [("bronze", bronze_files), ("silver", 4 * silver_files)]
        assert reader.execute("SELECT count(*) FROM atlas.rejected_lines").fetchone() == (bronze_files,)
        rows = sum(things for _, things, _ in expected(silver_files))
        publication = "SELECT rows, quarantined FROM atlas.publications WHERE name = 'things'"
        ((published, quarantined),) = reader.execute(publication).fetchall()
        assert published == rows
        assert quarantined <= 4 * silver_files + bronze_files


def check_gold(url: str, files: int) -> None:
    with psycopg.connect(url) as reader:
        assert reader.execute("SELECT * FROM gold.totals ORDER BY value").fetchall() == expected(files)


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


# How many of the four files are in bronze and in silver when the process is killed in that phase.
PHASES = [
    ("mid COPY of bronze", 2, 1),
    ("between bronze and silver", 4, 1),
    ("typed", 4, 1),
    ("merging", 4, 1),
    ("silver's staging is full", 4, 1),
    ("gold's staging is full", 4, 4),
]


def first_run(url: str, home: Path) -> None:
    """One file is published; three more have landed."""
    land(home / "landing", range(1))
    work(url, home)
    land(home / "landing", range(1, 4))


@pytest.mark.parametrize(("phase", "bronze_files", "silver_files"), PHASES)
def test_killed_in_the_middle(
    warehouse_url: str, tmp_path: Path, fork: StartFork, phase: str, bronze_files: int, silver_files: int
) -> None:
    first_run(warehouse_url, tmp_path)
    process = fork(work, warehouse_url, tmp_path, phase)
    assert process.said() == "reached"
    if phase == "mid COPY of bronze":
        with psycopg.connect(warehouse_url, autocommit=True) as watcher:
            statement = "SELECT tuples_processed FROM pg_stat_progress_copy WHERE relid = 'bronze.things'::regclass"
            until(lambda: (watcher.execute(statement).fetchone() or (0,))[0] > 0)
    check_whole(warehouse_url, bronze_files, silver_files)
    process.kill()
    check_whole(warehouse_url, bronze_files, silver_files)
    check_gold(warehouse_url, 1)
    work(warehouse_url, tmp_path)
    check_whole(warehouse_url, 4, 4)
    check_gold(warehouse_url, 4)
    with psycopg.connect(warehouse_url) as reader:
        assert reader.execute("SELECT FROM pg_class WHERE relnamespace = 'staging'::regnamespace").fetchall() == []


@pytest.mark.parametrize("waiting", ["DELETE FROM", "DROP TABLE"])
def test_killed_inside_the_publishing_transaction(
    warehouse_url: str, tmp_path: Path, fork: StartFork, waiting: str
) -> None:
    """Of a merge, which waits for whoever locks the table against writing; of a rebuild, which waits for readers."""
    first_run(warehouse_url, tmp_path)
    with psycopg.connect(warehouse_url) as reader, psycopg.connect(warehouse_url, autocommit=True) as watcher:
        if waiting == "DROP TABLE":
            watcher.execute("UPDATE atlas.publications SET definition = 'another' WHERE layer = 'silver'")
            reader.execute("SELECT count(*) FROM silver.things")
        else:
            reader.execute("LOCK TABLE silver.things IN SHARE MODE")
        process = fork(work, warehouse_url, tmp_path)
        waits = (
            "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted"
            f" AND l.relation = 'silver.things'::regclass AND a.query LIKE '{waiting}%'"
        )
        until(lambda: watcher.execute(waits).fetchone())
        process.kill()
    check_whole(warehouse_url, 4, 1)
    work(warehouse_url, tmp_path)
    check_whole(warehouse_url, 4, 4)
    check_gold(warehouse_url, 4)


def test_killed_while_a_gold_model_runs(warehouse_url: str, tmp_path: Path, fork: StartFork) -> None:
    first_run(warehouse_url, tmp_path)
    with psycopg.connect(warehouse_url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(4711)")
        process = fork(work, warehouse_url, tmp_path, "", LOCKING_MODEL)
        running = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE 'CREATE TABLE%'"
        until(lambda: holder.execute(running).fetchone())
        process.kill()
        check_gold(warehouse_url, 1)
    work(warehouse_url, tmp_path, model=LOCKING_MODEL)
    check_whole(warehouse_url, 4, 4)
    check_gold(warehouse_url, 4)


def test_two_processes_do_the_same_work_at_once(warehouse_url: str, tmp_path: Path, fork: StartFork) -> None:
    """Also the very first time, when neither finds a table."""
    land(tmp_path / "landing", range(3))
    for files in (3, 4):
        land(tmp_path / "landing", range(3, files))
        processes = [fork(work, warehouse_url, tmp_path) for _ in range(2)]
        assert [process.said() for process in processes] == ["done"] * 2
        check_whole(warehouse_url, files, files)
        check_gold(warehouse_url, files)


def test_one_is_killed_while_the_other_waits_for_it(warehouse_url: str, tmp_path: Path, fork: StartFork) -> None:
    first_run(warehouse_url, tmp_path)
    killed = fork(work, warehouse_url, tmp_path, "mid COPY of bronze")
    assert killed.said() == "reached"
    other = fork(work, warehouse_url, tmp_path)
    with psycopg.connect(warehouse_url, autocommit=True) as watcher:
        until(lambda: watcher.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone())
        killed.kill()
    assert other.said() == "done"
    check_whole(warehouse_url, 4, 4)
    check_gold(warehouse_url, 4)


# The server is killed too.


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with own_postgres() as server:
        prepare_embedded(server)
        yield server


def kill_server(server: EmbeddedPostgres) -> None:
    data = str((server.home / "postgres" / "data").resolve())

    def alive() -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"] == "postgres" and process.info["cwd"] == data
        ]

    assert alive()
    while processes := alive():
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=1)


@pytest.mark.parametrize(
    ("phase", "bronze_files", "silver_files", "at_once"),
    [(*PHASES[0], True), (*PHASES[2], True), (*PHASES[2], False), (*PHASES[4], True)],
)
def test_server_killed_in_the_middle(
    server: EmbeddedPostgres,
    tmp_path: Path,
    fork: StartFork,
    phase: str,
    bronze_files: int,
    silver_files: int,
    at_once: bool,
) -> None:
    """Together with the process that did the work, or alone."""
    server.start()
    name = f"w{secrets.token_hex(6)}"
    with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    url = server.url(name, OWNER)
    with connect(url) as connection:
        prepare_warehouse(connection)
    first_run(url, tmp_path)
    process = fork(work, url, tmp_path, phase)
    assert process.said() == "reached"
    with connect(server.url(name, SUPERUSER), autocommit=True) as connection:
        # Else files that were loaded just now may be lost with the server, as a whole: this waits for the disk.
        connection.execute("SELECT pg_current_xact_id()")
    if at_once:
        process.kill()
    kill_server(server)
    if not at_once:
        # It goes on, finds the server gone, and says so.
        errors = process.failed(60)
        assert f"WarehouseError: lost Postgres at {server.socket_dir}:5432/{name}" in errors
    server.start()
    check_whole(url, bronze_files, silver_files)
    work(url, tmp_path)
    check_whole(url, 4, 4)
    check_gold(url, 4)


def test_gold_after_a_failed_run_is_the_old_table(warehouse_url: str, tmp_path: Path) -> None:
    first_run(warehouse_url, tmp_path)
    with connect(warehouse_url) as connection:
        with pytest.raises(gold.ModelFailed, match=r'gold\.totals: column "nothing" does not exist'):
            build_gold(gold.GoldBuild(connection, "totals", "SELECT nothing FROM silver.things", "b"))
        assert gold.stage(gold.GoldBuild(connection, "totals", "SELECT 1 AS n", "b")).rows == 1, "and not published"
        bad = "SELECT note::int AS n FROM silver.things"
        with pytest.raises(gold.ModelFailed, match="refused a value") as caught:
            build_gold(gold.GoldBuild(connection, "totals", bad, "b"))
        assert NOTE not in str(caught.value)
        check_gold(warehouse_url, 1)
        percent = "SELECT value, '100% {} {x} %s; --' AS \"a %s {} ; col\" FROM silver.things LIMIT 1 -- end; "
        build_gold(gold.GoldBuild(connection, "totals", percent, "b"))
        assert connection.execute("SELECT * FROM gold.totals").fetchall() == [("v0", "100% {} {x} %s; --")]
