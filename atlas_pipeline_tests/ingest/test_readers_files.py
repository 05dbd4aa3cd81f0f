"""Whole files at the outside: names, compression, streams, and files that are not what they are named."""

import gzip
import io
import zlib
from typing import BinaryIO, cast

import pytest
import zstandard

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.readers import Compression, Format, detect, read

CSV = b"a,b\n" + b"".join(b"%d,value %d\n" % (i, i * 7919 % 1000) for i in range(5000))
JSONL = b"".join(b'{"a": %d, "b": "x"}\n' % i for i in range(5000))


class Trickle(io.RawIOBase):
    """A stream that cannot seek and gives less than is asked for, as a socket does."""

    def __init__(self, data: bytes, piece: int = 1000):
        self._inner = io.BytesIO(data)
        self._piece = piece

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, self._piece) if size >= 0 else self._piece)


def count(data: bytes, name: str, format: Format | None = None) -> int:
    return sum(batch.rows.num_rows for batch in read(io.BytesIO(data), name, format=format, block_bytes=1 << 14))


def refused(data: bytes, name: str) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        count(data, name)
    assert caught.value.reason
    return caught.value


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("x.csv", ("csv", "none")),
        ("X.CSV.GZ", ("csv", "gzip")),
        ("a/b.c/x.tsv.zst", ("tsv", "zstd")),
        ("s3://bucket/key.jsonl", ("jsonl", "none")),
        ("x.2024.ndjson.gz", ("jsonl", "gzip")),
        ("x.parquet", ("parquet", "none")),
    ],
)
def test_names(name: str, found: tuple[Format, Compression]) -> None:
    assert detect(name) == found


@pytest.mark.parametrize("name", ["x", "x.gz", "x.docx", "x.csv.bz2", "csv", "", "x.gz.csv.zip"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(FileRefused) as caught:
        detect(name)
    assert caught.value.rule == "unknown_format"


def test_a_format_given_overrides_the_name() -> None:
    assert count(CSV, "export.txt", "csv") == 5000
    assert count(gzip.compress(JSONL), "export.gz", "jsonl") == 5000


@pytest.mark.parametrize(("name", "data"), [("x.csv", CSV), ("x.jsonl", JSONL)])
def test_compressed_files(name: str, data: bytes) -> None:
    for suffix, packed in [("", data), (".gz", gzip.compress(data)), (".zst", zstd(data))]:
        assert count(packed, name + suffix) == 5000


def test_all_members_and_frames_are_read() -> None:
    half = CSV.index(b"\n2500,") + 3
    for piece in (1, 100, 1 << 20):
        members = gzip.compress(CSV[:half]) + gzip.compress(b"") + gzip.compress(CSV[half:]) + b"\0" * 600
        frames = zstd(CSV[:half]) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd(CSV[half:])
        for name, data in [("x.csv.gz", members), ("x.csv.zst", frames)]:
            stream = cast(BinaryIO, Trickle(data, piece))
            assert sum(batch.rows.num_rows for batch in read(stream, name)) == 5000


@pytest.mark.parametrize(("name", "packed"), [("x.csv.gz", gzip.compress(CSV)), ("x.csv.zst", zstd(CSV))])
def test_cut_compressed_files(name: str, packed: bytes) -> None:
    for size in (5, len(packed) // 2, len(packed) - 5, len(packed) - 1):
        assert refused(packed[:size], name).rule == "truncated"


@pytest.mark.parametrize(("name", "packed"), [("x.csv.gz", gzip.compress(CSV)), ("x.csv.zst", zstd(CSV))])
def test_damaged_compressed_files(name: str, packed: bytes) -> None:
    checksum = len(packed) - (8 if name.endswith("gz") else 4)
    damaged = packed[:checksum] + bytes([packed[checksum] ^ 1]) + packed[checksum + 1 :]
    assert refused(damaged, name).rule == "corrupt"
    assert refused(packed + b"trailing bytes that are no member", name).rule == "corrupt"


@pytest.mark.parametrize("name", ["x.csv.gz", "x.jsonl.zst"])
def test_named_as_compressed_but_not(name: str) -> None:
    assert refused(CSV, name).rule == "wrong_format"
    assert refused(b"", name).rule == "empty"


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl"])
@pytest.mark.parametrize(
    "data",
    [
        b"PAR1\x15\x04\x15",
        gzip.compress(CSV),
        zstd(CSV),
        b"PK\x03\x04\x14\x00",
        b"%PDF-1.7\n",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"BZh91AY&SY\x01\x02",
        b"\x89PNG\r\n\x1a\n",
        b"\x7fELF\x02\x01\x01\0\0\0\n1,2\n",
        "a,b\n1,2\n".encode("utf-16-le"),
    ],
)
def test_binary_files_named_as_text(name: str, data: bytes) -> None:
    assert refused(data, name).rule == "wrong_format"


def test_text_that_begins_like_a_signature_is_text() -> None:
    assert count(b"ORCID,name\n1,x\n", "x.csv") == 1
    assert count(b"BZh,PAR1\n1,x\n", "x.csv") == 1


@pytest.mark.parametrize("piece", [1, 1000])
def test_streams_that_cannot_seek_and_give_little(piece: int) -> None:
    size = 400 * piece
    for name, data in [("x.csv", CSV), ("x.jsonl", JSONL)]:
        data = data[: data.rindex(b"\n", 0, min(size, len(data))) + 1]
        stream = cast(BinaryIO, Trickle(data, piece))
        rows = sum(batch.rows.num_rows + len(batch.rejects) for batch in read(stream, name))
        assert rows == data.count(b"\n") - (name == "x.csv")


def test_what_the_stream_raises_is_passed_on() -> None:
    class Broken(Trickle):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionError("gone")

    for name in ("x.csv", "x.csv.gz", "x.jsonl.zst", "x.parquet"):
        with pytest.raises(ConnectionError):
            list(read(cast(BinaryIO, Broken(CSV)), name))


def test_a_little_data_that_expands_a_lot_is_read_in_pieces() -> None:
    data = b"a\n" + b"1\n" * (8 << 20)
    for name, packed in [("x.csv.gz", zlib.compress(data, wbits=31)), ("x.csv.zst", zstd(data))]:
        assert max(b.rows.nbytes for b in read(io.BytesIO(packed), name, block_bytes=1 << 16)) < 1 << 20
