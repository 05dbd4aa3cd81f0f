"""What the steps of all layers share: retries, partitions of a run, progress in the log, and a table as it is.

Belongs here: Dagster's habits that no layer owns. Does not belong here: any asset.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
import psycopg

from atlas_pipeline.orchestration.warehouse import WarehouseResource
from atlas_pipeline.warehouse.publish import Publication, TableBusy, published, table_lock

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


@contextmanager
def published_table(
    warehouse: WarehouseResource, layer: str, name: str
) -> Iterator[tuple[psycopg.Connection, Publication]]:
    """Hold a published table as it is, for checks that are run alone.

    Args:
        warehouse: which has it.
        layer: silver or gold.
        name: of the table.

    Yields:
        A connection that holds the table's lock, and its publication.

    Raises:
        dg.Failure: the table was never published, or another run has it for too long.
    """
    try:
        with (
            warehouse.connect() as connection,
            table_lock(connection, layer, name, warehouse.settings.lock_timeout_seconds),
        ):
            publication = published(connection, layer, name)
            if publication is None:
                raise dg.Failure(f"{layer}.{name} is not there: materialize it first", allow_retries=False)
            yield connection, publication
    except TableBusy as error:
        raise dg.Failure(str(error), allow_retries=False) from None
