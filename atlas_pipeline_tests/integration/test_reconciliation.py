"""Every row of bronze is in silver, in quarantine, or gave way to a later one; one that is not, is noticed."""

from typing import Any

import pytest

from atlas_pipeline_tests.builds import fails

COLUMNS = {"id": "integer", "value": "text", "at": "timestamp"}
HEADER = "id,value,at\n"


def counts(result: Any) -> tuple[int, int, int, int, int]:
    rows = result.audited.rows
    return rows.bronze, rows.silver, rows.quarantined, rows.duplicates, rows.unaccounted


def test_a_rebuild_and_merges_account_for_every_row(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",), latest_by="at")
    feed.land("a.csv", HEADER + "1,x,2024-01-01\n1,y,2024-01-02\nbad,z,2024-01-01\n2,x,2024-01-01\n3,x,2024-01-05\n")
    assert counts(feed.run()) == (5, 3, 1, 1, 0)
    feed.land("b.csv", HEADER + "2,new,2024-01-09\n3,old,2024-01-01\n4,x,2024-01-01\n4,y,2024-01-01\nworse,,\n")
    assert counts(feed.run()) == (10, 4, 2, 4, 0)
    assert counts(feed.build()) == (10, 4, 2, 4, 0), "nothing new: what is published is counted"
    feed.outdate()
    rebuilt = feed.build()
    assert rebuilt.rebuilt
    assert counts(rebuilt) == (10, 4, 2, 4, 0)


@pytest.mark.parametrize("key", [(), ("id",)])
def test_lines_that_are_no_records_are_no_rows(make_feed: Any, key: tuple[str, ...]) -> None:
    feed = make_feed(COLUMNS, key=key)
    feed.land("a.csv", HEADER + "1,x,2024-01-01\n2\n3,y,2024-01-01\n")
    result = feed.run()
    assert (result.published.quarantined, counts(result)) == (1, (2, 2, 0, 0, 0))


def test_rows_that_vanish_from_silver_are_noticed(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "".join(f"{i},x,2024-01-01\n" for i in range(1, 8)))
    feed.run()
    feed.connection.execute(f"DELETE FROM silver.{feed.dataset.name} WHERE id > 5")
    feed.connection.commit()
    assert counts(feed.build()) == (7, 5, 0, 0, 2)
    feed.land("b.csv", HEADER + "9,x,2024-01-01\n")
    assert counts(feed.run()) == (8, 6, 0, 0, 2)


def test_rows_of_a_failed_audit_are_counted_when_it_passes(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "1,x,2024-01-01\n1,y,2024-01-01\n")
    feed.load()
    for _ in range(2):
        refused = feed.build(verify=fails)
        assert refused.published is None
        assert counts(refused) == (2, 1, 0, 1, 0)
    assert counts(feed.build()) == (2, 1, 0, 1, 0)


def test_a_table_published_before_duplicates_were_counted_is_built_anew(make_feed: Any) -> None:
    feed = make_feed(COLUMNS, key=("id",))
    feed.land("a.csv", HEADER + "1,x,2024-01-01\n1,y,2024-01-01\n")
    feed.run()
    feed.connection.execute("UPDATE atlas.publications SET duplicates = NULL")
    feed.connection.commit()
    result = feed.build()
    assert result.rebuilt
    assert counts(result) == (2, 1, 0, 1, 0)
    assert not feed.build().rebuilt
