"""One look of alerting: events are read and folded, what follows is written in one transaction, messages go out.

Belongs here: the order of these steps. Does not belong here: what follows from an event (`alerting/fold.py`), and the
sensor that calls this (`defs/alerts/`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import dagster as dg
import psycopg

from atlas_pipeline.alerting import store
from atlas_pipeline.alerting.event import Event, Known, Look
from atlas_pipeline.alerting.fold import fold
from atlas_pipeline.alerting.policy import Policies
from atlas_pipeline.alerting.state import Alert, Silence, State
from atlas_pipeline.event_log.entries import Position, newest, read_page
from atlas_pipeline.orchestration.alerts.events import TYPES, assets_of_steps, events_of
from atlas_pipeline.orchestration.alerts.looks import looks

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


@dataclass(frozen=True)
class Tick:
    """What one look came to. `began` and `ended` are the alerts that changed by it."""

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
    """What there is to watch in a code location."""
    graph = repository.asset_graph
    nodes = {"/".join(key.path): graph.get(key) for key in graph.get_all_asset_keys()}
    jobs = {*repository.job_names, *(one.name for one in repository.sensor_defs)}
    jobs |= {one.name for one in repository.schedule_defs}
    owners = {path: ", ".join(node.owners) for path, node in nodes.items() if node.owners}
    known = Known(assets=frozenset(nodes), jobs=frozenset(jobs), owners=owners)
    return Project(policies, known, assets_of_steps(graph.assets_defs), select)


def look(instance: dg.DagsterInstance, connection: psycopg.Connection, project: Project, now: datetime) -> Tick:
    """Read what is new, fold it, and write state, cursor and messages in one transaction."""
    with connection.transaction():
        before = store.load(connection)
        silences = [_resolved(one, project) for one in store.silences_at(connection, now)]
        position, note = _position(instance, before)
        awaited = any(run.awaited for run in before.state.runs.values())
        events, position, more = _read(instance, position, project, awaited)
        items: list[Event | Look] = [*events, *looks(instance, now)]
        after, messages = fold(before.state, items, project.policies, silences, now, project.known)
        store.save(connection, before, after, position.through, sorted(position.recent), messages)
    began, ended = _changes(before.state, after)
    firing = sum(one.status == "firing" for one in after.alerts.values())
    return Tick(len(events), more, note, began, ended, firing, len(messages))


def _position(instance: dg.DagsterInstance, before: store.Remembered) -> tuple[Position, str | None]:
    if before.position is None:
        return newest(instance), "first look: what happened before is passed over"
    end = newest(instance)
    if end.through < before.position:
        return end, "the event log is another than before: going on from its end"
    return Position(before.position, frozenset(before.recent)), None


def _read(
    instance: dg.DagsterInstance, position: Position, project: Project, awaited: bool
) -> tuple[list[Event], Position, bool]:
    """Events until there are no more, or until the time is too short for another page; one page at least."""
    events: list[Event] = []
    deadline = time.monotonic() + READ_SECONDS
    more, longest = True, 0.0
    while more and (began := time.monotonic()) + longest < deadline:
        page = read_page(instance, position, TYPES)
        found = events_of(page.events, instance, project.assets_of_step, awaited)
        awaited = awaited or any(one.will_retry for one in found)
        events += found
        position, more = page.position, page.more
        longest = max(longest, time.monotonic() - began)
    return events, position, more


def _resolved(silence: Silence, project: Project) -> Silence:
    """The silence with the assets that its selection selects now; a selection that selects none is a pattern."""
    try:
        assets = project.select(silence.selection)
    except ValueError:
        return silence
    return replace(silence, assets=assets) if assets else silence


def _changes(before: State, after: State) -> tuple[list[Alert], list[Alert]]:
    was = {key: one.status for key, one in before.alerts.items()}
    now = [one for key, one in after.alerts.items() if was.get(key) != one.status]
    began = [one for one in now if one.status == "firing"]
    ended = [one for one in now if one.status == "resolved" and was.get(one.key) == "firing"]
    return began, ended
