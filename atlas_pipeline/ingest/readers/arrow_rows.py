"""Rows that come as Arrow arrays, as batches of text; rows no text can hold are set aside.

Belongs here: what the readers of binary formats share. Does not belong here: how a value becomes text
(`parquet_text.py`), and opening files (`parquet.py`, `orc.py`, `avro.py`).
"""

import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.readers.lines import lines_array
from atlas_pipeline.ingest.readers.parquet_size import slices
from atlas_pipeline.ingest.readers.parquet_text import as_text, faulty, source_type
from atlas_pipeline.ingest.readers.text import MAX_LINE_BYTES, RAW_KEPT_BYTES

BATCH_ROWS = 20_000
DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for bytes that are not of a format: also for a name that is not UTF-8."""
_REASONS = {
    "encoding": "The row holds a string that is not valid UTF-8.",
    "nul_byte": "The row holds a NUL character in a string, which no text may. Remove it.",
    "line_too_long": f"The row is longer than {MAX_LINE_BYTES:,} bytes; nothing of it is kept. Split it.",
}


def types_of(schema: pa.Schema) -> dict[str, str]:
    """The types that a source has for its columns."""
    return {field.name: source_type(field.type) for field in schema if field.type != pa.null()}


def text_batches(
    pieces: Iterator[pa.RecordBatch], types: Mapping[str, str], refusal: Callable[[Exception], FileRefused]
) -> Iterator[Batch]:
    """Batches of the pieces, cut where their text reaches 8 MiB, rows numbered from the first one.

    Args:
        pieces: all rows of a file, in order.
        types: of its columns, as a declaration names them.
        refusal: what is raised for an error while rows are read.

    Raises:
        FileRefused: made by `refusal`.
    """
    first = 1
    while True:
        try:
            piece = next(pieces, None)
        except DAMAGE as error:
            raise refusal(error) from None
        if piece is None:
            return
        for part, too_long in slices(piece):
            numbers = np.arange(first, first + part.num_rows, dtype=np.int64)
            first += part.num_rows
            if too_long:
                rejects = [Reject(int(n), "line_too_long", _REASONS["line_too_long"], b"") for n in numbers]
                empty = pa.schema([(name, pa.string()) for name in piece.schema.names]).empty_table()
                yield Batch(empty, lines_array(numbers[:0]), rejects, types)
                continue
            try:
                columns = [as_text(column) for column in part.columns]
            except DAMAGE as error:
                raise refusal(error) from None
            yield _batch(columns, part.schema.names, numbers, types)


def _batch(columns: list[pa.Array], names: list[str], numbers: NDArray[np.int64], types: Mapping[str, str]) -> Batch:
    """The rows, but for those that no text can hold.

    Args:
        columns: as text, in bytes.
        names: of the columns.
        numbers: of the rows.
        types: that the file has for its columns.
    """
    faults = faulty(columns)
    rejects = [
        Reject(int(numbers[i]), rule, _REASONS[rule], _raw(names, columns, i)) for i, rule in sorted(faults.items())
    ]
    if faults:
        kept = np.setdiff1d(np.arange(len(numbers)), np.fromiter(faults, np.int64, len(faults)))
        columns = [column.take(pa.array(kept)) for column in columns]
        numbers = numbers[kept]
    schema = pa.schema([(name, pa.string()) for name in names])
    rows = pa.table([column.cast(pa.string()) for column in columns], schema=schema)
    return Batch(rows, lines_array(numbers), rejects, types)


def _raw(names: list[str], columns: list[pa.Array], row: int) -> bytes:
    """Return a row as a JSON object, invalid bytes escaped; binary formats have no bytes of a row alone."""
    values: dict[str, str | None] = {}
    for name, column in zip(names, columns, strict=True):
        value = column[row].as_py()
        values[name] = None if value is None else value.decode("utf-8", errors="backslashreplace")
    return json.dumps(values, ensure_ascii=False).encode()[:RAW_KEPT_BYTES]
