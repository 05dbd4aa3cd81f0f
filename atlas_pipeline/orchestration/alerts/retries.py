"""What Dagster's log does not say of an event: what its run was to make, and whether Dagster starts the run again.

Belongs here: asking the instance, and adding the answer to events. Does not belong here: reading and decoding the log
(`event_log/`), and what follows from an event (`alerting/`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.tags import (
    MAX_RETRIES_TAG,
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
)

from atlas_pipeline.event_log.event import Event, EventKind

KINDS: Collection[EventKind] = frozenset(
    {"run_failed", "run_succeeded", "run_canceled", "step_failed", "check", "materialized", "freshness"}
)
"""The events that alerts are made from."""
_RUN_ENDS: Collection[EventKind] = frozenset({"run_failed", "run_succeeded", "run_canceled"})
_RUNS_AT_ONCE = 500


def with_runs(
    events: Sequence[Event],
    instance: dg.DagsterInstance,
    assets_of_step: Mapping[str, Sequence[str]],
    awaited: bool,
) -> list[Event]:
    """Add to events what only the instance knows of their runs.

    Args:
        events: events of `KINDS`, as decoded.
        instance: asked for runs that failed, and for those that ended otherwise while the end of a retry is `awaited`.
        assets_of_step: the assets that each step makes, by the step's key in a run of assets.
        awaited: whether a run failed earlier whose retry has not ended.

    Returns:
        The same events in their order: ends of runs and failed steps with `assets`, those of runs that were asked for
        with `root_run`, `will_retry` and `may_retry`.
    """
    runs = _runs(instance, sorted({event.run for event in events if _needs_run(event, awaited)}))
    retries = instance.get_settings("run_retries") if instance.run_retries_enabled else {}
    return [_with_run(event, runs.get(event.run), instance, retries, assets_of_step) for event in events]


def assets_of_steps(assets: Iterable[dg.AssetsDefinition]) -> dict[str, list[str]]:
    """The assets that each step makes, by the step's key in a run of assets."""
    return {made.op.name: sorted(_path(key) for key in made.keys) for made in assets if made.is_executable}


def _needs_run(event: Event, awaited: bool) -> bool:
    if event.kind in ("run_failed", "step_failed") or (event.kind == "check" and not event.passed):
        return True
    return awaited and event.kind in _RUN_ENDS


def _runs(instance: dg.DagsterInstance, ids: Sequence[str]) -> dict[str, dg.DagsterRun]:
    runs: dict[str, dg.DagsterRun] = {}
    for start in range(0, len(ids), _RUNS_AT_ONCE):
        chosen = dg.RunsFilter(run_ids=list(ids[start : start + _RUNS_AT_ONCE]))
        runs |= {run.run_id: run for run in instance.get_runs(chosen)}
    return runs


def _with_run(
    event: Event,
    run: dg.DagsterRun | None,
    instance: dg.DagsterInstance,
    retries: Mapping[str, Any],
    assets_of_step: Mapping[str, Sequence[str]],
) -> Event:
    selected = sorted(_path(key) for key in run.asset_selection or ()) if run else []
    if event.kind in _RUN_ENDS:
        event = replace(event, assets=tuple(selected))
    elif event.kind == "step_failed":
        made = assets_of_step.get((event.step or "").partition("[")[0], ())
        event = replace(event, assets=tuple(asset for asset in made if not selected or asset in selected))
    if run is None:
        return event
    most = int(run.tags.get(MAX_RETRIES_TAG) or retries.get("max_retries") or 0)
    on_steps_tag = run.tags.get(RETRY_ON_ASSET_OR_OP_FAILURE_TAG)
    on_steps = retries.get("retry_on_asset_or_op_failure", True) if on_steps_tag is None else on_steps_tag == "true"
    return replace(
        event,
        root_run=run.root_run_id or run.run_id,
        will_retry=event.kind == "run_failed" and _will_retry(run, instance),
        may_retry=bool(retries) and most > 0 and on_steps,
    )


def _will_retry(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Whether Dagster starts this run again. It writes so on the run, but only after the event of the failure."""
    tag = run.tags.get(WILL_RETRY_TAG)
    if tag is not None:
        return tag == "true"
    reason = run.tags.get(RUN_FAILURE_REASON_TAG)
    known = instance.run_retries_enabled and run.status == dg.DagsterRunStatus.FAILURE
    return known and auto_reexecution_should_retry_run(instance, run, RunFailureReason(reason) if reason else None)


def _path(key: dg.AssetKey) -> str:
    return "/".join(key.path)
