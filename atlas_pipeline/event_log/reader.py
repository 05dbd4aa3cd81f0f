"""The reader: Dagster's event log and ticks by cursor, every row once, also those that become visible late.

Belongs here: positions and pages of tables whose ids grow. Does not belong here: what a row holds (`decoding.py`).

A row takes its id before its transaction commits, so an id may appear after a greater one was read; and a tick has its
id from its beginning, and counts when it has ended. The last `OVERLAP` ids are therefore looked at again each time,
save those that are known to have been read. Dagster's own reader (`get_logs_for_all_runs_by_log_id`) would fetch and
decode those anew, and takes one type of event at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, LiteralString, Protocol, TypeVar

from atlas_pipeline.event_log.decoding import TICK_TYPES, TYPES, decode_event, decode_tick
from atlas_pipeline.event_log.event import Event, EventKind, Tick

OVERLAP = 4000
Entry = TypeVar("Entry")


class Log(Protocol):
    """Dagster's database: runs a statement with its parameters (`%s`; lists are arrays) and returns the rows."""

    def __call__(self, statement: LiteralString, parameters: Sequence[object] = ()) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Position:
    """All rows up to the id `through` were read, and of those after it the ones in `recent`."""

    through: int
    recent: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Page(Generic[Entry]):
    """Entries in the order of their ids; `position` is where to go on, and `more` says that there are others by now.

    `behind` is how many ids the table has after the last one of the page.
    """

    entries: Sequence[Entry]
    position: Position
    more: bool
    behind: int = 0


@dataclass(frozen=True)
class Table:
    """A table of Dagster's: how to ask for its end, and for the rows of these kinds after a position."""

    end: LiteralString
    rows: LiteralString


EVENTS = Table(
    "SELECT max(id) FROM event_logs",
    "SELECT id, event FROM event_logs WHERE id > %s AND id <= %s AND id <> ALL(%s) AND dagster_event_type = ANY(%s) "
    "ORDER BY id LIMIT %s",
)
ENDED_TICKS = Table(
    "SELECT max(id) FROM job_ticks",
    "SELECT id, tick_body FROM job_ticks WHERE id > %s AND id <= %s AND id <> ALL(%s) AND type = ANY(%s) "
    "AND status IN ('SUCCESS', 'SKIPPED', 'FAILURE') ORDER BY id LIMIT %s",
)


def newest(log: Log, table: Table) -> Position:
    """The end of the table: what is there now is passed over.

    Args:
        log: Dagster's database.
        table: `EVENTS` or `ENDED_TICKS`.
    """
    return Position(_end(log, table))


def read_events(log: Log, position: Position, kinds: Collection[EventKind], limit: int) -> Page[Event]:
    """The next events of these kinds; those that cannot be decoded are among them, as `unknown`.

    Args:
        log: Dagster's database.
        position: where the page before ended. Where the log ends before it, it is another log than before, and the
            page begins at its end.
        kinds: the kinds to read.
        limit: events in the page, at most.
    """
    page = _read(log, EVENTS, [TYPES[kind] for kind in kinds], position, limit)
    events = [decode_event(number, text) for number, text in page.entries]
    return Page(events, page.position, page.more, page.behind)


def read_ticks(log: Log, position: Position, limit: int) -> Page[Tick | None]:
    """The next ticks that have ended; null for one that cannot be decoded.

    Args:
        log: Dagster's database.
        position: as for `read_events`.
        limit: ticks in the page, at most.
    """
    page = _read(log, ENDED_TICKS, TICK_TYPES, position, limit)
    return Page([decode_tick(text) for _, text in page.entries], page.position, page.more, page.behind)


def _read(log: Log, table: Table, types: Sequence[str], position: Position, limit: int) -> Page[tuple[int, str]]:
    end = _end(log, table)
    position = _within(position, end)
    rows = log(table.rows, [position.through, end, list(position.recent), list(types), limit])
    more = len(rows) == limit
    read = position.recent.union(number for number, _ in rows)
    last = rows[-1][0] if more else end
    through = max(position.through, last - OVERLAP)
    return Page(rows, Position(through, frozenset(number for number in read if number > through)), more, end - last)


def _within(position: Position, end: int) -> Position:
    """The position in a table that ends there. One that is shorter than what was read of it was restored: the ids after
    its end will be given again, to other rows."""
    if position.recent and end < max(position.recent):
        position = Position(position.through, frozenset(number for number in position.recent if number <= end))
    return position if end >= position.through else Position(end)


def _end(log: Log, table: Table) -> int:
    [(end,)] = log(table.end)
    return end or 0
