"""Totals of real runs: read from the real log, counted once whatever happens in between."""

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from atlas_pipeline.components.telemetry_follow import follow
from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.totals import totals
from atlas_pipeline_tests.components.telemetry_runs import (
    BACKUP,
    BRONZE,
    DEFS,
    GOLD,
    SECRET,
    SILVER,
    dagster_at,
    materialize,
)

Totals = dict[tuple[str, ...], float]


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    with dagster_at(atlas_env) as one:
        yield one


def values(connection: psycopg.Connection) -> Totals:
    """Counters, and counts of histograms, by family and labels in the family's order."""
    return {
        (one.family, *(one.labels[name] for name in families()[one.family].labels)): one.value
        for one in totals(connection)
        if one.part == "count" or families()[one.family].kind == "counter"
    }


def test_what_real_runs_count_for(instance: dg.DagsterInstance, warehouse: psycopg.Connection) -> None:
    materialize(instance, BRONZE, SILVER)
    materialize(instance, GOLD, dg.AssetKey("below"))
    materialize(instance, BACKUP, partition="monday")
    DEFS.resolve_job_def("mapped").execute_in_process(instance=instance)
    assert not follow(instance, warehouse, "start").more
    assert values(warehouse) == {
        ("atlas_asset_failures_total", "backups/atlas"): 1,
        ("atlas_asset_failures_total", "gold/people"): 1,
        ("atlas_asset_materializations_total", "bronze/people"): 1,
        ("atlas_asset_materializations_total", "silver/people"): 1,
        ("atlas_asset_observations_total", "silver/people"): 1,
        ("atlas_backup_runs_total", "atlas", "failure"): 1,
        ("atlas_connector_sync_duration_seconds", "people"): 1,
        ("atlas_connector_syncs_total", "people", "success"): 1,
        ("atlas_event_log_events_total",): 26,
        ("atlas_pii_detections_total", "silver/people", "EMAIL_ADDRESS"): 2,
        ("atlas_pii_detections_total", "silver/people", "PHONE_NUMBER"): 1,
        ("atlas_pii_leaks_total", "silver/people"): 1,
        ("atlas_pipeline_duration_seconds", "assets"): 3,
        ("atlas_pipeline_duration_seconds", "mapped"): 1,
        ("atlas_pipeline_errors_total", "backups__atlas", "Failure"): 1,
        ("atlas_pipeline_errors_total", "gold__people", "ValueError"): 1,
        ("atlas_pipeline_rows_processed_total", "bronze/people"): 100,
        ("atlas_pipeline_rows_processed_total", "silver/people"): 90,
        ("atlas_pipeline_runs_started_total", "assets"): 3,
        ("atlas_pipeline_runs_started_total", "mapped"): 1,
        ("atlas_pipeline_runs_total", "assets", "failure"): 2,
        ("atlas_pipeline_runs_total", "assets", "success"): 1,
        ("atlas_pipeline_runs_total", "mapped", "success"): 1,
        ("atlas_pipeline_step_duration_seconds", "bronze__people"): 1,
        ("atlas_pipeline_step_duration_seconds", "silver__people"): 1,
        ("atlas_pipeline_step_duration_seconds", "split"): 1,
        ("atlas_pipeline_step_duration_seconds", "work"): 2,
        ("atlas_pipeline_step_retries_total", "gold__people"): 1,
        ("atlas_pipeline_steps_total", "backups__atlas", "failure"): 1,
        ("atlas_pipeline_steps_total", "bronze__people", "success"): 1,
        ("atlas_pipeline_steps_total", "gold__people", "failure"): 1,
        ("atlas_pipeline_steps_total", "silver__people", "success"): 1,
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
