"""Whether a delivery of several files is whole.

Belongs here: the comparison with the delivery before it. Does not belong here: which files belong together
(`sources/deliveries.py`), and how many rows a snapshot may lack (`bronze.py`).
"""

import psycopg

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.sources import SourceFile
from atlas_pipeline.ingest.sources.deliveries import parts_of
from atlas_pipeline.warehouse import ledger


def refuse_incomplete(connection: psycopg.Connection, file: SourceFile, state: ledger.Version | None) -> None:
    """Raises FileRefused when a delivery has fewer files than the one before it.

    Args:
        connection: to the warehouse.
        file: the delivery.
        state: the one before, null when there is none.
    """
    files = parts_of(file.version)
    before = parts_of(ledger.version_of(connection, state.file_id)) if files and state else 0
    if files < before:
        raise FileRefused(
            "delivery_incomplete",
            f"The delivery has {files:,} files and the one before it had {before:,}: it is loaded once the others are "
            "there. If it is whole, accept it with `atlas files accept`.",
        )
