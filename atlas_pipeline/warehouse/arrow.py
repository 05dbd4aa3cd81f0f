"""Rows of Postgres as Arrow tables.

Belongs here: reading a query by COPY, and the CSV that Postgres and Atlas write for it. Does not belong here: what the
rows mean, and the CSV of files from elsewhere (`ingest/readers/`).
"""

from collections.abc import Iterator, Mapping
from itertools import islice

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv as arrow_csv


def copy_blocks(
    connection: psycopg.Connection, query: sql.Composable, columns: Mapping[str, pa.DataType], block_rows: int
) -> Iterator[pa.Table]:
    """Read a query's rows by COPY, in the order of the query.

    Args:
        connection: has the query's transaction open until the last block was taken.
        query: a SELECT.
        columns: name and Arrow type of each column that the query selects, in its order.
        block_rows: rows of each table but the last.

    Returns:
        Tables of these columns, none when the query has no rows. NULL is null, an empty text is empty.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor().copy(statement) as copy:
        rows = iter(copy)
        while block := b"".join(islice(rows, block_rows)):
            yield parse_csv(block, columns)


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
