"""Parquet to batches: the file opened, its row groups read piece by piece.

Belongs here: the file. Does not belong here: its rows as text (`arrow_rows.py`, `parquet_text.py`), how large they
become (`parquet_size.py`), the rules of column names (`columns.py`).
"""

import struct
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from atlas_pipeline.ingest.batch import Batch, FileRefused
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.arrow_rows import DAMAGE, text_batches, types_of
from atlas_pipeline.ingest.readers.columns import check_names
from atlas_pipeline.ingest.readers.compression import Compression, seekable
from atlas_pipeline.ingest.readers.parquet_size import dictionary_columns, rows_at_a_time, unpacked_bytes


def read_parquet(
    stream: BinaryIO, compression: Compression, meter: Meter, allowed: Collection[str] = ()
) -> Iterator[Batch]:
    """Yield the rows of a Parquet file, every column as text, in batches of 20,000 or, of large rows, about 8 MiB.

    Memory is bounded by the pages that Arrow holds of each column, and by the longest row (up to 64 MiB). Columns that
    are coded by a dictionary stay so until a batch is cut. A stream that is compressed or cannot seek is first copied,
    to a temporary file when larger than 32 MiB. Raises FileRefused as `readers.read` says.

    Args:
        stream: at the file's beginning.
        compression: of the whole file.
        meter: counts what it turns into.
        allowed: names of columns that are not looked at.
    """
    with ExitStack() as stack:
        stream = seekable(stream, compression, stack, meter)
        _check_ends(stream)
        try:
            metadata = pq.read_metadata(stream)
            names = metadata.schema.to_arrow_schema().names
        except DAMAGE:
            raise _corrupt() from None
        check_names(name for name in names if name not in allowed)
        if metadata.num_rows == 0:
            raise FileRefused("header_only", "The file has columns and no rows. Send it with its rows, or not at all.")
        meter.expect_rows(metadata.num_rows)
        meter.expect_bytes(unpacked_bytes(metadata))
        rows = rows_at_a_time(metadata, stream)
        stream.seek(0)
        try:
            # Buffering ahead would hold whole row groups.
            file = stack.enter_context(
                pq.ParquetFile(
                    stream,
                    metadata=metadata,
                    pre_buffer=False,
                    read_dictionary=dictionary_columns(metadata),
                    page_checksum_verification=True,
                    # Nanoseconds would end in 2262 and wrap around without a word.
                    coerce_int96_timestamp_unit="us",
                )
            )
        except DAMAGE:
            raise _corrupt() from None
        pieces = file.iter_batches(batch_size=rows, use_threads=False)
        spans = _intervals(metadata)
        if spans:
            pieces = (_with_intervals(piece, spans) for piece in pieces)
        types = types_of(file.schema_arrow) | dict.fromkeys(spans, "interval")
        yield from text_batches(pieces, types, lambda error: _corrupt())


def _intervals(metadata: pq.FileMetaData) -> list[str]:
    """Columns of the old type INTERVAL, of which Arrow makes bytes."""
    columns = (metadata.schema.column(i) for i in range(metadata.num_columns))
    return [one.path for one in columns if one.converted_type == "INTERVAL" and not one.max_repetition_level]


def _with_intervals(piece: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Their bytes in ISO 8601: months, days and milliseconds, each of 32 bits without a sign."""
    for name in names:
        index = piece.schema.get_field_index(name)
        if index >= 0:  # else a field of a struct
            texts = [
                value and _interval_text(*struct.unpack("<III", value)) for value in piece.column(index).to_pylist()
            ]
            piece = piece.set_column(index, name, pa.array(texts, pa.string()))
    return piece


def _interval_text(months: int, days: int, milliseconds: int) -> str:
    return f"P{months}M{days}DT{Decimal(milliseconds).scaleb(-3):f}S"


def _check_ends(stream: BinaryIO) -> None:
    """Look for the marks at both ends of the file."""
    stream.seek(0)
    head = stream.read(4)
    if not head:
        raise FileRefused("empty", "The file is empty. A Parquet file was expected.")
    if head == b"PARE":
        raise FileRefused("wrong_format", "The file is an encrypted Parquet file. Send it unencrypted.")
    if head != b"PAR1":
        raise FileRefused(
            "wrong_format",
            "The file is named as Parquet but does not begin with Parquet's mark. Name it for what it holds.",
        )
    if stream.seek(0, 2) < 12:
        raise _corrupt()
    stream.seek(-4, 2)
    if stream.read(4) != b"PAR1":
        raise _corrupt()
    stream.seek(0)


def _corrupt() -> FileRefused:
    return FileRefused(
        "corrupt", "The Parquet file is damaged or was cut: its footer or pages cannot be read. Send it again."
    )
