"""Snapshots of what no event reports: ticks that fail, a queue that grows, silent daemons, gold behind its sources.

Belongs here: asking Dagster and the warehouse how these stand now. Does not belong here: from when on that is an alert
(`alerting/`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
import psycopg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus

from atlas_pipeline.alerting.conditions import Finding, Snapshot
from atlas_pipeline.warehouse.due import GoldDefinition, due

_PROBLEM_CHARACTERS = 300


def snapshots(instance: dg.DagsterInstance, now: datetime) -> list[Snapshot]:
    """How ticks, the run queue and the daemons of an instance stand at the moment `now`."""
    return [_ticks(instance, now), _queue(instance, now), _daemons(instance, now)]


def stale_models(connection: psycopg.Connection, models: Iterable[GoldDefinition], now: datetime) -> Snapshot:
    """Gold tables that are older than what they read.

    Args:
        connection: the warehouse.
        models: all of the project.
        now: the moment of the look.
    """
    found = {}
    for name, one in due(connection, models).items():
        if one.since is not None:
            tables = ", ".join(".".join(table) for table in sorted(one.newer)) or "a table that is due itself"
            path = f"gold/{name}"
            problem = f"it is older than what it reads: {tables}"
            found[path] = Finding(problem, since=one.since, link=f"/assets/{path}")
    return Snapshot("stale_model", now, found)


def _ticks(instance: dg.DagsterInstance, now: datetime) -> Snapshot:
    """Schedules and sensors that are on and whose last tick failed."""
    failed = {}
    on = (InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE)
    states = [state for state in instance.all_instigator_state() if state.status in on]
    for state, tick in _last_ticks(instance, states):
        if tick.status == TickStatus.FAILURE:
            kind = "sensor" if state.instigator_type.value == "SENSOR" else "schedule"
            link = f"/automation/schedules-and-sensors/{kind}/{state.name}"
            since = datetime.fromtimestamp(tick.timestamp, UTC)
            failed[f"{kind} {state.name}"] = Finding(_problem(tick), since=since, link=link)
    return Snapshot("tick_failed", now, failed)


def _last_ticks(
    instance: dg.DagsterInstance, states: Iterable[InstigatorState]
) -> Iterable[tuple[InstigatorState, InstigatorTick]]:
    """The last tick of each that came to an end."""
    ended = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
    for state in states:
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=ended)
        if ticks:
            yield state, ticks[0]


def _problem(tick: InstigatorTick) -> str:
    """The error's class: its message may quote a row."""
    error = tick.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "its last tick failed"
    return f"its last tick failed: {error.cls_name or 'an error'}; see the tick"[:_PROBLEM_CHARACTERS]


def _queue(instance: dg.DagsterInstance, now: datetime) -> Snapshot:
    """The run queue, if runs wait in it."""
    waiting = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    queues = {}
    if waiting:
        text = f"{waiting:,} runs are queued"
        queues["run queue"] = Finding(text, amount=waiting, link="/runs?view=queued", facts={"queued": waiting})
    return Snapshot("queue_long", now, queues)


def _daemons(instance: dg.DagsterInstance, now: datetime) -> Snapshot:
    """Daemons that had a heartbeat once and have none now."""
    silent = {}
    for name, status in instance.get_daemon_statuses().items():
        if status.required and not status.healthy and status.last_heartbeat is not None:
            since = datetime.fromtimestamp(status.last_heartbeat.timestamp, UTC)
            silent[f"daemon {name.lower()}"] = Finding(
                "it gives no sign of life", since=since, link="/deployment/daemons"
            )
    return Snapshot("system_down", now, silent)
