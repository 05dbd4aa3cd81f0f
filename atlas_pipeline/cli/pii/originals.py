"""Rows with their original types, since the readers return text: columns that are not masked are copied unchanged.

Belongs here: JSON objects and Parquet rows by position in the file. Does not belong here: which rows can be read
(`atlas_pipeline.ingest.readers`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from atlas_pipeline.ingest.readers import Compression
from atlas_pipeline.ingest.readers.compression import Source, decompressed
from atlas_pipeline.ingest.readers.text import HEAD_BYTES, as_utf8

_BATCH_ROWS = 20_000
_CHUNK = 1 << 20


class JsonObjects:
    """The objects of a JSON Lines file, taken by line number in ascending order.

    Args:
        stream: The open file.
        compression: How it is compressed.
    """

    def __init__(self, stream: BinaryIO, compression: Compression):
        self._lines = enumerate(_lines(as_utf8(decompressed(stream, compression), "JSON Lines")), start=1)

    def take(self, lines: pa.Int64Array) -> list[dict[str, Any]]:
        """The objects on these lines, the first line being 1; each call goes on after the last line taken."""
        return [next(json.loads(line) for at, line in self._lines if at == number) for number in lines.to_pylist()]


class ParquetRows:
    """The rows of a Parquet file, taken by position in ascending order."""

    def __init__(self, path: Path):
        self._file = pq.ParquetFile(path, pre_buffer=False)
        self.schema: pa.Schema = self._file.schema_arrow.remove_metadata()
        self._pieces = self._file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
        self._held = self.schema.empty_table()
        self._first = 1

    def take(self, lines: pa.Int64Array) -> pa.Table:
        """The rows at these positions, the first row being 1."""
        if not len(lines):
            return self.schema.empty_table()
        begin, end = lines[0].as_py(), lines[-1].as_py()
        self._held, self._first = self._held.slice(begin - self._first), begin
        while self._first + self._held.num_rows <= end:
            piece = pa.Table.from_batches([next(self._pieces)]).cast(self.schema)
            self._held = pa.concat_tables([self._held, piece])
        return self._held.take(pc.subtract(lines, begin)).combine_chunks()


def _lines(source: Source) -> Iterator[bytes]:
    head = source.peek(HEAD_BYTES)
    end = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
    rest = b""
    while chunk := source.read(_CHUNK):
        *whole, rest = (rest + chunk).split(end)
        yield from whole
    if rest:
        yield rest
