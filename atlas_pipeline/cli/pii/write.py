"""The files that `atlas pii mask` writes: CSV, TSV, JSON Lines and Parquet, compressed as the name says.

Belongs here: formats, and that a file appears whole or not at all. Does not belong here: what is masked
(`mask.py`).
"""

import gzip
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from atlas_pipeline.ingest.readers import Compression, Format


@dataclass(frozen=True)
class Block:
    """Some rows after masking: as text, and with their original types where the input has types."""

    text: pa.Table
    typed: pa.Table | None = None
    objects: list[dict[str, Any]] | None = None


class Writer(Protocol):
    """Writes a file block by block."""

    def write(self, block: Block) -> None:
        """Write the rows of a block. Every block has the same columns."""

    def close(self) -> None:
        """Finish the file, such as with a Parquet footer."""


@contextmanager
def written(out: Path, format: Format, compression: Compression, schema: pa.Schema) -> Iterator[Writer]:
    """Write a file atomically: it is renamed to `out` when the `with` block succeeds, and removed otherwise.

    Args:
        out: The file; an existing one is replaced.
        format: Its format.
        compression: Its compression.
        schema: Names and types of its columns.

    Raises:
        OSError: The file cannot be written.
    """
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            with _compressed(file, compression) as sink:
                writer = _WRITERS[format](sink, schema)
                try:
                    yield writer
                finally:
                    writer.close()
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def _compressed(file: BinaryIO, compression: Compression) -> AbstractContextManager[Any]:
    if compression == "gzip":
        return gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0)
    if compression == "zstd":
        return zstandard.ZstdCompressor().stream_writer(file, closefd=False)
    return nullcontext(file)


class _Delimited:
    """CSV: nulls are empty fields, empty text is `""`, and fields are quoted only where they must be."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema, delimiter: str = ","):
        self._sink, self._delimiter = sink, delimiter
        self._missing = '""' if len(schema) == 1 else ""  # an empty line would be no row
        self._needs = f'[{delimiter}"\r\n]'
        self.write(Block(pa.table([[name] for name in schema.names], names=schema.names)))

    def write(self, block: Block) -> None:
        """Write the rows as text."""
        table = block.text
        columns = [self._field(column.combine_chunks()) for column in table.columns]
        if not columns or not table.num_rows:
            return
        lines = pc.binary_join_element_wise(
            *columns, self._delimiter, null_handling="replace", null_replacement=self._missing
        )
        self._sink.write(("\n".join(lines.to_pylist()) + "\n").encode())

    def close(self) -> None:
        """Do nothing: a CSV file has no footer."""

    def _field(self, column: pa.Array) -> pa.Array:
        needs = pc.or_(pc.match_substring_regex(column, self._needs), pc.equal(column, ""))
        escaped = pc.replace_substring(column, '"', '""')
        return pc.if_else(needs, pc.binary_join_element_wise('"', escaped, '"', ""), column)


class _JsonLines:
    def __init__(self, sink: BinaryIO, schema: pa.Schema):
        self._sink = sink

    def write(self, block: Block) -> None:
        """Write the rows with their original types, as far as JSON has them."""
        for row in _objects(block) if block.objects is None else block.objects:
            self._sink.write((json.dumps(row, ensure_ascii=False) + "\n").encode())

    def close(self) -> None:
        """Do nothing: a JSON Lines file has no footer."""


class _Parquet:
    def __init__(self, sink: BinaryIO, schema: pa.Schema):
        self._writer = pq.ParquetWriter(pa.PythonFile(cast(Any, sink), "w"), schema)
        self._schema = schema

    def write(self, block: Block) -> None:
        """Write the rows as one row group."""
        self._writer.write_table((block.text if block.typed is None else block.typed).cast(self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _objects(block: Block) -> Iterator[dict[str, Any]]:
    names = block.text.column_names
    columns = [
        _json_values(block.text[name], block.text[name] if block.typed is None else block.typed[name]) for name in names
    ]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _json_values(text: pa.ChunkedArray, typed: pa.ChunkedArray) -> list[Any]:
    """JSON values for integers, finite floats, booleans, lists and objects; text for the rest."""
    kind, texts = typed.type, text.to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return typed.to_pylist()
    if pa.types.is_floating(kind):
        pairs = zip(texts, typed.to_pylist(), strict=True)
        return [value if value is None or math.isfinite(value) else shown for shown, value in pairs]
    if pa.types.is_nested(kind):
        return [None if shown is None else json.loads(shown) for shown in texts]
    return texts


_WRITERS: Mapping[Format, Callable[[BinaryIO, pa.Schema], Writer]] = {
    "csv": _Delimited,
    "tsv": partial(_Delimited, delimiter="\t"),
    "jsonl": _JsonLines,
    "parquet": _Parquet,
}
WRITTEN = tuple(_WRITERS)
"""The formats that a copy can have."""
