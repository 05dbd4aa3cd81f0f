"""Rows as their file has them, types and all, beside the text that the readers make of them.

Belongs here: JSON objects and Parquet tables by the position of their rows, so that what is not masked stays as it was.
Does not belong here: which rows can be read (`atlas_pipeline.ingest.readers`).
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
    """The objects of a JSON Lines file, asked for by line in rising order."""

    def __init__(self, stream: BinaryIO, compression: Compression):
        self._lines = enumerate(_lines(as_utf8(decompressed(stream, compression), "JSON Lines")), start=1)

    def take(self, lines: pa.Int64Array) -> list[dict[str, Any]]:
        """The objects on these lines."""
        wanted = lines.to_pylist()
        found = []
        for number in wanted:
            found.append(next(json.loads(line) for at, line in self._lines if at == number))
        return found


class ParquetRows:
    """The rows of a Parquet file, asked for by position in rising order."""

    def __init__(self, path: Path):
        self._file = pq.ParquetFile(path, pre_buffer=False)
        self.schema: pa.Schema = self._file.schema_arrow.remove_metadata()
        self._pieces = self._file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
        self._held = self.schema.empty_table()
        self._first = 1

    def take(self, lines: pa.Int64Array) -> pa.Table:
        """The rows at these positions, the first being 1."""
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
