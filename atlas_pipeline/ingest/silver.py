"""Building `silver.<dataset>`: typed, personal data treated, one row per key, published whole or not at all.

Belongs here: from bronze's text to a finished staging table, and its publication. Does not belong here: what a type
accepts (`types.py`), what an action does (`pii/`), the contract itself (the caller brings `verify`).

Only files that are not in silver yet are read, unless the declaration changed: then all of bronze is. The published
table is carried over inside Postgres. Of rows with the same key the one with the greatest `latest_by` stays; without
it, or where it is equal, the one loaded last.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv as arrow_csv

from atlas_pipeline.ingest.bronze import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.quarantine import TYPING, count_quarantined, create_quarantine
from atlas_pipeline.ingest.typing_rows import TypingReject, typed_rows
from atlas_pipeline.warehouse import ledger, publish
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.publish import STAGING

_ROWS_AT_ONCE = 50_000
_DRIFT_SHARE = 0.5
_DRIFT_ROWS = 10


class SchemaDrift(Exception):
    """A file no longer fits its declaration; silver stays as it was and bronze keeps the file."""


class AuditFailed(Exception):
    """The finished table failed its contract and was not published."""


@dataclass
class SilverResult:
    """What came of a build. All counts are of rows; `seconds` by phase."""

    read: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    published: int = 0
    quarantined: int = 0
    files: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    rebuilt: bool = False
    changed: bool = False


Verify = Callable[[str, str], bool]


def build(
    connection: psycopg.Connection,
    url: str,
    dataset: Dataset,
    *,
    batch: str,
    hash_key: bytes,
    verify: Verify,
    partitions: Collection[str] | None = None,
    lock_seconds: int = 600,
    progress: Callable[[str], None] = lambda message: None,
) -> SilverResult:
    """Bring `silver.<dataset>` up to date and publish it when `verify(schema, table)` agrees.

    Raises SchemaDrift when a file lacks a declared column or most of a column does not fit its type; AuditFailed when
    `verify` says no (the staging tables stay for a look); publish.PublishError, publish.TableBusy, psycopg.Error.
    """
    name = dataset.name
    table, delta, rejects = (publish.staging_name("silver", name, part) for part in ("", "delta", "rejects"))
    with publish.table_lock(connection, "silver", name, lock_seconds):
        definition = dataset.definition(hash_key)
        before = publish.published(connection, "silver", name)
        rebuild = before is None or before.definition != definition
        files = ledger.loaded_files(connection, name, pending=not rebuild, partitions=None if rebuild else partitions)
        result = SilverResult(rebuilt=rebuild and before is not None, files=[file.uri for file in files])
        declared = {column.name for column in dataset.columns}
        result.undeclared = sorted({column for file in files for column in file.columns} - declared)
        if before and not files and not rebuild:
            result.published, result.quarantined = before.rows, count_quarantined(connection, name)
            connection.commit()
            if not verify("silver", name):
                raise AuditFailed(f"silver.{name} fails its contract")
            return result
        _check_columns(dataset, files)
        create_quarantine(connection, name)
        publish.drop_staging(connection, table, delta, rejects)
        _create(connection, dataset, table, delta, rejects)
        connection.commit()
        progress(f"{name}: typing {sum(file.rows for file in files):,} rows of {len(files)} files")
        _fill_delta(connection, url, dataset, files, delta, rejects, hash_key, result, progress)
        progress(f"{name}: merging")
        _merge(connection, dataset, table, delta, not rebuild, result)
        publish.add_key(connection, table, dataset.key)
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(STAGING, table)))
        connection.commit()
        progress(f"{name}: checking")
        if not verify(STAGING, table):
            raise AuditFailed(
                f"silver.{name} was not published: the new rows fail the contract, the table is as it was. "
                f"Look at {STAGING}.{table}, correct the source or the contract, and run again"
            )
        with connection.transaction():
            _keep_rejects(connection, name, rejects, rebuild)
            publish.swap(connection, "silver", name)
            ledger.mark_silver(connection, [file.file_id for file in files])
            result.quarantined = count_quarantined(connection, name)
            publish.record(connection, "silver", name, result.published, result.quarantined, definition, batch)
            publish.drop_staging(connection, delta, rejects)
        result.changed = True
    return result


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
    hash_key: bytes,
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
            good, bad = typed_rows(dataset, rows, hash_key)
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
    """The text of the declared columns, file id and line, in tables of up to `_ROWS_AT_ONCE` rows."""
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
        while block := b"".join(islice(rows, _ROWS_AT_ONCE)):
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


def _merge(
    connection: psycopg.Connection, dataset: Dataset, table: str, delta: str, carry_over: bool, result: SilverResult
) -> None:
    """Fill the staging table: the winners of the delta, then what is published and not replaced by them."""
    staged, new, old = map(sql.Identifier, (STAGING, STAGING, "silver"), (table, delta, dataset.name))
    columns = sql.SQL(", ").join(map(sql.Identifier, (*(c.name for c in dataset.published_columns), FILE_ID, LINE)))
    winners: sql.Composable
    newer: sql.Composable
    keep: sql.Composable
    rest: sql.Composable
    latest = [sql.SQL("{} DESC NULLS LAST").format(sql.Identifier(dataset.latest_by))] if dataset.latest_by else []
    order = sql.SQL(", ").join([*latest, *(sql.SQL("{} DESC").format(sql.Identifier(n)) for n in (FILE_ID, LINE))])
    key = sql.SQL(", ").join(map(sql.Identifier, dataset.key))
    connection.execute("SET LOCAL work_mem = '128MB'")
    if dataset.key:
        winners = sql.SQL("SELECT DISTINCT ON ({}) {} FROM {} ORDER BY {}, {}").format(key, columns, new, key, order)
    else:
        winners = sql.SQL("SELECT {} FROM {}").format(columns, new)
    if not carry_over:
        connection.execute(sql.SQL("INSERT INTO {} ({}) {}").format(staged, columns, winners))
    else:
        same = sql.SQL(" AND ").join(sql.SQL("o.{0} = w.{0}").format(sql.Identifier(name)) for name in dataset.key)
        # Partitions are built in any order, so what is published may have been loaded after what is new.
        newer = sql.SQL("(o.{0}, o.{1}) > (w.{0}, w.{1})").format(sql.Identifier(FILE_ID), sql.Identifier(LINE))
        if dataset.latest_by:
            newer = sql.SQL(
                "(o.{0} > w.{0} OR (w.{0} IS NULL AND o.{0} IS NOT NULL) OR (o.{0} IS NOT DISTINCT FROM w.{0} AND {1}))"
            ).format(sql.Identifier(dataset.latest_by), newer)
        if dataset.key:
            keep = sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} o WHERE {} AND {})").format(old, same, newer)
            rest = sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} w WHERE {})").format(staged, same)
        else:
            keep = rest = sql.SQL("")
        connection.execute(sql.SQL("ANALYZE {}").format(new))
        add = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) w{}")
        connection.execute(add.format(staged, columns, columns, winners, keep))
        connection.execute(sql.SQL("ANALYZE {}").format(staged))
        carry = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} o{}")
        connection.execute(carry.format(staged, columns, columns, old, rest))
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(staged)).fetchone()
    result.published = int(row[0]) if row else 0
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(new)).fetchone()
    result.accepted = int(row[0]) if row else 0


def _keep_rejects(connection: psycopg.Connection, dataset: str, rejects: str, rebuild: bool) -> None:
    quarantine = sql.Identifier("quarantine", dataset)
    if rebuild:
        connection.execute(sql.SQL("DELETE FROM {} WHERE stage = %s").format(quarantine), [TYPING])
    move = sql.SQL(
        "INSERT INTO {} (file_id, line, stage, rule, columns, reason, file)"
        " SELECT r.file_id, r.line, %s, r.rule, r.columns, r.reason, f.uri FROM {} r JOIN atlas.files f USING (file_id)"
    )
    connection.execute(move.format(quarantine, sql.Identifier(STAGING, rejects)), [TYPING])
