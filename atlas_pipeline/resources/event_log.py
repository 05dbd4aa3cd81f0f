"""Dagster's event log read by cursor: every event once, also those that become visible late.

Belongs here: positions and pages of the log. Does not belong here: what events mean (`components/`).

An event takes its id before its transaction commits, so an id may appear after a greater one was read. The last
`OVERLAP` ids are therefore looked at again each time, save those that are known to have been read. Dagster's own
reader (`get_logs_for_all_runs_by_log_id`) would fetch and decode these events anew, and takes one type at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_values
from sqlalchemy import BigInteger, all_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

OVERLAP = 4000
PAGE = 500
"""Events in a page: so few that who reads for a time, a page after the other, is not much longer about it."""


@dataclass(frozen=True)
class Position:
    """All events up to the id `through` were read, and of those after it the ones in `recent`."""

    through: int
    recent: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Page:
    """Events by id, in order; `position` is where to go on, and `more` says that there are others by now."""

    events: Sequence[tuple[int, dg.EventLogEntry]]
    position: Position
    more: bool


def newest(instance: dg.DagsterInstance) -> Position:
    """The end of the log: what is there now is passed over."""
    return Position(instance.event_log_storage.get_maximum_record_id() or 0)


def read_page(
    instance: dg.DagsterInstance, position: Position, types: Collection[dg.DagsterEventType], limit: int = PAGE
) -> Page:
    """The next events of these types, `limit` at most.

    Where the log ends before the position, it is another log than before, and the page begins at its end.
    """
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    wanted = [one.value for one in types]
    with storage.index_connection() as connection:
        end = connection.execute(select(func.max(Events.c.id))).scalar() or 0
        if end < position.through:
            return Page([], Position(end), more=False)
        query = (
            select(Events.c.id, Events.c.event)
            .where(Events.c.id > position.through, Events.c.id <= end, Events.c.dagster_event_type.in_(wanted))
            .where(Events.c.id != all_(literal(list(position.recent), ARRAY(BigInteger))))
            .order_by(Events.c.id)
            .limit(limit)
        )
        rows = connection.execute(query).all()
    more = len(rows) == limit
    read = position.recent.union(row[0] for row in rows)
    through = max(position.through, (rows[-1][0] if more else end) - OVERLAP)
    entries = deserialize_values([row[1] for row in rows], dg.EventLogEntry)
    page = list(zip((row[0] for row in rows), entries, strict=True))
    return Page(page, Position(through, frozenset(one for one in read if one > through)), more)
