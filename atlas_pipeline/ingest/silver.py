"""Building `silver.<dataset>`: typed, personal data treated, one row per key, published whole or not at all.

Belongs here: the steps of a build, plan, stage, audit and publish, and what each came to. Does not belong here: how
rows are typed and staged (`staging.py`, `typing_rows.py`), what an action does (`pii/`), and the contract itself (the
caller brings `verify`).

The first time, and when the declaration changed, all of bronze is read and the table replaced. Otherwise only files
that are not in silver yet are read, and their rows merged into the table in the publishing transaction; what is audited
before that is a view of the table as it will be.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import psycopg

from atlas_pipeline.ingest.bronze import check_rows
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.merging import create_preview, leave_latest, merge, pick_winners
from atlas_pipeline.ingest.planning import as_free_text, detected_clean, plan_columns
from atlas_pipeline.ingest.quarantine import count_quarantined, create_quarantine, quarantine_misfits, release_failed
from atlas_pipeline.ingest.reconcile import Reconciliation, reconcile
from atlas_pipeline.ingest.staging import StagingTables, TypedRows, create_tables, fill
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.leaks import LeakReport, stores_as_sent, sweep_table
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import record_plans, recorded_plans, rules_fingerprint
from atlas_pipeline.warehouse import publish as publishing
from atlas_pipeline.warehouse.ledger import LoadedFile, loaded_files, mark_silver, unmark_silver, withdrawn_files
from atlas_pipeline.warehouse.publish import STAGING

_DRIFT_SHARE = 0.5
_DRIFT_ROWS = 10


class SchemaDrift(Exception):
    """A file no longer fits its declaration; silver stays as it was and bronze keeps the file."""


class CheckOutcome(Protocol):
    """All that a build asks of what came of a check in the contract."""

    @property
    def blocks(self) -> bool:
        """Whether publishing must not happen."""
        ...


OutcomeT = TypeVar("OutcomeT", bound=CheckOutcome)

Verify = Callable[[Dataset, str, str], Sequence[OutcomeT]]
"""Verifies the contract of a dataset, whose columns are planned, on `schema`.`table`."""


@dataclass(frozen=True)
class SilverBuild:
    """What a build works with.

    Attributes:
        connection: writes all tables, and holds the table's lock.
        url: of the same database, for a connection that reads bronze.
        dataset: as declared.
        run_id: recorded with the publication.
        keys: of hashed and encrypted columns.
        partitions: only pending files of these are merged; null for all.
        lock_seconds: how long to wait for another run of the same table.
        progress: told what is being done.
    """

    connection: psycopg.Connection
    url: str
    dataset: Dataset
    run_id: str
    keys: Keys
    partitions: Collection[str] | None = None
    lock_seconds: int = 600
    progress: Callable[[str], None] = lambda message: None


@dataclass(frozen=True)
class Planned:
    """What a build will do.

    Attributes:
        dataset: with a plan in each column.
        definition: fingerprint of all that decides what the table holds.
        before: the publication that readers see, null when there is none.
        loaded: all files in bronze.
        pending: those that are not in silver yet.
        withdrawn: ids of files that are in silver and no longer count, since newer versions took their place.
        sampled_clean: columns that a sample showed to be clean, and nothing else did before.
    """

    dataset: Dataset
    definition: str
    before: publishing.Publication | None
    loaded: Sequence[LoadedFile]
    pending: Sequence[LoadedFile]
    withdrawn: Sequence[int]
    sampled_clean: frozenset[str]

    @property
    def base(self) -> publishing.Publication | None:
        """The publication that new rows are merged into; null when the table is built anew from all of bronze."""
        before = self.before
        if before is None or before.definition != self.definition or before.duplicates is None or self.withdrawn:
            return None
        return before

    @property
    def files(self) -> Sequence[LoadedFile]:
        """The files whose rows are read."""
        return self.pending if self.base else self.loaded

    @property
    def nothing_new(self) -> bool:
        """Whether the published table stays, and is only audited once more."""
        return self.base is not None and not self.files


@dataclass(frozen=True)
class Staged:
    """The table to audit, `schema`.`table`, and in the same schema the table of its rows that are new.

    `duplicates` counts the rows that gave way to a later one of their key since the table was last built anew.
    """

    schema: str
    table: str
    new: str
    duplicates: int
    typed: TypedRows = field(default_factory=TypedRows)

    @property
    def new_rows(self) -> bool:
        """Whether it has rows that are not published yet."""
        return self.schema == STAGING


@dataclass(frozen=True)
class Audited(Generic[OutcomeT]):
    """What an audit found.

    Attributes:
        outcomes: of the contract's checks.
        leaks: personal data in the new rows, or in the published ones when nothing is new.
        rows: where all rows of bronze are.
        missed: of the leaks, cells by rule of columns whose sample was clean: to be cut out, and staged again.
        refusal: why the table must not be published, null when it may.
    """

    outcomes: Sequence[OutcomeT]
    leaks: LeakReport
    rows: Reconciliation
    missed: Mapping[str, Mapping[str, int]]
    refusal: str | None


@dataclass(frozen=True)
class Published:
    """Rows that readers see, and rows in quarantine; whether the table is another one than before."""

    rows: int
    quarantined: int
    changed: bool


@dataclass(frozen=True)
class SilverResult(Generic[OutcomeT]):
    """What a build came to; `published` is null when the audit refused it."""

    planned: Planned
    staged: Staged
    audited: Audited[OutcomeT]
    published: Published | None

    @property
    def dataset(self) -> Dataset:
        """The dataset with the plan of each column."""
        return self.planned.dataset

    @property
    def plans(self) -> list[ColumnPlan]:
        """The plan of each column, in order."""
        return list(self.dataset.plans.values())

    @property
    def files(self) -> list[str]:
        """The URIs of the files that were read."""
        return [file.uri for file in self.planned.files]

    @property
    def undeclared(self) -> list[str]:
        """Columns of these files that the dataset does not declare."""
        declared = {column.name for column in self.dataset.columns}
        return sorted({column for file in self.planned.files for column in file.columns} - declared)

    @property
    def rebuilt(self) -> bool:
        """Whether a published table was built anew."""
        return self.planned.before is not None and self.planned.base is None

    @property
    def shown_to_readers(self) -> bool:
        """Whether readers see the rows that were audited: they were published now, or before."""
        return self.published is not None or not self.staged.new_rows


def build_silver(build: SilverBuild, verify: Verify[OutcomeT]) -> SilverResult[OutcomeT]:
    """Bring `silver.<dataset>` up to date, and publish it unless the audit refuses.

    Staging tables that were refused stay for a look.

    Args:
        build: what to work with.
        verify: verifies the contract; called in another thread, on a table that is not published yet.

    Raises:
        SchemaDrift: a file lacks a declared column, or most of a column does not fit its type.
        planning.PersonalDataDrift: a column that was clean holds personal data.
        bronze.BronzeDamaged: rows that the ledger has are not in bronze.
        KeyMissing, publish.PublishError, publish.TableBusy, psycopg.Error.
    """
    with publishing.table_lock(build.connection, "silver", build.dataset.name, build.lock_seconds):
        planned = plan(build)
        while True:
            staged = stage(build, planned)
            audited = audit(build, planned, staged, verify)
            if not audited.missed:
                break
            planned = replan(build, planned, audited.missed)
        published = publish(build, planned, staged, audited) if audited.refusal is None else None
    return SilverResult(planned, staged, audited, published)


def plan(build: SilverBuild) -> Planned:
    """Look at what is published and what is new, and decide what is done with each column.

    Raises planning.PersonalDataDrift, bronze.BronzeDamaged, KeyMissing, psycopg.Error.
    """
    connection, name = build.connection, build.dataset.name
    before = publishing.published(connection, "silver", name)
    recorded = recorded_plans(connection, "silver", name) if before else {}
    loaded = loaded_files(connection, name, pending=False)
    pending = loaded_files(connection, name, pending=True, partitions=build.partitions if before else None)
    build.progress(f"{name}: looking for personal data")
    dataset = plan_columns(connection, build.dataset, loaded, pending, recorded)
    sampled_clean = frozenset(detected_clean(dataset, recorded))
    withdrawn = withdrawn_files(connection, name)
    planned = Planned(dataset, dataset.definition(build.keys), before, loaded, pending, withdrawn, sampled_clean)
    check_rows(connection, name, planned.files)
    return planned


def replan(build: SilverBuild, planned: Planned, missed: Mapping[str, Mapping[str, int]]) -> Planned:
    """Plan columns as free text, so that the personal data in them is cut out.

    Args:
        build: what to work with.
        planned: by which they were clean.
        missed: for each of these columns the number of cells found in it, by rule.

    Raises KeyMissing.
    """
    dataset = as_free_text(planned.dataset, missed)
    return replace(
        planned,
        dataset=dataset,
        definition=dataset.definition(build.keys),
        sampled_clean=planned.sampled_clean - missed.keys(),
    )


def stage(build: SilverBuild, planned: Planned) -> Staged:
    """Make the table as it will be, in staging.

    Args:
        build: what to work with.
        planned: what is done with each column, and the files that are read.

    Returns:
        The staged table; the published one when there is nothing new.

    Raises SchemaDrift, KeyMissing, psycopg.Error.
    """
    connection, dataset, files, base = build.connection, planned.dataset, planned.files, planned.base
    name = dataset.name
    duplicates = base.duplicates or 0 if base else 0
    if planned.nothing_new:
        return Staged("silver", name, name, duplicates)
    _check_columns(dataset, files)
    tables = StagingTables.of(name)
    new = tables.winners if base else tables.table
    create_quarantine(connection, name)
    create_tables(connection, dataset, tables, anew=base is None)
    build.progress(f"{name}: typing {sum(file.rows for file in files):,} rows of {len(files)} files")
    typed = fill(connection, build.url, dataset, files, tables, build.keys, build.progress, anew=base is None)
    _check_drift(dataset, files, typed.misfits)
    _check_keys(dataset, files, typed.rewritten)
    build.progress(f"{name}: merging")
    if base:
        duplicates += pick_winners(connection, dataset, new, tables.delta, beside_published=True)
        create_preview(connection, dataset, tables.table, new)
    else:
        duplicates += leave_latest(connection, dataset, new, tables.delta)
        publishing.add_key(connection, new, dataset.key)
    connection.commit()
    return Staged(STAGING, tables.table, new, duplicates, typed)


def audit(build: SilverBuild, planned: Planned, staged: Staged, verify: Verify[OutcomeT]) -> Audited[OutcomeT]:
    """Verify the contract, sweep all text of the new rows for personal data, and account for all rows of bronze.

    Args:
        build: what to work with.
        planned: which columns may hold personal data, and the files that were read.
        staged: the table that is audited.
        verify: verifies the contract, beside the sweep.

    Raises psycopg.Error, and whatever `verify` raises.
    """
    connection, dataset = build.connection, planned.dataset
    build.progress(f"{dataset.name}: checking")
    with ThreadPoolExecutor(1, thread_name_prefix="contract") as beside:
        # Postgres evaluates the contract while this process sweeps the rows that are new.
        verifying = beside.submit(verify, dataset, staged.schema, staged.table)
        leaks = _leaks(connection, dataset, staged)
        connection.commit()
    outcomes = verifying.result()
    rows = reconcile(
        connection,
        dataset.name,
        staged.schema,
        staged.table,
        duplicates=staged.duplicates,
        new_files=[file.file_id for file in planned.files],
        new_rejects=staged.typed.rejected.total(),
        anew=staged.new_rows and planned.base is None,
    )
    connection.commit()
    # What the sample did not show, the sweep of all rows did.
    missed = {column: rules for column, rules in leaks.found.items() if column in planned.sampled_clean}
    refusal = _refusal(dataset.name, staged, leaks, held=not any(outcome.blocks for outcome in outcomes))
    return Audited(outcomes, leaks, rows, missed if staged.new_rows else {}, refusal)


def publish(build: SilverBuild, planned: Planned, staged: Staged, audited: Audited[OutcomeT]) -> Published:
    """Put what was staged before the readers, in one transaction; nothing is done when there is nothing new.

    Args:
        build: what to work with.
        planned: what is recorded with the publication.
        staged: the table that was audited.
        audited: which did not refuse it.

    Raises publish.PublishError, psycopg.Error.
    """
    connection, dataset, base = build.connection, planned.dataset, planned.base
    name = dataset.name
    if base and planned.nothing_new:
        return Published(base.rows, count_quarantined(connection, name), changed=False)
    tables = StagingTables.of(name)
    with connection.transaction():
        release_failed(connection, name)
        quarantine_misfits(connection, name, tables.rejects, anew=base is None)
        if base:
            rows = base.rows + merge(connection, dataset, tables.winners)
        else:
            rows = audited.rows.silver
            publishing.swap(connection, "silver", name)
        unmark_silver(connection, planned.withdrawn)
        mark_silver(connection, [file.file_id for file in planned.files])
        quarantined = count_quarantined(connection, name)
        counts = (rows, quarantined, staged.duplicates)
        publishing.record(connection, "silver", name, planned.definition, build.run_id, *counts)
        record_plans(connection, "silver", name, dataset.plans.values(), rules_fingerprint(dataset.policy.rules))
        publishing.drop_staging(connection, *tables.names)
    return Published(rows, quarantined, changed=True)


def _leaks(connection: psycopg.Connection, dataset: Dataset, staged: Staged) -> LeakReport:
    """Personal data in the rows that are audited.

    Columns that were swept while they were sent are read back only to count what was found, or where what is stored may
    be something else.
    """
    sent = staged.typed.swept
    if not staged.new_rows or not sent.clean or not stores_as_sent(connection, staged.schema, staged.new):
        return sweep_table(connection, staged.schema, staged.new, dataset.plans, dataset.policy.rules)
    rest = sweep_table(connection, staged.schema, staged.new, dataset.plans, dataset.policy.rules, allowed=sent.columns)
    return LeakReport(sent.rows, [*sent.columns, *rest.columns], rest.found, rest.unreadable)


def _refusal(name: str, staged: Staged, leaks: LeakReport, *, held: bool) -> str | None:
    """Why a table must not be published; `held` says whether its contract does."""
    if not staged.new_rows:
        if not held:
            return f"silver.{name} fails its contract"
        return None if leaks.clean else f"silver.{name}: {leaks}, which its plan says is not there"
    if not leaks.clean:
        return (
            f"silver.{name} was not published: {leaks}, which its plan says is not there. The table is as "
            "it was. Declare the kind with `pii:` (or `pii: none` if it is none), and run again"
        )
    if not held:
        return (
            f"silver.{name} was not published: the new rows fail the contract, the table is as it was. "
            f"Look at {STAGING}.{staged.table}, correct the source or the contract, and run again"
        )
    return None


def _check_columns(dataset: Dataset, files: Sequence[LoadedFile]) -> None:
    wanted = [column.name for column in dataset.columns if not column.optional]
    for file in files:
        missing = [name for name in wanted if name not in file.columns]
        if missing and file.rows:
            raise SchemaDrift(
                f"{file.uri} lacks the columns {', '.join(map(repr, missing))} that {dataset.name} declares. "
                "Bronze keeps the file. If they may be missing, declare them `optional: true`; if they were renamed, "
                "correct the declaration. If the file is wrong, have it sent again under its name, or take it back "
                f"with `atlas files forget {dataset.name} {file.uri}`"
            )


def _check_keys(dataset: Dataset, files: Sequence[LoadedFile], rewritten: Mapping[tuple[int, str], int]) -> None:
    """Stop before keys merge that are written differently: as numbers 007 and 7 are one."""
    by_id, types = {file.file_id: file.uri for file in files}, {column.name: column.type for column in dataset.columns}
    for (file_id, column), count in rewritten.items():
        what = "keys" if column in dataset.key else "identifiers"
        raise SchemaDrift(
            f"{by_id[file_id]}: {count:,} {what} ({column}) are written with leading zeros, a sign or decimals, which "
            f"the type {types[column]} would lose, so that they could be those of other rows. Bronze keeps the file. "
            "Declare the column as text, or correct the source"
        )


def _check_drift(dataset: Dataset, files: Sequence[LoadedFile], misfits: Counter[tuple[int, str]]) -> None:
    by_id = {file.file_id: file for file in files}
    types = {column.name: column.type for column in dataset.columns}
    for (file_id, column), count in misfits.items():
        file = by_id[file_id]
        if file.rows >= _DRIFT_ROWS and count > _DRIFT_SHARE * file.rows:
            raise SchemaDrift(
                f"{file.uri}: {count:,} of {file.rows:,} values of {column!r} are not of type {types[column]}: the "
                "column seems to have changed its type. Bronze keeps the file. Correct the type or format in the "
                "declaration, or the source"
            )
