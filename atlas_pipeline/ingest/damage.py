"""Whether bronze still holds what was loaded: its tables, columns, rows and values.

Belongs here: measuring the rows of files, and comparing that with the ledger. Does not belong here: loading
(`bronze.py`), and rows on their way from bronze to silver (`reconcile.py`).

The digest of a file is the sum of the hashes of its rows, so that their order does not matter; Postgres makes it, with
the hash that it partitions tables by. It is against damage and hands that slip, not against a forger.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.copying import FILE_ID, LINE, ROW_HASH, table_columns
from atlas_pipeline.warehouse import ledger
from atlas_pipeline.warehouse.connect import connect


class BronzeDamaged(Exception):
    """Bronze lacks rows that the ledger says were loaded, or has others."""


def table_exists(connection: psycopg.Connection, dataset: str) -> bool:
    """Whether bronze has the table of a dataset."""
    table = sql.Identifier("bronze", dataset)
    row = connection.execute("SELECT to_regclass(%s)", [table.as_string(connection)]).fetchone()
    return bool(row and row[0])


def check_rows(connection: psycopg.Connection, dataset: str, files: Sequence[ledger.LoadedFile]) -> None:
    """Compare what bronze has of files with the ledger, and note the digests of those that have none yet.

    Args:
        connection: to the warehouse.
        dataset: name of the table.
        files: whose rows are looked at.

    Raises:
        BronzeDamaged: the table, a column or rows of a file are gone, or values are others; names the files to load
            again.
    """
    if not files:
        return
    there = table_exists(connection, dataset)
    present = set(table_columns(connection, dataset)) if there else set()
    known = ledger.digests(connection, dataset)
    measured = _measured(connection, dataset, files, present) if there else {}
    damaged: list[tuple[ledger.LoadedFile, str]] = []
    for file in files:
        rows, digest = measured.get(file.file_id, (0, None))
        lacking = len(set(file.columns) - present)
        if rows != file.rows:
            damaged.append((file, f"has {rows:,} of the {file.rows:,} rows that were loaded from"))
        elif lacking and rows:
            damaged.append((file, f"lacks {lacking:,} columns that were loaded from"))
        elif digest != known.get(file.file_id, digest):
            damaged.append((file, "has other values than were loaded from"))
    if damaged:
        file, what = damaged[0]
        more = f" and {len(damaged) - 1:,} files more" if len(damaged) > 1 else ""
        raise BronzeDamaged(
            f"silver.{dataset} was not built anew: bronze.{dataset} {what} {file.uri}{more}. The published table is as "
            f"it was. Load them again with `atlas files reload {dataset}`, or restore bronze.{dataset} from a backup"
        )
    _note(connection, {file_id: one for file_id, one in measured.items() if file_id not in known})


@contextmanager
def checked_meanwhile(url: str, dataset: str, files: Sequence[ledger.LoadedFile]) -> Iterator[None]:
    """`check_rows` in another connection while the block runs, which ends when both have.

    What the block raises gives way to damage, which it may follow from.

    Args:
        url: of the warehouse.
        dataset: name of the table.
        files: whose rows are looked at.

    Raises:
        BronzeDamaged: as `check_rows` does.
    """

    def check() -> None:
        check_rows(beside, dataset, files)
        beside.commit()

    with connect(url) as beside, ThreadPoolExecutor(1, thread_name_prefix="damage") as thread:
        checking = thread.submit(check)
        try:
            yield
        except Exception as error:
            if isinstance(damage := checking.exception(), BronzeDamaged):
                raise damage from error
            raise
        except BaseException:
            beside.cancel_safe()
            raise
        checking.result()


def fill_digests(connection: psycopg.Connection, dataset: str) -> None:
    """Note the digests of files that came into silver before digests were noted."""
    if files := ledger.without_digest(connection, dataset):
        _note(connection, _measured(connection, dataset, files, set(table_columns(connection, dataset))))


def _note(connection: psycopg.Connection, measured: Mapping[int, tuple[int, Decimal | None]]) -> None:
    found = {file_id: digest for file_id, (_, digest) in measured.items() if digest is not None}
    if found:
        ledger.note_digests(connection, found)


def _measured(
    connection: psycopg.Connection, dataset: str, files: Sequence[ledger.LoadedFile], present: set[str]
) -> Mapping[int, tuple[int, Decimal | None]]:
    """The rows of files, and the digests of the columns that each of them brought, null where one is gone."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for file in files:
        groups.setdefault(file.columns if present.issuperset(file.columns) else (), []).append(file.file_id)
    measured: dict[int, tuple[int, Decimal | None]] = {}
    for columns, file_ids in groups.items():
        # No parameters: names of columns may hold `%`.
        statement = sql.SQL("SELECT {0}, count(*), {1} FROM {2} WHERE {0} = ANY({3}) GROUP BY {0}").format(
            sql.Identifier(FILE_ID),
            _digest(columns) if columns else sql.SQL("NULL"),
            sql.Identifier("bronze", dataset),
            sql.Literal(file_ids),
        )
        measured |= {file_id: (rows, digest) for file_id, rows, digest in connection.execute(statement)}
    return measured


def _digest(columns: Sequence[str]) -> sql.Composed:
    """The sum of the hashes of rows. A third cheaper than hashing records; each value is hashed for its place."""
    value = sql.SQL('coalesce(hashtextextended({0} COLLATE "C", {1} + {2}), {2})')
    places = enumerate((*columns, ROW_HASH), 1)
    hashes = (value.format(sql.Identifier(name), sql.Identifier(LINE), sql.Literal(place)) for place, name in places)
    return sql.SQL("sum({})").format(sql.SQL(" # ").join(hashes))
