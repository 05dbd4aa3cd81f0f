"""Loading files into `bronze.<dataset>`: every value as text, with where it came from, each version of a file whole.

Belongs here: one file, one transaction; what was read is hashed while it is read, and compared by that hash with the
version that counts, whose place it takes.
Does not belong here: finding files (`source.py`), reading formats (`readers/`), types (`silver.py`).

Lineage of each row: `_atlas_file_id` (the ledger's entry: file, SHA-256, load time, run), `_atlas_line`, and
`_atlas_row_hash`, BLAKE2b-64 in hex of the record as minimal CSV.
"""

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Self, cast

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.column_names import safe_names
from atlas_pipeline.ingest.incomplete import refuse_incomplete
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.limits import Limits, Meter
from atlas_pipeline.ingest.ordering import place_of_snapshot, take_place
from atlas_pipeline.ingest.prefetch import prefetched
from atlas_pipeline.ingest.quarantine import create_quarantine, quarantine_lines, release_files
from atlas_pipeline.ingest.readers import read
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.warehouse import ledger, publish

FILE_ID, LINE, ROW_HASH = "_atlas_file_id", "_atlas_line", "_atlas_row_hash"
_BLOCK_BYTES = 1 << 20
CORRECTED = "it corrects a snapshot that another file has followed, which stays the state"


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


class BronzeDamaged(Exception):
    """Bronze lacks rows that the ledger says were loaded."""


class _Known(Exception):
    """The file has the content that is loaded already; the message says of which file.

    With `instead`, what it was loaded as counts no longer, since it holds what another file does.
    """

    def __init__(self, message: str, status: str, sha256: str, *, instead: bool = False):
        super().__init__(message)
        self.status = status
        self.sha256 = sha256
        self.instead = instead


@dataclass
class BronzeResult:
    """What came of a load. `known` are the URIs of files whose version was in the ledger already.

    `successive` counts the snapshots that another one of the same load has followed.
    """

    files: list[FileResult] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    unsettled: int = 0
    successive: int = 0
    refused: list[FileResult] = field(default_factory=list)
    new_columns: list[str] = field(default_factory=list)
    total_rows: int = 0

    @property
    def loaded(self) -> list[FileResult]:
        """The files that were loaded now."""
        return [file for file in self.files if file.status == "loaded"]

    @property
    def equal(self) -> list[str]:
        """The URIs of files that were read now and hold what is loaded already."""
        return [file.uri for file in self.files if file.status == "duplicate"]


def load(
    connection: psycopg.Connection,
    dataset: str,
    files: Sequence[SourceFile],
    *,
    run_id: str,
    intake: Intake = Intake(),  # noqa: B008 — it is frozen
    settle_seconds: float = 0.0,
    lock_seconds: int = 600,
    progress: Callable[[str], None] = lambda message: None,
) -> BronzeResult:
    """Load what is new among `files` into `bronze.<dataset>`, in the order given.

    A file that cannot be loaded is refused whole and noted in the ledger; the others still load. Each file is one
    transaction: a killed process leaves no part of a file.

    Args:
        connection: to the warehouse.
        dataset: name of the table.
        files: as the source lists them.
        run_id: noted in the ledger.
        intake: how files are read, and what a new one takes the place of.
        settle_seconds: a file that changed more recently is left for the next run.
        lock_seconds: how long to wait for another run that loads the dataset.
        progress: told what is being done.

    Raises:
        BronzeDamaged: the table is gone, and the ledger has loaded files.
        psycopg.Error: the database cannot go on.
        publish.TableBusy: another run has been loading the dataset for `lock_seconds`.
    """
    with publish.table_lock(connection, "bronze", dataset, lock_seconds), _durable_at_the_end(connection):
        return _load(connection, dataset, files, run_id, intake, settle_seconds, progress)


@contextmanager
def _durable_at_the_end(connection: psycopg.Connection) -> Iterator[None]:
    """Have the disk waited for once, not for each file.

    Each file is a transaction still. Of those that were committed when the machine goes down, the last ones may be gone
    as a whole, with their entries in the ledger, and are loaded by the next run.
    """
    connection.execute("SET synchronous_commit = off")
    connection.commit()
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()
            connection.execute("RESET synchronous_commit")
            # A transaction with an id waits for all that was committed before it.
            connection.execute("SELECT pg_current_xact_id()")
            connection.commit()


def _load(
    connection: psycopg.Connection,
    dataset: str,
    files: Sequence[SourceFile],
    run_id: str,
    intake: Intake,
    settle_seconds: float,
    progress: Callable[[str], None],
) -> BronzeResult:
    ledger.adopt_options(connection, dataset, {file.uri: intake.fingerprint(file.name) for file in files})
    known = ledger.known_files(connection, dataset)
    _refuse_missing_table(connection, dataset, known)
    _create_table(connection, dataset)
    before = _columns(connection, dataset)
    connection.commit()
    present, seen = set(before), set(known)
    result = BronzeResult()
    if intake.snapshot:
        files = sorted(files, key=lambda file: (file.modified, file.uri))
    for number, file in enumerate(files, 1):
        if file.problem:
            result.refused.append(FileResult(file.uri, "refused", rule=file.problem.rule, reason=file.problem.reason))
            continue
        entry = known.get(file.uri)
        options = intake.fingerprint(file.name)
        first = file.uri not in seen
        look = ledger.Look(dataset, file.partition, file.uri, file.version, options, run_id, first)
        if entry and entry.same(file.version, intake.fingerprint(file.name, entry.rule)):
            result.known.append(file.uri)
            if entry.status == "refused":
                result.refused.append(FileResult(file.uri, "refused", rule=entry.rule, reason=entry.reason))
            continue
        if not file.settled(settle_seconds):
            result.unsettled += 1
            continue
        progress(f"{dataset}: loading file {number} of {len(files)}, {file.name}")
        outcome = _load_file(connection, file, look, intake, entry, present)
        seen.add(file.uri)
        if outcome.status != "loaded":  # and columns that it brought are gone
            present = set(_columns(connection, dataset))
        result.files.append(outcome)
        if (
            intake.skip_equal_files and outcome.status == "loaded"
        ):  # files that were passed over for what this one was may be read again
            known = ledger.known_files(connection, dataset)
        if outcome.status in ("refused", "unavailable"):
            result.refused.append(outcome)
            progress(f"{dataset}: {file.name} {outcome.status}: {outcome.reason}")
    if intake.snapshot and not intake.keep_missing:
        outdated = ledger.outdated_refusals(connection, dataset)
        result.refused = [f for f in result.refused if f.status != "refused" or f.uri not in outdated]
        result.successive = _successive(result.loaded, files)
    if before:
        result.new_columns = [name for name in _columns(connection, dataset) if name not in before]
    result.total_rows = sum(one.rows for one in ledger.loaded_files(connection, dataset, pending=False))
    connection.commit()
    return result


def _successive(loaded: Sequence[FileResult], files: Sequence[SourceFile]) -> int:
    """How many snapshots of a load were followed by another one of their partition at once."""
    partitions = {file.uri: file.partition for file in files}
    states = [partitions[file.uri] for file in loaded if file.reason != CORRECTED]
    return len(states) - len(set(states))


def _load_file(
    connection: psycopg.Connection,
    file: SourceFile,
    look: ledger.Look,
    intake: Intake,
    entry: ledger.Known | None,
    present: set[str],
) -> FileResult:
    """Load a file, or note why it was not loaded.

    `entry` is the newest one that the ledger has of it; `present` are the table's columns, to which it adds its own.
    """
    stream: _Hashed | None = None
    instead = False
    try:
        with connection.transaction(), file.open() as raw:
            stream = _Hashed(raw)
            result = _copy_file(connection, file, stream, look, intake, entry, present)
            if file.on_loaded:
                file.on_loaded(connection)
            return result
    except _Known as known:
        result = FileResult(file.uri, known.status, reason=str(known), sha256=known.sha256)
        instead = known.instead
    except FileRefused as refusal:
        if stream is not None and stream.failure is not None:
            # The reader took a failure to read for damage.
            return FileResult(file.uri, "unavailable", rule="unavailable", reason=_plain(stream.failure))
        result = FileResult(file.uri, "refused", rule=refusal.rule, reason=refusal.reason)
    except psycopg.Error as error:
        result = _not_taken(file.uri, error)
    except (ServiceUnavailable, SourceError, OSError) as error:
        # Not noted in the ledger: the file may be well, and is tried again by the next run.
        return FileResult(file.uri, "unavailable", rule="unavailable", reason=_plain(error))
    with connection.transaction():
        if result.status == "duplicate" and file.on_loaded:
            file.on_loaded(connection)
        look = replace(look, options=intake.fingerprint(file.name, result.rule))
        entry_id = ledger.note(connection, look, result.status, result.rule, result.reason, result.sha256)
        if instead:
            older = ledger.current_versions(connection, look, whole_dataset=False)
            ledger.supersede(connection, older, entry_id)
            release_files(connection, look.dataset, [version.file_id for version in older])
    return result


def _copy_file(
    connection: psycopg.Connection,
    file: SourceFile,
    stream: "_Hashed",
    look: ledger.Look,
    intake: Intake,
    entry: ledger.Known | None,
    present: set[str],
) -> FileResult:
    """Copy the rows of a file, in the transaction that makes it the version that counts.

    Raises _Known when its content is the one that counts already, FileRefused, SourceError.
    """
    older = ledger.current_versions(connection, look, whole_dataset=intake.snapshot)
    before = ledger.newest_version(connection, look)
    file_id = ledger.begin(connection, look)
    loader = _Loader(connection, look.dataset, file_id, present)
    _copy_rows(loader, file, stream, intake, empty=_may_be_empty(file, intake, entry, older))
    sha256 = stream.digest.hexdigest()
    result = FileResult(file.uri, "loaded", loader.rows, loader.rejected, stream.bytes, sha256)
    asked = entry is not None and entry.version == ledger.RELOAD
    if asked and before and (before[0].sha256, before[0].options) == (sha256, look.options) and not _forgotten(entry):
        _put_back(connection, look, file_id, before[0])
        return replace(result, status="duplicate", reason="it was read again, and holds what was loaded before")
    if not asked:
        _refuse_known(connection, look, intake, entry, sha256, before)
    if intake.states and not _accepted(file, entry):
        state = _state_before(sha256, before[0] if before else None, older)
        refuse_incomplete(connection, file, state)
        _refuse_shrunken(loader.rows, state.rows if state else 0)
    if not loader.rows and loader.rejected and any(version.rows for version in older):
        raise FileRefused(
            "all_lines_rejected",
            f"All {loader.rejected:,} lines were rejected, so the rows that were loaded of it before stay. Is the "
            "delimiter right? Correct the file, or how its dataset reads it.",
        )
    columns = list(loader.columns)
    ledger.finish(connection, file_id, sha256, stream.bytes, loader.rows, loader.rejected, columns)
    counts = take_place(connection, look, intake, file_id, sha256, before[0] if before else None, older)
    return result if counts else replace(result, reason=CORRECTED)


def _copy_rows(loader: "_Loader", file: SourceFile, stream: "_Hashed", intake: Intake, *, empty: bool) -> None:
    """Copy the rows. With `empty` a file without rows is not refused."""
    # What an extract was made of was measured when it was made, and it is packed better than any file.
    meter = Meter(intake.limits if file.bytes and file.format != "extract" else Limits(), file.bytes)
    source, options = cast(BinaryIO, stream), intake.reading
    blocks = read(source, file.name, format=file.format, options=options, block_bytes=_BLOCK_BYTES, meter=meter)
    prepared = _prepare(blocks, loader.file_id, meter, intake.declared)
    # A file of one block is read before there is anything to send.
    small = 0 < file.bytes < _BLOCK_BYTES
    rows = nullcontext(prepared) if small else prefetched(prepared, lambda item: len(item.text))
    with rows as ready, loader:
        try:
            for item in ready:
                loader.add(item)
        except FileRefused as refusal:
            if refusal.rule not in ("header_only", "empty") or not empty:
                raise
    stream.drain()
    if file.bytes and stream.bytes != file.bytes:
        raise SourceError(f"changed while it was read ({file.bytes} bytes listed, {stream.bytes} read)")
    if loader.columns and intake.declared and intake.declared.isdisjoint(loader.columns):
        raise FileRefused(
            "no_declared_column",
            f"None of its {len(loader.columns):,} columns is declared. Is its header missing, or the delimiter another "
            "one? Correct the file, or the declaration.",
        )


def _accepted(file: SourceFile, entry: ledger.Known | None) -> bool:
    """Whether a person accepted this very snapshot; of a table, what it is by now."""
    return entry is not None and entry.rule == ledger.ACCEPTED and (file.version == entry.version or not file.modified)


def _may_be_empty(
    file: SourceFile, intake: Intake, entry: ledger.Known | None, older: Sequence[ledger.Version]
) -> bool:
    return intake.snapshot and (_accepted(file, entry) or bool(older and not older[-1].rows))


def _forgotten(entry: ledger.Known | None) -> bool:
    return entry is not None and entry.status == "forgotten"


def _put_back(connection: psycopg.Connection, look: ledger.Look, file_id: int, version: ledger.Version) -> None:
    """Let the rows that were just copied take the place of the equal ones of before, which may be damaged."""
    table, column = sql.Identifier("bronze", look.dataset), sql.Identifier(FILE_ID)
    connection.execute(sql.SQL("DELETE FROM {} WHERE {} = %s").format(table, column), [version.file_id])
    statement = sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(table, column, column)
    connection.execute(statement, [version.file_id, file_id])
    release_files(connection, look.dataset, [file_id])
    ledger.read_again(connection, file_id, version)


def _refuse_known(
    connection: psycopg.Connection,
    look: ledger.Look,
    intake: Intake,
    entry: ledger.Known | None,
    sha256: str,
    before: tuple[ledger.Version, bool] | None,
) -> None:
    """Raises _Known when what was read is what this file, or with `skip_equal_files` another one, was loaded as."""
    if before and before[0].sha256 == sha256:
        version, counts = before
        if _forgotten(entry):
            raise _Known("it was forgotten, and has not changed", "forgotten", sha256)
        if version.options == look.options or (intake.snapshot and not counts):
            raise _Known("it holds what was loaded before", "duplicate", sha256)
    if intake.skip_equal_files and ledger.is_loaded(connection, look, sha256):
        raise _Known("another file with the same content is loaded", "duplicate", sha256, instead=True)


def _state_before(sha256: str, before: ledger.Version | None, older: Sequence[ledger.Version]) -> ledger.Version | None:
    """The snapshot that a new one is compared with."""
    if before is not None and place_of_snapshot(sha256, before, older):
        return before
    return older[-1] if older else None


def _refuse_shrunken(rows: int, before: int) -> None:
    """Raises FileRefused when a snapshot has less than half of the rows of the one before."""
    if rows * 2 < before:
        raise FileRefused(
            "snapshot_shrank",
            f"The snapshot has {rows:,} rows and the one before it had {before:,}: rows that are missing would be "
            "deleted. If that is right, accept it with `atlas files accept`; else have it sent again, whole.",
        )


def _not_taken(uri: str, error: psycopg.Error) -> FileResult:
    """What Postgres says against the rows of a file; its own words may quote them. Raises any other error."""
    if isinstance(error, psycopg.errors.TooManyColumns):
        reason = "with this file the table would have more columns than Postgres can hold (1,600): split the dataset"
        return FileResult(uri, "refused", rule="too_many_columns", reason=reason)
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):
        reason = "it has rows wider than Postgres can hold (8 KB when every value is short): drop columns or split it"
        return FileResult(uri, "refused", rule="row_too_wide", reason=reason)
    if isinstance(error, psycopg.DataError):
        reason = f"Postgres does not take its rows ({type(error).__name__})"
        return FileResult(uri, "refused", rule="not_loadable", reason=reason)
    raise error


@dataclass(frozen=True)
class _Prepared:
    """A block of rows as the text that COPY takes."""

    columns: tuple[str, ...]
    text: bytes
    rows: int
    rejects: list[Reject]


def _prepare(blocks: Iterable[Batch], file_id: int, meter: Meter, declared: Collection[str]) -> Iterator[_Prepared]:
    line_of = b"%%b,%d,%%d,%%b\n" % file_id
    for block in blocks:
        records = block.records
        meter.rows(len(records) + len(block.rejects))
        digests = b"".join([hashlib.blake2b(record, digest_size=8).digest() for record in records])
        hashes = digests.hex("\n", 8).encode().split()
        text = b"".join([line_of % row for row in zip(records, block.lines.to_pylist(), hashes, strict=True)])
        meter.text(len(text))
        yield _Prepared(safe_names(block.columns, declared), text, len(records), block.rejects)


class _Loader:
    """The COPY into bronze for one file; opened anew when a block brings columns that the table lacks."""

    def __init__(self, connection: psycopg.Connection, dataset: str, file_id: int, present: set[str]):
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

    def add(self, block: _Prepared) -> None:
        """Send a block, and its rejects to quarantine."""
        if block.rows:
            if block.columns != self._open or self._copy is None:
                self._begin(block.columns)
            assert self._copy is not None
            self._copy.write(block.text)
            self.rows += block.rows
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
        self._copying.__exit__(kind, error, trace)  # type: ignore[arg-type]


class _Hashed:
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


def _refuse_missing_table(connection: psycopg.Connection, dataset: str, known: Mapping[str, ledger.Known]) -> None:
    """Raises BronzeDamaged when the table is gone whose files were loaded, unless all are to be read again."""
    if table_exists(connection, dataset):
        return
    lost = [file for file in ledger.loaded_files(connection, dataset, pending=False) if file.rows]
    if any(known[file.uri].version != ledger.RELOAD for file in lost):
        raise BronzeDamaged(
            f"bronze.{dataset} is gone, and the ledger has {len(lost):,} files that were loaded into it. Restore it "
            f"from a backup, or load the files again with `atlas files reload {dataset}`"
        )


def table_exists(connection: psycopg.Connection, dataset: str) -> bool:
    """Whether bronze has the table of a dataset."""
    table = sql.Identifier("bronze", dataset)
    row = connection.execute("SELECT to_regclass(%s)", [table.as_string(connection)]).fetchone()
    return bool(row and row[0])


def check_rows(connection: psycopg.Connection, dataset: str, files: Sequence[ledger.LoadedFile]) -> None:
    """Compare the rows of bronze with the ledger.

    Args:
        connection: to the warehouse.
        dataset: name of the table.
        files: whose rows are counted.

    Raises:
        BronzeDamaged: the table, or rows of a file, are gone; names the files to load again.
    """
    if not files:
        return
    counted: dict[int, int] = {}
    if table_exists(connection, dataset):
        statement = sql.SQL("SELECT {0}, count(*) FROM {1} WHERE {0} = ANY(%s) GROUP BY {0}")
        query = statement.format(sql.Identifier(FILE_ID), sql.Identifier("bronze", dataset))
        counted = dict(connection.execute(query, [[file.file_id for file in files]]).fetchall())
    damaged = [file for file in files if counted.get(file.file_id, 0) != file.rows]
    if damaged:
        first = damaged[0]
        more = f" and {len(damaged) - 1:,} files more" if len(damaged) > 1 else ""
        raise BronzeDamaged(
            f"silver.{dataset} was not built anew: bronze.{dataset} has {counted.get(first.file_id, 0):,} of the "
            f"{first.rows:,} rows that were loaded from {first.uri}{more}. The published table is as it was. Load them "
            f"again with `atlas files reload {dataset}`, or restore bronze.{dataset} from a backup"
        )


def _create_table(connection: psycopg.Connection, dataset: str) -> None:
    """Make the table. The index is a BRIN: next to nothing to keep, and silver reads a file's rows without a scan."""
    table = sql.Identifier("bronze", dataset)
    lineage = sql.SQL("{} bigint NOT NULL, {} bigint NOT NULL, {} text NOT NULL").format(
        sql.Identifier(FILE_ID), sql.Identifier(LINE), sql.Identifier(ROW_HASH)
    )
    with connection.transaction():
        if table_exists(connection, dataset):
            return
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, lineage))
        statement = "CREATE INDEX ON {} USING brin ({}) WITH (pages_per_range = 16, autosummarize)"
        connection.execute(sql.SQL(statement).format(table, sql.Identifier(FILE_ID)))
        create_quarantine(connection, dataset)


def _columns(connection: psycopg.Connection, dataset: str) -> list[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'bronze' AND table_name = %s"
        " AND column_name <> ALL(%s) ORDER BY ordinal_position",
        [dataset, [FILE_ID, LINE, ROW_HASH]],
    )
    return [name for (name,) in rows]


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return str(error)
