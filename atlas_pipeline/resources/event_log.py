"""Dagster's event log read by cursor: every event once, also those that become visible late.

Belongs here: positions and pages of the log. Does not belong here: what events mean (`components/`).

An event takes its id before its transaction commits, so an id may appear after a greater one was read. The last
`OVERLAP` ids are therefore looked at again each time, save those that are known to have been read. Dagster's own
reader (`get_logs_for_all_runs_by_log_id`) would fetch and decode these events anew, and takes one type at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_value
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, all_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

OVERLAP = 4000


@dataclass(frozen=True)
class Position:
    """All events up to the id `through` were read, and of those after it the ones in `recent`."""

    through: int
    recent: frozenset[int] = frozenset()


Entry = TypeVar("Entry", dg.EventLogEntry, str)


@dataclass(frozen=True)
class Page(Generic[Entry]):
    """Events by id, in order; `position` is where to go on, and `more` says that there are others by now.

    `behind` is how many ids the log has after the last one of the page.
    """

    events: Sequence[tuple[int, Entry]]
    position: Position
    more: bool
    behind: int = 0


def newest(instance: dg.DagsterInstance) -> Position:
    """The end of the log: what is there now is passed over."""
    return Position(instance.event_log_storage.get_maximum_record_id() or 0)


def read_page(
    instance: dg.DagsterInstance, position: Position, types: Collection[dg.DagsterEventType], limit: int = 1000
) -> Page[dg.EventLogEntry]:
    """The next events of these types, `limit` at most, as Dagster's objects.

    Where the log ends before the position, it is another log than before, and the page begins at its end.
    """
    page = read_text(instance, position, types, limit)
    decoded = [(number, deserialize_value(text, dg.EventLogEntry)) for number, text in page.events]
    return Page(decoded, page.position, page.more, page.behind)


def read_text(
    instance: dg.DagsterInstance, position: Position, types: Collection[dg.DagsterEventType], limit: int = 1000
) -> Page[str]:
    """As `read_page`, but events as the JSON that Dagster stored, which costs a tenth to read."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    chosen = Events.c.dagster_event_type.in_([one.value for one in types])
    with storage.index_connection() as connection:
        return read_rows(connection, Events.c.id, Events.c.event, chosen, position, limit)


def read_rows(
    connection: Connection,
    ids: Column[int],
    texts: Column[str],
    chosen: ColumnElement[bool],
    position: Position,
    limit: int,
) -> Page[str]:
    """The next rows that are chosen, of a table of Dagster's whose ids grow."""
    end = connection.execute(select(func.max(ids))).scalar() or 0
    position = _within(position, end)
    query = (
        select(ids, texts)
        .where(ids > position.through, ids <= end, chosen)
        .where(ids != all_(literal(list(position.recent), ARRAY(BigInteger))))
        .order_by(ids)
        .limit(limit)
    )
    rows = [(row[0], row[1]) for row in connection.execute(query)]
    more = len(rows) == limit
    read = position.recent.union(number for number, _ in rows)
    last = rows[-1][0] if more else end
    through = max(position.through, last - OVERLAP)
    left = frozenset(one for one in read if one > through)
    return Page(rows, Position(through, left), more, end - last)


def _within(position: Position, end: int) -> Position:
    """The position in a log that ends there. One that is shorter than what was read of it was restored: the ids after
    its end will be given again, to other events."""
    if position.recent and end < max(position.recent):
        position = Position(position.through, frozenset(one for one in position.recent if one <= end))
    return position if end >= position.through else Position(end)
