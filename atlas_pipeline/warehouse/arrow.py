"""Rows of Postgres as Arrow tables.

Belongs here: reading a query by COPY, and the CSV that Postgres and Atlas write for it. Does not belong here: what the
rows mean, and the CSV of files from elsewhere (`ingest/readers/`).
"""

import select
from collections.abc import Iterator, Mapping

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.errors import error_from_result
from pyarrow import csv as arrow_csv

_BLOCK_BYTES = 32 << 20


def copy_blocks(
    connection: psycopg.Connection, query: sql.Composable, columns: Mapping[str, pa.DataType], block_rows: int
) -> Iterator[pa.Table]:
    """Read a query's rows by COPY, in the order of the query.

    Args:
        connection: has the query's transaction open until the last block was taken.
        query: a SELECT.
        columns: name and Arrow type of each column that the query selects, in its order.
        block_rows: rows of each table but the last; fewer where they take more than 32 MiB.

    Returns:
        Tables of these columns, none when the query has no rows. NULL is null, an empty text is empty.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor().copy(statement):
        for block in _copied(connection.pgconn, block_rows):
            yield parse_csv(block, columns)


def _copied(pgconn: psycopg.pq.abc.PGconn, block_rows: int) -> Iterator[bytes]:
    """What the COPY that was begun sends, in blocks of whole rows.

    psycopg waits for each row anew, which takes longer than all else that is done with it: here whatever has arrived is
    taken at once.
    """
    arrives = select.poll()
    arrives.register(pgconn.socket, select.POLLIN)
    take = pgconn.get_copy_data
    rows: list[memoryview] = []
    size = 0
    while True:
        length, row = take(1)
        if length > 0:
            rows.append(row)
            size += length
            if len(rows) == block_rows or size > _BLOCK_BYTES:
                yield b"".join(rows)
                rows, size = [], 0
        elif length == 0:
            arrives.poll()
            pgconn.consume_input()
        else:
            break
    if rows:
        yield b"".join(rows)
    results = list(iter(pgconn.get_result, None))
    if results[0].status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise error_from_result(results[0])


def parse_csv(text: bytes, columns: Mapping[str, pa.DataType], *, threads: bool = True) -> pa.Table:
    """Parse CSV as Postgres writes it: comma, no header, missing values empty, empty text as `""`.

    Args:
        text: whole records in UTF-8, at least one.
        columns: name and Arrow type of each column, in order.
        threads: convert columns in parallel; slower where several blocks are parsed at the same time.
    """
    return arrow_csv.read_csv(
        pa.BufferReader(text),
        arrow_csv.ReadOptions(column_names=list(columns), block_size=len(text) + 1, use_threads=threads),
        # The only column of a record that lacks it is an empty line.
        arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        arrow_csv.ConvertOptions(
            column_types=dict(columns), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
