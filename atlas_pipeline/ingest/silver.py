"""Building `silver.<dataset>`: typed, personal data treated, one row per key, published whole or not at all.

Belongs here: from bronze's text to a finished staging table, and its publication. Does not belong here: what a type
accepts (`types.py`), what an action does (`pii/`), the contract itself (the caller brings `verify`).

The first time, and when the declaration changed, all of bronze is read and the table replaced. Otherwise only files
that are not in silver yet are read, and their rows merged into the table in the publishing transaction; what is audited
before that is a view of the table as it will be.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv as arrow_csv

from atlas_pipeline.ingest.bronze import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.merging import create_preview, merge, pick_winners
from atlas_pipeline.ingest.planning import detected_clean, freed, plan_columns
from atlas_pipeline.ingest.quarantine import TYPING, count_quarantined, create_quarantine, release_failed
from atlas_pipeline.ingest.reconcile import Reconciliation, reconcile
from atlas_pipeline.ingest.typing_rows import TypingReject, typed_rows
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.leaks import LeakReport, sweep_table
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import record_plans, recorded_plans, rules_fingerprint
from atlas_pipeline.warehouse import ledger, publish
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.publish import STAGING

_ROWS_AT_ONCE = 50_000
_ROWS_OF_PROSE_AT_ONCE = 5_000  # reading them takes seconds, and progress is shown after each block
_DRIFT_SHARE = 0.5
_DRIFT_ROWS = 10


class SchemaDrift(Exception):
    """A file no longer fits its declaration; silver stays as it was and bronze keeps the file."""


@dataclass
class SilverResult:
    """What came of a build. All counts are of rows; `rejected` by rule, of the rows read now.

    `duplicates` gave way to a later row of their key, since the table was last built anew; `rows` accounts for all.
    `staged` says that what was audited are new rows, and not what is published.
    """

    read: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    published: int = 0
    quarantined: int = 0
    duplicates: int = 0
    rows: Reconciliation | None = None
    files: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    rebuilt: bool = False
    staged: bool = False
    changed: bool = False
    plans: list[ColumnPlan] = field(default_factory=list)
    leaks: LeakReport = field(default_factory=LeakReport)

    def begin(self, dataset: Dataset, files: Sequence[ledger.LoadedFile], *, rebuilt: bool) -> None:
        """Start counting, for a build of these files under these plans."""
        self.read, self.rejected, self.rebuilt = 0, {}, rebuilt
        self.files = [file.uri for file in files]
        declared = {column.name for column in dataset.columns}
        self.undeclared = sorted({column for file in files for column in file.columns} - declared)
        self.plans = list(dataset.plans.values())


class AuditFailed(Exception):
    """The finished table failed its contract, or holds personal data, and was not published."""

    def __init__(self, message: str, result: SilverResult):
        super().__init__(message)
        self.result = result


Verify = Callable[[str, str], bool]


def build(
    connection: psycopg.Connection,
    url: str,
    dataset: Dataset,
    *,
    batch: str,
    keys: Keys,
    verify: Verify,
    planned: Callable[[Dataset], None] = lambda dataset: None,
    partitions: Collection[str] | None = None,
    lock_seconds: int = 600,
    progress: Callable[[str], None] = lambda message: None,
) -> SilverResult:
    """Bring `silver.<dataset>` up to date and publish it when `verify(schema, table)` agrees.

    Before that, `planned` is told the dataset with the plan of each column.

    Raises SchemaDrift when a file lacks a declared column or most of a column does not fit its type;
    planning.PersonalDataDrift when a column that was clean holds personal data; AuditFailed when `verify` says no, or
    the leak check finds some (the staging tables stay for a look); KeyMissing; publish.PublishError, publish.TableBusy,
    psycopg.Error.
    """
    name = dataset.name
    with publish.table_lock(connection, "silver", name, lock_seconds):
        before = publish.published(connection, "silver", name)
        recorded = recorded_plans(connection, "silver", name) if before else {}
        every = ledger.loaded_files(connection, name, pending=False)
        pending = ledger.loaded_files(connection, name, pending=True, partitions=partitions if before else None)
        progress(f"{name}: looking for personal data")
        dataset = plan_columns(connection, dataset, every, pending, recorded)
        sampled_clean = detected_clean(dataset, recorded)
        result = SilverResult()
        while True:
            definition = dataset.definition(keys)
            rebuild = before is None or before.definition != definition or before.duplicates is None
            files = every if rebuild else pending
            result.begin(dataset, files, rebuilt=rebuild and before is not None)
            planned(dataset)
            if before and not files and not rebuild:
                return _unchanged(connection, dataset, before, verify, result)
            _check_columns(dataset, files)
            staged = _Staged.of(name)
            result.duplicates = 0 if rebuild or before is None else before.duplicates or 0
            _stage(connection, url, dataset, files, rebuild, staged, keys, result, progress)
            result.staged = True
            progress(f"{name}: checking")
            with ThreadPoolExecutor(1, thread_name_prefix="contract") as beside:
                # Postgres evaluates the contract while this process sweeps the rows that are new.
                verifying = beside.submit(verify, STAGING, staged.table)
                new = staged.table if rebuild else staged.winners
                result.leaks = sweep_table(connection, STAGING, new, dataset.plans, dataset.policy.rules)
                connection.commit()
            missed = {column: rules for column, rules in result.leaks.found.items() if column in sampled_clean}
            if not missed:
                break
            # What the sample did not show, the sweep of all rows did: it will be cut out of these columns.
            dataset, sampled_clean = freed(dataset, missed), sampled_clean - missed.keys()
        result.rows = reconcile(
            connection,
            name,
            STAGING,
            staged.table,
            duplicates=result.duplicates,
            new_files=[file.file_id for file in files],
            new_rejects=sum(result.rejected.values()),
        )
        connection.commit()
        verified = verifying.result()
        if not result.leaks.clean:
            raise AuditFailed(
                f"silver.{name} was not published: {result.leaks}, which its plan says is not there. The table is as "
                "it was. Declare the kind with `pii:` (or `pii: none` if it is none), and run again",
                result,
            )
        if not verified:
            raise AuditFailed(
                f"silver.{name} was not published: the new rows fail the contract, the table is as it was. "
                f"Look at {STAGING}.{staged.table}, correct the source or the contract, and run again",
                result,
            )
        with connection.transaction():
            release_failed(connection, name)
            _keep_rejects(connection, name, staged.rejects, rebuild)
            if before is None or rebuild:
                result.published = result.rows.silver
                publish.swap(connection, "silver", name)
            else:
                result.published = before.rows + merge(connection, dataset, staged.winners)
            ledger.mark_silver(connection, [file.file_id for file in files])
            result.quarantined = count_quarantined(connection, name)
            counts = (result.published, result.quarantined, result.duplicates)
            publish.record(connection, "silver", name, definition, batch, *counts)
            record_plans(connection, "silver", name, result.plans, rules_fingerprint(dataset.policy.rules))
            publish.drop_staging(connection, *staged.names)
        result.changed = True
    return result


@dataclass(frozen=True)
class _Staged:
    """Names of the staging tables of a build: the finished table (a view of it for a merge) and what it is made of."""

    table: str
    winners: str
    delta: str
    rejects: str

    @classmethod
    def of(cls, name: str) -> "_Staged":
        return cls(*(publish.staging_name("silver", name, part) for part in ("", "winners", "delta", "rejects")))

    @property
    def names(self) -> tuple[str, ...]:
        return self.table, self.winners, self.delta, self.rejects


def _unchanged(
    connection: psycopg.Connection, dataset: Dataset, before: publish.Publication, verify: Verify, result: SilverResult
) -> SilverResult:
    """There is nothing new: the published table is audited once more."""
    result.published, result.quarantined = before.rows, count_quarantined(connection, dataset.name)
    result.duplicates = before.duplicates or 0
    result.rows = reconcile(connection, dataset.name, "silver", dataset.name, duplicates=result.duplicates)
    result.leaks = sweep_table(connection, "silver", dataset.name, dataset.plans, dataset.policy.rules)
    connection.commit()
    if not verify("silver", dataset.name):
        raise AuditFailed(f"silver.{dataset.name} fails its contract", result)
    if not result.leaks.clean:
        raise AuditFailed(f"silver.{dataset.name}: {result.leaks}, which its plan says is not there", result)
    return result


def _stage(
    connection: psycopg.Connection,
    url: str,
    dataset: Dataset,
    files: Sequence[ledger.LoadedFile],
    rebuild: bool,
    staged: _Staged,
    keys: Keys,
    result: SilverResult,
    progress: Callable[[str], None],
) -> None:
    """Fill the staging tables."""
    name = dataset.name
    create_quarantine(connection, name)
    publish.drop_staging(connection, *staged.names)
    target = staged.table if rebuild else staged.winners
    _create(connection, dataset, target, staged.delta, staged.rejects)
    connection.commit()
    progress(f"{name}: typing {sum(file.rows for file in files):,} rows of {len(files)} files")
    _fill_delta(connection, url, dataset, files, staged.delta, staged.rejects, keys, result, progress)
    progress(f"{name}: merging")
    result.duplicates += pick_winners(connection, dataset, target, staged.delta, beside_published=not rebuild)
    if rebuild:
        publish.add_key(connection, target, dataset.key)
    else:
        create_preview(connection, dataset, staged.table, target)
    connection.commit()


def _check_columns(dataset: Dataset, files: Sequence[ledger.LoadedFile]) -> None:
    wanted = [column.name for column in dataset.columns if not column.optional]
    for file in files:
        missing = [name for name in wanted if name not in file.columns]
        if missing and file.rows:
            raise SchemaDrift(
                f"{file.uri} lacks the columns {', '.join(map(repr, missing))} that {dataset.name} declares. "
                "Bronze keeps the file. If they may be missing, declare them `optional: true`; if they were renamed, "
                "correct the declaration"
            )


def _create(connection: psycopg.Connection, dataset: Dataset, table: str, delta: str, rejects: str) -> None:
    columns = [(c.name, c.postgres_type) for c in dataset.published_columns] + [(FILE_ID, "bigint"), (LINE, "bigint")]
    body = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in columns)
    for name, kind in ((table, sql.SQL("TABLE")), (delta, sql.SQL("UNLOGGED TABLE"))):
        connection.execute(sql.SQL("CREATE {} {} ({})").format(kind, sql.Identifier(STAGING, name), body))
    statement = "CREATE UNLOGGED TABLE {} (file_id bigint, line bigint, rule text, columns text[], reason text)"
    connection.execute(sql.SQL(statement).format(sql.Identifier(STAGING, rejects)))
    publish.describe(connection, table, {c.name: c.description for c in dataset.published_columns if c.description})


def _fill_delta(
    connection: psycopg.Connection,
    url: str,
    dataset: Dataset,
    files: Sequence[ledger.LoadedFile],
    delta: str,
    rejects: str,
    keys: Keys,
    result: SilverResult,
    progress: Callable[[str], None],
) -> None:
    """Read the files' rows from bronze, type them, treat personal data, and copy them into the delta table."""
    names = [column.name for column in dataset.published_columns]
    target = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(STAGING, delta), sql.SQL(", ").join(map(sql.Identifier, (*names, FILE_ID, LINE)))
    )
    misfits: Counter[tuple[int, str]] = Counter()
    expected = sum(file.rows for file in files)
    with connect(url) as reading:
        for rows in _bronze_rows(reading, dataset, files) if files else ():
            good, bad = typed_rows(dataset, rows, keys)
            text = pa.BufferOutputStream()
            arrow_csv.write_csv(good, text, arrow_csv.WriteOptions(include_header=False))
            with connection.cursor().copy(target) as copy:
                copy.write(text.getvalue())
            _copy_rejects(connection, rejects, bad)
            for one in bad:
                result.rejected[one.rule] = result.rejected.get(one.rule, 0) + 1
                misfits.update((one.file_id, column) for column in one.misfits)
            result.read += rows.num_rows
            progress(f"{dataset.name}: typed {result.read:,} of {expected:,} rows")
    _check_drift(dataset, files, misfits)


def _bronze_rows(
    connection: psycopg.Connection, dataset: Dataset, files: Sequence[ledger.LoadedFile]
) -> Iterator[pa.Table]:
    """The text of the declared columns, file id and line, in tables of some thousand rows."""
    prose = any(plan.column_class == "free_text" and plan.action == "redact" for plan in dataset.plans.values())
    at_once = _ROWS_OF_PROSE_AT_ONCE if prose else _ROWS_AT_ONCE
    present = {column for file in files for column in file.columns}
    names = [column.name for column in dataset.columns]
    chosen = [sql.Identifier(n) if n in present else sql.SQL("NULL") for n in names]
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE {} = ANY({})) TO STDOUT (FORMAT csv)").format(
        sql.SQL(", ").join([*chosen, sql.Identifier(FILE_ID), sql.Identifier(LINE)]),
        sql.Identifier("bronze", dataset.name),
        sql.Identifier(FILE_ID),
        sql.Literal([file.file_id for file in files]),
    )
    types = {name: pa.string() for name in names} | {FILE_ID: pa.int64(), LINE: pa.int64()}
    with connection.cursor().copy(query) as copy:
        rows = iter(copy)
        while block := b"".join(islice(rows, at_once)):
            yield arrow_csv.read_csv(
                pa.BufferReader(block),
                arrow_csv.ReadOptions(column_names=list(types), block_size=len(block) + 1),
                arrow_csv.ParseOptions(newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
                ),
            )


def _check_drift(dataset: Dataset, files: Sequence[ledger.LoadedFile], misfits: Counter[tuple[int, str]]) -> None:
    by_id = {file.file_id: file for file in files}
    types = {column.name: column.type for column in dataset.columns}
    for (file_id, column), count in misfits.items():
        file = by_id[file_id]
        if file.rows >= _DRIFT_ROWS and count > _DRIFT_SHARE * file.rows:
            raise SchemaDrift(
                f"{file.uri}: {count:,} of {file.rows:,} values of {column!r} are no {types[column]}: the column seems "
                "to have changed its type. Bronze keeps the file. Correct the type or format in the declaration, or "
                "the source"
            )


def _copy_rejects(connection: psycopg.Connection, table: str, bad: Sequence[TypingReject]) -> None:
    if not bad:
        return
    statement = sql.SQL("COPY {} (file_id, line, rule, columns, reason) FROM STDIN")
    with connection.cursor().copy(statement.format(sql.Identifier(STAGING, table))) as copy:
        for one in bad:
            copy.write_row((one.file_id, one.line, one.rule, list(one.columns), one.reason))


def _keep_rejects(connection: psycopg.Connection, dataset: str, rejects: str, rebuild: bool) -> None:
    quarantine = sql.Identifier("quarantine", dataset)
    if rebuild:
        connection.execute(sql.SQL("DELETE FROM {} WHERE stage = %s").format(quarantine), [TYPING])
    move = sql.SQL(
        "INSERT INTO {} (file_id, line, stage, rule, columns, reason, file)"
        " SELECT r.file_id, r.line, %s, r.rule, r.columns, r.reason, f.uri FROM {} r JOIN atlas.files f USING (file_id)"
    )
    connection.execute(move.format(quarantine, sql.Identifier(STAGING, rejects)), [TYPING])
