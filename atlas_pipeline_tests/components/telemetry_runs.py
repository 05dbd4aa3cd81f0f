"""Runs whose events are counted: assets that succeed, fail, are tried again and are checked, and steps that are mapped.

Belongs here: these definitions, and running them over Postgres as Atlas does. Does not belong here: what comes of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from atlas_pipeline.components.personal_data import plan_table
from atlas_pipeline.pii.plan import ColumnPlan

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


@dg.job
def mapped() -> None:
    split().map(work)


DEFS = dg.Definitions([load, build, model, below, backup__atlas], jobs=[mapped], executor=dg.in_process_executor)


@contextmanager
def dagster_at(home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    storage = {"module": "atlas_pipeline.resources.dagster_storage", "class": "AtlasDagsterStorage", "config": {}}
    overrides = {"storage": {"custom": storage}, "telemetry": {"enabled": False}}
    with dg.instance_for_test(overrides=overrides, temp_dir=str(home)) as one:
        yield one


def materialize(instance: dg.DagsterInstance, *keys: dg.AssetKey, partition: str | None = None) -> None:
    """Run these assets to their end."""
    job = DEFS.resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, asset_selection=list(keys), partition_key=partition, raise_on_error=False)
