"""Runs whose events are counted: assets that succeed, fail, are tried again and are checked, and steps that are mapped.

Belongs here: these definitions, and running them over Postgres as Atlas does. Does not belong here: what comes of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
from sqlalchemy import text

from atlas_pipeline.event_log.decoding import TYPES
from atlas_pipeline.ops.counting import Begin, Followed
from atlas_pipeline.ops.counting import follow as follow_log
from atlas_pipeline.orchestration.tables.personal_data import plan_table
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.settings import load_settings
from atlas_pipeline.telemetry.counting import KINDS
from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.totals import totals

SECRET = "ada@example.com"
BRONZE, SILVER, GOLD = (dg.AssetKey([layer, "people"]) for layer in ("bronze", "silver", "gold"))
BACKUP = dg.AssetKey(["backups", "atlas"])
PLAN = [
    ColumnPlan("mail", "typed", "EMAIL_ADDRESS", 1.0, {}, "hash"),
    ColumnPlan("other", "typed", "EMAIL_ADDRESS", 1.0, {}, "hash"),
    ColumnPlan("phone", "typed", "PHONE_NUMBER", 0.9, {}, "redact"),
    ColumnPlan("age", "clean", None, 1.0, {}, "keep"),
]


@dg.asset(key=BRONZE)
def load() -> Any:
    return dg.MaterializeResult(metadata={"dagster/row_count": 900, "rows in": 100})


@dg.asset(
    key=SILVER,
    deps=[BRONZE],
    check_specs=[dg.AssetCheckSpec("leak_check", asset=SILVER), dg.AssetCheckSpec("amount", asset=SILVER)],
)
def build(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log_event(dg.AssetObservation(SILVER, metadata={"sample": SECRET}))
    metadata = {"rows in": 90, "rows published": 80, "personal-data plan": plan_table(PLAN)}
    warn = dg.AssetCheckSeverity.WARN
    leak = dg.AssetCheckResult(check_name="leak_check", passed=False, description=SECRET)
    amount = dg.AssetCheckResult(
        check_name="amount", passed=False, severity=warn, metadata={"dimension": "validity"}, description=SECRET
    )
    return dg.MaterializeResult(metadata=metadata, check_results=[leak, amount])


@dg.asset(key=GOLD, retry_policy=dg.RetryPolicy(max_retries=1))
def model() -> None:
    try:
        raise ValueError(f"duplicate key {SECRET}")
    except ValueError as error:
        raise RuntimeError(SECRET) from error


@dg.asset(deps=[GOLD])
def below() -> None:
    """Not reached."""


@dg.asset(key=BACKUP, partitions_def=dg.StaticPartitionsDefinition(["monday"]))
def backup__atlas() -> None:
    raise dg.Failure(SECRET)


@dg.op(out=dg.DynamicOut(int))
def split() -> Iterator[dg.DynamicOutput[int]]:
    for number in range(2):
        yield dg.DynamicOutput(number, mapping_key=f"part{number}")


@dg.op
def work(number: int) -> int:
    return number


@dg.op(out=dg.Out(int, is_required=False))
def nothing() -> Iterator[dg.Output[int]]:
    yield from ()


@dg.job
def mapped() -> None:
    """Two steps of one op, and one that is skipped."""
    split().map(work)
    work.alias("skipped")(nothing())


DEFS = dg.Definitions([load, build, model, below, backup__atlas], jobs=[mapped], executor=dg.in_process_executor)


@contextmanager
def dagster_at(home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    storage = {"module": "atlas_pipeline.instance.storage", "class": "AtlasDagsterStorage", "config": {}}
    overrides = {"storage": {"custom": storage}, "telemetry": {"enabled": False}}
    with dg.instance_for_test(overrides=overrides, temp_dir=str(home)) as one:
        yield one


@contextmanager
def log_of(instance: dg.DagsterInstance) -> Iterator[psycopg.Connection]:
    """A connection of its own to the database of this Dagster, which is that of the settings."""
    url = load_settings().dagster_database_url
    assert url
    with psycopg.connect(url.get_secret_value(), autocommit=True) as log:
        yield log


def follow(instance: dg.DagsterInstance, connection: psycopg.Connection, begin: Begin) -> Followed:
    """One look at the log of this Dagster."""
    with log_of(instance) as log:
        return follow_log(log, connection, begin)


def materialize(instance: dg.DagsterInstance, *keys: dg.AssetKey, partition: str | None = None) -> None:
    """Run these assets to their end."""
    job = DEFS.resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, asset_selection=list(keys), partition_key=partition, raise_on_error=False)


def copy_runs(instance: dg.DagsterInstance, times: int) -> None:
    """Put the log into itself so many times more, as other runs."""
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(
            text(
                "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition) "
                "SELECT run_id || '-' || n, replace(event, run_id, run_id || '-' || n), dagster_event_type, timestamp, "
                "step_key, asset_key, partition FROM event_logs, generate_series(1, :times) n ORDER BY n, id"
            ),
            {"times": times},
        )


EXPECTED = (
    "SELECT 'atlas_event_log_events_total', ARRAY[]::text[], count(*) FROM e GROUP BY type IS NULL",
    "SELECT 'atlas_pipeline_runs_started_total', ARRAY[job], count(*) FROM e WHERE type = 'PIPELINE_START' GROUP BY 2",
    "SELECT 'atlas_pipeline_runs_total', ARRAY[job, lower(split_part(type, '_', 2))], count(*) FROM e "
    "WHERE type IN ('PIPELINE_SUCCESS', 'PIPELINE_FAILURE') GROUP BY 2",
    "SELECT 'atlas_pipeline_duration_seconds', ARRAY[e.job], count(*) FROM e JOIN e s USING (run) "
    "WHERE e.type IN ('PIPELINE_SUCCESS', 'PIPELINE_FAILURE') AND s.type = 'PIPELINE_START' GROUP BY 2",
    "SELECT 'atlas_pipeline_steps_total', ARRAY[step, lower(split_part(type, '_', 2))], count(*) FROM e "
    "WHERE type IN ('STEP_SUCCESS', 'STEP_FAILURE', 'STEP_SKIPPED') GROUP BY 2",
    "SELECT 'atlas_pipeline_step_duration_seconds', ARRAY[step], count(*) FROM e "
    "WHERE type = 'STEP_SUCCESS' GROUP BY 2",
    "SELECT 'atlas_pipeline_step_retries_total', ARRAY[step], count(*) FROM e WHERE type = 'STEP_RESTARTED' GROUP BY 2",
    "SELECT 'atlas_pipeline_rows_processed_total', ARRAY[asset], sum((event #>> ARRAY['dagster_event', "
    "'event_specific_data', 'materialization', 'metadata_entries', '1', 'entry_data', 'value'])::int) FROM e "
    "WHERE type = 'ASSET_MATERIALIZATION' AND asset = 'bronze/people' GROUP BY 2",
    "SELECT 'atlas_asset_materializations_total', ARRAY[asset], count(*) FROM e "
    "WHERE type = 'ASSET_MATERIALIZATION' GROUP BY 2",
    "SELECT 'atlas_asset_failures_total', ARRAY[p.asset], count(*) FROM e JOIN e p USING (run, step) "
    "WHERE e.type = 'STEP_FAILURE' AND p.type = 'ASSET_MATERIALIZATION_PLANNED' GROUP BY 2",
    "SELECT 'atlas_asset_observations_total', ARRAY[asset], count(*) FROM e "
    "WHERE type = 'ASSET_OBSERVATION' GROUP BY 2",
    "SELECT 'atlas_pii_leaks_total', ARRAY['silver/people'], count(*) FROM e WHERE type = 'ASSET_CHECK_EVALUATION' "
    "AND event #>> ARRAY['dagster_event', 'event_specific_data', 'check_name'] = 'leak_check' HAVING count(*) > 0",
)
"""Totals by family and labels, counted by Postgres alone."""


def counted_by_sql(instance: dg.DagsterInstance) -> dict[tuple[str, ...], float]:
    """What `EXPECTED` says of the whole log."""
    prepared = (
        "WITH e AS MATERIALIZED (SELECT run_id AS run, event::jsonb AS event, dagster_event_type AS type, "
        "split_part(step_key, '[', 1) AS step, array_to_string(ARRAY(SELECT jsonb_array_elements_text("
        "asset_key::jsonb)), '/') AS asset, CASE WHEN event::jsonb ->> 'pipeline_name' LIKE '\\_\\_%' THEN 'assets' "
        "ELSE event::jsonb ->> 'pipeline_name' END AS job FROM event_logs WHERE dagster_event_type = ANY(:types)) "
    )
    types = [TYPES[kind] for kind in KINDS]
    with instance.event_log_storage.index_connection() as connection:
        rows = connection.execute(text(prepared + " UNION ALL ".join(f"({one})" for one in EXPECTED)), {"types": types})
        return {(family, *labels): float(value) for family, labels, value in rows}


def values(connection: psycopg.Connection) -> dict[tuple[str, ...], float]:
    """Counters, and counts of histograms, by family and labels in the family's order."""
    return {
        (one.family, *(one.labels[name] for name in families()[one.family].labels)): one.value
        for one in totals(connection)
        if one.part == "count" or families()[one.family].kind == "counter"
    }
