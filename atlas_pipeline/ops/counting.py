"""Following Dagster's event log and ticks: what is new is read and counted, and saved with the place in it.

Belongs here: the order of these steps. Does not belong here: what an event adds (`telemetry/counting.py`) and how
totals are kept (`telemetry/totals.py`).

Several may follow at once: who holds the cursor counts, the others pass. Whoever is killed leaves totals and cursor as
they were last saved.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import psycopg

from atlas_pipeline.event_log.decoding import TICK_TYPES, TYPES, event_of, tick_of
from atlas_pipeline.event_log.rows import ENDED_TICKS, EVENTS, Position, Table, newest, read_rows
from atlas_pipeline.telemetry import totals
from atlas_pipeline.telemetry.counting import Counted, Memory, count, count_ticks
from atlas_pipeline.telemetry.series import Key

_log = logging.getLogger(__name__)
READ_SECONDS = 2.0
"""How long one look reads before it saves; the next one goes on from there."""
PAGE = 1000
Begin = Literal["start", "now"]


@dataclass(frozen=True)
class Followed:
    """What a look came to: events and ticks that it counted, and whether there is more to read at once."""

    events: int
    ticks: int
    more: bool


@dataclass(frozen=True)
class _Source:
    """Where to read, and what to make of it. `count` is given texts, and how far the log goes beyond them."""

    name: totals.CountedSource
    table: Table
    kinds: Sequence[str]
    count: Callable[[Sequence[str], int, Memory], Counted]


def follow(log: psycopg.Connection, connection: psycopg.Connection, begin: Begin) -> Followed:
    """Count what is new since the last look, for `READ_SECONDS` of each source at most; `log` is Dagster's database.

    The first look of an installation begins where `begin` says. A transaction that is open on the connection is
    committed, since what is counted must be. Raises what the databases raise when they are away; then nothing was
    counted that is not saved.
    """
    connection.commit()
    events, more_events = _follow(_EVENTS, log, connection, begin)
    ticks, more_ticks = _follow(_TICKS, log, connection, begin)
    return Followed(events, ticks, more_events or more_ticks)


def _follow(source: _Source, log: psycopg.Connection, connection: psycopg.Connection, begin: Begin) -> tuple[int, bool]:
    with connection.transaction():
        if not totals.begun(connection, source.name):
            totals.begin(connection, source.name, newest(log, source.table).through if begin == "now" else 0)
    with connection.transaction():
        cursor = totals.claim(connection, source.name)
        if cursor is None:
            return 0, False
        position = before = Position(cursor.position, cursor.recent)
        counted, read, more = Counted(cursor.memory), 0, True
        deadline = time.monotonic() + READ_SECONDS
        while more and (not read or time.monotonic() < deadline):
            page = read_rows(log, source.table, source.kinds, position, PAGE)
            counted = counted.then(source.count([text for _, text in page.events], page.behind, counted.memory))
            position, more, read = page.position, page.more, read + len(page.events)
        if read or position != before:
            totals.save(connection, source.name, position.through, position.recent, counted)
        else:
            totals.touch(connection, source.name)
    return read, more


def _count_events(texts: Sequence[str], behind: int, memory: Memory) -> Counted:
    events = [event_of(text) for text in texts]
    unknown = sum(event.kind == "unknown" for event in events)
    if unknown:
        _log.warning("%d events of Dagster's log are not as expected: they count as read only", unknown)
    counted = count(events, memory)
    waited = time.time() - events[-1].at if behind and events else 0.0
    lag: dict[Key, float] = {
        ("atlas_event_log_lag_events", "", ()): float(behind),
        ("atlas_event_log_lag_seconds", "", ()): waited,
    }
    return replace(counted, latest={**counted.latest, **lag})


def _count_ticks(texts: Sequence[str], behind: int, memory: Memory) -> Counted:
    return count_ticks([tick for text in texts if (tick := tick_of(text))], memory)


_EVENTS = _Source("events", EVENTS, TYPES, _count_events)
_TICKS = _Source("ticks", ENDED_TICKS, TICK_TYPES, _count_ticks)
