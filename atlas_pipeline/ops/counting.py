"""Follow Dagster's event log and ticks: read what is new, count it, save totals and cursor together.

Belongs here: the order of these steps. Does not belong here: what an event adds (`telemetry/counting.py`) and how
totals are kept (`telemetry/totals.py`).

Several may follow at once: who holds the cursor counts, the others pass. Whoever is killed leaves totals and cursor as
they were last saved.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, LiteralString, TypeVar

import psycopg

from atlas_pipeline.event_log.event import Event, Tick
from atlas_pipeline.event_log.reader import (
    ENDED_TICKS,
    EVENTS,
    Log,
    Page,
    Position,
    Table,
    newest,
    read_events,
    read_ticks,
)
from atlas_pipeline.telemetry import totals
from atlas_pipeline.telemetry.counting import KINDS, Counted, Memory, count, count_ticks
from atlas_pipeline.telemetry.series import Key

_log = logging.getLogger(__name__)
READ_SECONDS = 2.0
"""How long one look reads before it saves; the next one goes on from there."""
PAGE = 1000
Begin = Literal["start", "now"]
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Followed:
    """What a look came to: events and ticks that it counted, and whether there is more to read at once."""

    events: int
    ticks: int
    more: bool


@dataclass(frozen=True)
class _Source(Generic[Entry]):
    """Where to read, and what to make of a page of it."""

    name: totals.CountedSource
    table: Table
    read: Callable[[Log, Position, int], Page[Entry]]
    count: Callable[[Page[Entry], Memory], Counted]


def follow(log: psycopg.Connection, connection: psycopg.Connection, begin: Begin) -> Followed:
    """Count what is new since the last look, for `READ_SECONDS` of each source at most.

    A transaction that is open on `connection` is committed, since what is counted must be.

    Args:
        log: Dagster's database.
        connection: the warehouse.
        begin: where the first look of an installation begins.

    Returns:
        What was counted; all of it is saved.

    Raises:
        psycopg.Error: a database is away; then nothing was counted that is not saved.
    """
    connection.commit()

    def rows(statement: LiteralString, parameters: Sequence[object] = ()) -> Sequence[tuple[Any, ...]]:
        return log.execute(statement, parameters).fetchall()

    events, more_events = _follow(_EVENTS, rows, connection, begin)
    ticks, more_ticks = _follow(_TICKS, rows, connection, begin)
    return Followed(events, ticks, more_events or more_ticks)


def _follow(source: _Source[Any], log: Log, connection: psycopg.Connection, begin: Begin) -> tuple[int, bool]:
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
            page = source.read(log, position, PAGE)
            counted = counted.then(source.count(page, counted.memory))
            position, more, read = page.position, page.more, read + len(page.entries)
        if read or position != before:
            totals.save(connection, source.name, position.through, position.recent, counted)
        else:
            totals.touch(connection, source.name)
    return read, more


def _read_events(log: Log, position: Position, limit: int) -> Page[Event]:
    return read_events(log, position, KINDS, limit)


def _count_events(page: Page[Event], memory: Memory) -> Counted:
    unknown = sum(event.kind == "unknown" for event in page.entries)
    if unknown:
        _log.warning("%d events of Dagster's log are not as expected: they count as read only", unknown)
    counted = count(page.entries, memory)
    waited = time.time() - page.entries[-1].at.timestamp() if page.behind and page.entries else 0.0
    lag: dict[Key, float] = {
        ("atlas_event_log_lag_events", "", ()): float(page.behind),
        ("atlas_event_log_lag_seconds", "", ()): waited,
    }
    return replace(counted, latest={**counted.latest, **lag})


def _count_ticks(page: Page[Tick | None], memory: Memory) -> Counted:
    return count_ticks([tick for tick in page.entries if tick], memory)


_EVENTS = _Source("events", EVENTS, _read_events, _count_events)
_TICKS = _Source("ticks", ENDED_TICKS, read_ticks, _count_ticks)
