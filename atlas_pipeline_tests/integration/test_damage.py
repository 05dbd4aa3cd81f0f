"""Bronze that is no longer what was loaded: a table is not built from it, and what to load again is said."""

from collections.abc import Callable
from typing import Any

import pytest

from atlas_pipeline.ingest.damage import BronzeDamaged

COLUMNS = {"id": "integer", "name": "text"}


@pytest.fixture
def feed(make_feed: Any) -> Any:
    one = make_feed(COLUMNS, key=("id",))
    one.land("a.csv", "id,name,extra\n1,Ann,x\n2,Bob,y\n")
    one.land("b.csv", "id,name\n3,Cid\n4,\n")
    one.land("c.csv", "name,id\nDan,5\n")
    one.run()
    return one


def change(statement: str) -> Callable[[Any], None]:
    def run(feed: Any) -> None:
        feed.connection.execute(statement)
        feed.connection.commit()

    return run


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE bronze.things SET name = 'Bab' WHERE id = '2'", r"has other values than were loaded from .*a\.csv"),
        ("UPDATE bronze.things SET extra = NULL WHERE id = '1'", r"has other values than were loaded from .*a\.csv"),
        ("UPDATE bronze.things SET name = '' WHERE id = '4'", r"has other values than were loaded from .*b\.csv"),
        ("UPDATE bronze.things SET name = id, id = '5' WHERE id = '5'", r"has other values .*c\.csv"),
        ("UPDATE bronze.things SET _atlas_line = 9 WHERE id = '1'", r"has other values .*a\.csv"),
        ("UPDATE bronze.things SET _atlas_row_hash = 'x'", r"has other values .*a\.csv and 2 files more"),
        ("ALTER TABLE bronze.things DROP COLUMN extra", r"lacks 1 columns that were loaded from .*a\.csv"),
        ("ALTER TABLE bronze.things DROP COLUMN name", r"lacks 1 columns that were loaded from .*a\.csv"),
        ("UPDATE bronze.things SET id = 'x' || id", r"has other values .*a\.csv and 2 files more"),
        ("DROP TABLE bronze.things", r"has 0 of the 2 rows that were loaded from .*a\.csv and 2 files more"),
        ("DELETE FROM bronze.things WHERE id = '3'", r"has 1 of the 2 rows that were loaded from .*b\.csv"),
    ],
)
def test_a_rebuild_stops_at_damage_and_goes_on_when_files_are_read_again(feed: Any, damage: str, words: str) -> None:
    before = feed.rows()
    change(damage)(feed)
    feed.outdate()
    with pytest.raises(BronzeDamaged, match=words) as caught:
        feed.build()
    assert "atlas files reload things" in str(caught.value)
    assert feed.rows() == before
    feed.connection.rollback()
    change("UPDATE atlas.files SET version = 'to be read again'")(feed)
    feed.load()
    assert feed.build().rebuilt
    assert feed.rows() == before


def test_columns_that_come_later_are_no_damage(feed: Any) -> None:
    feed.land("d.csv", "id,name,more\n6,Eve,z\n")
    feed.run()
    feed.outdate()
    assert feed.build().rebuilt
    assert len(feed.rows()) == 6


def test_a_ledger_without_digests_is_filled_in_by_the_next_load_and_not_compared_before(feed: Any) -> None:
    change("UPDATE atlas.files SET digest = NULL")(feed)
    change("UPDATE bronze.things SET name = 'Bab' WHERE id = '2'")(feed)
    feed.outdate()
    assert feed.build().rebuilt
    assert (2, "Bab") in feed.rows()
    change("UPDATE atlas.files SET digest = NULL")(feed)
    feed.load()
    assert feed.query("SELECT count(*) FROM atlas.files WHERE digest IS NULL") == [(0,)]
    change("UPDATE bronze.things SET name = 'Bob' WHERE id = '2'")(feed)
    feed.outdate()
    with pytest.raises(BronzeDamaged, match="has other values"):
        feed.build()
