"""Blocks of Avro files, unpacked no further than a limit: a few kilobytes of one block can stand for gigabytes.

Belongs here: reading and unpacking one block. Does not belong here: records and their fields (`avro.py`). The form of
blocks: Apache Avro 1.12 specification, "Object Container Files".
"""

import bz2
import functools
import io
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO

import zstandard

from atlas_pipeline.ingest.batch import FileRefused

MOST_BYTES = 64 << 20
"""Of a block, packed and unpacked. Writers end a block after some kilobytes, some after a few megabytes."""


@functools.cache
def bound_blocks() -> None:
    """Have fastavro unpack blocks within the limit, in this process from now on.

    From then on reading records raises FileRefused `expands_too_much` where a block is larger.
    """
    import fastavro.read

    unpack: dict[str, Callable[[bytes], bytes]] = {
        "deflate": lambda packed: zlib.decompressobj(-15).decompress(packed, MOST_BYTES + 1),
        "bzip2": lambda packed: bz2.BZ2Decompressor().decompress(packed, MOST_BYTES + 1),
        "xz": lambda packed: lzma.LZMADecompressor().decompress(packed, MOST_BYTES + 1),
        "zstandard": lambda packed: zstandard.ZstdDecompressor().stream_reader(packed).read(MOST_BYTES + 1),
    }
    readers = fastavro.read.BLOCK_READERS
    readers.update({codec: functools.partial(_unpacked, one) for codec, one in unpack.items()})
    readers["null"] = functools.partial(_unpacked, bytes)
    readers["snappy"] = functools.partial(_snappy, readers["snappy"])


def _unpacked(unpack: Callable[[bytes], bytes], file: BinaryIO) -> io.BytesIO:
    content = unpack(_packed(file)[1])
    _check(len(content))
    return io.BytesIO(content)


def _snappy(read: Callable[[io.BytesIO], io.BytesIO], file: BinaryIO) -> io.BytesIO:
    """A block of Snappy begins with the length of what it turns into, seven bits a byte, the lowest ones first."""
    size, packed = _packed(file)
    _check(_number(io.BytesIO(packed))[0])
    return read(io.BytesIO(size + packed))


def _packed(file: BinaryIO) -> tuple[bytes, bytes]:
    """The length of a block as it is written, and the block."""
    number, written = _number(file)
    size = number >> 1  # zigzag, and never negative
    _check(size)
    packed = file.read(size)
    if number & 1 or len(packed) < size:
        raise EOFError
    return written, packed


def _number(file: BinaryIO) -> tuple[int, bytes]:
    """A number of at most ten bytes, and those bytes. Raises EOFError."""
    number, written = 0, b""
    while len(written) < 10:
        byte = file.read(1)
        if not byte:
            raise EOFError
        number |= (byte[0] & 127) << 7 * len(written)
        written += byte
        if byte[0] < 128:
            return number, written
    raise EOFError


def _check(size: int) -> None:
    if size > MOST_BYTES:
        raise FileRefused(
            "expands_too_much",
            f"A block of the Avro file has, or turns into, more than {MOST_BYTES >> 20} MiB. Have it written in "
            "smaller blocks.",
        )
