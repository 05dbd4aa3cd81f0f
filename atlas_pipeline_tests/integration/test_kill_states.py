"""A run that is killed in any of its stages leaves snapshots, history and deleted keys as they were."""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.ingest import bronze, withdrawal
from atlas_pipeline.ingest.dataset import MISSING_SINCE, Column, Dataset, Tombstone
from atlas_pipeline.ingest.history import inconsistent
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.silver import SilverBuild, build_silver
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.forks import StartFork
from atlas_pipeline_tests.integration.test_kill import Stalling, stop_at, until

pytestmark = pytest.mark.slow

COLUMNS = (Column("id", "integer"), Column("state"), Column("note"), Column("op"))
DEAD = Tombstone("(\"op\" = 'D')", ("op",))
UPSERT = Dataset("states", FileSource("*.csv"), COLUMNS, key=("id",), deleted_by=DEAD, history=True)
MODES = {
    "snapshot": replace(UPSERT, intake=Intake(snapshot=True)),
    "flag": replace(UPSERT, intake=Intake(snapshot=True, keep_missing=True, flag_missing=True)),
    "upsert": UPSERT,
}
ROWS, STATES = 6_000, 3


def work(url: str, home: Path, mode: str, phase: str = "") -> None:
    """Load and build what has landed, of which the second of three states stalls in bronze; stop at `phase`."""
    reached = stop_at(phase)

    def progress(message: str) -> None:
        for phase in ("typed", "merging history", "merging"):
            if phase in message:
                reached(phase)
                break

    def verify(*_: object) -> list[Outcome]:
        reached("staging is full")
        return []

    dataset, settings = MODES[mode], Settings(home=home)
    with connect(url) as connection:
        files = dataset.source.list(settings)
        files = [replace(f, open=partial(Stalling, f, reached)) if f.name == "1.csv" else f for f in files]
        bronze.load(connection, "states", files, run_id="b", intake=dataset.intake)
        reached("between bronze and silver")
        build_silver(SilverBuild(connection, url, dataset, "b", load_keys(settings), progress=progress), verify)


def state(number: int) -> dict[int, tuple[str, str]]:
    """What the rows of a state are, by id: some are new, some gone, some others, and some say that they are deleted."""
    dice = random.Random(number)
    ids = range(number * 500, number * 500 + ROWS)
    return {i: (f"v{number if i % 7 == 0 else 0}", "D" if number and dice.random() < 0.02 else "") for i in ids}


def expected(mode: str, states: int) -> dict[int, str]:
    """What silver must hold after so many states."""
    found: dict[int, str] = {}
    for number in range(states):
        rows = state(number)
        found = {} if mode == "snapshot" else found
        found |= {i: value for i, (value, op) in rows.items() if not op}
        found = {i: value for i, value in found.items() if not (i in rows and rows[i][1])}
    return found


def land(home: Path, numbers: range) -> None:
    (home / "landing").mkdir(exist_ok=True)
    for number in numbers:
        lines = [f"{i},{value},{'n' * 800},{op}\n" for i, (value, op) in state(number).items()]
        (home / "landing" / f"{number}.csv").write_text("id,state,note,op\n" + "".join(lines))


def everything(url: str) -> list[list[tuple]]:
    """What readers see, what is remembered, and what the books say of it."""
    with psycopg.connect(url) as reader:
        statements = [
            "SELECT * FROM silver.states ORDER BY id",
            "SELECT * FROM silver.states_history ORDER BY id, valid_from",
            "SELECT * FROM bronze.states__deleted ORDER BY id",
            "SELECT name, rows FROM atlas.publications ORDER BY name",
            "SELECT file_id FROM atlas.files WHERE silver_at IS NOT NULL ORDER BY file_id",
            "SELECT file_id FROM atlas.files WHERE history_at IS NOT NULL ORDER BY file_id",
        ]
        return [reader.execute(statement).fetchall() for statement in statements]


def check_done(url: str, home: Path, mode: str) -> None:
    """All is there, agrees with itself, and building it anew from bronze changes nothing."""
    done = everything(url)
    assert {row[0]: row[1] for row in done[0]} == expected(mode, STATES)
    counts = [("states", len(done[0])), ("states_history", len(done[1]))]
    assert done[3] == counts
    with psycopg.connect(url) as reader:
        missing = MISSING_SINCE if mode == "flag" else None
        assert inconsistent(reader, MODES[mode], missing) == (len(done[1]), 0)
        assert reader.execute("SELECT FROM pg_class WHERE relnamespace = 'staging'::regnamespace").fetchall() == []
        reader.execute("UPDATE atlas.publications SET definition = 'another'")
    work(url, home, mode)
    assert everything(url) == done


PHASES = ["mid COPY of bronze", "between bronze and silver", "typed", "merging", "merging history", "staging is full"]


@pytest.mark.parametrize(
    ("mode", "phase"),
    [("snapshot", phase) for phase in PHASES] + [(m, p) for m in ("flag", "upsert") for p in PHASES[-2:]],
)
def test_killed_in_the_middle(warehouse_url: str, tmp_path: Path, fork: StartFork, mode: str, phase: str) -> None:
    land(tmp_path, range(1))
    work(warehouse_url, tmp_path, mode)
    before = everything(warehouse_url)
    land(tmp_path, range(STATES))
    process = fork(work, warehouse_url, tmp_path, mode, phase)
    assert process.said() == "reached"
    process.kill()
    assert everything(warehouse_url) == before
    work(warehouse_url, tmp_path, mode)
    check_done(warehouse_url, tmp_path, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("locked", ["silver.states_history", "atlas.column_plans"])
def test_killed_inside_the_publishing_transaction(
    warehouse_url: str, tmp_path: Path, fork: StartFork, mode: str, locked: str
) -> None:
    """Before the versions are merged, and when they are already."""
    land(tmp_path, range(1))
    work(warehouse_url, tmp_path, mode)
    before = everything(warehouse_url)
    land(tmp_path, range(STATES))
    with psycopg.connect(warehouse_url) as holder, psycopg.connect(warehouse_url, autocommit=True) as watcher:
        holder.execute(f"LOCK TABLE {locked} IN SHARE MODE")
        process = fork(work, warehouse_url, tmp_path, mode, "never")
        waits = f"SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{locked}'::regclass"
        until(lambda: watcher.execute(waits).fetchone())
        process.kill()
    assert everything(warehouse_url) == before
    work(warehouse_url, tmp_path, mode)
    check_done(warehouse_url, tmp_path, mode)


@pytest.mark.parametrize("mode", MODES)
def test_killed_while_a_file_is_taken_out_of_history(
    warehouse_url: str, tmp_path: Path, fork: StartFork, mode: str
) -> None:
    for number in range(STATES):
        land(tmp_path, range(number + 1))
        work(warehouse_url, tmp_path, mode)
    before = everything(warehouse_url)
    with connect(warehouse_url) as connection:
        withdrawal.forget(connection, "states", "1.csv", reason="", lock_seconds=1)
    process = fork(work, warehouse_url, tmp_path, mode, "staging is full")
    assert process.said() == "reached"
    process.kill()
    assert everything(warehouse_url) == before
    work(warehouse_url, tmp_path, mode)
    with psycopg.connect(warehouse_url) as reader:
        left = "SELECT count(*) FROM silver.states_history h JOIN atlas.files f ON f.file_id = h._atlas_file_id"
        assert reader.execute(f"{left} WHERE f.uri LIKE '%/1.csv'").fetchone() == (0,)
        missing = MISSING_SINCE if mode == "flag" else None
        assert inconsistent(reader, MODES[mode], missing)[1] == 0
