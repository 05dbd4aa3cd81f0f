"""OpenLineage events from Dagster's event log: read by cursor, sent in order, each until it was taken.

Belongs here: one look at the log, and what the project is to it. Does not belong here: events and sending
(`openlineage/`), and when to look (`defs/openlineage/`). Builds do not take part: a receiver that is slow, or gone,
does not hold them up, and what a killed run could not say is said here.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from psycopg import conninfo

from atlas_pipeline import labels
from atlas_pipeline.event_log.event import Event
from atlas_pipeline.event_log.reader import EVENTS, Log, Page, Position, newest, read_events
from atlas_pipeline.openlineage.events import KINDS, State, fold
from atlas_pipeline.openlineage.project import Project
from atlas_pipeline.openlineage.sending import Sent, Transport
from atlas_pipeline.orchestration.alerts.retries import assets_of_steps
from atlas_pipeline.orchestration.alerts.tick import log_of
from atlas_pipeline.orchestration.tables.catalogue import declared_tables

SECONDS = 10.0
"""How long one look sends, at most."""
_ENTRIES = 200
_PORT = 5432


@dataclass(frozen=True)
class Looked:
    """What came of one look: the cursor for the next one, and what is said of it."""

    cursor: str
    sent: int
    refused: int = 0
    problem: str | None = None
    more: bool = False


def project_of(graph: AssetGraph, url: str) -> Project:
    """What there is in a code location.

    Args:
        graph: of its assets.
        url: of the warehouse.
    """
    tables = declared_tables(graph, {}, [], Path())
    by_path = {key.replace(".", "/", 1): table for key, table in tables.items()}
    actions = {
        (path, column.name): column.tags[labels.ACTION_TAG]
        for path, table in by_path.items()
        for column in table.columns
        if labels.ACTION_TAG in column.tags
    }
    parts = conninfo.conninfo_to_dict(url)
    host = str(parts.get("host") or "localhost")
    # The embedded server has a socket in a folder, which tells others nothing.
    server = f"postgres://{'localhost' if host.startswith('/') else host}:{parts.get('port') or _PORT}"
    return Project(by_path, assets_of_steps(graph.assets_defs), server, str(parts.get("dbname") or ""), actions)


def look(
    instance: dg.DagsterInstance, project: Project, transport: Transport, cursor: str | None, seconds: float = SECONDS
) -> Looked:
    """Send what follows from the events that are new; what could not be sent is sent by a later look.

    Args:
        instance: whose event log is read.
        project: what there is.
        transport: where events go.
        cursor: of the last look; null for a first one, which passes over what happened before.
        seconds: how long to send, at most.
    """
    with log_of(instance) as log:
        if cursor is None:
            return Looked(_written(newest(log, EVENTS), {}), 0)
        end = time.monotonic() + seconds
        done = _page(log, project, transport, cursor, seconds)
        while done.more and not done.problem and (left := end - time.monotonic()) > 0:
            then = _page(log, project, transport, done.cursor, left)
            done = replace(then, sent=done.sent + then.sent, refused=done.refused + then.refused)
        return done


def _page(log: Log, project: Project, transport: Transport, cursor: str, seconds: float) -> Looked:
    """Send what follows from one page of the log."""
    position, state = _read(cursor)
    page: Page[Event] = read_events(log, position, KINDS, _ENTRIES)
    messages: list[dict[str, Any]] = []
    needed: list[int] = []
    for event in page.entries:
        messages += fold(state, event, project)
        needed.append(len(messages))
    sent = transport.send(messages, seconds) if messages else Sent(0)
    if sent.number == len(messages):
        return Looked(_written(page.position, state), sent.number, sent.refused, more=page.more)
    # Events all of whose messages were sent are read; of the one that was not, some may be sent twice.
    taken = [event for event, number in zip(page.entries, needed, strict=True) if number <= sent.number]
    _, state = _read(cursor)
    for event in taken:
        fold(state, event, project)
    position = Position(position.through, position.recent | {event.id for event in taken})
    return Looked(_written(position, state), sent.number, sent.refused, sent.problem, more=True)


def _written(position: Position, state: State) -> str:
    return json.dumps({"through": position.through, "recent": sorted(position.recent), "runs": state})


def _read(cursor: str) -> tuple[Position, State]:
    found = json.loads(cursor)
    return Position(found["through"], frozenset(found["recent"])), found["runs"]
