"""Rows of files on their way into a bronze table: the file hashed while it is read, its rows as the text of a COPY.

Belongs here: lineage columns, the stream that hashes, and the COPY of rows and their rejects. Does not belong here:
what becomes of a file (`bronze.py`, `small_files.py`), and reading formats (`readers/`).
"""

import hashlib
import io
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Protocol, Self, cast

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.column_names import safe_names
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.limits import Limits, Meter
from atlas_pipeline.ingest.prefetch import prefetched
from atlas_pipeline.ingest.quarantine import quarantine_lines
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.ingest.sources import SourceError, SourceFile

FILE_ID, LINE, ROW_HASH = "_atlas_file_id", "_atlas_line", "_atlas_row_hash"
_BLOCK_BYTES = 1 << 20

NOT_TAKEN = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.TooManyColumns)
"""What Postgres says against the rows of a file."""


@dataclass
class FileResult:
    """What came of one file: `loaded`, `duplicate`, `refused`, or `unavailable` (then it is tried again)."""

    uri: str
    status: str
    rows: int = 0
    rejected: int = 0
    bytes: int = 0
    sha256: str | None = None
    rule: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class PreparedBlock:
    """A block of rows as the text that COPY takes."""

    columns: tuple[str, ...]
    text: bytes
    rows: int
    rejects: list[Reject]


def _prepare(blocks: Iterable[Batch], file_id: int, meter: Meter, declared: Collection[str]) -> Iterator[PreparedBlock]:
    line_of = b"%%b,%d,%%d,%%b\n" % file_id
    for block in blocks:
        records = block.records
        meter.rows(len(records) + len(block.rejects))
        digests = b"".join([hashlib.blake2b(record, digest_size=8).digest() for record in records])
        hashes = digests.hex("\n", 8).encode().split()
        text = b"".join([line_of % row for row in zip(records, block.lines.to_pylist(), hashes, strict=True)])
        meter.text(len(text))
        yield PreparedBlock(safe_names(block.columns, declared), text, len(records), block.rejects)


class CopyStopped(Exception):
    """What the server is told of a COPY that cannot be finished."""


def stop_copying(copying: ExitStack, error: BaseException | None) -> None:
    """End the COPY that a stack holds, if there is one; for an error, without a word of it.

    psycopg tells the server why it gives up, whose log may not have what an error about a value says.

    Args:
        copying: holds what psycopg's `copy` returned.
        error: why it ends, null when all was sent.
    """
    if error is None:
        copying.close()
    else:
        stopped = CopyStopped("the rows that were being copied cannot be finished")
        copying.__exit__(CopyStopped, stopped, None)


class RowSink(Protocol):
    """Takes the blocks of one file, and counts what it took."""

    file_id: int
    columns: dict[str, None]
    rows: int
    rejected: int

    def add(self, block: PreparedBlock) -> None:
        """Take a block, and its rejects."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None: ...


class BronzeCopy:
    """The COPY into bronze, a `RowSink` for one file; opened anew when a block brings columns that the table lacks."""

    def __init__(self, connection: psycopg.Connection, dataset: str, file_id: int, present: set[str]):
        """A COPY that is opened when the first rows come.

        Args:
            connection: in the transaction that loads the file.
            dataset: name of the table.
            file_id: of the file, for its rejects.
            present: the table's columns, to which those that blocks bring are added.
        """
        self._connection = connection
        self._dataset = dataset
        self.file_id = file_id
        self._present = present
        self._copying = ExitStack()
        self._copy: psycopg.Copy | None = None
        self._open: tuple[str, ...] = ()
        self.columns: dict[str, None] = {}
        self.rows = 0
        self.rejected = 0

    def add(self, block: PreparedBlock) -> None:
        """Send a block, and its rejects to quarantine."""
        self.send(block)
        self.reject(block)

    def send(self, block: PreparedBlock) -> None:
        """Send the rows of a block."""
        if block.rows:
            if block.columns != self._open or self._copy is None:
                self._begin(block.columns)
            assert self._copy is not None
            self._copy.write(block.text)
            self.rows += block.rows

    def reject(self, block: PreparedBlock) -> None:
        """Send the rejects of a block to quarantine."""
        if block.rejects:
            self._end()
            self.rejected += len(block.rejects)
            quarantine_lines(self._connection, self._dataset, self.file_id, block.rejects)

    def _begin(self, columns: tuple[str, ...]) -> None:
        self._end()
        missing = [name for name in columns if name not in self._present]
        if missing:
            added = sql.SQL(", ").join(sql.SQL("ADD COLUMN {} text").format(sql.Identifier(name)) for name in missing)
            table = sql.Identifier("bronze", self._dataset)
            self._connection.execute(sql.SQL("ALTER TABLE {} {}").format(table, added))
            self._present.update(missing)
        self.columns.update(dict.fromkeys(columns))
        names = sql.SQL(", ").join(map(sql.Identifier, (*columns, FILE_ID, LINE, ROW_HASH)))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            sql.Identifier("bronze", self._dataset), names
        )
        self._copy = self._copying.enter_context(self._connection.cursor().copy(statement))
        self._open = columns

    def _end(self) -> None:
        self._copying.close()
        self._copy = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        stop_copying(self._copying, error)


class HashedStream:
    """A stream that knows the SHA-256 and the number of the bytes read through it.

    Formats that are read out of order (Parquet) seek: before the first seek the whole file is hashed.
    """

    def __init__(self, raw: BinaryIO):
        self._raw = raw
        self._in_order = True
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.failure: OSError | None = None

    @property
    def closed(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._raw.read(size)
        except OSError as error:
            self.failure = error
            raise
        if self._in_order:
            self.digest.update(data)
            self.bytes += len(data)
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return isinstance(self._raw, io.IOBase) and self._raw.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = self._raw.tell()
        self.drain()
        self._in_order = False
        self._raw.seek(position)
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def drain(self) -> None:
        """Read what the reader left, so that the hash is of the whole file."""
        while self._in_order and self.read(_BLOCK_BYTES):
            continue


def copy_rows(sink: RowSink, file: SourceFile, stream: HashedStream, intake: Intake, *, empty: bool) -> None:
    """Read a file to its end, and hand its rows to the sink.

    Args:
        sink: takes the rows.
        file: as the source lists it.
        stream: its bytes, from the beginning.
        intake: of its dataset.
        empty: whether a file without rows is not refused.

    Raises FileRefused, SourceError, and whatever reading raises.
    """
    # What an extract was made of was measured when it was made, and it is packed better than any file.
    meter = Meter(intake.limits if file.bytes and file.format != "extract" else Limits(), file.bytes)
    source, options = cast(BinaryIO, stream), intake.reading
    blocks = read(source, file.name, format=file.format, options=options, block_bytes=_BLOCK_BYTES, meter=meter)
    prepared = _prepare(blocks, sink.file_id, meter, intake.declared)
    # A file of one block is read before there is anything to send.
    small = 0 < file.bytes < _BLOCK_BYTES
    rows = nullcontext(prepared) if small else prefetched(prepared, lambda item: len(item.text))
    with rows as ready, sink:
        try:
            for item in ready:
                sink.add(item)
        except FileRefused as refusal:
            if refusal.rule not in ("header_only", "empty") or not empty:
                raise
    stream.drain()
    if file.bytes and stream.bytes != file.bytes:
        raise SourceError(f"changed while it was read ({file.bytes} bytes listed, {stream.bytes} read)")
    if sink.columns and intake.declared and intake.declared.isdisjoint(sink.columns):
        raise FileRefused(
            "no_declared_column",
            f"None of its {len(sink.columns):,} columns is declared. Is its header missing, or the delimiter another "
            "one? Correct the file, or the declaration.",
        )


def not_taken(uri: str, error: psycopg.Error) -> FileResult:
    """What Postgres says against the rows of a file; its own words may quote them. Raises any other error."""
    if isinstance(error, psycopg.errors.TooManyColumns):
        reason = "with this file the table would have more columns than Postgres can hold (1,600): split the dataset"
        return FileResult(uri, "refused", rule="too_many_columns", reason=reason)
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):
        reason = "it has rows wider than Postgres can hold (8 KB when every value is short): drop columns or split it"
        return FileResult(uri, "refused", rule="row_too_wide", reason=reason)
    if isinstance(error, NOT_TAKEN):
        reason = f"Postgres does not take its rows ({type(error).__name__})"
        return FileResult(uri, "refused", rule="not_loadable", reason=reason)
    raise error


def plain(error: Exception) -> str:
    """Why a file could not be read, for people."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return str(error)


def table_columns(connection: psycopg.Connection, dataset: str) -> list[str]:
    """The columns of the dataset's table in bronze without those of lineage."""
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'bronze' AND table_name = %s"
        " AND column_name <> ALL(%s) ORDER BY ordinal_position",
        [dataset, [FILE_ID, LINE, ROW_HASH]],
    )
    return [name for (name,) in rows]
