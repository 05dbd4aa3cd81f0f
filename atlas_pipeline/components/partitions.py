"""Dagster's partitions of a dataset.

Belongs here: what a declaration says of them, and what is wrong with it. Does not belong here: which file is of which
partition (`ingest/sources/patterns.py`).
"""

import datetime as dt
from typing import Literal

import dagster as dg

from atlas_pipeline.components.declaration import Declared
from atlas_pipeline.ingest.sources.patterns import PARTITION


def partitions_of(
    declared: Declared, kind: Literal["daily", "monthly"] | None, start: str | None, timezone: str, *, marked: bool
) -> dg.TimeWindowPartitionsDefinition | None:
    """Daily or monthly partitions, up to the present one.

    Args:
        declared: says where a fault is.
        kind: daily or monthly; null for a dataset without partitions.
        start: the first partition.
        timezone: IANA zone in which days and months begin.
        marked: the source has a place for the partition's key.

    Raises:
        DeclarationError: start or placeholder is missing or wrong.
    """
    if kind is None:
        if marked:
            raise declared.fail(f"source has {PARTITION}: say `partitions: daily` or `monthly`", "source")
        if start is not None:
            raise declared.fail("partitions_start needs `partitions: daily` or `monthly`", "partitions_start")
        return None
    if not marked:
        raise declared.fail(f"a partitioned dataset needs {PARTITION} in its source", "source")
    format = "%Y-%m-%d" if kind == "daily" else "%Y-%m"
    try:
        dt.datetime.strptime(start or "", format)
    except ValueError:
        example = "2024-01-31" if kind == "daily" else "2024-01"
        found = f"is {start!r}" if start else "is missing"
        raise declared.fail(
            f"partitions_start {found}: expected the first partition, such as {example}",
            "partitions_start" if start else "partitions",
        ) from None
    definition = dg.DailyPartitionsDefinition if kind == "daily" else dg.MonthlyPartitionsDefinition
    return definition(start_date=start or "", fmt=format, timezone=timezone, end_offset=1)
