"""The staging tables of a silver build: made, and filled with the typed rows of bronze.

Belongs here: from bronze's text to the delta table. Does not belong here: what a type accepts (`types.py`), which row
of a key stays (`merging.py`), and what is done when too many rows do not fit (`silver.py`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Self

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv as arrow_csv

from atlas_pipeline.ingest.copying import FILE_ID, LINE, stop_copying
from atlas_pipeline.ingest.dataset import MISSING_SINCE, VALID_FROM, VALID_TO, Column, Dataset, history_name
from atlas_pipeline.ingest.prefetch import prefetched
from atlas_pipeline.ingest.repeats import KeyNumbers, Repeated
from atlas_pipeline.ingest.typing_rows import TypingReject, typed_rows
from atlas_pipeline.pii.keys import KeyMissing, Keys
from atlas_pipeline.pii.leaks import LeakReport, Sweep, trusted
from atlas_pipeline.pii.sketches import Sketch, Sketching
from atlas_pipeline.warehouse import publish
from atlas_pipeline.warehouse.arrow import copy_blocks
from atlas_pipeline.warehouse.binary_copy import SIGNATURE, TRAILER, binary_rows
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.ledger import LoadedFile
from atlas_pipeline.warehouse.pages import Pages, page_blocks, readable
from atlas_pipeline.warehouse.publish import STAGING

_BLOCK_ROWS = 50_000
_BLOCK_ROWS_OF_PROSE = 5_000  # reading them takes seconds, and progress is shown after each block
_JOINED = ("text", "integer", "uuid")
_PARTS = ("winners", "replaced", "delta", "rejects", "deleted", "seen", "past", "past_rejects")


@dataclass(frozen=True)
class StagingTables:
    """Names of the tables of a build in staging.

    Attributes:
        table: the finished table, or the view of it when new rows are merged.
        winners: the new rows that stay.
        replaced: published rows whose keys new ones take, by staying or by saying that they are deleted.
        delta: all new rows that fit their types; a table that is built anew may be filled without.
        rejects: where those are that do not.
        deleted: new rows that say that their key is deleted.
        seen: keys that new snapshots have, and since when they lack them again.
        history: versions of rows, all or those that are new.
        past: rows of files that only history is made of.
        past_rejects: where those of them are that do not fit.
    """

    table: str
    winners: str
    replaced: str
    delta: str
    rejects: str
    deleted: str
    seen: str
    history: str
    past: str
    past_rejects: str

    @classmethod
    def of(cls, name: str) -> Self:
        """The names for a dataset."""
        table, history = (publish.staging_name("silver", one) for one in (name, history_name(name)))
        parts = {part: publish.staging_name("silver", name, part) for part in _PARTS}
        return cls(table=table, history=history, **parts)

    @property
    def of_past(self) -> Self:
        """The names with those of history's own rows in place of the new rows'."""
        return replace(self, delta=self.past, rejects=self.past_rejects)

    @property
    def names(self) -> tuple[str, ...]:
        """All, those that depend on others first."""
        return tuple(asdict(self).values())


@dataclass(frozen=True)
class _Typed:
    """A block of bronze: how many rows were read, those that fit, and the others."""

    read: int
    good: pa.Table
    bad: list[TypingReject]

    def size(self) -> int:
        """Bytes of the rows that fit."""
        return int(self.good.nbytes)


@dataclass
class TypedRows:
    """Counts of rows: those that were read, those rejected by rule, and values that are not of their column's type.

    `misfits` has these by file id and column, `rewritten` by the same the rows whose key or identifier would be another
    row's. `swept` is what a sweep of the rows found while they were sent; `repeated` has those that may share
    their key, null where that was not looked for. `sketches` tell which columns of other tables hold the same values.
    """

    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    misfits: Counter[tuple[int, str]] = field(default_factory=Counter)
    rewritten: Counter[tuple[int, str]] = field(default_factory=Counter)
    swept: LeakReport = field(default_factory=LeakReport)
    repeated: Repeated | None = None
    sketches: Mapping[str, Sketch] = field(default_factory=dict)

    def add(self, block: _Typed) -> None:
        """Count a block that was sent."""
        self.read += block.read
        self.rejected.update(reject.rule for reject in block.bad)
        self.misfits.update((reject.file_id, column) for reject in block.bad for column in reject.misfits)
        self.rewritten.update((reject.file_id, column) for reject in block.bad for column in reject.rewritten)


def create_tables(connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, new: str) -> None:
    """Make the empty staging tables, in place of those of an earlier build.

    Args:
        connection: in the transaction that fills them.
        dataset: with a plan in each column.
        tables: names of all.
        new: which of them takes the rows that stay. Without layers the table that is built anew is filled itself, and
            there is no delta.

    None of them is unlogged: when a transaction that made such a table is rolled back, and the server then dies before
    a checkpoint, Postgres finds the rest of the table in its way when it recovers, and does not start.
    """
    publish.drop_staging(connection, *tables.names)
    published = _columns(dataset.published_columns)
    flagged = [*published, (MISSING_SINCE, "timestamptz")] if dataset.intake.flag_missing else published
    # A primary key on columns that may be null has Postgres look through all rows first.
    _create_table(connection, new, flagged, required=dataset.key if new == tables.table else ())
    if dataset.layered or new != tables.table:
        _create_table(connection, tables.delta, _columns(dataset.staged_columns))
    _create_rejects(connection, tables.rejects)
    if dataset.deleted_by:
        _create_table(connection, tables.deleted, _columns(dead_columns(dataset)))
    if dataset.history:
        _create_table(connection, tables.history, [*published, (VALID_FROM, "timestamptz"), (VALID_TO, "timestamptz")])
        _create_table(connection, tables.past, _columns(dataset.staged_columns))
        _create_rejects(connection, tables.past_rejects)
    comments = {c.name: text for c in dataset.published_columns if (text := c.comment(dataset.timezone))}
    for table in (new, tables.history) if dataset.history else (new,):
        publish.describe(connection, table, comments)


def dead_columns(dataset: Dataset) -> list[Column]:
    """What is remembered of a row that says that its key is deleted: its key, and what orders it among others."""
    return [column for column in dataset.published_columns if column.name in (*dataset.key, dataset.latest_by)]


def _create_table(
    connection: psycopg.Connection, table: str, columns: Sequence[tuple[str, str]], required: Sequence[str] = ()
) -> None:
    """Make an empty table with these columns and types, and lineage; those that are required are never null."""
    body = sql.SQL(", ").join(
        sql.SQL("{} {} NOT NULL" if n in required else "{} {}").format(sql.Identifier(n), sql.SQL(t))
        for n, t in [*columns, (FILE_ID, "bigint"), (LINE, "bigint")]
    )
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(STAGING, table), body))


def _columns(columns: Iterable[Column]) -> list[tuple[str, str]]:
    return [(column.name, column.postgres_type) for column in columns]


def _create_rejects(connection: psycopg.Connection, table: str) -> None:
    statement = "CREATE TABLE {} (file_id bigint, line bigint, rule text, columns text[], reason text)"
    connection.execute(sql.SQL(statement).format(sql.Identifier(STAGING, table)))


def fill(
    connection: psycopg.Connection,
    url: str,
    dataset: Dataset,
    files: Sequence[LoadedFile],
    tables: StagingTables,
    keys: Keys,
    progress: Callable[[str], None],
    *,
    direct: bool = False,
    all_files: bool = False,
    set_apart: Collection[str] = (),
) -> TypedRows:
    """Read the files' rows from bronze, type them, treat personal data, sweep them, and copy them into staging.

    Reading, typing and writing, with the sweep, go on at the same time, a few blocks apart.

    Args:
        connection: writes the staging tables, in the transaction that made them.
        url: of the database, for a connection that reads bronze meanwhile.
        dataset: with a plan in each column.
        files: those whose rows are read.
        tables: as `create_tables` made them.
        keys: of hashed and encrypted columns.
        progress: told the rows that are done, after each block.
        direct: rows go into the table itself, and those that share a key are looked for; else they go into the delta.
        all_files: most of bronze is read.
        set_apart: columns of which rows with personal data are rejected.

    Raises KeyMissing, psycopg.Error.
    """
    types = dict(_columns(dataset.staged_columns)) | {FILE_ID: "bigint", LINE: "bigint"}
    sweep = Sweep(_swept_columns(dataset), dataset.policy.rules, plans=dataset.plans)
    numbers = KeyNumbers(dataset) if direct else None
    done = TypedRows()
    if not files:
        return done
    sketching = _sketching(dataset, keys)
    expected = sum(file.rows for file in files)
    with (
        connect(url) as reading,
        prefetched(_bronze_blocks(reading, dataset, files, all_files=all_files), lambda block: block.nbytes) as blocks,
        prefetched(_typed_blocks(dataset, blocks, keys, sketching, set_apart), _Typed.size) as ready,
        _Copying(connection, sql.Identifier(STAGING, tables.table if direct else tables.delta), types) as copying,
    ):
        for block in ready:
            sweep.add(block.good)
            if numbers:
                numbers.add(block.good)
            copying.add(block.good)
            if block.bad:
                copying.end()
                _copy_rejects(connection, tables.rejects, block.bad)
            done.add(block)
            progress(f"{dataset.name}: typed {done.read:,} of {expected:,} rows")
    done.swept = sweep.finish()
    done.repeated = numbers.repeated() if numbers else None
    done.sketches = sketching.sketches() if sketching else {}
    return done


def _typed_blocks(
    dataset: Dataset, blocks: Iterable[pa.Table], keys: Keys, sketching: Sketching | None, set_apart: Collection[str]
) -> Iterator[_Typed]:
    for block in blocks:
        if sketching:
            sketching.add(block)
        yield _Typed(block.num_rows, *typed_rows(dataset, block, keys, set_apart))


class _Copying:
    """The COPY of typed rows into a staging table; begun anew where the format or the order of columns changes.

    One COPY for many blocks fills the pages of the table: what it has made of them beyond its rows is left empty.
    """

    def __init__(self, connection: psycopg.Connection, table: sql.Identifier, types: Mapping[str, str]):
        self._connection = connection
        self._table = table
        self._types = types
        self._copying = ExitStack()
        self._copy: psycopg.Copy | None = None
        self._open: tuple[str, Sequence[str]] | None = None
        self._loose: frozenset[str] = frozenset()

    def add(self, rows: pa.Table) -> None:
        """Send rows, which have columns of the table's types."""
        binary = binary_rows(rows, self._types, self._loose)
        if binary:
            self._loose |= binary.loose
            self._send("binary", binary.columns, binary.body)
        else:
            text = pa.BufferOutputStream()
            arrow_csv.write_csv(rows, text, arrow_csv.WriteOptions(include_header=False))
            self._send("csv", rows.column_names, text.getvalue())

    def end(self) -> None:
        """End the COPY, so that the connection is free for something else."""
        if self._copy and self._open and self._open[0] == "binary":
            self._copy.write(TRAILER)
        self._copying.close()
        self._copy, self._open = None, None

    def _send(self, format: str, columns: Sequence[str], content: pa.Buffer) -> None:
        if self._copy is None or self._open != (format, columns):
            self.end()
            # The table was made in this transaction: nobody can see its rows too early, and none is frozen later.
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {}, FREEZE)").format(
                self._table, sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(format)
            )
            self._copy = self._copying.enter_context(self._connection.cursor().copy(statement))
            self._open = (format, columns)
            if format == "binary":
                self._copy.write(SIGNATURE)
        self._copy.write(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.end()
        else:
            stop_copying(self._copying, error)


def _sketching(dataset: Dataset, keys: Keys) -> Sketching | None:
    """What makes sketches of the columns that may be joined; null where production has no key for hashes."""
    names = [
        column.name
        for column in dataset.published_columns
        if column.type in _JOINED and not (column.plan and column.plan.column_class == "free_text")
    ]
    try:
        return Sketching(names, keys) if names else None
    except KeyMissing:
        return None


def _swept_columns(dataset: Dataset) -> list[str]:
    """The columns that the leak check looks at, and that are stored as they are sent."""
    plans = dataset.plans
    return [
        column.name
        for column in dataset.published_columns
        if column.postgres_type == "text" and not (column.name in plans and trusted(plans[column.name]))
    ]


def _bronze_blocks(
    connection: psycopg.Connection, dataset: Dataset, files: Sequence[LoadedFile], *, all_files: bool
) -> Iterator[pa.Table]:
    """The text of the declared columns, file id and line. With `all_files` most of the table is read."""
    prose = any(plan.column_class == "free_text" and plan.action == "redact" for plan in dataset.plans.values())
    present = {column for file in files for column in file.columns}
    names = [column.name for column in dataset.columns]
    table, block_rows = sql.Identifier("bronze", dataset.name), _BLOCK_ROWS_OF_PROSE if prose else _BLOCK_ROWS
    wanted = sql.SQL("{} = ANY({})").format(sql.Identifier(FILE_ID), sql.Literal([file.file_id for file in files]))
    if all_files and readable(connection, table):
        connection.rollback()
        texts = [name for name in names if name in present]
        for block in page_blocks(connection, Pages(table, texts, (FILE_ID, LINE), wanted, block_rows)):
            nulls = pa.nulls(block.num_rows, pa.string())
            found = set(block.column_names)
            yield pa.table({n: block[n] if n in found else nulls for n in (*names, FILE_ID, LINE)})
        return
    chosen = [sql.Identifier(n) if n in present else sql.SQL("NULL") for n in names]
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join([*chosen, sql.Identifier(FILE_ID), sql.Identifier(LINE)]), table, wanted
    )
    types = {name: pa.string() for name in names} | {FILE_ID: pa.int64(), LINE: pa.int64()}
    yield from copy_blocks(connection, query, types, block_rows)


def _copy_rejects(connection: psycopg.Connection, table: str, rejects: Sequence[TypingReject]) -> None:
    statement = sql.SQL("COPY {} (file_id, line, rule, columns, reason) FROM STDIN")
    with connection.cursor().copy(statement.format(sql.Identifier(STAGING, table))) as copy:
        for reject in rejects:
            copy.write_row((reject.file_id, reject.line, reject.rule, list(reject.columns), reject.reason))
