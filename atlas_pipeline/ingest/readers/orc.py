"""ORC to batches: the file opened, its stripes read one after the other.

Belongs here: the file. Does not belong here: its rows as text (`arrow_rows.py`), the rules of column names
(`columns.py`).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

import pyarrow as pa
from pyarrow import orc

from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.arrow_rows import BATCH_ROWS, DAMAGE, text_batches, types_of
from atlas_pipeline.ingest.readers.columns import check_names
from atlas_pipeline.ingest.readers.compression import Compression, seekable

_DAMAGE = (*DAMAGE, ValueError, MemoryError)


def read_orc(stream: BinaryIO, compression: Compression, meter: Meter) -> Iterator[Batch]:
    """Yield the rows of an ORC file, every column as text, in batches of 20,000.

    Memory is bounded by one stripe at a time. Raises FileRefused as `readers.read` says.

    Args:
        stream: at the file's beginning.
        compression: of the whole file.
        meter: counts what it turns into.
    """
    with ExitStack() as stack:
        stream = seekable(stream, compression, stack, meter)
        stream.seek(0)
        head = stream.read(3)
        if not head:
            raise FileRefused("empty", "The file is empty. An ORC file was expected.")
        if head != b"ORC":
            raise FileRefused(
                "wrong_format",
                "The file is named as ORC but does not begin with ORC's mark. Name it for what it holds.",
            )
        stream.seek(0)
        try:
            file = orc.ORCFile(pa.PythonFile(stream, "r"))
            schema = file.schema
        except _DAMAGE:
            raise _refusal(ValueError()) from None
        check_names(schema.names)
        if not file.nrows:
            raise FileRefused("header_only", "The file has columns and no rows. Send it with its rows, or not at all.")
        yield from text_batches(_pieces(file), types_of(schema), _refusal)


def _pieces(file: orc.ORCFile) -> Iterator[pa.RecordBatch]:
    for number in range(file.nstripes):
        stripe = file.read_stripe(number)
        for start in range(0, stripe.num_rows, BATCH_ROWS):
            yield _in_microseconds(stripe.slice(start, BATCH_ROWS))


def _in_microseconds(rows: pa.RecordBatch) -> pa.RecordBatch:
    """ORC's timestamps come in nanoseconds; those without any are written as the others are."""
    columns = rows.columns
    for i, column in enumerate(columns):
        if pa.types.is_timestamp(column.type):
            try:
                columns[i] = column.cast(pa.timestamp("us", column.type.tz))
            except pa.ArrowInvalid:
                continue
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


def _refusal(error: Exception) -> FileRefused:
    if "out of range" in str(error) and "timestamp" in str(error):
        return FileRefused(
            "timestamp_range",
            "The ORC file holds timestamps before 1677-09-21 or after 2262-04-11, which cannot be read exactly. Send "
            "it as Parquet.",
        )
    return FileRefused("corrupt", "The ORC file is damaged or was cut: its stripes cannot be read. Send it again.")
