"""`every:` of a dataset: how often its source is loaded, as cron.

Belongs here: from words to a cron expression, and what is wrong with them. Does not belong here: the schedule
(`orchestration/tables/schedules.py`).
"""

import datetime as dt
from typing import Any

import dagster as dg

from atlas_pipeline.documents import durations
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.orchestration.tables.schedules import load_schedule

_MINUTE, _HOUR, _DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


def cron_of(declared: Any) -> str | None:
    """The cron expression of `every:`, or null without.

    Raises DeclarationError for what has not five fields and is no duration that divides the hour, the day or the week.
    """
    text = declared.every
    if text is None:
        return None
    if len(text.split()) == 5:
        return " ".join(text.split())
    try:
        duration = durations.parse(text, _MINUTE, 7 * _DAY)
    except durations.DurationError as error:
        raise declared.fail(f"every: {error}, or a cron expression such as `0 6 * * *`", "every") from None
    cron = _cron(duration)
    if cron is None:
        raise declared.fail(
            f"every: {durations.written(duration)} do not divide an hour, a day or a week: say such as 15 minutes, "
            "6 hours or 1 day, or a cron expression",
            "every",
        )
    return cron


def schedules_of(
    declared: Any, dataset: Dataset, partitions: dg.PartitionsDefinition | None
) -> list[dg.ScheduleDefinition]:
    """The schedule of a dataset, if it has one. Raises DeclarationError.

    Args:
        declared: the component.
        dataset: as plain data.
        partitions: of the dataset.
    """
    cron = cron_of(declared)
    if cron is None:
        return []
    try:
        return [load_schedule(dataset, cron, declared.timezone, partitions)]
    except dg.DagsterInvalidDefinitionError:
        raise declared.fail(f"every: {cron!r} is not a cron expression such as `0 6 * * *`", "every") from None


def _cron(duration: dt.timedelta) -> str | None:
    if duration % _MINUTE:
        return None
    if duration < _HOUR and not _HOUR % duration:
        return f"*/{duration // _MINUTE} * * * *"
    if duration % _HOUR:
        return None
    if duration < _DAY and not _DAY % duration:
        return "0 * * * *" if duration == _HOUR else f"0 */{duration // _HOUR} * * *"
    return {1: "0 0 * * *", 7: "0 0 * * 0"}.get(duration // _DAY) if not duration % _DAY else None
