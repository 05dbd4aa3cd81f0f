"""Loading files into `bronze.<dataset>`: every value as text, with where it came from, each version of a file whole.

Belongs here: one file, one transaction; what was read is hashed while it is read, and compared by that hash with the
version that counts, whose place it takes.
Does not belong here: small files that are new (`small_files.py`), rows on their way into the table (`copying.py`),
finding files (`sources/`), reading formats (`readers/`), types (`silver.py`).

Lineage of each row: `_atlas_file_id` (the ledger's entry: file, SHA-256, load time, run), `_atlas_line`, and
`_atlas_row_hash`, BLAKE2b-64 in hex of the record as minimal CSV.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.copying import (
    FILE_ID,
    LINE,
    ROW_HASH,
    BronzeCopy,
    FileResult,
    HashedStream,
    copy_rows,
    not_taken,
    plain,
    table_columns,
)
from atlas_pipeline.ingest.damage import BronzeDamaged, fill_digests, table_exists
from atlas_pipeline.ingest.incomplete import refuse_incomplete
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.ordering import place_of_snapshot, take_place
from atlas_pipeline.ingest.quarantine import create_quarantine, release_files
from atlas_pipeline.ingest.small_files import MOST_FILES, NewFile, load_together
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.warehouse import ledger, publish

CORRECTED = "it corrects a snapshot that another file has followed, which stays the state"


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
    before = table_columns(connection, dataset)
    connection.commit()
    if intake.snapshot:
        files = sorted(files, key=lambda file: (file.modified, file.uri))
    result = _Load(connection, dataset, files, run_id, intake, known, set(before), progress).run(settle_seconds)
    if intake.snapshot and not intake.keep_missing:
        outdated = ledger.outdated_refusals(connection, dataset)
        result.refused = [f for f in result.refused if f.status != "refused" or f.uri not in outdated]
        result.successive = _successive(result.loaded, files)
    if before:
        result.new_columns = [name for name in table_columns(connection, dataset) if name not in before]
    fill_digests(connection, dataset)
    result.total_rows = sum(one.rows for one in ledger.loaded_files(connection, dataset, pending=False))
    connection.commit()
    return result


class _Load:
    """A load: goes through the files in their order, and collects small ones that are new into groups."""

    def __init__(
        self,
        connection: psycopg.Connection,
        dataset: str,
        files: Sequence[SourceFile],
        run_id: str,
        intake: Intake,
        known: dict[str, ledger.Known],
        present: set[str],
        progress: Callable[[str], None],
    ):
        self._connection, self._dataset, self._files, self._run_id = connection, dataset, files, run_id
        self._intake, self._known, self._present, self._progress = intake, known, present, progress
        self._seen = set(known)
        self._group: list[NewFile] = []
        self._result = BronzeResult()
        self._refused: list[tuple[int, FileResult]] = []
        self._numbers = {id(file): number for number, file in enumerate(files, 1)}

    def run(self, settle_seconds: float) -> BronzeResult:
        """Load what is new, and say what came of each file."""
        for file in self._files:
            if any(new.file.uri == file.uri for new in self._group):
                self._load_group()
            new = self._wanted(file, settle_seconds)
            if new is None:
                continue
            if not new.fits_a_group(self._intake):
                self._load_group()
                self._load_alone(new)
                continue
            self._group.append(new)
            if len(self._group) == MOST_FILES:
                self._load_group()
        self._load_group()
        self._result.refused = [refused for _, refused in sorted(self._refused, key=lambda pair: pair[0])]
        return self._result

    def _wanted(self, file: SourceFile, settle_seconds: float) -> NewFile | None:
        """The file if it has to be read now."""
        if file.problem:
            self._refuse(file, FileResult(file.uri, "refused", rule=file.problem.rule, reason=file.problem.reason))
            return None
        entry, intake = self._known.get(file.uri), self._intake
        options = intake.fingerprint(file.name)
        if entry and entry.same(file.version, intake.fingerprint(file.name, entry.rule)):
            self._result.known.append(file.uri)
            if entry.status == "refused":
                self._refuse(file, FileResult(file.uri, "refused", rule=entry.rule, reason=entry.reason))
            return None
        if not file.settled(settle_seconds):
            self._result.unsettled += 1
            return None
        first = file.uri not in self._seen
        look = ledger.Look(self._dataset, file.partition, file.uri, file.version, options, self._run_id, first)
        return NewFile(file, look, entry)

    def _load_group(self) -> None:
        """Load the files that were collected."""
        group, self._group = self._group, []
        while len(group) > 1:
            results = load_together(self._connection, group, self._intake, self._present, self._reading)
            if results is None:
                break
            for new, result in zip(group, results, strict=False):
                self._took(new, result)
            if not results:
                self._load_alone(group[0])
            group = group[len(results) or 1 :]
        for new in group:
            self._load_alone(new)

    def _load_alone(self, new: NewFile) -> None:
        self._reading(new.file)
        result = _load_file(self._connection, new.file, new.look, self._intake, new.entry, self._present)
        if result.status != "loaded":  # and columns that it brought are gone
            self._present = set(table_columns(self._connection, self._dataset))
        self._took(new, result)
        if self._intake.skip_equal_files and result.status == "loaded":
            # Files that were passed over for what this one was may be read again.
            self._known = ledger.known_files(self._connection, self._dataset)
        self._connection.commit()

    def _reading(self, file: SourceFile) -> None:
        number = self._numbers[id(file)]
        self._progress(f"{self._dataset}: loading file {number} of {len(self._files)}, {file.name}")

    def _took(self, new: NewFile, result: FileResult) -> None:
        self._seen.add(new.file.uri)
        self._result.files.append(result)
        if result.status in ("refused", "unavailable"):
            self._refuse(new.file, result)
            self._progress(f"{self._dataset}: {new.file.name} {result.status}: {result.reason}")

    def _refuse(self, file: SourceFile, result: FileResult) -> None:
        self._refused.append((self._numbers[id(file)], result))


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
    stream: HashedStream | None = None
    instead = False
    try:
        with connection.transaction(), file.open() as raw:
            stream = HashedStream(raw)
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
            return FileResult(file.uri, "unavailable", rule="unavailable", reason=plain(stream.failure))
        result = FileResult(file.uri, "refused", rule=refusal.rule, reason=refusal.reason)
    except psycopg.Error as error:
        result = not_taken(file.uri, error)
    except (ServiceUnavailable, SourceError, OSError) as error:
        # Not noted in the ledger: the file may be well, and is tried again by the next run.
        return FileResult(file.uri, "unavailable", rule="unavailable", reason=plain(error))
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
    stream: HashedStream,
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
    loader = BronzeCopy(connection, look.dataset, file_id, present)
    copy_rows(loader, file, stream, intake, empty=_may_be_empty(file, intake, entry, older))
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
