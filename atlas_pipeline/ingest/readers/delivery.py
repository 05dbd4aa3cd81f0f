"""Several files as one: a stream of all of them, and its rows.

Belongs here: how files follow each other in the stream, and line numbers that go on from one to the next. Does not
belong here: which files belong together (`sources/deliveries.py`), and how one of them is read (`readers/`).

In the stream a line of JSON with name and size comes before the bytes of each file.
"""

import json
from collections.abc import Iterator
from typing import BinaryIO, cast

import pyarrow.compute as pc

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.forward import ForwardStream
from atlas_pipeline.ingest.readers.options import ReadOptions

_LONGEST_HEAD = 1 << 16


def head_of(name: str, size: int) -> bytes:
    """What comes before the bytes of a file."""
    return json.dumps([name, size]).encode() + b"\n"


def read_delivery(stream: BinaryIO, options: ReadOptions, block_bytes: int, meter: Meter) -> Iterator[Batch]:
    """Yield the rows of all files, in their order.

    Args:
        stream: at its beginning.
        options: how each file is read.
        block_bytes: about how much text becomes one batch.
        meter: counts what all of them turn into.

    Raises:
        FileRefused: one of them cannot be loaded; its reason begins with the file's name.
    """
    from atlas_pipeline.ingest.readers import read

    before = 0
    while head := _head(stream):
        name, size = head
        part, last = _Part(stream, size), before
        try:
            for batch in read(cast(BinaryIO, part), name, options=options, block_bytes=block_bytes, meter=meter):
                yield _moved(batch, name, before)
                last = max(last, *batch.lines.to_pylist()[-1:], *(one.line for one in batch.rejects), before)
        except FileRefused as refusal:
            raise FileRefused(refusal.rule, f"{name}: {refusal.reason}") from None
        part.drain()
        before = last


def _moved(batch: Batch, name: str, before: int) -> Batch:
    batch.rejects = [
        Reject(before + one.line, one.rule, f"{name}, line {one.line:,}: {one.reason}", one.raw)
        for one in batch.rejects
    ]
    batch.lines = pc.add(batch.lines, before)
    return batch


def _head(stream: BinaryIO) -> tuple[str, int] | None:
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = stream.read(1)
        if not byte or len(line) > _LONGEST_HEAD:
            return None
        line += byte
    name, size = json.loads(line)
    return name, size


class _Part(ForwardStream):
    """The bytes of one file in the stream."""

    def __init__(self, stream: BinaryIO, size: int):
        self._stream = stream
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted) if wanted else b""
        self._left -= len(data)
        return data
