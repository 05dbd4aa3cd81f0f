"""How large rows of Parquet become as text, told before they are text.

Belongs here: what the footer tells of a file, and the sizes of rows that are decoded. Does not belong here: reading
(`parquet.py`) and text (`parquet_text.py`).

A file names a long value once and refers to it from every row, by a dictionary, by what it shares with the value
before it, or by counting repetitions. So neither its size nor that of its row groups bounds a batch of rows: batches
are cut by what their rows become.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from atlas_pipeline.ingest.readers.parquet_pages import longest_value
from atlas_pipeline.ingest.readers.parquet_text import of_slice
from atlas_pipeline.ingest.readers.text import MAX_LINE_BYTES

Sizes = NDArray[np.int64]

_MOST_ROWS = 20_000
_MOST_CELLS = 2_000_000
_MOST_ITEMS = 200_000
_BATCH_BYTES = 8 << 20
_CELL_BYTES = 24
_ITEM_BYTES = 16
_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_EXPANDABLE = {"PLAIN", "RLE", "BIT_PACKED", *_DICTIONARY}


def _chunks(metadata: pq.FileMetaData, column: int) -> Iterator[pq.ColumnChunkMetaData]:
    return (metadata.row_group(group).column(column) for group in range(metadata.num_row_groups))


def dictionary_columns(metadata: pq.FileMetaData) -> list[str]:
    """Paths of the columns that can be read without writing out what their dictionaries stand for."""
    found = []
    for index in range(metadata.num_columns):
        column = metadata.schema.column(index)
        encodings = {encoding for chunk in _chunks(metadata, index) for encoding in chunk.encodings}
        if column.physical_type == "BYTE_ARRAY" and encodings & _DICTIONARY and encodings <= _EXPANDABLE:
            found.append(column.path)
    return found


def unpacked_bytes(metadata: pq.FileMetaData) -> int:
    """The least that a file takes once it is decompressed, and that items of lists take as values."""
    total = 0
    for group in range(metadata.num_row_groups):
        total += metadata.row_group(group).total_byte_size
    for index in range(metadata.num_columns):
        if metadata.schema.column(index).max_repetition_level:
            total += sum(_ITEM_BYTES * chunk.num_values for chunk in _chunks(metadata, index))
    return total


def rows_at_a_time(metadata: pq.FileMetaData, stream: BinaryIO) -> int:
    """How many rows Arrow may decode at a time; the stream is the file, which can seek."""
    rows = min(_MOST_ROWS, _MOST_CELLS // max(metadata.num_columns, 1))
    readable = set(dictionary_columns(metadata))
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        rows = min(rows, _BATCH_BYTES * group.num_rows // max(group.total_byte_size, 1))
        for index in range(metadata.num_columns):
            column, chunk = metadata.schema.column(index), group.column(index)
            if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
                rows = min(rows, _BATCH_BYTES // max(column.length, 1))
            if column.physical_type == "BYTE_ARRAY" and column.path not in readable and _repeats(chunk):
                rows = min(rows, _BATCH_BYTES // max(_longest(stream, column, chunk, group.num_rows), 1))
            if column.max_repetition_level:
                rows = min(rows, _MOST_ITEMS * group.num_rows // max(chunk.num_values, 1))
    return max(rows, 1)


def _longest(stream: BinaryIO, column: pq.ColumnSchema, chunk: pq.ColumnChunkMetaData, rows: int) -> int:
    """How long a value may be: where pages do not tell, as long as all that is stored."""
    longest, flat = None, not column.max_repetition_level and column.max_definition_level < 2
    if flat and chunk.num_values == rows and not chunk.has_dictionary_page:
        longest = longest_value(stream, chunk, nullable=bool(column.max_definition_level))
    return int(chunk.total_uncompressed_size) if longest is None else longest


def _repeats(chunk: pq.ColumnChunkMetaData) -> bool:
    """Whether bytes that are stored once may be part of many values."""
    return bool(_DICTIONARY & set(chunk.encodings)) or "DELTA_BYTE_ARRAY" in chunk.encodings


def slices(piece: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Cut rows where their text reaches 8 MiB; of each part also whether it is one row of more than 64 MiB."""
    sizes = sum((row_bytes(column) for column in piece.columns), np.zeros(piece.num_rows, np.int64))
    ends = np.cumsum(sizes)
    start = 0
    while start < piece.num_rows:
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + _BATCH_BYTES, side="right")), start + 1)
        yield piece.slice(start, stop - start), stop == start + 1 and int(sizes[start]) > MAX_LINE_BYTES
        start = stop


def row_bytes(array: pa.Array) -> Sizes:
    """About how many bytes each value takes as text."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return row_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        of_value = np.append(row_bytes(array.dictionary), 0)
        places = pc.fill_null(array.indices.cast(pa.int64()), len(array.dictionary))
        sizes: Sizes = of_value[places.to_numpy(zero_copy_only=False)]
        return sizes
    if pa.types.is_struct(kind):
        own = sum(len(kind.field(i).name) + _ITEM_BYTES for i in range(kind.num_fields))
        return sum((row_bytes(child) for child in array.flatten()), np.full(len(array), own, np.int64))
    if pa.types.is_map(kind):
        return _summed(array, row_bytes(of_slice(array, array.keys)) + row_bytes(of_slice(array, array.items)))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _summed(array, row_bytes(of_slice(array, array.values)))
    if pa.types.is_fixed_size_binary(kind):
        return np.full(len(array), 2 * kind.byte_width, np.int64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _lengths(array)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return 2 * _lengths(array)
    return np.full(len(array), _CELL_BYTES, np.int64)


def _lengths(array: pa.Array) -> Sizes:
    lengths: Sizes = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _summed(array: pa.Array, items: Sizes) -> Sizes:
    """Sizes of lists from those of their items."""
    totals = np.concatenate(([0], np.cumsum(items + _ITEM_BYTES)))
    if pa.types.is_fixed_size_list(array.type):
        bounds = np.arange(len(array) + 1, dtype=np.int64) * array.type.list_size
    else:
        bounds = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        bounds = bounds - bounds[0]
    sizes: Sizes = np.diff(totals[bounds])
    return sizes
