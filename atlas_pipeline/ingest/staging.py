"""The staging tables of a silver build: made, and filled with the typed rows of bronze.

Belongs here: from bronze's text to the delta table. Does not belong here: what a type accepts (`types.py`), which row
of a key stays (`merging.py`), and what is done when too many rows do not fit (`silver.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv as arrow_csv

from atlas_pipeline.ingest.bronze import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.typing_rows import TypingReject, typed_rows
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.warehouse import publish
from atlas_pipeline.warehouse.arrow import copy_blocks
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.ledger import LoadedFile
from atlas_pipeline.warehouse.publish import STAGING

_BLOCK_ROWS = 50_000
_BLOCK_ROWS_OF_PROSE = 5_000  # reading them takes seconds, and progress is shown after each block


@dataclass(frozen=True)
class StagingTables:
    """Names of the tables of a build in staging.

    `table` is the finished table, or the view of it when new rows are merged; `winners` the new rows that stay; `delta`
    all new rows that fit their types; `rejects` where those are that do not.
    """

    table: str
    winners: str
    delta: str
    rejects: str

    @classmethod
    def of(cls, name: str) -> Self:
        """The names for a dataset."""
        return cls(*(publish.staging_name("silver", name, part) for part in ("", "winners", "delta", "rejects")))

    @property
    def names(self) -> tuple[str, ...]:
        """All, those that depend on others first."""
        return self.table, self.winners, self.delta, self.rejects


@dataclass
class TypedRows:
    """Counts of rows: those that were read, those rejected by rule, and values that are not of their column's type.

    `misfits` has these by file id and column, `rewritten` by the same the rows whose key or identifier would be another
    row's.
    """

    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    misfits: Counter[tuple[int, str]] = field(default_factory=Counter)
    rewritten: Counter[tuple[int, str]] = field(default_factory=Counter)


def create_tables(connection: psycopg.Connection, dataset: Dataset, tables: StagingTables, new: str) -> None:
    """Make the empty staging tables, in place of those of an earlier build.

    Args:
        connection: writes the staging tables.
        dataset: with a plan in each column.
        tables: names of all.
        new: which of them takes the rows that stay; it is logged, since it is published when all is built anew.
    """
    publish.drop_staging(connection, *tables.names)
    columns = [(c.name, c.postgres_type) for c in dataset.published_columns] + [(FILE_ID, "bigint"), (LINE, "bigint")]
    body = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in columns)
    for name, kind in ((new, sql.SQL("TABLE")), (tables.delta, sql.SQL("UNLOGGED TABLE"))):
        connection.execute(sql.SQL("CREATE {} {} ({})").format(kind, sql.Identifier(STAGING, name), body))
    statement = "CREATE UNLOGGED TABLE {} (file_id bigint, line bigint, rule text, columns text[], reason text)"
    connection.execute(sql.SQL(statement).format(sql.Identifier(STAGING, tables.rejects)))
    comments = {c.name: text for c in dataset.published_columns if (text := c.comment(dataset.timezone))}
    publish.describe(connection, new, comments)


def fill_delta(
    connection: psycopg.Connection,
    url: str,
    dataset: Dataset,
    files: Sequence[LoadedFile],
    tables: StagingTables,
    keys: Keys,
    progress: Callable[[str], None],
) -> TypedRows:
    """Read the files' rows from bronze, type them, treat personal data, and copy them into the delta table.

    Args:
        connection: writes the staging tables.
        url: of the database, for a connection that reads bronze meanwhile.
        dataset: with a plan in each column.
        files: those whose rows are read.
        tables: as `create_tables` made them.
        keys: of hashed and encrypted columns.
        progress: told the rows that are done, after each block.

    Raises KeyMissing, psycopg.Error.
    """
    names = [column.name for column in dataset.published_columns]
    target = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(STAGING, tables.delta), sql.SQL(", ").join(map(sql.Identifier, (*names, FILE_ID, LINE)))
    )
    done = TypedRows()
    expected = sum(file.rows for file in files)
    with connect(url) as reading:
        for block in _bronze_blocks(reading, dataset, files) if files else ():
            good, bad = typed_rows(dataset, block, keys)
            text = pa.BufferOutputStream()
            arrow_csv.write_csv(good, text, arrow_csv.WriteOptions(include_header=False))
            with connection.cursor().copy(target) as copy:
                copy.write(text.getvalue())
            _copy_rejects(connection, tables.rejects, bad)
            done.read += block.num_rows
            done.rejected.update(reject.rule for reject in bad)
            done.misfits.update((reject.file_id, column) for reject in bad for column in reject.misfits)
            done.rewritten.update((reject.file_id, column) for reject in bad for column in reject.rewritten)
            progress(f"{dataset.name}: typed {done.read:,} of {expected:,} rows")
    return done


def _bronze_blocks(connection: psycopg.Connection, dataset: Dataset, files: Sequence[LoadedFile]) -> Iterator[pa.Table]:
    """The text of the declared columns, file id and line."""
    prose = any(plan.column_class == "free_text" and plan.action == "redact" for plan in dataset.plans.values())
    present = {column for file in files for column in file.columns}
    names = [column.name for column in dataset.columns]
    chosen = [sql.Identifier(n) if n in present else sql.SQL("NULL") for n in names]
    query = sql.SQL("SELECT {} FROM {} WHERE {} = ANY({})").format(
        sql.SQL(", ").join([*chosen, sql.Identifier(FILE_ID), sql.Identifier(LINE)]),
        sql.Identifier("bronze", dataset.name),
        sql.Identifier(FILE_ID),
        sql.Literal([file.file_id for file in files]),
    )
    types = {name: pa.string() for name in names} | {FILE_ID: pa.int64(), LINE: pa.int64()}
    return copy_blocks(connection, query, types, _BLOCK_ROWS_OF_PROSE if prose else _BLOCK_ROWS)


def _copy_rejects(connection: psycopg.Connection, table: str, rejects: Sequence[TypingReject]) -> None:
    if not rejects:
        return
    statement = sql.SQL("COPY {} (file_id, line, rule, columns, reason) FROM STDIN")
    with connection.cursor().copy(statement.format(sql.Identifier(STAGING, table))) as copy:
        for reject in rejects:
            copy.write_row((reject.file_id, reject.line, reject.rule, list(reject.columns), reject.reason))
