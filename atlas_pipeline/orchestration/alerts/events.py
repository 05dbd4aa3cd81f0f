"""Dagster's events as alerting knows them.

Belongs here: which events count, and what is taken from them: names, counts and our own words, never a value of a row.
Does not belong here: reading the log (`event_log/entries.py`), and what follows from an event (`alerting/`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterEventType as Type
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.tags import (
    MAX_RETRIES_TAG,
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
)

from atlas_pipeline.alerting.event import Event, EventKind, Fact, Freshness

TYPES = frozenset(
    {
        Type.RUN_FAILURE,
        Type.RUN_SUCCESS,
        Type.RUN_CANCELED,
        Type.STEP_FAILURE,
        Type.ASSET_CHECK_EVALUATION,
        Type.ASSET_MATERIALIZATION,
        Type.FRESHNESS_STATE_CHANGE,
    }
)
_ENDS: Mapping[Type, EventKind] = {
    Type.RUN_FAILURE: "run_failed",
    Type.RUN_SUCCESS: "run_succeeded",
    Type.RUN_CANCELED: "run_canceled",
}
_FACTS = ("measured", "threshold", "rows tested", "rows failed", "dimension", "hours allowed")
"""Metadata of a check that is shown. The rest may hold what nobody should read in a message."""
_SCORE = "quality score"
_PROBLEM_CHARACTERS = 500
_RUNS_AT_ONCE = 500


def events_of(
    entries: Sequence[tuple[int, dg.EventLogEntry]],
    instance: dg.DagsterInstance,
    assets_of_step: Mapping[str, Sequence[str]],
    awaited: bool,
) -> list[Event]:
    """Events in the order of their ids. `assets_of_step` has the assets that each step makes, by its key.

    What a run was to make, and whether it is tried again, is asked of the instance for runs that failed, and for those
    that ended otherwise while the end of a retry is `awaited`.
    """
    asked = {entry.run_id for _, entry in entries if _needs_run(entry, awaited)}
    runs = _runs(instance, sorted(asked))
    retries = instance.get_settings("run_retries") if instance.run_retries_enabled else {}
    found = []
    for number, entry in entries:
        run = runs.get(entry.run_id)
        event = _event(number, entry, run, assets_of_step)
        if event is not None:
            found.append(event if run is None else _with_run(event, run, instance, retries))
    return found


def _needs_run(entry: dg.EventLogEntry, awaited: bool) -> bool:
    event = entry.get_dagster_event()
    if event.event_type in (Type.RUN_FAILURE, Type.STEP_FAILURE):
        return True
    if event.event_type == Type.ASSET_CHECK_EVALUATION:
        return not event.asset_check_evaluation_data.passed
    return awaited and event.event_type in _ENDS


def _runs(instance: dg.DagsterInstance, ids: Sequence[str]) -> dict[str, dg.DagsterRun]:
    found: dict[str, dg.DagsterRun] = {}
    for start in range(0, len(ids), _RUNS_AT_ONCE):
        chosen = dg.RunsFilter(run_ids=list(ids[start : start + _RUNS_AT_ONCE]))
        found |= {run.run_id: run for run in instance.get_runs(chosen)}
    return found


def _event(
    number: int, entry: dg.EventLogEntry, run: dg.DagsterRun | None, assets_of_step: Mapping[str, Sequence[str]]
) -> Event | None:
    event = entry.get_dagster_event()
    at = datetime.fromtimestamp(entry.timestamp, UTC)
    common: dict[str, Any] = {"id": number, "at": at, "run": entry.run_id, "root_run": entry.run_id}
    common["job"] = _job(event.job_name)
    kind = event.event_type
    if kind in _ENDS:
        return Event(kind=_ENDS[kind], assets=_selected(run), **common)
    if kind == Type.STEP_FAILURE:
        step = event.step_key or ""
        chosen = _selected(run)
        made = [one for one in assets_of_step.get(_op(step), ()) if not chosen or one in chosen]
        problem = _why(event.step_failure_data)
        return Event(kind="step_failed", step=step, assets=tuple(made), problem=problem, **common)
    if kind == Type.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        return Event(
            kind="check",
            assets=(_path(check.asset_key),),
            check=check.check_name,
            passed=check.passed,
            level="error" if check.severity == dg.AssetCheckSeverity.ERROR else "warn",
            problem="" if check.passed else (check.description or "")[:_PROBLEM_CHARACTERS],
            facts=_facts(check.metadata),
            **common,
        )
    if kind == Type.ASSET_MATERIALIZATION:
        made_ = event.step_materialization_data.materialization
        score = made_.metadata.get(_SCORE)
        value = score.value if score is not None else None
        return Event(
            kind="materialized",
            assets=(_path(made_.asset_key),),
            score=float(value) if isinstance(value, int | float) else None,
            **common,
        )
    if kind == Type.FRESHNESS_STATE_CHANGE:
        change = event.asset_freshness_state_change_data
        states: Mapping[str, Freshness] = {"PASS": "pass", "WARN": "warn", "FAIL": "fail", "UNKNOWN": "unknown"}
        state = states.get(change.new_state.value)
        return Event(kind="freshness", assets=(_path(change.key),), freshness=state, **common) if state else None
    return None


def _with_run(event: Event, run: dg.DagsterRun, instance: dg.DagsterInstance, retries: Mapping[str, Any]) -> Event:
    most = int(run.tags.get(MAX_RETRIES_TAG) or retries.get("max_retries") or 0)
    also_steps = run.tags.get(RETRY_ON_ASSET_OR_OP_FAILURE_TAG)
    on_steps = retries.get("retry_on_asset_or_op_failure", True) if also_steps is None else also_steps == "true"
    return replace(
        event,
        root_run=run.root_run_id or run.run_id,
        will_retry=event.kind == "run_failed" and _will_retry(run, instance),
        may_retry=bool(retries) and most > 0 and on_steps,
    )


def _will_retry(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Whether Dagster starts this run again. It writes so on the run, but only after the event of the failure."""
    said = run.tags.get(WILL_RETRY_TAG)
    if said is not None:
        return said == "true"
    reason = run.tags.get(RUN_FAILURE_REASON_TAG)
    known = instance.run_retries_enabled and run.status == dg.DagsterRunStatus.FAILURE
    return known and auto_reexecution_should_retry_run(instance, run, RunFailureReason(reason) if reason else None)


def _why(failure: Any) -> str:
    """What a step said of its failure, if it said so by dg.Failure; else only the kind of error, since its words may
    quote a row."""
    said = failure.user_failure_data.description if failure.user_failure_data else None
    if said:
        return str(said)[:_PROBLEM_CHARACTERS]
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return f"{error.cls_name}: see the run" if error is not None and error.cls_name else "see the run"


def _facts(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Fact]:
    values = {name: metadata[name].value for name in _FACTS if name in metadata}
    return {name: value for name, value in values.items() if isinstance(value, str | int | float)}


def _selected(run: dg.DagsterRun | None) -> tuple[str, ...]:
    return tuple(sorted(_path(key) for key in run.asset_selection or ())) if run else ()


def _job(name: str | None) -> str | None:
    return None if name is None or name.startswith("__") else name


def _op(step: str) -> str:
    """The op of a step: without the index of a mapped one."""
    return step.partition("[")[0]


def _path(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def assets_of_steps(assets: Iterable[dg.AssetsDefinition]) -> dict[str, list[str]]:
    """The assets that each step makes, by the step's key in a run of assets."""
    return {one.op.name: sorted(_path(key) for key in one.keys) for one in assets if one.is_executable}
