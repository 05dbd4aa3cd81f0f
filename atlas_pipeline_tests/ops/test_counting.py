"""Totals of real runs: read from the real log, counted once whatever happens in between."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorTick, TickData, TickStatus
from dagster._utils.error import SerializableErrorInfo
from psycopg import sql
from sqlalchemy import text

from atlas_pipeline.settings import load_settings
from atlas_pipeline.telemetry.totals import totals
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.ops.runs import (
    BACKUP,
    BRONZE,
    DEFS,
    GOLD,
    SECRET,
    SILVER,
    copy_runs,
    counted_by_sql,
    dagster_at,
    follow,
    materialize,
    values,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    with dagster_at(atlas_env) as one:
        yield one


def test_what_real_runs_count_for(instance: dg.DagsterInstance, warehouse: psycopg.Connection) -> None:
    materialize(instance, BRONZE, SILVER)
    materialize(instance, GOLD, dg.AssetKey("below"))
    materialize(instance, BACKUP, partition="monday")
    DEFS.resolve_job_def("mapped").execute_in_process(instance=instance)
    instance.report_run_canceled(instance.create_run_for_job(DEFS.resolve_job_def("mapped")))
    instance.report_runless_asset_event(dg.AssetMaterialization("outside", metadata={"dagster/row_count": 5}))
    assert not follow(instance, warehouse, "start").more
    assert values(warehouse) == {
        ("atlas_asset_failures_total", "backups/atlas"): 1,
        ("atlas_asset_failures_total", "gold/people"): 1,
        ("atlas_asset_materializations_total", "bronze/people"): 1,
        ("atlas_asset_materializations_total", "outside"): 1,
        ("atlas_asset_materializations_total", "silver/people"): 1,
        ("atlas_asset_observations_total", "silver/people"): 1,
        ("atlas_backup_runs_total", "atlas", "failure"): 1,
        ("atlas_connector_sync_duration_seconds", "people"): 1,
        ("atlas_connector_syncs_total", "people", "success"): 1,
        ("atlas_event_log_events_total",): 30,
        ("atlas_pii_detections_total", "silver/people", "EMAIL_ADDRESS"): 2,
        ("atlas_pii_detections_total", "silver/people", "PHONE_NUMBER"): 1,
        ("atlas_pii_leaks_total", "silver/people"): 1,
        ("atlas_pipeline_duration_seconds", "assets"): 3,
        ("atlas_pipeline_duration_seconds", "mapped"): 1,
        ("atlas_pipeline_errors_total", "backups__atlas", "Failure"): 1,
        ("atlas_pipeline_errors_total", "gold__people", "ValueError"): 1,
        ("atlas_pipeline_rows_processed_total", "bronze/people"): 100,
        ("atlas_pipeline_rows_processed_total", "outside"): 5,
        ("atlas_pipeline_rows_processed_total", "silver/people"): 90,
        ("atlas_pipeline_runs_started_total", "assets"): 3,
        ("atlas_pipeline_runs_started_total", "mapped"): 1,
        ("atlas_pipeline_runs_total", "assets", "failure"): 2,
        ("atlas_pipeline_runs_total", "assets", "success"): 1,
        ("atlas_pipeline_runs_total", "mapped", "canceled"): 1,
        ("atlas_pipeline_runs_total", "mapped", "success"): 1,
        ("atlas_pipeline_step_duration_seconds", "bronze__people"): 1,
        ("atlas_pipeline_step_duration_seconds", "silver__people"): 1,
        ("atlas_pipeline_step_duration_seconds", "nothing"): 1,
        ("atlas_pipeline_step_duration_seconds", "split"): 1,
        ("atlas_pipeline_step_duration_seconds", "work"): 2,
        ("atlas_pipeline_step_retries_total", "gold__people"): 1,
        ("atlas_pipeline_steps_total", "backups__atlas", "failure"): 1,
        ("atlas_pipeline_steps_total", "bronze__people", "success"): 1,
        ("atlas_pipeline_steps_total", "gold__people", "failure"): 1,
        ("atlas_pipeline_steps_total", "nothing", "success"): 1,
        ("atlas_pipeline_steps_total", "silver__people", "success"): 1,
        ("atlas_pipeline_steps_total", "skipped", "skipped"): 1,
        ("atlas_pipeline_steps_total", "split", "success"): 1,
        ("atlas_pipeline_steps_total", "work", "success"): 2,
        ("atlas_quality_checks_total", "silver/people", "none", "error", "failed"): 1,
        ("atlas_quality_checks_total", "silver/people", "validity", "warn", "failed"): 1,
        ("atlas_transformation_duration_seconds", "silver"): 1,
        ("atlas_transformations_total", "gold", "failure"): 1,
        ("atlas_transformations_total", "silver", "success"): 1,
    }
    assert SECRET not in repr(list(totals(warehouse)))
    made = {one.family: one.value for one in totals(warehouse) if one.labels.get("asset") == "silver/people"}
    assert time.time() - 60 < made["atlas_asset_last_materialization_timestamp_seconds"] < time.time()
    assert 0 < made["atlas_asset_last_duration_seconds"] < 60


def all_kinds(instance: dg.DagsterInstance) -> None:
    """A run of each kind."""
    materialize(instance, BRONZE, SILVER)
    materialize(instance, GOLD, dg.AssetKey("below"))
    DEFS.resolve_job_def("mapped").execute_in_process(instance=instance)


def to_the_end(instance: dg.DagsterInstance, connection: psycopg.Connection) -> None:
    while follow(instance, connection, "start").more:
        pass


def check(instance: dg.DagsterInstance, connection: psycopg.Connection) -> None:
    """Totals are what the log says."""
    expected, found = counted_by_sql(instance), values(connection)
    assert expected == {key: found.get(key) for key in expected}
    counted = {key[0] for key in expected}
    assert {key for key in found if key[0] in counted} - {("atlas_pipeline_rows_processed_total", "silver/people")} == {
        *expected
    }


def test_a_second_look_counts_nothing_twice(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas_pipeline.ops.counting.PAGE", 3)
    all_kinds(instance)
    copy_runs(instance, 3)
    to_the_end(instance, warehouse)
    check(instance, warehouse)
    before = list(totals(warehouse))
    assert follow(instance, warehouse, "start").events == 0
    assert list(totals(warehouse)) == before
    all_kinds(instance)
    to_the_end(instance, warehouse)
    check(instance, warehouse)


def test_events_that_become_visible_late_are_counted_once(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection
) -> None:
    all_kinds(instance)
    copy_runs(instance, 5)
    move = "UPDATE event_logs SET id = -id WHERE id {} AND id % 2 <> 0 AND dagster_event_type = ANY(:types)"
    types = {"types": ["STEP_SUCCESS", "STEP_RESTARTED", "ASSET_OBSERVATION", "ASSET_CHECK_EVALUATION"]}
    with instance.event_log_storage.index_connection() as connection:
        hidden = connection.execute(text(move.format("> 0")), types).rowcount
    to_the_end(instance, warehouse)
    before = values(warehouse)
    with instance.event_log_storage.index_connection() as connection:
        assert connection.execute(text(move.format("< 0")), types).rowcount == hidden
    to_the_end(instance, warehouse)
    check(instance, warehouse)
    read = ("atlas_event_log_events_total",)
    assert values(warehouse)[read] - before[read] == hidden > 0
    assert follow(instance, warehouse, "start").events == 0


def test_counting_begins_at_the_start_or_now(instance: dg.DagsterInstance, warehouse: psycopg.Connection) -> None:
    all_kinds(instance)
    assert follow(instance, warehouse, "now").events == 0
    assert values(warehouse) == {}
    materialize(instance, BRONZE)
    assert follow(instance, warehouse, "start").events > 0
    assert values(warehouse)["atlas_asset_materializations_total", "bronze/people"] == 1


def test_several_followers_at_once_count_once(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas_pipeline.ops.counting.READ_SECONDS", 0)
    monkeypatch.setattr("atlas_pipeline.ops.counting.PAGE", 20)
    all_kinds(instance)
    copy_runs(instance, 100)
    end = counted_by_sql(instance)["atlas_event_log_events_total",]

    together = Barrier(3)

    def work(_: int) -> int:
        looks = 0
        with connect(warehouse_url) as connection:
            together.wait()
            while values(connection).get(("atlas_event_log_events_total",), 0) < end:
                looks += follow(instance, connection, "start").events > 0
        return looks

    with ThreadPoolExecutor(3) as pool:
        looks = list(pool.map(work, range(3)))
    assert sum(one > 0 for one in looks) > 1
    check(instance, warehouse)


def test_while_the_database_of_dagster_is_away_totals_stand_and_then_go_on(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, postgres: EmbeddedPostgres
) -> None:
    all_kinds(instance)
    to_the_end(instance, warehouse)
    before = list(totals(warehouse))
    copy_runs(instance, 2)
    url = load_settings().dagster_database_url
    assert url
    name = sql.Identifier(url.get_secret_value().split("@/")[1].split("?")[0])
    with connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True) as server:
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO away").format(name))
        with pytest.raises(psycopg.OperationalError):
            follow(instance, warehouse, "start")
        assert list(totals(warehouse)) == before
        server.execute(sql.SQL("ALTER DATABASE away RENAME TO {}").format(name))
    to_the_end(instance, warehouse)
    check(instance, warehouse)


@pytest.mark.parametrize("overlap", [4000, 20])
def test_after_the_log_was_restored_totals_do_not_fall_and_new_events_count(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, overlap: int
) -> None:
    monkeypatch.setattr("atlas_pipeline.event_log.reader.OVERLAP", overlap)
    all_kinds(instance)
    backup = instance.event_log_storage.get_maximum_record_id() or 0
    all_kinds(instance)
    to_the_end(instance, warehouse)
    before = values(warehouse)
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(text("DELETE FROM event_logs WHERE id > :backup"), {"backup": backup})
        connection.execute(text("SELECT setval('event_logs_id_seq', :backup)"), {"backup": backup})
    assert follow(instance, warehouse, "start").events == 0
    assert values(warehouse) == before
    materialize(instance, BRONZE)
    to_the_end(instance, warehouse)
    after = values(warehouse)
    made = ("atlas_asset_materializations_total", "bronze/people")
    assert after[made] == before[made] + 1
    assert all(after[key] >= value for key, value in before.items())


def test_ticks_are_counted_once_when_they_have_ended(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection
) -> None:
    def tick(name: str, kind: InstigatorType, status: TickStatus) -> InstigatorTick:
        error = SerializableErrorInfo(SECRET, [], "ValueError") if status == TickStatus.FAILURE else None
        return instance.create_tick(TickData(name, name, kind, status, 1000.0, [], error=error, selector_id=name))

    slow = tick("landing", InstigatorType.SENSOR, TickStatus.STARTED)
    tick("landing", InstigatorType.SENSOR, TickStatus.SKIPPED)
    tick("daily", InstigatorType.SCHEDULE, TickStatus.FAILURE)
    tick("asset_daemon", InstigatorType.AUTO_MATERIALIZE, TickStatus.SUCCESS)
    assert follow(instance, warehouse, "start").ticks == 2
    assert follow(instance, warehouse, "start").ticks == 0
    instance.update_tick(slow.with_status(TickStatus.SUCCESS))
    assert follow(instance, warehouse, "start").ticks == 1
    assert values(warehouse) == {
        ("atlas_sensor_ticks_total", "landing", "skipped"): 1,
        ("atlas_sensor_ticks_total", "landing", "success"): 1,
        ("atlas_schedule_ticks_total", "daily", "failure"): 1,
    }


def test_how_far_the_log_is_ahead_is_told(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lag() -> dict[str, float]:
        return {one.family: one.value for one in totals(warehouse) if "lag" in one.family}

    monkeypatch.setattr("atlas_pipeline.ops.counting.PAGE", 3)
    monkeypatch.setattr("atlas_pipeline.ops.counting.READ_SECONDS", 0)
    all_kinds(instance)
    assert follow(instance, warehouse, "start").more
    behind = lag()
    assert 0 < behind["atlas_event_log_lag_events"] < (instance.event_log_storage.get_maximum_record_id() or 0)
    assert behind["atlas_event_log_lag_seconds"] > 0
    to_the_end(instance, warehouse)
    assert lag() == {"atlas_event_log_lag_events": 0, "atlas_event_log_lag_seconds": 0}


def test_an_event_that_is_not_as_expected_stops_nothing(
    instance: dg.DagsterInstance, warehouse: psycopg.Connection
) -> None:
    all_kinds(instance)
    with instance.event_log_storage.index_connection() as connection:
        for broken in ("not json", "[]", "{}", '{"dagster_event": null}', "[" * 50_000, "1e999"):
            connection.execute(
                text("INSERT INTO event_logs (run_id, event, dagster_event_type) VALUES ('r', :event, 'STEP_FAILURE')"),
                {"event": broken},
            )
    before = follow(instance, warehouse, "start").events
    assert values(warehouse)["atlas_event_log_events_total",] == before
    materialize(instance, BRONZE)
    to_the_end(instance, warehouse)
    assert values(warehouse)["atlas_asset_materializations_total", "bronze/people"] == 2
