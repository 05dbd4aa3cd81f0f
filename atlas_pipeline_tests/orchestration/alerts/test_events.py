"""Dagster's events as alerting gets them: from real runs, read from the real log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from atlas_pipeline.alerting.event import Event
from atlas_pipeline.event_log.entries import OVERLAP, Position, newest, read_page
from atlas_pipeline.orchestration.alerts.events import TYPES, assets_of_steps, events_of

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
    page = read_page(instance, Position(0), TYPES)
    steps = assets_of_steps(DEFS.resolve_asset_graph().assets_defs)
    return events_of(page.events, instance, steps, awaited)


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


def test_an_event_that_becomes_visible_late_is_read_once(instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        materialize(instance, "good")
    first = read_page(instance, Position(0), TYPES)
    ids = [number for number, _ in first.events]
    late = ids[1]
    move = "UPDATE event_logs SET id = {} WHERE id = {}"
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(text(move.format(-late, late)))
    before = read_page(instance, Position(0), TYPES)
    assert [number for number, _ in before.events] == [number for number in ids if number != late]
    with instance.event_log_storage.index_connection() as connection:
        connection.execute(text(move.format(late, -late)))
    after = read_page(instance, before.position, TYPES)
    assert [number for number, _ in after.events] == [late]
    assert not read_page(instance, after.position, TYPES).events


def test_pages_go_through_the_log_once_and_the_first_look_begins_at_its_end(instance: dg.DagsterInstance) -> None:
    assert not read_page(instance, newest(instance), TYPES).events
    materialize(instance, "good", "broken")
    assert not read_page(instance, newest(instance), TYPES).events
    whole = [number for number, _ in read_page(instance, Position(0), TYPES).events]
    position, seen, more = Position(0), list[int](), True
    while more:
        page = read_page(instance, position, TYPES, limit=2)
        seen += [number for number, _ in page.events]
        position, more = page.position, page.more
    assert seen == whole
    assert position.through == 0
    assert len(position.recent) <= OVERLAP


def test_a_log_that_ends_before_the_position_is_another_log(instance: dg.DagsterInstance) -> None:
    materialize(instance, "good")
    page = read_page(instance, Position(10**9), TYPES)
    assert not page.events
    assert page.position == newest(instance)
