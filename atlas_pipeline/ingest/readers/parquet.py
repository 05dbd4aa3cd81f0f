"""Parquet to batches: the file opened, its row groups read piece by piece, rows no text can hold set aside.

Belongs here: the file and its rows. Does not belong here: how a value becomes text (`parquet_text.py`), how large rows
become (`parquet_size.py`), the rules of column names (`columns.py`).
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.columns import check_names
from atlas_pipeline.ingest.readers.compression import Compression, decompressed
from atlas_pipeline.ingest.readers.lines import lines_array
from atlas_pipeline.ingest.readers.parquet_size import (
    dictionary_columns,
    rows_at_a_time,
    slices,
    unpacked_bytes,
)
from atlas_pipeline.ingest.readers.parquet_text import as_text, faulty, source_type
from atlas_pipeline.ingest.readers.text import MAX_LINE_BYTES, RAW_KEPT_BYTES

_IN_MEMORY_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20
# What Arrow raises for bytes that are no Parquet: also a name that is not UTF-8.
_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
_REASONS = {
    "encoding": "The row holds a string that is not valid UTF-8.",
    "nul_byte": "The row holds a NUL character in a string, which no text may. Remove it.",
    "line_too_long": f"The row is longer than {MAX_LINE_BYTES:,} bytes; nothing of it is kept. Split it.",
}


def read_parquet(stream: BinaryIO, compression: Compression, meter: Meter) -> Iterator[Batch]:
    """Yield the rows of a Parquet file, every column as text, in batches of 20,000 or, of large rows, about 8 MiB.

    Memory is bounded by the pages that Arrow holds of each column, and by the longest row (up to 64 MiB). Columns that
    are coded by a dictionary stay so until a batch is cut. A stream that is compressed or cannot seek is first copied,
    to a temporary file when larger than 32 MiB. Raises FileRefused as `readers.read` says.

    Args:
        stream: at the file's beginning.
        compression: of the whole file.
        meter: counts what it turns into.
    """
    with ExitStack() as stack:
        if compression != "none" or not stream.seekable():
            source = decompressed(stream, compression, meter)
            spool = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
            while piece := source.read(_PIECE_BYTES):
                spool.write(piece)
            stream = cast(BinaryIO, spool)
        _check_ends(stream)
        try:
            metadata = pq.read_metadata(stream)
            names = metadata.schema.to_arrow_schema().names
        except _DAMAGE:
            raise _corrupt() from None
        check_names(names)
        if metadata.num_rows == 0:
            raise FileRefused("header_only", "The file has columns and no rows. Send it with its rows, or not at all.")
        meter.expect_rows(metadata.num_rows)
        meter.expect_bytes(unpacked_bytes(metadata))
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
        except _DAMAGE:
            raise _corrupt() from None
        yield from _batches(file, names)


def _batches(file: pq.ParquetFile, names: list[str]) -> Iterator[Batch]:
    fields = [field for field in file.schema_arrow if field.type != pa.null()]
    types = {field.name: source_type(field.type) for field in fields}
    first = 1
    pieces = file.iter_batches(batch_size=rows_at_a_time(file.metadata), use_threads=False)
    while True:
        try:
            piece = next(pieces, None)
        except _DAMAGE:
            raise _corrupt() from None
        if piece is None:
            return
        for part, too_long in slices(piece):
            numbers = np.arange(first, first + part.num_rows, dtype=np.int64)
            first += part.num_rows
            if too_long:
                rejects = [Reject(int(n), "line_too_long", _REASONS["line_too_long"], b"") for n in numbers]
                empty = pa.schema([(name, pa.string()) for name in names]).empty_table()
                yield Batch(empty, lines_array(numbers[:0]), rejects, types)
            else:
                yield _batch(part, names, numbers, types)


def _batch(piece: pa.RecordBatch, names: list[str], numbers: NDArray[np.int64], types: Mapping[str, str]) -> Batch:
    """The rows as text, but for those that no text can hold.

    Args:
        piece: of the file.
        names: of its columns.
        numbers: of its rows.
        types: that the file has for its columns.
    """
    try:
        columns = [as_text(column) for column in piece.columns]
    except _DAMAGE:
        raise _corrupt() from None
    faults = faulty(columns)
    rejects = [
        Reject(int(numbers[i]), rule, _REASONS[rule], _raw(names, columns, i)) for i, rule in sorted(faults.items())
    ]
    if faults:
        kept = np.setdiff1d(np.arange(piece.num_rows), np.fromiter(faults, np.int64, len(faults)))
        columns = [column.take(pa.array(kept)) for column in columns]
        numbers = numbers[kept]
    schema = pa.schema([(name, pa.string()) for name in names])
    rows = pa.table([column.cast(pa.string()) for column in columns], schema=schema)
    return Batch(rows, lines_array(numbers), rejects, types)


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


def _raw(names: list[str], columns: list[pa.Array], row: int) -> bytes:
    """Return a row as a JSON object, invalid bytes escaped; Parquet has no bytes of a row alone."""
    values: dict[str, str | None] = {}
    for name, column in zip(names, columns, strict=True):
        value = column[row].as_py()
        values[name] = None if value is None else value.decode("utf-8", errors="backslashreplace")
    return json.dumps(values, ensure_ascii=False).encode()[:RAW_KEPT_BYTES]
