"""Small files are loaded together, and what comes of each is what comes of it when it is loaded by itself."""

import gzip
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
import pytest

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.copying import FileResult
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.sources import SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.forks import StartFork, stop
from atlas_pipeline_tests.integration.conftest import Feed

pytestmark = pytest.mark.slow

COLUMNS = (Column("id", "integer"), Column("name"))
HEADER = b"id,name\n"


def parquet(number: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": [number], "name": ["p"]}), sink)
    return bytes(sink.getvalue().to_pybytes())


def rows(number: int, count: int = 3) -> bytes:
    return b"".join(b"%d,n%d\n" % (number * 100 + i, i) for i in range(count))


def wide(number: int) -> bytes:
    """More columns with more text than a row of Postgres holds."""
    return b"id,%b\n%d,%b\n" % (
        b",".join(b"c%d" % i for i in range(1400)),
        number,
        b",".join(b"%012d" % i for i in range(1400)),
    )


KINDS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "rows": ("csv", lambda n: HEADER + rows(n)),
    "equal": ("csv", lambda n: HEADER + rows(1)),
    "quoted": ("csv", lambda n: HEADER + b'%d,"a ""b"", c\nd"\n' % n),
    "another column": ("csv", lambda n: b"id,extra%d,name\n%d,x,y\n" % (n % 3, n)),
    "rejected lines": ("csv", lambda n: HEADER + b"%d,a,b,c\n" % n + rows(n) + b"%d\n" % n),
    "all rejected": ("csv", lambda n: HEADER + b"%d,a,b,c\n" % n),
    "empty": ("csv", lambda n: b""),
    "header only": ("csv", lambda n: HEADER),
    "nothing declared": ("csv", lambda n: b"a,b\n1,2\n"),
    "gzip": ("csv.gz", lambda n: gzip.compress(HEADER + rows(n))),
    "cut gzip": ("csv.gz", lambda n: gzip.compress(HEADER + rows(n, 200))[:-20]),
    "lines of JSON": ("jsonl", lambda n: b'{"id": %d, "name": "j"}\nnot json\n' % n),
    "parquet": ("parquet", parquet),
    "cut parquet": ("parquet", lambda n: parquet(n)[:-9]),
    "too wide": ("csv", wide),
    "large": ("csv.gz", lambda n: gzip.compress(HEADER + b"%d,%b\n" % (n, b"x" * 500) * 12_000)),
    "cannot be opened": ("csv", lambda n: HEADER + rows(n)),
}
COMMON = ("rows", "rows", "rows", "rows", "quoted", "another column", "rejected lines", "equal")


def land(home: Path, seed: int, count: int, start: int = 0) -> None:
    """Write files of all kinds, most of them well, named in another order than they are of kinds."""
    chosen = random.Random(seed)
    (home / "landing").mkdir(exist_ok=True)
    for number in range(start, start + count):
        kind = chosen.choice(COMMON) if chosen.random() < 0.8 else chosen.choice(list(KINDS))
        ending, content = KINDS[kind]
        (home / "landing" / f"{number:04} {kind}.{ending}").write_bytes(content(number))


@contextmanager
def unreadable() -> Iterator[BinaryIO]:
    raise PermissionError(13, "Permission denied")
    yield


def listed(dataset: Dataset, home: Path) -> list[SourceFile]:
    files = dataset.source.list(Settings(home=home))
    return [replace(f, open=unreadable) if "cannot be opened" in f.name else f for f in files]


def books(connection: psycopg.Connection, dataset: str) -> dict[str, list[tuple]]:
    """All that a load leaves, with the order of entries in place of their ids."""
    entry = "(SELECT count(*) FROM atlas.files o WHERE o.dataset = f.dataset AND o.file_id <= f.file_id)"
    statements = {
        "entries": "SELECT partition, uri, version, options, sha256, bytes, status, rule, reason, rows, rejected,"
        " columns, batch, superseded_by IS NULL, silver_at, (SELECT count(*) FROM atlas.files o"
        " WHERE o.dataset = f.dataset AND o.file_id <= coalesce(f.position, f.file_id))"
        " FROM atlas.files f WHERE dataset = %(d)s ORDER BY file_id",
        "in time": "SELECT uri FROM atlas.files WHERE dataset = %(d)s ORDER BY loaded_at, file_id",
        "rows": f"SELECT {entry}, to_jsonb(bronze_row) - '_atlas_file_id' FROM bronze.{dataset} bronze_row"
        " JOIN atlas.files f ON file_id = _atlas_file_id ORDER BY _atlas_file_id, _atlas_line",
        "columns": "SELECT attname FROM pg_attribute WHERE attrelid = %(t)s::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        "quarantine": f"SELECT {entry}, q.line, stage, q.rule, q.columns, q.reason, file FROM quarantine.{dataset} q"
        " JOIN atlas.files f USING (file_id) ORDER BY file_id, line",
        "rejected": f"SELECT {entry}, line, raw FROM atlas.rejected_lines r JOIN atlas.files f USING (file_id)"
        " WHERE f.dataset = %(d)s ORDER BY file_id, line",
    }
    found = {}
    for what, statement in statements.items():
        found[what] = connection.execute(statement, {"d": dataset, "t": f"bronze.{dataset}"}).fetchall()
    connection.commit()
    return found


def load(connection: psycopg.Connection, dataset: Dataset, files: list[SourceFile]) -> bronze.BronzeResult:
    return bronze.load(connection, dataset.name, files, run_id="run", intake=dataset.intake)


def one_by_one(connection: psycopg.Connection, dataset: Dataset, files: list[SourceFile]) -> list[FileResult]:
    """Load what is new of the files by a load for each, and say what came of them."""
    done = []
    for file in files:
        done += load(connection, dataset, [file]).files
    return done


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "any columns"])
def test_together_is_as_one_by_one(warehouse: psycopg.Connection, tmp_path: Path, seed: int, declared: bool) -> None:
    intake = Intake(declared=frozenset(column.name for column in COLUMNS) if declared else frozenset())
    together, alone = (Dataset(name, FileSource("*"), COLUMNS, intake=intake) for name in ("together", "alone"))
    land(tmp_path, seed, 110)
    for _ in range(2):
        files = listed(together, tmp_path)
        result = load(warehouse, together, files)
        assert result.files == one_by_one(warehouse, alone, files)
        assert books(warehouse, "together") == books(warehouse, "alone")
        # What is known, refused and counted is said in the order of the files, too.
        again = load(warehouse, together, files), load(warehouse, alone, files)
        assert replace(again[0], files=[]) == replace(again[1], files=[])
        assert {file.uri for file in result.refused} >= {file.uri for file in again[0].refused}
        # Some are corrected and others arrive between them, so that groups have gaps.
        for number in range(0, 110, 17):
            for path in (tmp_path / "landing").glob(f"{number:04} rows.*"):
                path.write_bytes(HEADER + rows(number, 5))
        land(tmp_path, seed + 100, 40, start=2000)
        (tmp_path / "landing" / "0000 between.csv").write_bytes(HEADER + rows(77))


def test_a_file_that_is_listed_twice_is_loaded_once(warehouse: psycopg.Connection, tmp_path: Path) -> None:
    dataset = Dataset("things", FileSource("*"), COLUMNS)
    land(tmp_path, 1, 3)
    files = listed(dataset, tmp_path)
    result = load(warehouse, dataset, [*files, *files])
    assert [file.status for file in result.files] == ["loaded"] * 3 + ["duplicate"] * 3


def test_equal_files_are_kept_or_skipped_as_the_dataset_says(make_feed: Any) -> None:
    for skip, loaded in ((False, 3), (True, 1)):
        name = f"things_{loaded}"
        feed: Feed = make_feed(COLUMNS, name=name, intake=Intake(skip_equal_files=skip))
        for number in range(3):
            feed.land(f"{number}.csv", HEADER + rows(1))
        assert len(feed.load().loaded) == loaded
        assert feed.query(f"SELECT count(*) FROM bronze.{name}") == [(3 * loaded,)]


def test_what_no_group_can_hold_is_raised_after_the_files_before_it(
    warehouse: psycopg.Connection, tmp_path: Path
) -> None:
    """An error that says nothing about the file stops the load, and what was loaded before it stays."""

    @contextmanager
    def broken() -> Iterator[BinaryIO]:
        raise ZeroDivisionError
        yield

    dataset = Dataset("things", FileSource("*"), COLUMNS)
    land(tmp_path, 3, 8)
    files = [f for f in listed(dataset, tmp_path) if "cannot" not in f.name]
    with pytest.raises(ZeroDivisionError):
        load(warehouse, dataset, [*files[:5], replace(files[5], open=broken), *files[6:]])
    warehouse.rollback()
    assert warehouse.execute("SELECT count(*) FROM atlas.files").fetchone() == (5,)
    load(warehouse, dataset, files)
    assert one_by_one(warehouse, replace(dataset, name="alone"), files)
    assert [row[1] for row in books(warehouse, "things")["entries"]] == [
        row[1] for row in books(warehouse, "alone")["entries"]
    ]


def work(url: str, home: Path, stop_after: int = -1) -> None:
    """Load what has landed; with `stop_after`, stop and wait to be killed when that many files were opened."""
    opened = 0

    @contextmanager
    def counted(file: SourceFile) -> Iterator[BinaryIO]:
        nonlocal opened
        if opened == stop_after:
            stop()
        opened += 1
        with file.open() as stream:
            yield stream

    dataset = Dataset("things", FileSource("*"), COLUMNS)
    files = [replace(f, open=lambda f=f: counted(f)) for f in dataset.source.list(Settings(home=home))]  # type: ignore[misc]
    with connect(url) as connection:
        load(connection, dataset, files)


@pytest.mark.parametrize(("stop_after", "there"), [(0, 0), (60, 0), (100, 100), (150, 100), (230, 200)])
def test_killed_between_groups_and_within_them(
    warehouse_url: str, tmp_path: Path, fork: StartFork, stop_after: int, there: int
) -> None:
    """Groups are there whole or not at all, and the next load brings each file once."""
    (tmp_path / "landing").mkdir()
    for number in range(250):
        bad = b"1,2,3\n" if number % 10 == 0 else b""
        (tmp_path / "landing" / f"{number:04}.csv").write_bytes(HEADER + rows(number) + bad)
    process = fork(work, warehouse_url, tmp_path, stop_after)
    assert process.said() == "reached"
    process.kill()

    def counts() -> tuple[int, ...]:
        with psycopg.connect(warehouse_url) as reader:
            row = reader.execute(
                "SELECT (SELECT count(*) FROM atlas.files),"
                " (SELECT count(DISTINCT _atlas_row_hash) FROM bronze.things), (SELECT count(*) FROM bronze.things),"
                " (SELECT count(*) FROM quarantine.things), (SELECT count(*) FROM atlas.rejected_lines)"
            ).fetchone()
        assert row is not None
        return tuple(row)

    assert counts() == (there, there * 3, there * 3, there // 10, there // 10)
    work(warehouse_url, tmp_path)
    assert counts() == (250, 750, 750, 25, 25)
