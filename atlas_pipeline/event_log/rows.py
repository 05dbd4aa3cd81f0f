"""Dagster's event log and ticks read by cursor, without Dagster: every row once, also those that become visible late.

Belongs here: positions and pages of tables whose ids grow. Does not belong here: what rows mean.

A row takes its id before its transaction commits, so an id may appear after a greater one was read; and a tick has its
id from its beginning, and counts when it has ended. The last `OVERLAP` ids are therefore looked at again each time,
save those that are known to have been read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, LiteralString, TypeVar

import psycopg

OVERLAP = 4000
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Position:
    """All rows up to the id `through` were read, and of those after it the ones in `recent`."""

    through: int
    recent: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Page(Generic[Entry]):
    """Rows by id, in order; `position` is where to go on, and `more` says that there are others by now.

    `behind` is how many ids the table has after the last one of the page.
    """

    events: Sequence[tuple[int, Entry]]
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


def newest(log: psycopg.Connection, table: Table) -> Position:
    """The end of the table: what is there now is passed over."""
    return Position(_end(log, table))


def read_rows(log: psycopg.Connection, table: Table, kinds: Sequence[str], position: Position, limit: int) -> Page[str]:
    """The next rows of these kinds, `limit` at most, as the JSON that Dagster stored.

    Where the table ends before the position, it is another one than before, and the page begins at its end.
    """
    end = _end(log, table)
    position = within(position, end)
    parameters = [position.through, end, list(position.recent), list(kinds), limit]
    return page_of(log.execute(table.rows, parameters).fetchall(), position, end, limit)


def page_of(rows: Sequence[tuple[int, str]], position: Position, end: int, limit: int) -> Page[str]:
    """These rows, read after `position` of a table that ends there, as a page of `limit` rows at most."""
    more = len(rows) == limit
    read = position.recent.union(number for number, _ in rows)
    last = rows[-1][0] if more else end
    through = max(position.through, last - OVERLAP)
    return Page(rows, Position(through, frozenset(one for one in read if one > through)), more, end - last)


def within(position: Position, end: int) -> Position:
    """The position in a table that ends there. One that is shorter than what was read of it was restored: the ids after
    its end will be given again, to other rows."""
    if position.recent and end < max(position.recent):
        position = Position(position.through, frozenset(one for one in position.recent if one <= end))
    return position if end >= position.through else Position(end)


def _end(log: psycopg.Connection, table: Table) -> int:
    row = log.execute(table.end).fetchone()
    return (row and row[0]) or 0
