"""kill -9 between extraction and load, and within either: a cursor source neither loses nor doubles a row.

The work is done by a process of its own that says when it has reached the phase, and waits there to be killed.
"""

import os
import sqlite3
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.connectors import Cursor, FileCursor, Filesystem, SqlDatabase, parquet
from atlas_pipeline.ingest.connectors.extracting import extract
from atlas_pipeline.ingest.connectors.source import ExtractedSource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse import connectors
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.forks import StartFork, stop

pytestmark = pytest.mark.slow

SOURCES = {
    "table": SqlDatabase("SHOP_DATABASE_URL", "things", cursor=Cursor("n")),
    "files": Filesystem("in/*.csv", cursor=FileCursor("modified")),
}
ROWS = 50_000


def stop_if(wanted: str, phase: str) -> None:
    """Say that the phase is reached, and wait to be killed, if it is the wanted one."""
    if wanted == phase:
        stop()


def work(url: str, kind: str, wanted: str = "") -> None:
    """Extract what is new, and load it."""
    settings, source = load_settings(), ExtractedSource("things", SOURCES[kind], whole=False)
    finish, move = parquet.ExtractFile.finish, connectors.move

    def finished(self: parquet.ExtractFile, said: dict[str, object]) -> int:
        stop_if(wanted, "before the file is whole")
        return finish(self, said)

    def moved(*arguments: object) -> None:
        stop_if(wanted, "rows are copied, the cursor is not moved")
        move(*arguments)  # type: ignore[arg-type]
        stop_if(wanted, "the cursor is moved, nothing is committed")

    parquet.ExtractFile.finish, connectors.move = finished, moved  # type: ignore[method-assign, assignment]
    with connect(url) as connection:
        extract(connection, source, settings, key=(), progress=lambda _: stop_if(wanted, "amid the rows"))
        stop_if(wanted, "between extraction and load")
        bronze.load(connection, "things", source.list(settings), run_id="r")


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    "phase",
    [
        "amid the rows",
        "before the file is whole",
        "between extraction and load",
        "rows are copied, the cursor is not moved",
        "the cursor is moved, nothing is committed",
    ],
)
def test_nothing_is_lost_or_doubled(
    phase: str,
    kind: str,
    atlas_env: Path,
    warehouse_url: str,
    tmp_path: Path,
    fork: StartFork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    shop = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    shop.execute("CREATE TABLE things (n integer, name text)")

    def insert(first: int, rows: int = ROWS) -> None:
        shop.execute("BEGIN")
        shop.executemany("INSERT INTO things VALUES (?, 'x')", ((n,) for n in range(first, first + rows)))
        shop.execute("COMMIT")
        file = atlas_env / "landing" / "in" / f"{first}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text("n,name\n" + "".join(f"{n},x\n" for n in range(first, first + rows)))
        changed = min(first, ROWS)  # the one that comes late is of the very moment of the one before
        os.utime(file, (changed, changed))

    def loaded() -> tuple[int, int, int]:
        with psycopg.connect(warehouse_url) as reader:
            row = reader.execute("SELECT count(*), count(DISTINCT n), coalesce(max(n::int), -1) FROM bronze.things")
            return row.fetchone()  # type: ignore[return-value]

    insert(0)
    work(warehouse_url, kind)
    assert loaded() == (ROWS, ROWS, ROWS - 1)
    insert(ROWS)
    process = fork(work, warehouse_url, kind, phase)
    assert process.said() == "reached"
    process.kill()
    assert loaded() == (ROWS, ROWS, ROWS - 1)
    # What comes meanwhile, with the very value that the lost extract ended at, is not lost either.
    insert(2 * ROWS, 1)
    work(warehouse_url, kind)
    assert loaded() == (2 * ROWS + 1, 2 * ROWS + 1, 2 * ROWS)
    work(warehouse_url, kind)
    assert loaded() == (2 * ROWS + 1, 2 * ROWS + 1, 2 * ROWS)
    assert not list((atlas_env / "landing" / ".extracts" / "things").glob("*.part"))
