"""One look of the alert sensor: read events, fold them, write state and messages in one transaction.

Belongs here: the order of these steps. Does not belong here: what follows from an event (`alerting/fold.py`), and the
sensor that calls this (`defs/alerts/`).
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

import dagster as dg
import psycopg
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.conditions import Known, Snapshot
from atlas_pipeline.alerting.fold import fold
from atlas_pipeline.alerting.policy import Policies
from atlas_pipeline.alerting.state import Alert, Silence, State
from atlas_pipeline.event_log.event import Event
from atlas_pipeline.event_log.reader import EVENTS, Log, Position, newest, read_events
from atlas_pipeline.orchestration.alerts.retries import KINDS, assets_of_steps, with_runs
from atlas_pipeline.orchestration.alerts.snapshots import snapshots, stale_models
from atlas_pipeline.orchestration.tables.refresh import models_of
from atlas_pipeline.warehouse.due import GoldDefinition

_log = logging.getLogger(__name__)
PAGE = 500
"""Events in a page: so few that reading one page after the other does not overrun `READ_SECONDS` by much."""
READ_SECONDS = 0.8
"""How long one look reads events; the next one goes on from there. A whole look is to stay below 2 s, on a busy machine
too."""


@dataclass(frozen=True)
class Project:
    """What alerting has to know of the code location: its policies, and what there is to watch."""

    policies: Policies
    known: Known
    assets_of_step: Mapping[str, Sequence[str]]
    select: Callable[[str], frozenset[str]]
    models: Sequence[GoldDefinition] = ()


@dataclass(frozen=True)
class Tick:
    """The result of one look. `began` and `ended` are the alerts that changed by it."""

    events: int
    more: bool
    note: str | None
    began: Sequence[Alert]
    ended: Sequence[Alert]
    firing: int
    messages: int


def project_of(
    repository: dg.RepositoryDefinition, policies: Policies, select: Callable[[str], frozenset[str]]
) -> Project:
    """What there is to watch in a code location.

    Args:
        repository: the loaded code location.
        policies: the alert policies.
        select: paths of the assets that a selection selects; raises ValueError when it is none.
    """
    graph = repository.asset_graph
    nodes = {"/".join(key.path): graph.get(key) for key in graph.get_all_asset_keys()}
    jobs = {*repository.job_names, *(sensor.name for sensor in repository.sensor_defs)}
    jobs |= {schedule.name for schedule in repository.schedule_defs}
    owners = {path: ", ".join(node.owners) for path, node in nodes.items() if node.owners}
    checks: defaultdict[str, set[str]] = defaultdict(set)
    for check in graph.asset_check_keys:
        checks["/".join(check.asset_key.path)].add(check.name)
    known = Known(frozenset(nodes), frozenset(jobs), {path: frozenset(names) for path, names in checks.items()}, owners)
    return Project(policies, known, assets_of_steps(graph.assets_defs), select, models_of(graph))


def look(instance: dg.DagsterInstance, connection: psycopg.Connection, project: Project, now: datetime) -> Tick:
    """Read what is new, fold it, and write state, cursor and messages in one transaction.

    Args:
        instance: whose event log, runs, ticks and daemons are looked at.
        connection: the warehouse.
        project: what there is to watch.
        now: the moment of the look, with its time zone.

    Raises:
        Overtaken: another process looks at the same time; nothing was saved.
    """
    with connection.transaction(), log_of(instance) as log:
        before = store.load(connection)
        silences = [_resolved(silence, project) for silence in store.silences_at(connection, now)]
        position, note = _position(log, before)
        awaited = any(run.awaited for run in before.state.runs.values())
        events, position, more = _read(instance, log, position, project, awaited)
        stale = stale_models(connection, project.models, now)
        items: list[Event | Snapshot] = [*events, *snapshots(instance, now), stale]
        after, messages = fold(before.state, items, project.policies, silences, now, project.known)
        store.save(connection, before, after, position.through, sorted(position.recent), messages)
    began, ended = _changes(before.state, after)
    firing = sum(alert.status == "firing" for alert in after.alerts.values())
    return Tick(len(events), more, note, began, ended, firing, len(messages))


@contextmanager
def log_of(instance: dg.DagsterInstance) -> Iterator[Log]:
    """Dagster's database, over a connection of the instance's own storage."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:

        def rows(statement: LiteralString, parameters: Sequence[object] = ()) -> Sequence[Any]:
            return connection.exec_driver_sql(statement, tuple(parameters)).fetchall()

        yield rows


def _position(log: Log, before: store.Remembered) -> tuple[Position, str | None]:
    if before.position is None:
        return newest(log, EVENTS), "first look: what happened before is passed over"
    end = newest(log, EVENTS)
    if end.through < before.position:
        return end, "the event log is another than before: going on from its end"
    return Position(before.position, frozenset(before.recent)), None


def _read(
    instance: dg.DagsterInstance, log: Log, position: Position, project: Project, awaited: bool
) -> tuple[list[Event], Position, bool]:
    """Events until there are no more, or until the time is too short for another page; one page at least."""
    events: list[Event] = []
    deadline = time.monotonic() + READ_SECONDS
    more, longest = True, 0.0
    while more and (began := time.monotonic()) + longest < deadline:
        page = read_events(log, position, KINDS, PAGE)
        read = with_runs(page.entries, instance, project.assets_of_step, awaited)
        awaited = awaited or any(event.will_retry for event in read)
        events += read
        position, more = page.position, page.more
        longest = max(longest, time.monotonic() - began)
    if unknown := sum(event.kind == "unknown" for event in events):
        _log.warning("%d events of Dagster's log are not as expected: no alert can come of them", unknown)
    return events, position, more


def _resolved(silence: Silence, project: Project) -> Silence:
    """The silence with the assets that its selection selects now; a selection that selects none is a pattern."""
    try:
        assets = project.select(silence.selection)
    except ValueError:
        return silence
    return replace(silence, assets=assets) if assets else silence


def _changes(before: State, after: State) -> tuple[list[Alert], list[Alert]]:
    was = {key: alert.status for key, alert in before.alerts.items()}
    now = [alert for key, alert in after.alerts.items() if was.get(key) != alert.status]
    began = [alert for alert in now if alert.status == "firing"]
    ended = [alert for alert in now if alert.status == "resolved" and was.get(alert.key) == "firing"]
    return began, ended
