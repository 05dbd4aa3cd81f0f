"""Rows that say that their key is deleted, in each mode."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.ingest.dataset import Column, Dataset, Tombstone
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.silver import SchemaDrift, SilverResult
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline_tests.integration.conftest import Feed

COLUMNS = (Column("id", "integer"), Column("value", "integer", optional=True), Column("op", optional=True))
DEAD = Tombstone("(\"op\" = 'D')", ("op",))
UPSERT = Dataset("things", FileSource("things/*.csv"), COLUMNS, key=("id",), deleted_by=DEAD)


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[[Dataset], Feed]:
    """A dataset of the test's own."""
    return lambda dataset: Feed(warehouse, warehouse_url, tmp_path, dataset)


def send(feed: Feed, name: str, *lines: str) -> SilverResult:
    feed.land(f"things/{name}.csv", "\n".join(["id,value,op", *lines, ""]))
    result = feed.run()
    assert result.audited.rows.unaccounted == 0
    return result


def rows(feed: Feed) -> list[tuple]:
    return feed.rows(columns=["id", "value"])


@pytest.mark.parametrize("mode", ["upsert", "keep"])
def test_a_key_goes_and_comes_back(feed: Callable[[Dataset], Feed], mode: str) -> None:
    intake = Intake(snapshot=mode == "keep", keep_missing=mode == "keep")
    one = feed(replace(UPSERT, intake=intake))
    send(one, "a", "1,1,", "2,1,", "3,1,D")
    assert rows(one) == [(1, 1), (2, 1)]
    result = send(one, "b", "1,1,D", "1,2,D", "9,1,D")
    assert rows(one) == [(2, 1)]
    assert (result.audited.rows.deleted, result.staged.duplicates) == (3, 2)
    send(one, "c", "1,3,", "2,3,D", "2,4,")
    assert rows(one) == [(1, 3), (2, 4)]
    one.outdate()
    assert one.build().audited.rows.deleted == 2
    assert rows(one) == [(1, 3), (2, 4)]


def test_without_a_key_the_rows_themselves_are_left_out(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(UPSERT, key=()))
    send(one, "a", "1,1,", "1,1,D")
    send(one, "b", "2,1,", "2,1,D")
    assert rows(one) == [(1, 1), (2, 1)]
    assert one.build().audited.rows.deleted == 2


def test_a_snapshot_leaves_them_out(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(UPSERT, intake=Intake(snapshot=True)))
    send(one, "a", "1,1,", "2,1,")
    send(one, "a", "1,1,D", "2,2,")
    assert rows(one) == [(2, 2)]


def test_a_column_that_silver_drops_may_say_it(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(UPSERT, columns=(*COLUMNS[:2], replace(COLUMNS[2], action="drop"))))
    send(one, "a", "1,1,", "2,1,D")
    send(one, "b", "1,1,D", "3,1,")
    assert one.rows() == [(3, 1)]


def test_a_later_latest_by_wins_over_a_tombstone_that_was_loaded_later(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(UPSERT, latest_by="value"))
    send(one, "a", "1,5,", "2,1,")
    send(one, "b", "1,3,D", "2,3,D")
    assert rows(one) == [(1, 5)]
    send(one, "c", "2,2,")
    assert rows(one) == [(1, 5)], "older than the tombstone"
    send(one, "d", "2,4,")
    assert rows(one) == [(1, 5), (2, 4)]


def test_what_says_it_must_not_be_masked(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(UPSERT, columns=(*COLUMNS[:2], replace(COLUMNS[2], action="hash"))))
    with pytest.raises(SchemaDrift, match="deleted_by reads 'op', which holds personal data"):
        send(one, "a", "1,1,")


def test_what_postgres_refuses_is_said_without_values(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(replace(UPSERT, deleted_by=Tombstone("(\"value\" = 'secret')", ("value",))))
    with pytest.raises(SchemaDrift, match=r"deleted_by of things cannot be evaluated \(InvalidTextRepresentation\)"):
        send(one, "a", "1,1,")


def test_a_declaration_without_it_forgets_what_was_deleted(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(UPSERT)
    send(one, "a", "1,1,", "1,2,D")
    one.dataset = replace(UPSERT, deleted_by=None)
    one.build()
    assert rows(one) == [(1, 2)]
    assert one.query("SELECT to_regclass('bronze.things__deleted')") == [(None,)]
