"""Events of real runs as alerting gets them, with what only the instance knows of their runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from atlas_pipeline.event_log.event import Event
from atlas_pipeline.event_log.reader import Position, read_events
from atlas_pipeline.orchestration.alerts.retries import KINDS, assets_of_steps, with_runs
from atlas_pipeline.orchestration.alerts.tick import log_of

SECRET = "ada@example.com"


@dg.asset(check_specs=[dg.AssetCheckSpec("amount", asset="broken", blocking=True)])
def broken() -> Any:
    yield dg.AssetCheckResult(
        check_name="amount",
        passed=False,
        description="3 rows are below zero",
        metadata={"measured": 3.0, "threshold": "must be 0", "sample of failed rows": SECRET},
    )
    raise dg.Failure("broken fails its contract: amount")


@dg.asset(deps=[broken])
def below() -> None:
    """Not reached."""


@dg.asset
def good() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"quality score": 0.75})


@dg.asset
def quoting() -> None:
    raise ValueError(f"duplicate key {SECRET}")


DEFS = dg.Definitions([broken, below, good, quoting], executor=dg.in_process_executor)


@pytest.fixture
def instance(atlas_env: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster over Postgres, as Atlas runs it."""
    storage = {"module": "atlas_pipeline.instance.storage", "class": "AtlasDagsterStorage", "config": {}}
    overrides = {
        "storage": {"custom": storage},
        "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
        "telemetry": {"enabled": False},
    }
    with dg.instance_for_test(overrides=overrides, temp_dir=str(atlas_env)) as one:
        yield one


def materialize(instance: dg.DagsterInstance, *keys: str, **tags: str) -> None:
    job = DEFS.resolve_implicit_global_asset_job_def()
    chosen = [dg.AssetKey([key]) for key in keys]
    job.execute_in_process(instance=instance, asset_selection=chosen, raise_on_error=False, tags=tags)


def read(instance: dg.DagsterInstance, *, awaited: bool = False) -> list[Event]:
    with log_of(instance) as log:
        page = read_events(log, Position(0), KINDS, 1000)
    steps = assets_of_steps(DEFS.resolve_asset_graph().assets_defs)
    return with_runs(page.entries, instance, steps, awaited)


def test_a_failed_run_names_the_assets_of_the_steps_that_failed_themselves(instance: dg.DagsterInstance) -> None:
    materialize(instance, "broken", "below", "good")
    found = read(instance)
    assert {(one.kind, one.assets, one.job) for one in found} == {
        ("check", ("broken",), None),
        ("step_failed", ("broken",), None),
        ("materialized", ("good",), None),
        ("run_failed", ("below", "broken", "good"), None),
    }
    by_kind = {one.kind: one for one in found}
    check = by_kind["check"]
    assert (check.check, check.passed, check.level) == ("amount", False, "error")
    assert check.facts == {"measured": 3.0, "threshold": "must be 0"}
    assert check.problem == "3 rows are below zero"
    assert by_kind["step_failed"].problem == "broken fails its contract: amount"
    assert by_kind["materialized"].score == 0.75
    assert not by_kind["run_failed"].will_retry
    assert [one.id for one in found] == sorted(one.id for one in found)


def test_words_of_an_error_that_may_quote_a_row_are_not_taken(instance: dg.DagsterInstance) -> None:
    materialize(instance, "quoting", "broken")
    found = read(instance)
    assert SECRET not in repr(found)
    (failure,) = [one for one in found if one.kind == "step_failed" and one.assets == ("quoting",)]
    assert failure.problem == "ValueError: see the run"


def test_a_run_that_is_tried_again_says_so(instance: dg.DagsterInstance) -> None:
    materialize(instance, "quoting", **{"dagster/retry_on_asset_or_op_failure": "true"})
    step, run = (one for one in read(instance) if one.kind in ("step_failed", "run_failed"))
    assert (step.may_retry, run.may_retry, run.will_retry) == (True, True, True)
    assert run.root_run == run.run
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(text("DELETE FROM run_tags WHERE key = 'dagster/will_retry'"))
        body = 'replace(run_body, \'"dagster/will_retry": "true"\', \'"x": "y"\')'
        connection.execute(text(f"UPDATE runs SET run_body = {body}"))
    assert [one.will_retry for one in read(instance) if one.kind == "run_failed"] == [True]
