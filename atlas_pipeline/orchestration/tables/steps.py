"""What the steps of all layers share: retries, partitions of a run, and progress in the log.

Belongs here: Dagster's habits that no layer owns. Does not belong here: any asset.
"""

import time
from collections.abc import Callable, Sequence

import dagster as dg

RETRY = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
_PROGRESS_SECONDS = 2.0


def partitions_of(context: dg.AssetExecutionContext) -> Sequence[str] | None:
    """The partitions that this run is about, null for a dataset that has none."""
    return context.partition_keys if context.has_partition_key or context.has_partition_key_range else None


def progress_log(context: dg.AssetExecutionContext) -> Callable[[str], None]:
    """A function that logs a message, but not more often than every two seconds."""
    last = 0.0

    def report(message: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _PROGRESS_SECONDS:
            context.log.info(message)
            last = time.monotonic()

    return report
