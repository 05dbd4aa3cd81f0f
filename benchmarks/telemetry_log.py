"""The event log for the benchmark of telemetry: real runs of Dagster, copied many times for other assets.

Belongs here: filling that log. Does not belong here: what is measured (`telemetry.py`).
"""

import dagster as dg
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import text

from atlas_pipeline.orchestration.tables.personal_data import plan_table
from atlas_pipeline.pii.plan import ColumnPlan

DATASETS = 250
"""Each has an asset in bronze and one in silver."""
_BRONZE, _SILVER = dg.AssetKey(["bronze", "thing0000"]), dg.AssetKey(["silver", "thing0000"])
_CHECKS = [f"columns_column_{number}_missing" for number in range(10)]
_MAIL = [ColumnPlan(f"mail_{number}", "typed", "EMAIL_ADDRESS", 1.0, {"rows": 9}, "hash") for number in range(4)]
_PLAN = [*_MAIL, *(ColumnPlan(f"column_{number}", "clean", None, 1.0, {}, "keep") for number in range(16))]


@dg.asset(key=_BRONZE)
def bronze() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"dagster/row_count": 900, "rows in": 100, "bytes": 10**6, "seconds": 1.5})


@dg.asset(key=_SILVER, deps=[_BRONZE], check_specs=[dg.AssetCheckSpec(name, asset=_SILVER) for name in _CHECKS])
def silver() -> dg.MaterializeResult:
    metadata = {
        "rows in": 90,
        "personal-data plan": plan_table(_PLAN),
        "preview": dg.MetadataValue.md("| row |\n" * 200),
    }
    checks = [
        dg.AssetCheckResult(check_name=name, passed=number > 0, metadata={"dimension": "completeness", "measured": 0.5})
        for number, name in enumerate(_CHECKS)
    ]
    return dg.MaterializeResult(metadata=metadata, check_results=checks)


def fill(rows: int) -> int:
    """Fill the log of this process's installation with at least `rows` events; returns how many there are."""
    with dg.DagsterInstance.get() as instance:
        for _ in range(2):
            dg.materialize([bronze, silver], instance=instance)
        storage = instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage)
        with storage.index_connection() as connection:
            made = connection.execute(text("SELECT count(*) FROM event_logs")).scalar_one()
            for copy in (_COPY_EVENTS, _COPY_RUNS):
                connection.execute(copy, {"times": rows // made, "datasets": DATASETS})
            connection.execute(text("ANALYZE event_logs, runs"))
            return connection.execute(text("SELECT count(*) FROM event_logs")).scalar_one()


# OFFSET 0 makes it copy one run after the other, in order, without sorting.
_COPY_EVENTS = text("""
WITH made AS MATERIALIZED (SELECT * FROM event_logs ORDER BY id)
INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
SELECT run_id || '-' || n, replace(replace(event, run_id, run_id || '-' || n), 'thing0000', thing), dagster_event_type,
    timestamp, replace(step_key, 'thing0000', thing), replace(asset_key, 'thing0000', thing), partition
FROM generate_series(1, :times) n, lateral (SELECT 'thing' || lpad((n % :datasets)::text, 4, '0') AS thing) t,
    lateral (SELECT * FROM made WHERE n > 0 OFFSET 0) e
""")
_COPY_RUNS = text("""
INSERT INTO runs (run_id, snapshot_id, pipeline_name, status, run_body, create_timestamp, start_time, end_time)
SELECT run_id || '-' || n, snapshot_id, pipeline_name, status, replace(run_body, run_id, run_id || '-' || n),
    create_timestamp, start_time, end_time
FROM generate_series(1, :times) n, runs
""")
