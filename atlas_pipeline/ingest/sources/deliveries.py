"""Files that are one state together: those of a folder, all that match, or those with one `{delivery}` in their names.

Belongs here: which files belong together, as one file of a source. Does not belong here: reading them
(`readers/delivery.py`), and whether a delivery is whole (`ingest/bronze.py`).
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, Literal, cast

from atlas_pipeline.ingest.readers.delivery import head_of
from atlas_pipeline.ingest.sources import SourceError, SourceFile

Together = Literal["file", "folder", "all"]


def grouped(files: Sequence[SourceFile], key: Callable[[SourceFile], str]) -> Iterator[SourceFile]:
    """Files with one key as one file; those with a problem stay as they are.

    Args:
        files: in the order in which they are read.
        key: the address of what a file belongs to.
    """
    groups: dict[tuple[str, str | None], list[SourceFile]] = {}
    for file in files:
        if file.problem:
            yield file
        else:
            groups.setdefault((key(file), file.partition), []).append(file)
    for (uri, partition), parts in groups.items():
        yield _delivery(uri, partition, parts)


def folder_of(file: SourceFile) -> str:
    """The folder of a file, with a slash at the end."""
    return file.uri.rpartition("/")[0] + "/"


def parts_of(version: str) -> int:
    """How many files a version of a delivery has; 0 of what is none."""
    number, words, _ = version.partition(" files, ")
    return int(number) if words and number.isdigit() else 0


def _delivery(uri: str, partition: str | None, parts: list[SourceFile]) -> SourceFile:
    versions = "".join(f"{part.uri}\n{part.version}\n" for part in parts)
    return SourceFile(
        uri=uri,
        name=parts[0].name,
        version=f"{len(parts)} files, {hashlib.sha256(versions.encode()).hexdigest()[:16]}",
        bytes=sum(len(head_of(part.name, part.bytes)) + part.bytes for part in parts),
        modified=max(part.modified for part in parts),
        open=partial(_opened, parts),
        partition=partition,
        format="delivery",
    )


@contextmanager
def _opened(parts: Sequence[SourceFile]) -> Iterator[BinaryIO]:
    chunks = _chunks(parts)
    try:
        yield cast(BinaryIO, _Stream(chunks))
    finally:
        chunks.close()


def _chunks(parts: Sequence[SourceFile]) -> Generator[bytes, None, None]:
    for part in parts:
        yield head_of(part.name, part.bytes)
        left = part.bytes
        with part.open() as stream:
            while data := stream.read(1 << 20):
                left -= len(data)
                if left < 0:
                    break
                yield data
        if left:
            raise SourceError(f"{part.uri} changed while it was read ({part.bytes} bytes listed)")


class _Stream:
    """The files one after the other."""

    closed = False

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self._ready = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` at most; none at the end. Raises SourceError."""
        if size < 0:
            data, self._ready = self._ready + b"".join(self._chunks), b""
            return data
        if not self._ready:
            self._ready = next(self._chunks, b"")
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def readable(self) -> bool:
        """True, as of any file to read from."""
        return True
