"""Building `silver.<dataset>`: typed, personal data treated, one row per key, published whole or not at all.

Belongs here: the steps of a build, plan, stage, audit and publish, and what each came to. Does not belong here: how
rows are typed and staged (`staging.py`, `typing_rows.py`), what an action does (`pii/`), and the contract itself (the
caller brings `verify`).

The first time, and when the declaration changed, all of bronze is read and the table replaced. Otherwise only files
that are not in silver yet are read, and their rows merged into the table in the publishing transaction; what is audited
before that is a view of the table as it will be.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.damage import check_rows, checked_meanwhile
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.history import (
    HistoryPlan,
    comes_late,
    drop_history,
    plan_history,
    publish_history,
    stage_history,
)
from atlas_pipeline.ingest.merging import (
    Picked,
    count_deleted,
    create_preview,
    leave_latest,
    merge,
    pick_winners,
    replace_memory,
)
from atlas_pipeline.ingest.missing import flag_missing, flag_of_published, flag_published
from atlas_pipeline.ingest.planning import FEW_ROWS, as_free_text, detected_clean, plan_columns
from atlas_pipeline.ingest.quarantine import count_quarantined, create_quarantine, quarantine_misfits, release_failed
from atlas_pipeline.ingest.reconcile import Reconciliation, reconcile
from atlas_pipeline.ingest.staging import StagingTables, TypedRows, create_tables, fill
from atlas_pipeline.pii.joins import record_sketches
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.leaks import LeakReport, stores_as_sent, sweep_table
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import record_plans, recorded_plans, rules_fingerprint
from atlas_pipeline.warehouse import ledger
from atlas_pipeline.warehouse import publish as publishing
from atlas_pipeline.warehouse.ledger import (
    LoadedFile,
    loaded_files,
    mark_silver,
    number_silver,
    unmark_silver,
    withdrawn_files,
)
from atlas_pipeline.warehouse.publish import STAGING

_DRIFT_SHARE = 0.5
_DRIFT_ROWS = 10
_FEW_SHARE = 0.01


class SchemaDrift(Exception):
    """A file no longer fits its declaration; silver stays as it was and bronze keeps the file."""


class CheckOutcome(Protocol):
    """All that a build asks of what came of a check in the contract."""

    @property
    def blocks(self) -> bool:
        """Whether publishing must not happen."""
        ...


OutcomeT = TypeVar("OutcomeT", bound=CheckOutcome)


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
        recording: called in the transaction that publishes, to record what belongs to the publication.
    """

    connection: psycopg.Connection
    url: str
    dataset: Dataset
    run_id: str
    keys: Keys
    partitions: Collection[str] | None = None
    lock_seconds: int = 600
    progress: Callable[[str], None] = lambda message: None
    recording: Callable[[psycopg.Connection], None] = lambda connection: None


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
        history: what the table of history will be made of, null without one.
        set_apart: columns of which rows with personal data go to quarantine.
    """

    dataset: Dataset
    definition: str
    before: publishing.Publication | None
    loaded: Sequence[LoadedFile]
    pending: Sequence[LoadedFile]
    withdrawn: Sequence[int]
    sampled_clean: frozenset[str]
    history: HistoryPlan | None = None
    set_apart: frozenset[str] = frozenset()

    @property
    def base(self) -> publishing.Publication | None:
        """The publication that new rows are merged into; null when the table is built anew from all of bronze."""
        before = self.before
        if before is None or before.definition != self.definition or before.duplicates is None or self.withdrawn:
            return None
        if self.history and (self.history.anew or (self.history.new and not self.pending)):
            return None
        return before if self._in_order else None

    @property
    def _in_order(self) -> bool:
        """Whether new snapshots are later than all in silver, where rows are flagged that the newest one lacks."""
        if not self.dataset.intake.flag_missing or not self.pending:
            return True
        new = {file.file_id for file in self.pending}
        newest = max((file.position for file in self.loaded if file.file_id not in new), default=0)
        return all(file.partition is None and file.position > newest for file in self.pending)

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

    `duplicates` counts the rows that gave way to a later one of their key since the table was last built anew,
    `deleted` those that say that their key is deleted. `history` is what its staged versions are made of, and
    `past` the rows of files that only these are made of. `change` is what a view makes of the published table.
    """

    schema: str
    table: str
    new: str
    duplicates: int
    deleted: int = 0
    typed: TypedRows = field(default_factory=TypedRows)
    history: HistoryPlan | None = None
    past: TypedRows | None = None
    change: publishing.Change | None = None

    @property
    def new_rows(self) -> bool:
        """Whether it has rows that are not published yet."""
        return self.schema == STAGING


Verify = Callable[[Dataset, Staged], Sequence[OutcomeT]]
"""Verifies the contract of a dataset, whose columns are planned, on a staged table."""


@dataclass(frozen=True)
class Audited(Generic[OutcomeT]):
    """What an audit found.

    Attributes:
        outcomes: of the contract's checks.
        leaks: personal data in the new rows, or in the published ones when nothing is new.
        rows: where all rows of bronze are.
        missed: of the leaks, cells by rule of columns whose sample was clean: to be cut out, and staged again.
        refusal: why the table must not be published, null when it may.
        history_leaks: personal data in the versions that are new, null without history.
    """

    outcomes: Sequence[OutcomeT]
    leaks: LeakReport
    rows: Reconciliation
    missed: Mapping[str, Mapping[str, int]]
    refusal: str | None
    history_leaks: LeakReport | None = None


@dataclass(frozen=True)
class Published:
    """Rows that readers see, and rows in quarantine; whether the table is another one than before; versions of rows."""

    rows: int
    quarantined: int
    changed: bool
    history: int | None = None


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
        damage.BronzeDamaged: what the ledger has is not in bronze, or has other values.
        KeyMissing, publish.PublishError, publish.TableBusy, psycopg.Error.
    """
    with publishing.table_lock(build.connection, "silver", build.dataset.name, build.lock_seconds):
        planned = plan(build)
        while True:
            staged = stage(build, planned)
            audited = audit(build, planned, staged, verify)
            if audited.missed:
                planned = replan(build, planned, audited.missed)
            elif few := _few_rows_of(planned, staged, audited):
                planned = replace(planned, set_apart=planned.set_apart | few)
            else:
                break
        published = publish(build, planned, staged, audited) if audited.refusal is None else None
    return SilverResult(planned, staged, audited, published)


def plan(build: SilverBuild) -> Planned:
    """Look at what is published and what is new, and decide what is done with each column.

    New rows are few, and are compared with the ledger here; where all are read, `stage` does it meanwhile.

    Raises planning.PersonalDataDrift, damage.BronzeDamaged, KeyMissing, psycopg.Error.
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
    definition = dataset.definition(build.keys)
    history = plan_history(connection, dataset, definition, loaded, pending) if dataset.history else None
    planned = Planned(dataset, definition, before, loaded, pending, withdrawn, sampled_clean, history)
    if planned.base:
        check_rows(connection, name, planned.files)
    connection.commit()
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
    definition = dataset.definition(build.keys)
    history = planned.history
    if history:
        history = plan_history(build.connection, dataset, definition, planned.loaded, planned.pending)
    return replace(
        planned,
        dataset=dataset,
        definition=definition,
        history=history,
        sampled_clean=planned.sampled_clean - missed.keys(),
    )


def _few_rows_of(planned: Planned, staged: Staged, audited: Audited[OutcomeT]) -> frozenset[str]:
    """The columns that were clean in what is published, and of which a few new rows hold personal data.

    These rows go to quarantine, so that they keep no others back; where there are many, the column is another one than
    it was, and a person has to say what it is.
    """
    if planned.before is None or not staged.new_rows:
        return frozenset()
    versions = audited.history_leaks.found if audited.history_leaks else {}
    most = max(FEW_ROWS, int(_FEW_SHARE * staged.typed.read))
    plans, types = planned.dataset.plans, {column.name: column.type for column in planned.dataset.columns}
    found = set()
    for name in {*audited.leaks.found, *versions} - planned.set_apart:
        cells = max(sum(one.get(name, {}).values()) for one in (audited.leaks.found, versions))
        if types[name] != "text" or plans[name].action != "keep" or cells > most:
            return frozenset()
        found.add(name)
    return frozenset(found)


def stage(build: SilverBuild, planned: Planned) -> Staged:
    """Make the table as it will be, in staging.

    Args:
        build: what to work with.
        planned: what is done with each column, and the files that are read.

    Returns:
        The staged table; the published one when there is nothing new.

    Raises SchemaDrift, damage.BronzeDamaged, KeyMissing, psycopg.Error.
    """
    connection, dataset, files, base = build.connection, planned.dataset, planned.files, planned.base
    name = dataset.name
    duplicates = base.duplicates or 0 if base else 0
    if planned.nothing_new:
        return Staged("silver", name, name, duplicates, count_deleted(connection, dataset))
    _check_columns(dataset, files)
    _check_condition(dataset)
    tables = StagingTables.of(name)
    new = tables.winners if base else tables.table
    create_quarantine(connection, name)
    create_tables(connection, dataset, tables, new)
    build.progress(f"{name}: typing {sum(file.rows for file in files):,} rows of {len(files)} files")
    direct, anew = base is None and not dataset.layered, base is None
    into, progress = (connection, build.url, dataset), build.progress
    apart = planned.set_apart
    with checked_meanwhile(build.url, name, files) if anew else nullcontext():
        typed = fill(*into, files, tables, build.keys, progress, direct=direct, all_files=anew, set_apart=apart)
    _check_drift(dataset, files, typed.misfits)
    _check_keys(dataset, files, typed.rewritten)
    build.progress(f"{name}: merging")
    if direct:
        picked, layers = Picked(leave_latest(connection, dataset, tables, typed.repeated), 0), _Layers()
    else:
        with _naming_the_condition(dataset):
            picked = pick_winners(connection, dataset, tables, new, beside_published=not anew)
            layers = _stage_layers(build, planned, tables, new)
    if anew:
        publishing.add_key(connection, new, dataset.key)
    else:
        create_preview(connection, dataset, tables, layers.flag)
    connection.commit()
    duplicates += picked.duplicates
    change = None if anew else publishing.Change(new, tables.replaced if dataset.key else None)
    counts = (duplicates, picked.deleted)
    return Staged(STAGING, tables.table, new, *counts, typed, layers.history, layers.past, change)


@dataclass(frozen=True)
class _Layers:
    """What is staged beside the rows of silver: versions of rows, made of past rows too; the flag of missing ones.

    `flag` is SQL for what the column of missing rows will say of published rows.
    """

    history: HistoryPlan | None = None
    past: TypedRows | None = None
    flag: sql.Composable = field(default_factory=lambda: sql.SQL("NULL"))


def _stage_layers(build: SilverBuild, planned: Planned, tables: StagingTables, new: str) -> _Layers:
    """Stage what follows from all rows of the delta; `new` is the table of those that stay."""
    connection, dataset, history = build.connection, planned.dataset, planned.history
    flag: sql.Composable = sql.SQL("NULL")
    if dataset.intake.flag_missing:
        flag_missing(connection, dataset, tables, new, planned.files)
        flag = flag_of_published(dataset, tables, planned.files) if planned.files else flag
    if history is None:
        return _Layers(flag=flag)
    there = {file.file_id for file in planned.files}
    late = not history.anew and not dataset.intake.states and comes_late(connection, dataset, tables, history)
    history = replace(history, anew=history.anew or late)
    missing, past = [file for file in history.new if file.file_id not in there], None
    if missing:
        check_rows(connection, dataset.name, missing)
        build.progress(f"{dataset.name}: typing {sum(file.rows for file in missing):,} rows of history")
        into, apart = (connection, build.url, dataset), planned.set_apart
        past = fill(*into, missing, tables.of_past, build.keys, build.progress, set_apart=apart)
    build.progress(f"{dataset.name}: merging history")
    stage_history(connection, dataset, tables, history)
    return _Layers(history, past, flag)


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
        verifying = beside.submit(verify, dataset, staged)
        leaks = _leaks(connection, dataset, staged)
        history_leaks = _leaks_of_history(connection, dataset, staged)
        connection.commit()
    outcomes = verifying.result()
    rows = reconcile(
        connection,
        dataset.name,
        staged.schema,
        staged.table,
        duplicates=staged.duplicates,
        deleted=staged.deleted,
        new_files=[file.file_id for file in planned.files],
        new_rejects=staged.typed.rejected.total(),
        anew=staged.new_rows and planned.base is None,
    )
    connection.commit()
    # What the sample did not show, the sweep of all rows did.
    found = (history_leaks.found if history_leaks else {}) | leaks.found
    missed = {column: rules for column, rules in found.items() if column in planned.sampled_clean}
    held = not any(outcome.blocks for outcome in outcomes)
    refusal = _refusal(dataset.name, staged, leaks, held=held)
    if refusal is None and history_leaks and not history_leaks.clean:
        refusal = _refusal(dataset.history_name, staged, history_leaks, held=held)
    return Audited(outcomes, leaks, rows, missed if staged.new_rows else {}, refusal, history_leaks)


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
        versions = planned.history.before.rows if planned.history and planned.history.before else None
        with connection.transaction():
            build.recording(connection)
        return Published(base.rows, count_quarantined(connection, name), changed=False, history=versions)
    tables = StagingTables.of(name)
    with connection.transaction():
        release_failed(connection, name)
        quarantine_misfits(connection, name, tables.rejects, anew=base is None)
        if base:
            if dataset.intake.flag_missing and planned.files:
                flag_published(connection, dataset, tables, planned.files)
            rows = base.rows + merge(connection, dataset, tables)
        else:
            rows = audited.rows.silver
            publishing.swap(connection, "silver", name)
            replace_memory(connection, dataset, tables)
        unmark_silver(connection, planned.withdrawn)
        mark_silver(connection, [file.file_id for file in planned.files])
        quarantined = count_quarantined(connection, name)
        counts = (rows, quarantined, staged.duplicates)
        publishing.record(connection, "silver", name, planned.definition, build.run_id, *counts, anew=base is None)
        number_silver(connection, name, [file.file_id for file in planned.files])
        record_plans(connection, "silver", name, dataset.plans.values(), rules_fingerprint(dataset.policy.rules))
        record_sketches(connection, name, staged.typed.sketches, build.keys, anew=base is None)
        versions = _publish_history(build, planned, staged, tables)
        build.recording(connection)
        publishing.drop_staging(connection, *tables.names)
    return Published(rows, quarantined, changed=True, history=versions)


def _publish_history(build: SilverBuild, planned: Planned, staged: Staged, tables: StagingTables) -> int | None:
    """Put the versions before the readers too, or take those away that are no longer declared. Returns their number."""
    connection, dataset, history = build.connection, planned.dataset, staged.history
    ledger.mark_history(connection, dataset.name, [file.file_id for file in history.files] if history else [])
    if history is None:
        drop_history(connection, dataset)
        return None
    versions = publish_history(connection, dataset, tables, history)
    publishing.record(connection, "silver", dataset.history_name, planned.definition, build.run_id, versions)
    rules = rules_fingerprint(dataset.policy.rules)
    record_plans(connection, "silver", dataset.history_name, dataset.plans.values(), rules)
    return versions


def _leaks(connection: psycopg.Connection, dataset: Dataset, staged: Staged) -> LeakReport:
    """Personal data in the rows that are audited."""
    sent = staged.typed.swept if staged.new_rows else LeakReport()
    return _swept(connection, dataset, staged.schema, staged.new, sent)


def _leaks_of_history(connection: psycopg.Connection, dataset: Dataset, staged: Staged) -> LeakReport | None:
    """Personal data in the versions of rows that are new, or in all where nothing is new; null without history."""
    if not dataset.history:
        return None
    if not staged.new_rows:
        return _swept(connection, dataset, "silver", dataset.history_name, LeakReport())
    sent = staged.typed.swept
    if staged.past:
        other = staged.past.swept
        columns = [column for column in sent.columns if column in other.columns]
        sent = LeakReport(sent.rows + other.rows, columns, sent.found | other.found)
    return _swept(connection, dataset, STAGING, StagingTables.of(dataset.name).history, sent)


def _swept(connection: psycopg.Connection, dataset: Dataset, schema: str, table: str, sent: LeakReport) -> LeakReport:
    """Sweep a table.

    Columns that were swept while they were sent are read back only to count what was found, or where what is stored may
    be something else.

    Args:
        connection: to the warehouse.
        dataset: with a plan in each column.
        schema: of the table.
        table: its name.
        sent: what a sweep of its rows found while they were sent; without columns when there was none.
    """
    plans, rules = dataset.plans, dataset.policy.rules
    if not sent.columns or not sent.clean or not stores_as_sent(connection, schema, table):
        return sweep_table(connection, schema, table, plans, rules)
    rest = sweep_table(connection, schema, table, plans, rules, allowed=sent.columns)
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


def _check_condition(dataset: Dataset) -> None:
    """What says that a row is deleted must be there as the source has it."""
    asked = dataset.deleted_by.columns if dataset.deleted_by else ()
    for column in dataset.columns:
        if column.name in asked and column.treatment not in ("keep", "drop"):
            raise SchemaDrift(
                f"deleted_by reads {column.name!r}, which holds personal data, so that silver has the action "
                f"{column.treatment} for it. If it holds none, declare `pii: none`; else let another column say it"
            )


@contextmanager
def _naming_the_condition(dataset: Dataset) -> Iterator[None]:
    """Say of what Postgres refuses in `deleted_by` that it stands there, without its words, which quote literals."""
    try:
        yield
    except (psycopg.errors.SyntaxErrorOrAccessRuleViolation, psycopg.DataError) as error:
        if dataset.deleted_by is None:
            raise
        raise SchemaDrift(
            f"deleted_by of {dataset.name} cannot be evaluated ({type(error).__name__}). The published table is as it "
            "was. Compare columns with values of their types"
        ) from None


def _check_keys(dataset: Dataset, files: Sequence[LoadedFile], rewritten: Mapping[tuple[int, str], int]) -> None:
    """Stop before keys merge that are written differently: as numbers 007 and 7 are one."""
    by_id, types = {file.file_id: file.uri for file in files}, {column.name: column.type for column in dataset.columns}
    for (file_id, column), count in rewritten.items():
        what = "keys" if column in dataset.key else "identifiers"
        raise SchemaDrift(
            f"{by_id[file_id]}: {count:,} {what} ({column}) are written with leading zeros, a sign or decimals, which "
            f"the type {types[column]} would lose, so that they could be those of other rows. Bronze keeps the file. "
            "Declare the column as text, or decimals that mean nothing as decimal(10,2), or correct the source"
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
