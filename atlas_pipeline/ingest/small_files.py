"""Small files that are new, loaded together: what each comes to is what it would come to by itself.

Belongs here: which files may be loaded together, reading them, and the one transaction in which their rows, rejects and
entries are written. Does not belong here: a file that is compared with an earlier version (`bronze.py`).

A transaction, a COPY and the statements of the ledger take milliseconds a file, however few rows it has. Files whose
entry is their first have nothing to be compared with, so that all of a group can be read before anything is written. A
file that cannot be read is refused in its place in the group. What only the database would refuse leaves the group
unwritten, and its files are loaded one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import psycopg

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.copying import (
    NOT_TAKEN,
    BronzeCopy,
    FileResult,
    HashedStream,
    PreparedBlock,
    copy_rows,
    plain,
)
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.warehouse import ledger

MOST_FILES = 100
_FILE_BYTES = 256 << 10
_TEXT_BYTES = 4 << 20


@dataclass(frozen=True)
class NewFile:
    """A file to be loaded: the look at it, and the newest entry that the ledger has of it."""

    file: SourceFile
    look: ledger.Look
    entry: ledger.Known | None

    def fits_a_group(self, intake: Intake) -> bool:
        """Whether it is small, and nothing that was loaded before decides what becomes of it."""
        alone = intake.snapshot or intake.skip_equal_files or self.file.on_loaded is not None
        return self.look.first and not alone and 0 < self.file.bytes <= _FILE_BYTES


class _TooMuch(Exception):
    """A small file that turns into much."""


class _Held:
    """The rows of a file that was read, until they are written. A `copying.RowSink`."""

    def __init__(self, file_id: int):
        self.file_id = file_id
        self.blocks: list[PreparedBlock] = []
        self.columns: dict[str, None] = {}
        self.rows = 0
        self.rejected = 0
        self.bytes = 0

    def add(self, block: PreparedBlock) -> None:
        self.bytes += len(block.text) + sum(len(reject.raw) for reject in block.rejects)
        if self.bytes > _TEXT_BYTES:
            raise _TooMuch
        if block.rows:
            self.columns.update(dict.fromkeys(block.columns))
        self.blocks.append(block)
        self.rows += block.rows
        self.rejected += len(block.rejects)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def load_together(
    connection: psycopg.Connection,
    files: Sequence[NewFile],
    intake: Intake,
    present: set[str],
    reading: Callable[[SourceFile], None],
) -> list[FileResult] | None:
    """Load the first ones of files that each fit a group, in their order.

    Args:
        connection: to the warehouse; the lock of the table is held.
        files: of one dataset, at most `MOST_FILES`.
        intake: of the dataset.
        present: the table's columns, to which those of the files are added.
        reading: told of each file before it is read.

    Returns:
        What came of the first files, one result for each. It ends before a file that has to be loaded by itself, and is
        empty when that is the first. Null when the database does not take the rows of one of them.

    Raises psycopg.Error.
    """
    with connection.transaction():
        ids = ledger.reserve(connection, len(files))
    done: list[tuple[NewFile, _Held, FileResult]] = []
    size = 0
    for new, file_id in zip(files, ids, strict=True):
        reading(new.file)
        held = _Held(file_id)
        try:
            result = _read(new.file, held, intake)
        except Exception:  # noqa: BLE001 — loaded by itself, it raises this again, or is too much to be held
            break
        done.append((new, held, result))
        size += held.bytes
        if size >= _TEXT_BYTES:
            break
    if not done:
        return []
    there = set(present)
    try:
        with connection.transaction():
            _write(connection, done, intake, there)
    except NOT_TAKEN:
        return None
    present |= there
    return [result for _, _, result in done]


def _read(file: SourceFile, held: _Held, intake: Intake) -> FileResult:
    """Read a file; the result is `loaded`, `refused` or `unavailable`."""
    stream: HashedStream | None = None
    try:
        with file.open() as raw:
            stream = HashedStream(raw)
            copy_rows(held, file, stream, intake, empty=False)
    except FileRefused as refusal:
        held.blocks.clear()
        if stream is not None and stream.failure is not None:
            return FileResult(file.uri, "unavailable", rule="unavailable", reason=plain(stream.failure))
        return FileResult(file.uri, "refused", rule=refusal.rule, reason=refusal.reason)
    except (ServiceUnavailable, SourceError, OSError) as error:
        held.blocks.clear()
        return FileResult(file.uri, "unavailable", rule="unavailable", reason=plain(error))
    sha256 = stream.digest.hexdigest()
    return FileResult(file.uri, "loaded", held.rows, held.rejected, stream.bytes, sha256)


def _write(
    connection: psycopg.Connection,
    done: Sequence[tuple[NewFile, _Held, FileResult]],
    intake: Intake,
    present: set[str],
) -> None:
    """Write entries, rows and rejects of files that were read."""
    entries = []
    for new, held, result in done:
        if result.status != "unavailable":  # it may be well, and is tried again by the next run
            options = intake.fingerprint(new.file.name, result.rule)
            columns = list(held.columns) if result.status == "loaded" else []
            counts = (result.sha256, result.bytes, result.rows, result.rejected, columns)
            entries.append(
                ledger.Entry(
                    held.file_id, replace(new.look, options=options), result.status, result.rule, result.reason, *counts
                )
            )
    ledger.enter(connection, entries)
    with BronzeCopy(connection, done[0][0].look.dataset, done[0][1].file_id, present) as copy:
        for _, held, _ in done:
            for block in held.blocks:
                copy.send(block)
        for _, held, _ in done:
            copy.file_id = held.file_id
            for block in held.blocks:
                copy.reject(block)
