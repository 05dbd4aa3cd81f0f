"""What once went wrong with versions of files: equal files, kept snapshots, order, forgetting, damage."""

import os
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
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline_tests.integration.conftest import Feed

COLUMNS = (Column("id", "integer"), Column("state"))
KEYLESS = Dataset("orders", FileSource("orders/*.csv"), COLUMNS)
KEYED = replace(KEYLESS, key=("id",))
SNAPSHOT = replace(KEYED, intake=Intake(snapshot=True))
KEEP = replace(KEYED, intake=Intake(snapshot=True, keep_missing=True))


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[[Dataset], Feed]:
    """A dataset of the test's own."""
    return lambda dataset: Feed(warehouse, warehouse_url, tmp_path, dataset)


def rows(feed: Feed) -> list[tuple]:
    return sorted(feed.rows(columns=["id", "state"]))


def test_other_options_read_a_file_again_though_it_is_equal_to_itself(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYLESS, intake=Intake(skip_equal_files=True)))
    one.land("orders/1.csv", "id;state\n1;a,b\n2;c\n")
    one.load()
    one.dataset = replace(KEYED, intake=Intake(ReadOptions(CsvOptions(delimiter=";")), skip_equal_files=True))
    one.load()
    one.build()
    assert rows(one) == [(1, "a,b"), (2, "c")]


def test_a_file_that_becomes_equal_to_another_one_counts_no_longer(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYLESS, intake=Intake(skip_equal_files=True)))
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.land("orders/2.csv", "id,state\n2,wrong\n")
    one.run()
    one.land("orders/2.csv", "id,state\n1,a\n")
    one.run()
    assert rows(one) == [(1, "a")]


def test_a_file_that_was_passed_over_counts_once_the_other_one_changed(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYLESS, intake=Intake(skip_equal_files=True)))
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.land("orders/2.csv", "id,state\n1,a\n")
    one.run()
    one.land("orders/1.csv", "id,state\n7,zz\n")
    one.run()
    assert rows(one) == [(1, "a"), (7, "zz")]


def test_a_file_that_was_passed_over_counts_once_the_other_one_is_forgotten(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYLESS, intake=Intake(skip_equal_files=True)))
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.land("orders/2.csv", "id,state\n1,a\n")
    one.run()
    withdrawal.forget(one.connection, "orders", "1.csv", reason="", lock_seconds=1)
    one.run()
    assert rows(one) == [(1, "a")]


def test_kept_snapshots_are_not_compared_with_their_sum(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEEP)
    for n in range(1, 5):
        one.land(f"orders/{n}.csv", "id,state\n" + "".join(f"{i},s{n}\n" for i in range(10)))
        assert not one.load().refused


def test_a_kept_snapshot_that_was_misread_counts_no_longer(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEEP)
    one.land("orders/1.csv", "id;state\n1;a\n2;c\n")
    one.load()
    one.dataset = replace(
        KEEP, intake=Intake(snapshot=True, keep_missing=True, reading=ReadOptions(CsvOptions(delimiter=";")))
    )
    one.run()
    assert rows(one) == [(1, "a"), (2, "c")]


def test_damage_of_a_kept_snapshot_is_mended_by_a_reload(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEEP)
    one.land("orders/1.csv", "id,state\n1,a\n2,c\n")
    one.run()
    one.connection.execute("DELETE FROM bronze.orders WHERE id = '2'")
    one.connection.commit()
    one.outdate()
    withdrawal.reload(one.connection, one.dataset, one.settings, None)
    one.run()
    assert rows(one) == [(1, "a"), (2, "c")]


def test_a_file_counts_once_after_its_dataset_got_partitions(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYLESS)
    one.land("orders/2024-01-01.csv", "id,state\n1,a\n")
    one.run()
    one.dataset = replace(KEYLESS, source=FileSource("orders/{partition}.csv"))
    one.land("orders/2024-01-01.csv", "id,state\n1,b\n")
    one.run()
    assert rows(one) == [(1, "b")]


def test_a_file_that_was_to_be_read_again_is_forgotten(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.land("orders/2.csv", "id,state\n2,b\n")
    one.run()
    withdrawal.reload(one.connection, one.dataset, one.settings, "2.csv")
    withdrawal.forget(one.connection, "orders", "2.csv", reason="", lock_seconds=1)
    one.run()
    assert rows(one) == [(1, "a")]


def test_a_forgotten_file_that_is_only_touched_stays_forgotten(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n1,a\n")
    path = one.land("orders/2.csv", "id,state\n2,b\n")
    one.run()
    withdrawal.forget(one.connection, "orders", "2.csv", reason="", lock_seconds=1)
    os.utime(path)
    one.run()
    assert rows(one) == [(1, "a")]


def test_a_reload_keeps_the_order_in_which_rows_were_loaded(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n1,old\n2,old\n")
    one.run()
    one.land("orders/2.csv", "id,state\n1,new\n")
    one.run()
    assert rows(one) == [(1, "new"), (2, "old")]
    one.connection.execute("DELETE FROM bronze.orders WHERE id = '2'")
    one.connection.commit()
    one.outdate()
    with pytest.raises(BronzeDamaged):
        one.build()
    withdrawal.reload(one.connection, one.dataset, one.settings, "1.csv")
    one.run()
    assert rows(one) == [(1, "new"), (2, "old")]


def test_what_is_accepted_is_the_snapshot_that_was_refused(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    one.land("orders/1.csv", "id,state\n" + "".join(f"{i},a\n" for i in range(10)))
    one.run()
    one.land("orders/1.csv", "id,state\n" + "".join(f"{i},a\n" for i in range(4)))
    assert one.load().refused
    withdrawal.accept(one.connection, "orders", "1.csv")
    one.land("orders/1.csv", "id,state\n")
    assert one.load().refused


def test_of_two_snapshots_the_one_that_changed_last_is_the_state(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    a = one.land("orders/9.csv", "id,state\n1,old\n")
    os.utime(a, (1e9, 1e9))
    b = one.land("orders/10.csv", "id,state\n1,new\n")
    os.utime(b, (1.1e9, 1.1e9))
    one.run()
    assert rows(one) == [(1, "new")]


def test_other_options_do_not_bring_old_snapshots_back(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    one.land("orders/1.csv", "id,state\n1,a\n2,a\n")
    one.run()
    one.land("orders/2.csv", "id,state\n" + "".join(f"{i},a\n" for i in range(10)))
    one.run()
    one.dataset = replace(SNAPSHOT, intake=Intake(snapshot=True, reading=ReadOptions(CsvOptions(comment="#"))))
    assert not one.load().refused


def test_an_old_snapshot_that_is_touched_does_not_come_back(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    path = one.land("orders/1.csv", "id,state\n1,old\n2,a\n")
    one.run()
    one.land("orders/2.csv", "id,state\n1,new\n2,a\n")
    one.run()
    os.utime(path)
    one.run()
    assert (1, "new") in rows(one)


def test_the_snapshot_before_comes_back_when_the_newest_is_forgotten(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    one.land("orders/1.csv", "id,state\n1,old\n2,a\n")
    one.run()
    one.land("orders/2.csv", "id,state\n1,new\n2,a\n")
    one.run()
    withdrawal.forget(one.connection, "orders", "2.csv", reason="", lock_seconds=1)
    one.run()
    assert rows(one) == [(1, "old"), (2, "a")]


def test_damage_of_a_file_that_is_not_in_silver_yet_is_seen(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n1,old\n")
    one.run()
    one.land("orders/2.csv", "id,state\n2,old\n3,x\n")
    one.load()
    one.connection.execute("DELETE FROM bronze.orders WHERE id = '3'")
    one.connection.commit()
    with pytest.raises(BronzeDamaged):
        one.build()


def test_an_accepted_empty_snapshot_is_known(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.run()
    path = one.land("orders/1.csv", "id,state\n")
    one.load()
    withdrawal.accept(one.connection, "orders", "1.csv")
    one.run()
    os.utime(path)
    assert not one.load().refused


def test_an_empty_file_is_accepted_too(feed: Callable[[Dataset], Feed]) -> None:
    dataset = replace(SNAPSHOT, source=FileSource("orders/*.jsonl"))
    one = feed(dataset)
    one.land("orders/1.jsonl", '{"id":1,"state":"a"}\n')
    one.run()
    one.land("orders/1.jsonl", "")
    one.load()
    withdrawal.accept(one.connection, "orders", "1.jsonl")
    one.run()
    assert rows(one) == []


@pytest.mark.parametrize("content", ["id;state\n1;a,b\n", "id,state\n" + "\0\n" * 5])
def test_a_file_whose_lines_are_all_rejected_takes_no_rows_away(feed: Callable[[Dataset], Feed], content: str) -> None:
    one = feed(KEYED)
    one.land("orders/1.csv", "id,state\n" + "".join(f"{i},a\n" for i in range(10)))
    one.run()
    one.land("orders/1.csv", content)
    assert [file.rule for file in one.load().refused] == ["all_lines_rejected"]
    one.build()
    assert len(rows(one)) == 10


def test_a_file_without_a_declared_column_is_refused_and_names_nothing(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYED, intake=Intake(declared=frozenset(("id", "state")))))
    one.land("orders/1.csv", "id,state\n1,a\n")
    one.land("orders/2.csv", "7,ada.example@mail.example\n8,b.example@mail.example\n")
    [refused] = one.load().refused
    assert refused.rule == "no_declared_column"
    columns = one.connection.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'bronze.orders'::regclass")
    assert "example" not in str([refused.reason, *columns.fetchall()])
