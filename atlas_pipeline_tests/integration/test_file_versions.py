"""What "loaded" means: versions of a file, snapshots, files taken back, and damage of bronze."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.damage import BronzeDamaged
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.readers.csv_options import CsvOptions
from atlas_pipeline.ingest.readers.options import ReadOptions
from atlas_pipeline.ingest.silver import SchemaDrift
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline_tests.integration.conftest import Feed

COLUMNS = (Column("id", "integer"), Column("state"))
KEYLESS = Dataset("orders", FileSource("orders/*.csv"), COLUMNS)
KEYED = replace(KEYLESS, key=("id",))
SNAPSHOT = replace(KEYED, intake=Intake(snapshot=True))


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[[Dataset], Feed]:
    """A dataset of the test's own."""
    return lambda dataset: Feed(warehouse, warehouse_url, tmp_path, dataset)


def rows(feed: Feed) -> list[tuple]:
    return sorted(feed.rows(columns=[column.name for column in feed.dataset.columns]))


@pytest.mark.parametrize("dataset", [KEYLESS, KEYED, SNAPSHOT], ids=["append", "upsert", "snapshot"])
def test_a_file_that_goes_back_to_what_it_was_is_what_it_is_now(
    feed: Callable[[Dataset], Feed], dataset: Dataset
) -> None:
    one = feed(dataset)
    for state in ("open", "closed", "open"):
        one.land("orders/a.csv", f"id,state\n1,{state}\n")
        one.run()
        assert rows(one) == [(1, state)]


def test_equal_files_of_two_days_both_count(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYLESS)
    one.land("orders/1.csv", "id,state\n1,tea\n")
    one.land("orders/2.csv", "id,state\n1,tea\n")
    one.land("orders/3.csv", "id,state\n2,cup\n")
    one.run()
    assert rows(one) == [(1, "tea"), (1, "tea"), (2, "cup")]


def test_equal_files_may_be_passed_over_and_are_named(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYLESS, intake=Intake(skip_equal_files=True)))
    one.land("orders/1.csv", "id,state\n1,tea\n")
    again = one.land("orders/2.csv", "id,state\n1,tea\n")
    loaded = one.load()
    assert loaded.equal == [str(again)]
    one.build()
    assert rows(one) == [(1, "tea")]


def test_what_is_known_is_named(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYLESS)
    path = one.land("orders/1.csv", "id,state\n1,tea\n")
    one.run()
    assert one.load().known == [str(path)]


def test_a_corrected_file_takes_the_place_of_the_one_that_failed(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n1,open\n")
    one.run()
    one.land("orders/2.csv", "id\n2\n")
    one.load()
    with pytest.raises(SchemaDrift, match="atlas files forget"):
        one.build()
    one.land("orders/2.csv", "id,state\n2,open\n")
    one.run()
    assert rows(one) == [(1, "open"), (2, "open")]


def test_other_reading_options_read_the_file_again(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id;state\n1;a,b\n2;c\n")
    one.load()
    one.dataset = replace(KEYED, intake=Intake(ReadOptions(CsvOptions(delimiter=";"))))
    one.run()
    assert rows(one) == [(1, "a,b"), (2, "c")]
    assert one.load().known


def test_a_keyless_snapshot_is_its_newest_load(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYLESS, intake=Intake(snapshot=True)))
    one.land("orders/1.csv", "id,state\n1,a\n2,b\n")
    one.run()
    one.land("orders/1.csv", "id,state\n1,a\n2,b\n3,c\n")
    result = one.run()
    assert rows(one) == [(1, "a"), (2, "b"), (3, "c")]
    assert result.audited.rows.unaccounted == 0


def test_rows_that_a_snapshot_lacks_are_deleted_or_kept(feed: Callable[[Dataset], Feed]) -> None:
    for keep, expected in ((False, [(2, "b"), (3, "c")]), (True, [(1, "a"), (2, "b"), (3, "c")])):
        name = "kept" if keep else "deleted"
        dataset = replace(
            SNAPSHOT, name=name, source=FileSource(f"{name}/*.csv"), intake=Intake(snapshot=True, keep_missing=keep)
        )
        one = feed(dataset)
        one.land(f"{name}/1.csv", "id,state\n1,a\n2,b\n")
        one.run()
        one.land(f"{name}/2.csv", "id,state\n2,b\n3,c\n")
        one.run()
        assert rows(one) == expected


def test_a_snapshot_that_shrank_is_refused_until_it_is_accepted(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    one.land("orders/1.csv", "id,state\n" + "".join(f"{i},a\n" for i in range(10)))
    one.run()
    one.land("orders/2.csv", "id,state\n1,b\n2,b\n")
    [refused] = one.load().refused
    assert (refused.rule, "had 10" in (refused.reason or "")) == ("snapshot_shrank", True)
    one.build()
    assert len(rows(one)) == 10
    assert [file.rule for file in one.load().refused] == ["snapshot_shrank"], "it is remembered, and still said"
    withdrawal.accept(one.connection, "orders", "2.csv")
    one.run()
    assert rows(one) == [(1, "b"), (2, "b")]


def test_an_empty_snapshot_is_refused_until_it_is_accepted(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.run()
    one.land("orders/1.csv", "id,state\n")
    assert [file.rule for file in one.load().refused] == ["header_only"]
    withdrawal.accept(one.connection, "orders", "1.csv")
    one.run()
    assert rows(one) == []


def test_a_file_is_taken_back_and_comes_again(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n1,a\n2,a\n")
    one.run()
    one.land("orders/2.csv", 'id,state\n2,b\n3,"b\nx"y,z\n')
    one.run()
    assert rows(one)[:2] == [(1, "a"), (2, "b")]
    planned = withdrawal.forget(one.connection, "orders", "2.csv", reason="", lock_seconds=1, dry_run=True)
    assert planned.in_silver
    assert rows(one)[1] == (2, "b")
    withdrawal.forget(one.connection, "orders", "2.csv", reason="sent by mistake", lock_seconds=1)
    one.run()
    assert rows(one) == [(1, "a"), (2, "a")], "the row that gave way is back, and the file is not loaded again"
    [left] = one.connection.execute("SELECT count(*) FROM quarantine.orders").fetchone() or ()
    assert left == 0
    [said] = (
        one.connection.execute(
            "SELECT reason FROM atlas.files WHERE status = 'forgotten' ORDER BY file_id DESC"
        ).fetchone()
        or ()
    )
    assert said.endswith("sent by mistake")
    withdrawal.reload(one.connection, one.dataset, one.settings, "2.csv")
    one.run()
    assert rows(one)[1] == (2, "b")


@pytest.mark.parametrize("damage", ["DELETE FROM bronze.orders WHERE id = '2'", "DROP TABLE bronze.orders"])
def test_damage_of_bronze_is_seen_before_it_is_published(feed: Callable[[Dataset], Feed], damage: str) -> None:
    one = feed(KEYED)
    path = one.land("orders/1.csv", "id,state\n1,a\n2,a\n")
    one.run()
    one.connection.execute(damage)
    one.connection.commit()
    one.outdate()
    with pytest.raises(BronzeDamaged, match=r"atlas files reload orders") as caught:
        one.build()
    assert str(path) in str(caught.value)
    assert rows(one) == [(1, "a"), (2, "a")]
    withdrawal.reload(one.connection, one.dataset, one.settings, None)
    one.run()
    assert rows(one) == [(1, "a"), (2, "a")]


def test_a_dropped_table_is_not_made_anew_in_silence(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.run()
    one.connection.execute("DROP TABLE bronze.orders")
    one.connection.commit()
    with pytest.raises(BronzeDamaged, match=r"bronze\.orders is gone"):
        one.load()


def test_a_ledger_of_before_keeps_silver_as_it_is(feed: Callable[[Dataset], Feed]) -> None:
    """Two versions of a file that were both loaded, as they were before versions superseded each other."""
    one = feed(KEYLESS)
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.run()
    one.land("orders/1.csv", "id,state\n2,b\n")
    one.run()
    one.connection.execute("UPDATE atlas.files SET superseded_by = NULL, superseded_at = NULL, options = NULL")
    one.outdate()
    one.run()
    assert rows(one) == [(1, "a"), (2, "b")]
    one.land("orders/1.csv", "id,state\n3,c\n")
    one.run()
    assert rows(one) == [(3, "c")]
