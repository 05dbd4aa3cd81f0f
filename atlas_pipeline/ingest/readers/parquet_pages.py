"""The pages of a Parquet column whose values are stored as what they share with the one before them.

Belongs here: how long the longest of these values may be, told from the lengths that the pages store. Does not belong
here: the values themselves, which Arrow reads (`parquet.py`), and what follows for batches (`parquet_size.py`).

The format: Apache Parquet, "Encodings" (DELTA_BYTE_ARRAY, DELTA_BINARY_PACKED) and `parquet.thrift`; headers of pages
are structs in the compact protocol of Apache Thrift.
"""

import struct
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

_HEADER_BYTES = 64 << 10
_MOST_PAGE_BYTES = 64 << 20
_MOST_VALUES, _MOST_OF_BLOCK = 2_000_000, 1 << 16
_MOST_NESTED = 8
_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd", "BROTLI": "brotli"}
_RLE, _DELTA_BYTE_ARRAY = 3, 7
_DATA, _DATA_V2 = 0, 3
_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 6, 7, 8, 12


class _Unknown(Exception):
    """A page that is not as expected here; Arrow says whether it can be read."""


def longest_value(stream: BinaryIO, chunk: pq.ColumnChunkMetaData, *, nullable: bool) -> int | None:
    """How many bytes a value of a column takes at most.

    Args:
        stream: the file, which can seek.
        chunk: of a column without repeated values.
        nullable: whether values may be missing.

    Returns:
        The longest prefix and the longest rest of a page together; null where a page is stored in another way.
    """
    at, longest, values = chunk.data_page_offset, 0, 0
    end = at + chunk.total_compressed_size
    try:
        while values < chunk.num_values and at < end:
            stream.seek(at)
            header, size = _struct(stream.read(min(_HEADER_BYTES, end - at)), 0)
            if max(header[2], header[3]) > _MOST_PAGE_BYTES or header[2] < 0 or header[3] < 0:
                return None
            stream.seek(at + size)
            page, count = _values_of(header, stream.read(header[3]), chunk.compression, nullable)
            longest = max(longest, _longest(page, count))
            values += count
            at += size + header[3]
    except (_Unknown, LookupError, TypeError, ValueError, OverflowError, struct.error):
        return None
    return longest if values == chunk.num_values else None


def _values_of(header: dict[int, Any], body: bytes, compression: str, nullable: bool) -> tuple[bytes, int]:
    """The bytes of a page after its levels, and how many values it has, those that are missing included."""
    first, second = header.get(5), header.get(8)
    if header[1] == _DATA and first and first[2] == _DELTA_BYTE_ARRAY and first[3] == _RLE:
        page = _unpacked(body, compression, header[2])
        return (page[4 + struct.unpack_from("<I", page)[0] :] if nullable else page), first[1]
    if header[1] == _DATA_V2 and second and second[4] == _DELTA_BYTE_ARRAY:
        levels = second[5] + second[6]
        packed = compression if second.get(7, True) else "UNCOMPRESSED"
        return _unpacked(body[levels:], packed, header[2] - levels), second[1]
    raise _Unknown


def _unpacked(data: bytes, compression: str, size: int) -> bytes:
    if compression == "UNCOMPRESSED":
        return data
    try:
        unpacked: bytes = pa.Codec(_CODECS[compression]).decompress(data, decompressed_size=size, asbytes=True)
    except (OSError, pa.ArrowException):
        raise _Unknown from None
    return unpacked


def _longest(page: bytes, values: int) -> int:
    """What a page's longest value takes at most. Arrow sees the same lengths, though in 32 bits."""
    prefixes, at = _lengths(page, 0, values)
    suffixes, _ = _lengths(page, at, values)
    if min(prefixes.min(initial=0), suffixes.min(initial=0)) < 0:
        raise _Unknown
    return int(prefixes.max(initial=0)) + int(suffixes.max(initial=0))


def _lengths(page: bytes, at: int, values: int) -> tuple[NDArray[np.int64], int]:
    """At most so many numbers, which are stored as differences in blocks (DELTA_BINARY_PACKED), and where they end."""
    block, at = _varint(page, at)
    parts, at = _varint(page, at)
    count, at = _varint(page, at)
    value, at = _zigzag(page, at)
    if not parts or block > _MOST_OF_BLOCK or block % parts or block // parts % 8 or not block:
        raise _Unknown
    if count > min(values, _MOST_VALUES):
        raise _Unknown
    if not count:
        return np.array([], np.int64), at
    of_part, steps = block // parts, [np.array([value], np.int64)]
    left = count - 1
    while left > 0:
        least, at = _zigzag(page, at)
        widths = page[at : at + parts]
        at += parts
        for width in widths:
            if left <= 0:
                break
            size = of_part * width // 8
            if width > 32 or at + size > len(page):
                raise _Unknown
            steps.append(_bits(page, at, size, width, of_part)[:left] + least)
            at += size
            left -= of_part
    return np.cumsum(np.concatenate(steps)), at


def _bits(page: bytes, at: int, size: int, width: int, count: int) -> NDArray[np.int64]:
    """Numbers of so many bits each, the lowest bit first."""
    if not width:
        return np.zeros(count, np.int64)
    bits = np.unpackbits(np.frombuffer(page, np.uint8, size, at), bitorder="little").reshape(count, width)
    numbers: NDArray[np.int64] = bits.astype(np.int64) @ (1 << np.arange(width, dtype=np.int64))
    return numbers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise _Unknown


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends; bytes are left out."""
    fields: dict[int, Any] = {}
    number = 0
    while data[at]:
        delta, kind = data[at] >> 4, data[at] & 0x0F
        at += 1
        if delta:
            number += delta
        else:
            number, at = _zigzag(data, at)
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        else:
            fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth > _MOST_NESTED:
        raise _Unknown
    if kind == _BYTE:
        return data[at], at + 1
    if _BYTE < kind <= _I64:
        return _zigzag(data, at)
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        size, at = _varint(data, at)
        return None, at + size
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    raise _Unknown
