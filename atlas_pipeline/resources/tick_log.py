"""Ticks of schedules and sensors read by cursor: each once, when it has ended.

Belongs here: pages of ticks. Does not belong here: what they count for (`components/`). As in the event log
(`event_log.py`), the last ids are looked at again each time: a tick has its id from its beginning.
"""

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.schedules.schema import JobTickTable as Ticks
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from sqlalchemy import func, select

from atlas_pipeline.resources.event_log import Page, Position, read_rows

_ENDED = (TickStatus.SUCCESS.value, TickStatus.SKIPPED.value, TickStatus.FAILURE.value)
_KINDS = ("SCHEDULE", "SENSOR")


def newest_tick(instance: dg.DagsterInstance) -> Position:
    """The last tick: those until now are passed over."""
    with _storage(instance).connect() as connection:
        return Position(connection.execute(select(func.max(Ticks.c.id))).scalar() or 0)


def read_ticks(instance: dg.DagsterInstance, position: Position, limit: int = 1000) -> Page[str]:
    """The next ticks that have ended, `limit` at most, as the JSON that Dagster stored."""
    chosen = Ticks.c.status.in_(_ENDED) & Ticks.c.type.in_(_KINDS)
    with _storage(instance).connect() as connection:
        return read_rows(connection, Ticks.c.id, Ticks.c.tick_body, chosen, position, limit)


def _storage(instance: dg.DagsterInstance) -> SqlScheduleStorage:
    storage = instance.schedule_storage
    assert isinstance(storage, SqlScheduleStorage)
    return storage
