"""Versions of rows: what holds from when to when, in each mode, and that merging and building anew agree."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from atlas_pipeline.ingest import withdrawal
from atlas_pipeline.ingest.dataset import MISSING_SINCE, Column, Dataset, Tombstone
from atlas_pipeline.ingest.history import inconsistent
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.silver import SilverResult
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline_tests.integration.conftest import Feed

pytestmark = pytest.mark.slow

COLUMNS = (Column("id", "integer"), Column("state"), Column("at", "timestamp"), Column("op"))
UPSERT = Dataset("things", FileSource("things/*.csv"), COLUMNS, key=("id",), history=True)
TIMED = replace(UPSERT, latest_by="at")
DEAD = replace(TIMED, deleted_by=Tombstone("(\"op\" = 'D')", ("op",)))
SNAPSHOT = replace(UPSERT, intake=Intake(snapshot=True))
FLAG = replace(UPSERT, intake=Intake(snapshot=True, keep_missing=True, flag_missing=True))
KEEP = replace(UPSERT, intake=Intake(snapshot=True, keep_missing=True))
MODES = {
    "upsert": UPSERT,
    "timed": TIMED,
    "tombstones": DEAD,
    "tombstones_untimed": replace(DEAD, latest_by=None),
    "snapshot": SNAPSHOT,
    "snapshot_tombstones": replace(DEAD, intake=SNAPSHOT.intake),
    "flag": FLAG,
    "flag_timed": replace(FLAG, latest_by="at"),
    "keep": KEEP,
    "keep_timed": replace(KEEP, latest_by="at"),
}


@pytest.fixture
def feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> Callable[[Dataset], Feed]:
    """A dataset of the test's own."""
    return lambda dataset: Feed(warehouse, warehouse_url, tmp_path, dataset)


def send(feed: Feed, name: str, *lines: str) -> SilverResult:
    feed.land(f"things/{name}.csv", "\n".join(["id,state,at,op", *lines, ""]))
    return feed.run()


def versions(feed: Feed) -> list[tuple]:
    """Each version with the names of the files that arrived when it began and ended, or the days in its times."""
    files = dict(
        feed.query(
            "SELECT coalesce((SELECT a.loaded_at FROM atlas.files a WHERE a.file_id = f.position), loaded_at),"
            " regexp_replace(uri, '.*/(.*)[.]csv', '\\1') FROM atlas.files f WHERE status = 'loaded'"
        )
    )
    rows = feed.query("SELECT id, state, valid_from, valid_to FROM silver.things_history ORDER BY id, valid_from")
    return [(i, s, *(files.get(t, t and f"{t.astimezone(UTC):%d}") for t in times)) for i, s, *times in rows]


def everything(feed: Feed) -> tuple[list[tuple], ...]:
    """All that readers see, and what is remembered."""
    tables = ["silver.things", "silver.things_history"]
    tables += ["bronze.things__deleted"] if feed.dataset.deleted_by else []
    return tuple(sorted(feed.query(f"SELECT * FROM {table}"), key=str) for table in tables)


def day(number: int) -> str:
    return f"2024-01-{number:02}T00:00:00Z"


def test_versions_of_upserts_begin_when_their_files_arrived(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(UPSERT)
    send(one, "a", "1,new,,", "2,new,,", "2,newer,,")
    send(one, "b", "1,new,,", "2,old,,")
    result = send(one, "c", "2,old,,", "3,new,,")
    assert versions(one) == [
        (1, "new", "a", None),
        (2, "newer", "a", "b"),
        (2, "old", "b", None),
        (3, "new", "c", None),
    ]
    assert result.staged.history is not None
    assert not result.staged.history.anew
    assert result.published is not None
    assert result.published.history == 4
    assert inconsistent(one.connection, result.dataset, None) == (4, 0)


def test_latest_by_says_when_a_version_began_also_when_it_comes_late(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(TIMED)
    send(one, "a", f"1,first,{day(1)},", f"1,third,{day(9)},")
    send(one, "b", f"1,second,{day(5)},")
    assert versions(one) == [(1, "first", "01", "05"), (1, "second", "05", "09"), (1, "third", "09", None)]
    assert one.rows(columns=["state"]) == [("third",)]


def test_a_tombstone_ends_a_version_and_a_later_row_begins_another(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(DEAD)
    send(one, "a", f"1,x,{day(1)},", f"2,x,{day(1)},")
    result = send(one, "b", f"1,x,{day(3)},D")
    assert one.rows(columns=["id"]) == [(2,)]
    assert (result.audited.rows.deleted, result.audited.rows.unaccounted) == (1, 0)
    send(one, "c", f"1,late,{day(2)},")
    assert one.rows(columns=["id"]) == [(2,)], "an earlier row that comes later does not bring the key back"
    send(one, "d", f"1,back,{day(7)},")
    assert one.rows(columns=["id", "state"]) == [(1, "back"), (2, "x")]
    ended = [(1, "x", "01", "02"), (1, "late", "02", "03")]
    assert versions(one) == [*ended, (1, "back", "07", None), (2, "x", "01", None)]


def test_a_snapshot_ends_what_it_lacks(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    send(one, "a", "1,x,,", "2,x,,")
    send(one, "b", "1,x,,", "3,x,,")
    result = send(one, "c", "1,y,,", "2,x,,")
    assert result.staged.history is not None
    assert not result.staged.history.anew
    assert versions(one) == [
        (1, "x", "a", "c"),
        (1, "y", "c", None),
        (2, "x", "a", "b"),
        (2, "x", "c", None),
        (3, "x", "b", "c"),
    ]


def test_a_corrected_snapshot_is_corrected_in_history_only(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    send(one, "a", "1,x,,")
    send(one, "b", "1,y,,")
    send(one, "a", "1,z,,")
    assert versions(one) == [(1, "z", "a", "b"), (1, "y", "b", None)]


def test_a_snapshot_under_one_name_makes_history(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    for state in ("x", "y", "x"):
        send(one, "a", f"1,{state},,")
    assert [row[1] for row in versions(one)] == ["x", "y", "x"]


def test_rows_that_a_snapshot_lacks_are_flagged(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(FLAG)
    send(one, "a", "1,x,,", "2,x,,")
    send(one, "b", "1,x,,", "3,x,,")
    send(one, "c", "1,x,,", "3,y,,")
    [arrived] = one.query("SELECT loaded_at FROM atlas.files WHERE uri LIKE '%/b.csv'")
    assert one.rows(columns=["id", "state", MISSING_SINCE]) == [(1, "x", None), (2, "x", arrived[0]), (3, "y", None)]
    send(one, "d", "1,x,,", "2,x,,")
    rows = one.rows(columns=["id", MISSING_SINCE])
    assert [(i, since is None) for i, since in rows] == [(1, True), (2, True), (3, False)]
    result = one.build()
    assert inconsistent(one.connection, result.dataset, MISSING_SINCE)[1] == 0


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("seed", range(2))
def test_merging_and_building_anew_agree(feed: Callable[[Dataset], Feed], name: str, seed: int) -> None:
    """After each of some random loads, files sent again and forgotten among them."""
    dice = random.Random(f"{name} {seed}")
    one = feed(MODES[name])
    for load in range(7):
        rows = [
            f"{dice.randint(1, 5)},{dice.choice('xy')},{dice.choice([day(dice.randint(1, 9)), ''])},"
            f"{dice.choice(['', '', 'D'])}"
            for _ in range(dice.randint(4, 6))
        ]
        number = load if dice.random() < 0.7 else dice.randint(0, load)
        if load and dice.random() < 0.2:
            withdrawal.forget(one.connection, "things", "0.csv", reason="", lock_seconds=1)
        result = send(one, str(number), *rows)
        assert result.audited.rows.unaccounted == 0
        merged = everything(one)
        one.outdate()
        anew = one.build()
        assert everything(one) == merged, load
        missing = MISSING_SINCE if one.dataset.intake.flag_missing else None
        assert inconsistent(one.connection, anew.dataset, missing)[1] == 0


def test_what_is_forgotten_is_not_in_history_either(feed: Callable[[Dataset], Feed]) -> None:
    for dataset in (UPSERT, replace(SNAPSHOT, name="others", source=FileSource("others/*.csv"))):
        one = feed(dataset)
        for name in ("a", "b", "c"):
            one.land(f"{dataset.name}/{name}.csv", f"id,state,at,op\n1,{name},,\n")
            one.run()
        gone = withdrawal.forget(one.connection, dataset.name, "b.csv", reason="", lock_seconds=1)
        assert gone.in_silver
        one.run()
        found = one.query(f"SELECT state FROM silver.{dataset.history_name} ORDER BY valid_from")
        assert found == [("a",), ("c",)]


def test_history_is_masked_like_silver(feed: Callable[[Dataset], Feed]) -> None:
    columns = (Column("id", "integer"), Column("email", pii="EMAIL_ADDRESS", action="hash"))
    one = feed(replace(SNAPSHOT, columns=columns))
    for address in ("ada@mail.example", "ida@mail.example"):
        one.land("things/a.csv", f"id,email\n1,{address}\n")
        one.run()
    rows = one.query("SELECT email FROM silver.things_history")
    assert len(rows) == 2
    assert "mail.example" not in str(rows)
    plans = one.query("SELECT action FROM atlas.column_plans WHERE name = 'things_history' ORDER BY position")
    assert plans == [("keep",), ("hash",)]


def test_history_that_is_no_longer_declared_goes(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(UPSERT)
    send(one, "a", "1,x,,")
    one.dataset = replace(UPSERT, history=False)
    one.build()
    assert one.query("SELECT to_regclass('silver.things_history')") == [(None,)]
    assert one.query("SELECT name FROM atlas.publications") == [("things",)]
    one.dataset = UPSERT
    one.build()
    assert versions(one) == [(1, "x", "a", None)]


def test_history_that_was_taken_away_is_built_anew(feed: Callable[[Dataset], Feed]) -> None:
    one = feed(SNAPSHOT)
    send(one, "a", "1,x,,")
    send(one, "b", "1,y,,")
    before = versions(one)
    one.connection.execute("DROP TABLE silver.things_history")
    one.connection.commit()
    one.build()
    assert versions(one) == before


def test_times_do_not_depend_on_the_session(feed: Callable[[Dataset], Feed]) -> None:
    columns = (Column("id", "integer"), Column("state"), Column("at", "date"), Column("op"))
    one = feed(replace(TIMED, columns=columns, timezone="Asia/Tokyo"))
    one.connection.execute("SET timezone = 'America/New_York'")
    send(one, "a", "1,x,2024-01-05,")
    [(began,)] = one.query("SELECT valid_from FROM silver.things_history")
    assert began == datetime(2024, 1, 4, 15, tzinfo=UTC)
