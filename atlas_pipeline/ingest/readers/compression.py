"""Bytes out of a possibly compressed stream, in reads of the size asked for, with constant memory.

Belongs here: gzip and zstd, cut and damaged streams, short reads of sockets. Does not belong here: what the bytes mean
(`text.py`, `parquet.py`) or which compression a file name announces (`__init__.py`).
"""

import tempfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO, Literal, Protocol, cast

import zstandard

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.limits import Meter

Compression = Literal["none", "gzip", "zstd"]

_MAGIC: dict[Compression, bytes] = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_SKIPPABLE_ZSTD = tuple(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16))
_IN_MEMORY_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20
_GZIP_FEED = 1 << 16
# One zstd block of 4 bytes may stand for 128 KiB, and the decompressor returns all that its input stands for.
_ZSTD_FEED = 1 << 10


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Source:
    """Reads a stream in full-sized pieces and can look ahead."""

    def __init__(self, chunk: Callable[[int], bytes]):
        """Take `chunk(n)`: 1 to about n bytes, or b"" at the end."""
        self._chunk = chunk
        self._ahead = b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end of the stream; b"" once it has ended."""
        if len(self._ahead) >= size:
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            return taken
        parts = [self._ahead] if self._ahead else []
        missing = size - len(self._ahead)
        self._ahead = b""
        while missing > 0:
            part = self._chunk(missing)
            if not part:
                break
            if len(part) > missing:
                part, self._ahead = part[:missing], part[missing:]
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes (fewer at the end) without consuming them."""
        if len(self._ahead) < size:
            more = self.read(size)
            self._ahead = more + self._ahead
        return self._ahead[:size]


def decompressed(stream: BinaryIO, compression: Compression, meter: Meter | None = None) -> Source:
    """Open a binary stream as a `Source` of its decompressed bytes, which `meter` counts.

    Raises FileRefused: `wrong_format` when the stream is not of that compression; later, from `Source.read`,
    `truncated` (it stops before its end), `corrupt` (its data or checksum is wrong) or `expands_too_much`.
    """
    raw = Source(stream.read)
    if compression == "none":
        return raw
    head = raw.peek(4)
    known = head.startswith(_MAGIC[compression]) or (compression == "zstd" and head in _SKIPPABLE_ZSTD)
    if head and not known:
        raise FileRefused(
            "wrong_format",
            f"The file's name says it is compressed with {compression} but its first bytes are not {compression}'s. "
            "Name the file for what it holds, or compress it.",
        )
    unpack = (_Gzip(raw) if compression == "gzip" else _Zstd(raw)).read
    return Source(unpack if meter is None else _metered(unpack, meter))


def _metered(chunk: Callable[[int], bytes], meter: Meter) -> Callable[[int], bytes]:
    def counted(size: int) -> bytes:
        data = chunk(size)
        meter.unpacked(len(data))
        return data

    return counted


def seekable(stream: BinaryIO, compression: Compression, stack: ExitStack, meter: Meter) -> BinaryIO:
    """A stream of the decompressed bytes that can seek: itself, or a copy, in a file when larger than 32 MiB.

    Args:
        stream: at the file's beginning.
        compression: how it is compressed.
        stack: closes the copy.
        meter: counts the bytes.

    Raises:
        FileRefused: as `decompressed`.
    """
    if compression == "none" and stream.seekable():
        return stream
    source = decompressed(stream, compression, meter)
    spool = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))  # noqa: SIM115 — it is one
    while piece := source.read(_PIECE_BYTES):
        spool.write(piece)
    return cast(BinaryIO, spool)


def _truncated(kind: str) -> FileRefused:
    return FileRefused(
        "truncated",
        f"The {kind} data stops before its end: the file was cut, most likely in transfer. Send the whole file again.",
    )


def _corrupt(kind: str) -> FileRefused:
    return FileRefused(
        "corrupt", f"The {kind} data is damaged: it does not decompress or fails its checksum. Send the file again."
    )


class _Gzip:
    """All members of a gzip stream, one after the other; zero padding between or after members is skipped."""

    def __init__(self, raw: _Reads):
        self._raw = raw
        self._member = zlib.decompressobj(wbits=31)
        self._input = b""
        self._between = True

    def read(self, size: int) -> bytes:
        while True:
            if self._member.eof:
                self._input = self._member.unused_data.lstrip(b"\0")
                self._member = zlib.decompressobj(wbits=31)
                self._between = True
            ended = False
            if not self._input:
                self._input = self._raw.read(_GZIP_FEED)
                ended = not self._input
                if self._between:
                    if ended:
                        return b""
                    self._input = self._input.lstrip(b"\0")
                    if not self._input:
                        continue
            self._between = False
            try:
                out = self._member.decompress(self._input, size)
            except zlib.error:
                raise _corrupt("gzip") from None
            self._input = self._member.unconsumed_tail
            if out:
                return out
            if ended and not self._member.eof:
                raise _truncated("gzip")


class _Zstd:
    """All frames of a zstd stream, one after the other."""

    def __init__(self, raw: _Reads):
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._input = b""
        self._between = True

    def read(self, _size: int) -> bytes:
        while True:
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._between = True
            if not self._input:
                self._input = self._raw.read(_ZSTD_FEED)
                if not self._input:
                    if self._between:
                        return b""
                    raise _truncated("zstd")
            self._between = False
            try:
                out = self._frame.decompress(self._input)
            except zstandard.ZstdError:
                raise _corrupt("zstd") from None
            self._input = b""
            if out:
                return out
