"""Dagster's event log read by cursor, as Dagster's own objects.

Belongs here: pages of the log for those who need the objects. Does not belong here: what events mean
(`orchestration/alerts/`), and how positions move (`rows.py`).

Dagster's own reader (`get_logs_for_all_runs_by_log_id`) would fetch and decode anew what is looked at again, and takes
one type at a time.
"""

from collections.abc import Collection

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import deserialize_values
from sqlalchemy import BigInteger, all_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from atlas_pipeline.event_log.rows import OVERLAP, Page, Position, page_of, within

__all__ = ["OVERLAP", "PAGE", "Page", "Position", "newest", "read_page"]

PAGE = 500
"""Events in a page: so few that who reads for a time, a page after the other, is not much longer about it."""


def newest(instance: dg.DagsterInstance) -> Position:
    """The end of the log: what is there now is passed over."""
    return Position(instance.event_log_storage.get_maximum_record_id() or 0)


def read_page(
    instance: dg.DagsterInstance, position: Position, types: Collection[dg.DagsterEventType], limit: int = PAGE
) -> Page[dg.EventLogEntry]:
    """The next events of these types, `limit` at most.

    Where the log ends before the position, it is another log than before, and the page begins at its end.
    """
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        end = connection.execute(select(func.max(Events.c.id))).scalar() or 0
        position = within(position, end)
        query = (
            select(Events.c.id, Events.c.event)
            .where(Events.c.id > position.through, Events.c.id <= end)
            .where(Events.c.dagster_event_type.in_([one.value for one in types]))
            .where(Events.c.id != all_(literal(list(position.recent), ARRAY(BigInteger))))
            .order_by(Events.c.id)
            .limit(limit)
        )
        rows = [(row[0], row[1]) for row in connection.execute(query)]
    page = page_of(rows, position, end, limit)
    entries = deserialize_values([text for _, text in page.events], dg.EventLogEntry)
    decoded = list(zip((number for number, _ in page.events), entries, strict=True))
    return Page(decoded, page.position, page.more, page.behind)
