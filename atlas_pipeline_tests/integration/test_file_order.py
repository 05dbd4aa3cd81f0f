"""The order of files: a corrected file stays where it was, and what a snapshot replaces stays replaced."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline_tests.integration.conftest import Feed

COLUMNS = (Column("id", "integer"), Column("state"))
KEYED = Dataset("orders", FileSource("orders/*.csv"), COLUMNS, key=("id",))
SNAPSHOT = replace(KEYED, intake=Intake(snapshot=True))
KEEP = replace(KEYED, intake=Intake(snapshot=True, keep_missing=True))


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[[Dataset], Feed]:
    """A dataset of the test's own."""
    return lambda dataset: Feed(warehouse, warehouse_url, tmp_path, dataset)


def rows(feed: Feed) -> list[tuple]:
    return sorted(feed.rows(columns=["id", "state"]))


def send(feed: Feed, name: str, *lines: str) -> Path:
    """Land a file and run."""
    path = feed.land(f"orders/{name}.csv", "\n".join(["id,state", *lines, ""]))
    feed.run()
    return path


@pytest.mark.parametrize("dataset", [KEYED, KEEP], ids=["upsert", "keep"])
def test_a_corrected_older_file_does_not_become_the_newest(feed: Callable[[Dataset], Feed], dataset: Dataset) -> None:
    one = feed(dataset)
    send(one, "1", "1,monday", "2,monday")
    send(one, "2", "1,tuesday")
    send(one, "1", "1,corrected", "2,corrected", "3,added")
    assert rows(one) == [(1, "tuesday"), (2, "corrected"), (3, "added")]
    one.outdate()
    one.build()
    assert rows(one) == [(1, "tuesday"), (2, "corrected"), (3, "added")]


def test_a_file_that_was_refused_stays_where_it_first_arrived(feed: Callable[[Dataset], Feed]) -> None:
    """Its rows are merged into what is published, and do not win there either."""
    one = feed(KEYED)
    one.land("orders/1.csv", "id,id\n1,monday\n")
    assert one.load().refused
    send(one, "2", "1,tuesday")
    send(one, "1", "1,monday", "2,monday")
    assert rows(one) == [(1, "tuesday"), (2, "monday")]


def test_latest_by_comes_before_the_order_of_files(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(KEYED, columns=(Column("id", "integer"), Column("state", "integer")), latest_by="state"))
    send(one, "1", "1,5")
    send(one, "2", "1,7")
    send(one, "1", "1,9")
    assert rows(one) == [(1, 9)]


def test_a_corrected_older_snapshot_does_not_become_the_state(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    send(one, "1", "1,a", "2,a")
    send(one, "2", "1,b", "2,b")
    one.land("orders/1.csv", "id,state\n1,corrected\n2,corrected\n")
    [corrected] = one.load().loaded
    one.build()
    assert "stays the state" in (corrected.reason or "")
    assert rows(one) == [(1, "b"), (2, "b")]
    send(one, "2", "1,c", "2,c")
    assert rows(one) == [(1, "c"), (2, "c")], "the newest one, sent again, is the next state"
    withdrawal.forget(one.connection, "orders", "2.csv", reason="", lock_seconds=1)
    one.run()
    assert rows(one) == [(1, "corrected"), (2, "corrected")]


def test_a_snapshot_from_the_middle_is_forgotten_without_bringing_older_ones_back(
    feed: Callable[[Dataset], Feed],
) -> None:
    one = feed(SNAPSHOT)
    for name in ("1", "2", "3"):
        send(one, name, f"1,{name}", f"{name}0,x")
    withdrawal.forget(one.connection, "orders", "2.csv", reason="", lock_seconds=1)
    one.run()
    assert rows(one) == [(1, "3"), (30, "x")]
    withdrawal.forget(one.connection, "orders", "3.csv", reason="", lock_seconds=1)
    one.run()
    assert rows(one) == [(1, "1"), (10, "x")]
    withdrawal.reload(one.connection, one.dataset, one.settings, "2.csv")
    one.run()
    assert rows(one) == [(1, "2"), (20, "x")]
    withdrawal.reload(one.connection, one.dataset, one.settings, "3.csv")
    one.run()
    assert rows(one) == [(1, "3"), (30, "x")]


def test_a_reloaded_older_snapshot_does_not_become_the_state(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    for name in ("1", "2"):
        send(one, name, f"1,{name}")
    withdrawal.forget(one.connection, "orders", "1.csv", reason="", lock_seconds=1)
    one.run()
    withdrawal.reload(one.connection, one.dataset, one.settings, "1.csv")
    one.run()
    assert rows(one) == [(1, "2")]


def test_a_refused_snapshot_is_not_named_after_a_newer_one_was_loaded(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    send(one, "1", *(f"{i},a" for i in range(10)))
    send(one, "2", "1,b")
    assert [file.rule for file in one.load().refused] == ["snapshot_shrank"]
    send(one, "3", *(f"{i},c" for i in range(9)))
    result = one.load()
    assert (result.refused, len(result.known)) == ([], 3)


def test_what_is_refused_and_followed_in_one_load_is_not_named(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    send(one, "1", *(f"{i},a" for i in range(10)))
    os.utime(one.land("orders/2.csv", "id,state\n1,b\n"), (2e9, 2e9))
    os.utime(one.land("orders/3.csv", "id,state\n" + "".join(f"{i},c\n" for i in range(9))), (2.1e9, 2.1e9))
    result = one.load()
    assert (result.refused, result.successive) == ([], 0)
