"""Files as rows of an extract: which ones are new is told by dlt's filesystem source, and Atlas reads them.

Belongs here: listing, dlt's cursor over it, and rows of one file after the other. Does not belong here: how files are
listed and opened (`sources/`), read (`readers/`), and what becomes of the rows (`extracting.py`).

dlt is handed the listing of Atlas as a file system of fsspec, so that links, host keys, cut connections and credentials
are dealt with as for files that are loaded one by one; its own readers would turn `007` into 7.
"""

import datetime as dt
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import pyarrow as pa

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.connectors import FileCursor, Filesystem
from atlas_pipeline.ingest.connectors.tally import RefusedFile, Tally
from atlas_pipeline.ingest.limits import Meter, limits_of
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.ingest.readers.extract import as_rows
from atlas_pipeline.ingest.readers.forward import ForwardStream
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.settings import Settings

HELD_BYTES = 32 << 20
"""Rows of a file are held back until it was read whole: so many bytes in memory, what is more in a temporary file."""
_LISTED = "memory://listed"
"""What dlt takes the listing for: the scheme tells it where a moment of change is."""
_FILES_A_TIME = 1000


def rows(connector: Filesystem, settings: Settings, tally: Tally) -> Iterator[pa.Table]:
    """Rows of the files that the cursor leaves, as tables of text; within `isolated`.

    A file that cannot be read is left out whole, and stands in the extract as a line for quarantine.

    Args:
        connector: which files.
        settings: landing folder, servers and limits.
        tally: counts files that are opened, and those that are left out.

    Raises:
        SourceError: they cannot be listed, or one cannot be opened.
        ServiceUnavailable: their server does not answer, or files are still being written.
    """
    for file in _chosen(connector, _listed(connector, settings, tally)):
        tally.requests += 1
        try:
            tables = _held(_tables(connector, file, settings))
        except FileRefused as refusal:
            tally.refused.append(RefusedFile(file.uri, refusal.rule, refusal.reason))
            yield as_rows([Reject(0, refusal.rule, f"{file.uri}: {refusal.reason}", b"")])
            continue
        yield from tables


def check(connector: Filesystem, settings: Settings) -> str:
    """List the files, and read the beginning of the first, without loading it. Returns what was found.

    Raises SourceError, ServiceUnavailable.
    """
    files = [file for file in FileSource(connector.files).list(settings) if not file.problem]
    if not files:
        return "no file matches"
    first = files[-1]
    try:
        batch = next(_batches(connector, first, settings), None)
    except FileRefused as refusal:
        raise SourceError(f"{len(files):,} files match, and {first.uri} cannot be read: {refusal.reason}") from None
    return f"{len(files):,} files match, the last of them with {len(batch.columns) if batch else 0} columns"


def _listed(connector: Filesystem, settings: Settings, tally: Tally) -> list[SourceFile]:
    """The files that match and are written whole, in the order in which they are extracted."""
    source = FileSource(connector.files)
    files = source.list(settings)
    fresh = [file.modified for file in files if not file.settled(settings.settle_seconds)]
    if fresh:
        wait = max(fresh) + settings.settle_seconds - time.time()
        time.sleep(min(max(wait, 0.0), settings.settle_seconds))
        files = source.list(settings)
    for file in files:
        if file.problem and file.problem.rule == "unavailable":
            raise SourceError(f"{file.uri}: {file.problem.reason}")
        if file.problem:
            tally.refused.append(RefusedFile(file.uri, file.problem.rule, file.problem.reason))
    files = [file for file in files if not file.problem]
    written = [file for file in files if not file.settled(settings.settle_seconds)]
    if connector.cursor is None:
        if written:
            raise ServiceUnavailable(f"{len(written):,} of the files {connector.files} are still being written")
        return files
    if connector.cursor.by == "name":  # what comes after one that is not whole would move the cursor past it
        first = min((file.uri for file in written), default=None)
        return [file for file in files if first is None or file.uri < first]
    files = [file for file in files if file not in written]
    return sorted(files, key=lambda file: (file.modified, file.uri))


def _chosen(connector: Filesystem, files: Sequence[SourceFile]) -> list[SourceFile]:
    """Those that are new, in their order."""
    from dlt.sources.filesystem import filesystem

    from atlas_pipeline.ingest.connectors.iterating import blocks

    paths = {_path(file): file for file in files}
    cursor = connector.cursor
    resource = filesystem(
        bucket_url=_LISTED,
        credentials=_file_system(paths),
        file_glob="**",
        incremental=_incremental(cursor) if cursor else None,
    )
    new = {item["file_name"] for block in blocks(resource, _FILES_A_TIME) for item in block}
    return [file for path, file in paths.items() if path in new]


def _path(file: SourceFile) -> str:
    """The address of a file as one name without slashes, in whose order addresses are."""
    return quote(file.uri, safe="")


def _file_system(paths: dict[str, SourceFile]) -> Any:
    from fsspec import AbstractFileSystem

    root = _LISTED.removeprefix("memory:/")

    class Listing(AbstractFileSystem):  # type: ignore[misc]
        """What was listed, for dlt."""

        protocol = "memory"
        cachable = False

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(path).removeprefix("memory:/")

        def glob(self, path: str, maxdepth: int | None = None, **options: Any) -> dict[str, dict[str, Any]]:
            return {
                f"{root}/{name}": {
                    "type": "file",
                    "size": file.bytes,
                    "created": dt.datetime.fromtimestamp(file.modified, dt.UTC),
                }
                for name, file in paths.items()
            }

    return Listing()


def _incremental(cursor: FileCursor) -> Any:
    from dlt.extract.incremental import Incremental

    initial: Any = cursor.initial
    if cursor.by == "name":
        return Incremental("file_name", initial_value=None if initial is None else quote(initial, safe=""))
    if initial is not None:
        initial = dt.datetime.fromisoformat(initial)
        initial = initial if initial.tzinfo else initial.replace(tzinfo=dt.UTC)
    return Incremental("modification_date", initial_value=initial, lag=cursor.lag or None)


def _tables(connector: Filesystem, file: SourceFile, settings: Settings) -> Iterator[pa.Table]:
    """The rows of a file, and its lines that are none, as tables of text. Raises FileRefused, SourceError."""
    for batch in _batches(connector, file, settings):
        rows = batch.rows
        if connector.path_column is not None and len(batch.lines):
            if connector.path_column in batch.columns:
                raise FileRefused(
                    "duplicate_columns",
                    "It has a column of the name that `path_column` gives to the address of the file. Choose another.",
                )
            rows = rows.append_column(connector.path_column, pa.repeat(pa.scalar(file.uri), rows.num_rows))
        if rows.num_rows:
            yield rows
        if batch.rejects:
            yield as_rows([_placed(file, one) for one in batch.rejects])


def _placed(file: SourceFile, reject: Reject) -> Reject:
    return Reject(reject.line, reject.rule, f"{file.uri}, line {reject.line:,}: {reject.reason}", reject.raw)


def _batches(connector: Filesystem, file: SourceFile, settings: Settings) -> Iterator[Batch]:
    meter = Meter(connector.limits.or_else(limits_of(settings)), file.bytes)
    try:
        with file.open() as raw:
            stream = _Counted(raw)
            blocks = read(
                cast(BinaryIO, stream), file.name, format=connector.format, options=connector.reading, meter=meter
            )
            try:
                for batch in blocks:
                    meter.rows(len(batch.lines) + len(batch.rejects))
                    meter.text(batch.rows.nbytes)
                    yield batch
            except FileRefused:
                if stream.failure:  # the reader took a failure to read for damage
                    raise stream.failure from None
                raise
            stream.drain()
    except OSError as error:
        raise SourceError(f"{file.uri} cannot be read: {error.strerror or type(error).__name__}") from None
    if stream.bytes != file.bytes:
        raise SourceError(f"{file.uri} changed while it was read ({file.bytes} bytes listed, {stream.bytes} read)")


def _held(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """All tables of a file, once there are no more of them to come. Raises what making them does, before the first."""
    held: list[pa.Table] = []
    size = 0
    spilled = tempfile.TemporaryFile(prefix="atlas-")  # noqa: SIM115 — it is closed when all was read from it
    try:
        for table in tables:
            held.append(table)
            size += table.nbytes
            if size > HELD_BYTES:
                _spill(spilled, held)
                held, size = [], 0
    except BaseException:
        spilled.close()
        raise
    return _released(spilled, held)


def _spill(file: Any, tables: Iterable[pa.Table]) -> None:
    for table in tables:
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)


def _released(spilled: Any, held: Iterable[pa.Table]) -> Iterator[pa.Table]:
    with spilled:
        end = spilled.seek(0, os.SEEK_END)
        spilled.seek(0)
        while spilled.tell() < end:
            with pa.ipc.open_stream(spilled) as reader:
                yield reader.read_all()
    yield from held


class _Counted(ForwardStream):
    """A stream that knows how many bytes were read through it, and whether reading failed."""

    def __init__(self, raw: BinaryIO):
        self._raw = raw
        self.bytes = 0
        self.failure: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._raw.read(size)
        except OSError as error:
            self.failure = error
            raise
        self.bytes += len(data)
        return data
