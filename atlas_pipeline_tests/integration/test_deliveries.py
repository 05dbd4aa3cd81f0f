"""Several files that are one state: which belong together, what is guarded, and where their rows come from."""

import gzip
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from dagster.components.core.component_tree import ComponentTreeException

from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.warehouse import ledger

COLUMNS = {"id": "integer", "name": "text"}
STATES = Intake(snapshot=True)


@pytest.fixture
def stock(make_feed: Any) -> Callable[..., Any]:
    """A dataset whose files are states together."""

    def make(pattern: str, together: Any = "file") -> Any:
        return make_feed(COLUMNS, key=("id",), source=FileSource(pattern, together), intake=STATES)

    return make


def rules(feed: Any) -> list[tuple[str, str | None]]:
    return [(status, rule) for _, status, rule in feed.ledger()]


def test_the_files_of_a_folder_are_one_state(stock: Any) -> None:
    feed = stock("stock/*/*", "folder")
    feed.land("stock/2026-01-01/a.csv", "id,name\n1,a\n2,b\n")
    feed.land("stock/2026-01-01/b.jsonl", '{"id": 3, "name": "c"}\n')
    feed.run()
    assert feed.rows() == [(1, "a"), (2, "b"), (3, "c")]
    assert [uri for uri, _, _ in feed.ledger()] == ["stock/2026-01-01/"]
    feed.land("stock/2026-01-02/a.csv.gz", gzip.compress(b"id,name\n1,A\n"))
    feed.land("stock/2026-01-02/b.csv", "id,name\n3,C\n")
    feed.run()
    assert feed.rows() == [(1, "A"), (3, "C")]
    feed.land("stock/2026-01-02/c.csv", "name,id\nD,4\n")
    feed.run()
    assert feed.rows() == [(1, "A"), (3, "C"), (4, "D")]
    assert len(feed.load().known) == 2


def test_those_with_one_delivery_in_their_names_are_one_state(stock: Any) -> None:
    feed = stock("in/{delivery}/stock_{delivery}_part*.csv")
    for day, value in (("0102", "old"), ("0103", "new")):
        feed.land(f"in/{day}/stock_{day}_part1.csv", f"id,name\n1,{value}\n")
        feed.land(f"in/{day}/stock_{day}_part2.csv", f"id,name\n2,{value}\n")
    feed.land("in/0103/stock_0102_part9.csv", "id,name\n9,neither\n")
    feed.run()
    assert feed.rows() == [(1, "new"), (2, "new")]
    assert sorted(uri.rpartition("/")[2] for uri, _, _ in feed.ledger()) == [
        "stock_0102_part*.csv",
        "stock_0103_part*.csv",
    ]


def test_all_files_are_one_state_and_those_of_a_partition_are(stock: Any) -> None:
    feed = stock("all/*.csv", "all")
    feed.land("all/a.csv", "id,name\n1,a\n")
    feed.land("all/b.csv", "id,name\n2,b\n")
    feed.run()
    assert feed.rows() == [(1, "a"), (2, "b")]
    source = FileSource("days/{partition}/part*.csv", "all")
    for day in ("2026-01-01", "2026-01-02"):
        feed.land(f"days/{day}/part1.csv", "id\n1\n")
        feed.land(f"days/{day}/part2.csv", "id\n1\n")
    listed = source.list(feed.settings)
    assert [(file.uri, file.partition) for file in listed] == [
        (f"{feed.settings.landing_path}/days/{day}/part*.csv", day) for day in ("2026-01-01", "2026-01-02")
    ]
    assert [file.partition for file in source.list(feed.settings, "2026-01-02")] == ["2026-01-02"]


def test_a_delivery_that_lacks_files_waits_for_them(stock: Any) -> None:
    feed = stock("in/*/*.csv", "folder")
    for number in (1, 2, 3):
        feed.land(f"in/1/{number}.csv", f"id,name\n{number},old\n")
    feed.run()
    for number in (1, 2):
        feed.land(f"in/2/{number}.csv", f"id,name\n{number},new\n")
    feed.run()
    assert rules(feed)[-1] == ("refused", "delivery_incomplete")
    assert {name for _, name in feed.rows()} == {"old"}
    feed.land("in/2/3.csv", "id,name\n3,new\n")
    feed.run()
    assert {name for _, name in feed.rows()} == {"new"}
    feed.land("in/3/1.csv", "id,name\n1,less\n2,less\n")
    feed.run()
    assert rules(feed)[-1] == ("refused", "delivery_incomplete")
    [refused] = [file.uri for file in ledger.file_states(feed.connection, "things") if file.status == "refused"]
    ledger.accept(feed.connection, "things", refused)
    feed.run()
    assert feed.rows() == [(1, "less"), (2, "less")]


def test_lines_go_on_from_file_to_file_and_bad_ones_are_named(stock: Any) -> None:
    feed = stock("in/*/*.csv", "folder")
    feed.land("in/1/a.csv", "id,name\n1,a\n2\n3,c\n")
    feed.land("in/1/b.csv", "id,name\n4,d\n5\n6,f\n")
    feed.run()
    lines = feed.connection.execute("SELECT _atlas_line, id FROM bronze.things ORDER BY 1").fetchall()
    assert [id for _, id in lines] == ["1", "3", "4", "6"]
    assert len({line for line, _ in lines}) == 4
    reasons = feed.connection.execute("SELECT reason FROM quarantine.things ORDER BY line").fetchall()
    assert [reason.partition(":")[0] for (reason,) in reasons] == ["a.csv, line 3", "b.csv, line 3"]


def test_a_file_that_cannot_be_read_keeps_its_delivery_out(stock: Any) -> None:
    feed = stock("in/*/*", "folder")
    feed.land("in/1/a.csv", "id,name\n1,a\n")
    feed.land("in/1/b.parquet", b"PAR1 no more")
    result = feed.load()
    assert [(one.rule, str(one.reason).partition(":")[0]) for one in result.refused] == [("corrupt", "b.parquet")]
    assert rules(feed) == [("refused", "corrupt")]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ("source: 'a/*.csv', snapshot_files: folder", "declare `mode: snapshot`"),
        ("source: 'a_{delivery}_*.csv', key: id", "declare `mode: snapshot`"),
        ("source: 'a_{delivery}.csv', snapshot_files: all, mode: snapshot", "choose one"),
        ("source: {database: A_DATABASE_URL, table: a.b}, snapshot_files: all", "for a `source` of files"),
        ("source: {filesystem: {files: '{delivery}.csv'}}", "a connector has one state"),
    ],
)
def test_declarations_that_cannot_be(attributes: str, words: str, load_files: Any) -> None:
    text = f"type: atlas_pipeline.components.Dataset\nattributes: {{{attributes}, columns: [{{name: id}}]}}\n"
    with pytest.raises(ComponentTreeException) as found:
        load_files({"things/defs.yaml": text})
    assert words in str(found.value.__cause__)


def test_parts_that_are_declared_are_not_warned_of(load_files: Any, land: Any, warehouse: psycopg.Connection) -> None:
    text = (
        "type: atlas_pipeline.components.Dataset\nattributes:\n  source: 'd_{delivery}_*.csv'\n  mode: snapshot\n"
        "  columns: [{name: id, pii: none}]\n"
    )
    job = load_files({"things/defs.yaml": text}).resolve_implicit_global_asset_job_def()
    land("d_1_a.csv", "id\n1\n")
    land("d_1_b.csv", "id\n2\n")
    checks = {one.check_name for one in job.execute_in_process().get_asset_check_evaluations()}
    assert "files_readable" in checks
    assert "one_file_one_snapshot" not in checks
    assert warehouse.execute("SELECT id FROM silver.things ORDER BY 1").fetchall() == [("1",), ("2",)]
