"""Totals in a real warehouse: saved with their cursor or not at all, and by one at a time."""

from collections.abc import Iterator

import psycopg
import pytest

from atlas_pipeline.event_log.event import Event
from atlas_pipeline.telemetry import totals
from atlas_pipeline.telemetry.counting import Counted, Memory, Run, count
from atlas_pipeline.telemetry.sample import Sample
from atlas_pipeline.warehouse.bootstrap import MONITOR
from atlas_pipeline.warehouse.connect import OWNER, connect
from atlas_pipeline_tests.telemetry.made import event

STARTED = "atlas_pipeline_runs_started_total"


@pytest.fixture
def other(warehouse_url: str) -> Iterator[psycopg.Connection]:
    """Another connection to the test's own warehouse."""
    with connect(warehouse_url) as connection:
        yield connection


def begin(connection: psycopg.Connection) -> None:
    with connection.transaction():
        totals.begin(connection, "events", 0)


def add(connection: psycopg.Connection, position: int, *events: Event) -> None:
    cursor = totals.claim(connection, "events")
    assert cursor
    totals.save(connection, "events", position, frozenset({position + 2}), count(events, cursor.memory))


def read(connection: psycopg.Connection, family: str) -> list[tuple[dict[str, str], float]]:
    return [(dict(one.labels), one.value) for one in totals.totals(connection) if one.family == family]


def test_cursor_and_totals_are_saved_together(warehouse: psycopg.Connection) -> None:
    begin(warehouse)
    for position in (10, 20):
        with warehouse.transaction():
            add(warehouse, position, event("run_started", job="j", run=f"r{position}", at=5.0))
    with warehouse.transaction():
        cursor = totals.claim(warehouse, "events")
    assert cursor
    assert (cursor.position, cursor.recent) == (20, frozenset({22}))
    assert cursor.memory.runs == {"r10": Run(started=5.0), "r20": Run(started=5.0)}
    assert cursor.memory.series[STARTED] == frozenset({("j",)})
    assert read(warehouse, STARTED) == [({"job": "j"}, 2.0)]


def test_what_is_not_committed_was_not_counted(warehouse: psycopg.Connection, other: psycopg.Connection) -> None:
    begin(warehouse)
    with warehouse.transaction(force_rollback=True):
        add(warehouse, 10, event("run_started", job="j"))
    assert read(other, STARTED) == []
    cursor = totals.claim(other, "events")
    assert cursor
    assert cursor.position == 0


def test_only_one_holds_the_cursor(warehouse: psycopg.Connection, other: psycopg.Connection) -> None:
    begin(warehouse)
    with warehouse.transaction():
        assert totals.claim(warehouse, "events")
        with other.transaction():
            assert totals.claim(other, "events") is None
    with other.transaction():
        assert totals.claim(other, "events")


def test_who_begins_later_goes_on_where_the_first_one_began(warehouse: psycopg.Connection) -> None:
    with warehouse.transaction():
        assert not totals.begun(warehouse, "events")
        totals.begin(warehouse, "events", 7)
        totals.begin(warehouse, "events", 99)
        assert totals.begun(warehouse, "events")
        assert not totals.begun(warehouse, "ticks")
        cursor = totals.claim(warehouse, "events")
    assert cursor == totals.Cursor(7, frozenset(), Memory())


def test_moments_only_grow_and_other_gauges_are_replaced(warehouse: psycopg.Connection) -> None:
    begin(warehouse)
    for at, seconds in ((50.0, 9.0), (40.0, 3.0)):
        made = event("materialized", run="r", step="s", asset="a", at=at)
        events = [event("run_started", run="r"), made, event("step_succeeded", run="r", step="s", seconds=seconds)]
        with warehouse.transaction():
            add(warehouse, 1, *events)
    assert read(warehouse, "atlas_asset_last_materialization_timestamp_seconds") == [({"asset": "a"}, 50.0)]
    assert read(warehouse, "atlas_asset_last_duration_seconds") == [({"asset": "a"}, 3.0)]


def test_a_histogram_comes_back_with_its_buckets_sum_and_count(warehouse: psycopg.Connection) -> None:
    begin(warehouse)
    with warehouse.transaction():
        add(warehouse, 1, event("step_succeeded", step="s", seconds=45.0))
    name = "atlas_pipeline_step_duration_seconds"
    found = [one for one in totals.totals(warehouse) if one.family == name]
    assert Sample(name, {"step": "s"}, 45.0, "sum") in found
    assert Sample(name, {"step": "s"}, 1.0, "count") in found
    assert Sample(name, {"step": "s", "le": "30.0"}, 0.0, "bucket") in found
    assert Sample(name, {"step": "s", "le": "60.0"}, 1.0, "bucket") in found
    assert Sample(name, {"step": "s", "le": "+Inf"}, 1.0, "bucket") in found


def test_the_order_of_open_runs_is_kept(warehouse: psycopg.Connection) -> None:
    begin(warehouse)
    names = [f"{number * 7919 % 100:02}" for number in range(100)]
    with warehouse.transaction():
        add(warehouse, 1, *(event("run_started", run=name) for name in names))
        cursor = totals.claim(warehouse, "events")
    assert cursor
    assert list(cursor.memory.runs) == names


def test_hostile_names_are_stored(warehouse: psycopg.Connection) -> None:
    begin(warehouse)
    names = ["nul\0", "\ud800", "'; DROP TABLE x --", '{"a": 1}', "%s", "\\u0000", "", "é"]
    with warehouse.transaction():
        add(warehouse, 1, *(event("observed", asset=name) for name in names))
    found = {labels["asset"]: value for labels, value in read(warehouse, "atlas_asset_observations_total")}
    assert found == {"other": 3.0, **{name: 1.0 for name in names if name and name.isprintable()}}


def test_families_that_are_gone_are_left_out(warehouse: psycopg.Connection) -> None:
    warehouse.execute("INSERT INTO atlas.telemetry_totals VALUES ('atlas_of_old_total', '{}', 1)")
    assert list(totals.totals(warehouse)) == []


def test_when_the_cursor_was_last_at_the_end_is_known(warehouse: psycopg.Connection) -> None:
    begin(warehouse)
    [first] = warehouse.execute("SELECT moved_at FROM atlas.telemetry_cursor").fetchall()
    with warehouse.transaction():
        totals.touch(warehouse, "events")
    [later] = warehouse.execute("SELECT moved_at FROM atlas.telemetry_cursor").fetchall()
    assert later > first


def test_the_monitoring_role_reads_totals_and_cannot_change_them(
    warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    begin(warehouse)
    with connect(warehouse_url.replace(f"://{OWNER}@", f"://{MONITOR}@")) as monitor:
        assert list(totals.totals(monitor)) == []
        assert monitor.execute("SELECT source FROM atlas.telemetry_cursor").fetchall() == [("events",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            totals.save(monitor, "events", 1, frozenset(), Counted(Memory()))
        monitor.rollback()
