"""Gauges of Dagster, from its own tables: runs, the queue, daemons, freshness; and from its web server.

Belongs here: statements on Dagster's tables, and the one question to its web server. Does not belong here: events that
are counted (they have a cursor). Dagster itself is not imported: `atlas ops` would need twice the memory.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atlas_pipeline.telemetry.health import DAEMONS
from atlas_pipeline.telemetry.parts.asking import Database
from atlas_pipeline.telemetry.sample import Sample

UNENDED = ("NOT_STARTED", "QUEUED", "STARTING", "STARTED", "SUSPENDED", "CANCELING")
STATES = ("pass", "warn", "fail", "unknown")
# When a run was made is kept in the time zone of the session that made it, which is the database's own, as here.
_RUNS = """
SELECT status, count(*), extract(epoch FROM localtimestamp - min(create_timestamp))::float8
FROM runs WHERE status = ANY(%s) GROUP BY status
"""
_LAST_START = "SELECT max(start_time) FROM (SELECT start_time FROM runs ORDER BY id DESC LIMIT 10000) newest"
_HEARTBEATS = "SELECT daemon_type, (body::jsonb ->> 'timestamp')::float8 FROM daemon_heartbeats"
_FRESHNESS = """
SELECT DISTINCT ON (asset_key) asset_key, event::jsonb #>> '{dagster_event,event_specific_data,new_state,__enum__}'
FROM event_logs WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE' ORDER BY asset_key, id DESC
"""
_LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename } } } } }
"""
_MOST_BYTES = 1 << 20


class NoAnswer(Exception):
    """The web server did not say which code locations it has; the message says how, and holds no address."""


@dataclass(frozen=True)
class Queue:
    """The run queue: its length, the age of the oldest run in it, runs that go on, and when the last one began."""

    length: int
    oldest_seconds: float
    going_on: int
    last_start_seconds_ago: float | None


def samples(dagster: Database) -> Iterator[Sample]:
    """Samples of runs, the queue, heartbeats and freshness. Raises Away."""
    unended = _unended(dagster)
    for status, (number, _) in unended.items():
        yield Sample("atlas_runs", {"status": status.lower()}, number)
    length, oldest = unended["QUEUED"]
    yield Sample("atlas_run_queue_length", {}, length)
    yield Sample("atlas_run_queue_oldest_seconds", {}, oldest)
    for daemon, age in heartbeats(dagster).items():
        yield Sample("atlas_daemon_heartbeat_age_seconds", {"daemon": daemon.lower()}, age)
    for key, named in dagster.rows(_FRESHNESS):
        state = (named or "").rpartition(".")[2].lower()
        if state in STATES:
            asset = "/".join(json.loads(key))
            for other in STATES:
                yield Sample("atlas_asset_freshness", {"asset": asset, "state": other}, other == state)


def heartbeats(dagster: Database) -> dict[str, float]:
    """Seconds since each daemon of `DAEMONS` that ever was alive gave a sign of it. Raises Away."""
    now = time.time()
    found = dict(dagster.rows(_HEARTBEATS))
    return {daemon: max(0.0, now - found[daemon]) for daemon in DAEMONS if daemon in found}


def queue(dagster: Database) -> Queue:
    """How the queue of runs stands. Raises Away."""
    unended = _unended(dagster)
    [(last,)] = dagster.rows(_LAST_START)
    going_on = sum(unended[status][0] for status in ("STARTING", "STARTED", "CANCELING"))
    return Queue(*unended["QUEUED"], going_on, None if last is None else time.time() - last)


def _unended(dagster: Database) -> dict[str, tuple[int, float]]:
    """How many runs have each status of `UNENDED`, and for how many seconds the oldest of them has been there."""
    found = {status: (number, max(0.0, age)) for status, number, age in dagster.rows(_RUNS, [list(UNENDED)])}
    return {status: found.get(status, (0, 0.0)) for status in UNENDED}


def locations(address: str, seconds: float = 2.0) -> Mapping[str, bool]:
    """Whether each code location is loaded.

    Args:
        address: of Dagster's web server, without a path.
        seconds: timeout.

    Raises:
        NoAnswer: the web server did not say.
    """
    request = urllib.request.Request(  # noqa: S310 — the address of the UI is http or https, from the settings
        f"{address}/graphql", json.dumps({"query": _LOCATIONS}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310
            entries = json.loads(response.read(_MOST_BYTES))["data"]["workspaceOrError"]["locationEntries"]
            return {entry["name"]: _is_loaded(entry) for entry in entries}
    except (OSError, urllib.error.URLError, ValueError, KeyError, TypeError) as error:
        raise NoAnswer(f"the web server does not answer ({type(error).__name__})") from None


def location_samples(address: str) -> Iterator[Sample]:
    """Which code locations are loaded. Raises NoAnswer."""
    for name, loaded in locations(address).items():
        yield Sample("atlas_code_location_loaded", {"location": name}, loaded)


def _is_loaded(entry: Mapping[str, object]) -> bool:
    what = entry["locationOrLoadError"]
    return entry["loadStatus"] == "LOADED" and isinstance(what, dict) and what["__typename"] == "RepositoryLocation"
