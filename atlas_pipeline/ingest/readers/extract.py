"""Extracts of connectors to batches: Parquet that may hold lines which could not be read as rows.

Belongs here: how such lines are written beside rows, and told from them. Does not belong here: Parquet itself
(`parquet.py`). A file of somebody else's is never read by this, since the lines bring their own reasons.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.batch import Batch, Reject
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.compression import Compression
from atlas_pipeline.ingest.readers.parquet import read_parquet

REJECTED = "_atlas_rejected"
"""The column of an extract that is null but in rows which stand for a line that could not be read."""


def as_rows(rejects: Sequence[Reject]) -> pa.Table:
    """Lines as rows of an extract."""
    texts = [json.dumps([one.rule, one.reason, base64.b64encode(one.raw).decode()]) for one in rejects]
    return pa.table({REJECTED: pa.array(texts, pa.string())})


def read_extract(stream: BinaryIO, compression: Compression, meter: Meter) -> Iterator[Batch]:
    """Yield the rows of an extract, as `read_parquet` does, and the lines that were rejected when it was made.

    Raises FileRefused as `readers.read` says.

    Args:
        stream: at the file's beginning.
        compression: of the whole file.
        meter: counts what it turns into.
    """
    for batch in read_parquet(stream, compression, meter, allowed=(REJECTED,)):
        yield _split(batch) if REJECTED in batch.columns else batch


def _split(batch: Batch) -> Batch:
    texts = batch.rows.column(REJECTED)
    is_row = pc.is_null(texts)
    numbers = batch.lines.filter(pc.invert(is_row)).to_pylist()
    rejects = [_reject(line, text) for line, text in zip(numbers, texts.drop_null().to_pylist(), strict=True)]
    types = {name: type for name, type in (batch.types or {}).items() if name != REJECTED}
    rows = batch.rows.filter(is_row).drop_columns([REJECTED])
    return Batch(rows, batch.lines.filter(is_row), [*batch.rejects, *rejects], types)


def _reject(line: int, text: str) -> Reject:
    rule, reason, raw = json.loads(text)
    return Reject(line, rule, reason, base64.b64decode(raw))
