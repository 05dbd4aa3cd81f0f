"""Rows of a table of text as Arrow tables, one range of its pages after another.

Belongs here: the query that makes Postgres hand over whole columns, and the arrays made of them. Does not belong here:
queries in general (`arrow.py`), and what the rows mean.

A COPY sends a message for each row, which costs Python more than everything that is done with the row afterwards. Here
a column of a range of pages comes as one text, its values parted by a control character. Where values have that
character themselves, which the number of parts tells, the lengths of the values are asked for too, which costs Postgres
twice as much.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

_FIRST_PAGES, _MOST_PAGES = 64, 512
_FULL_BYTES = 8 << 20
_ARRAY_HEAD = 20
_PART, _NULL = 0x1F, 0x1E
_LENGTHS = np.dtype([("size", ">i4"), ("value", ">i4")])
_NUMBERS = np.dtype([("size", ">i4"), ("value", ">i8")])


@dataclass(frozen=True)
class Pages:
    """What is read.

    Attributes:
        table: schema and name.
        texts: its text columns that are wanted.
        numbers: its bigint columns that are wanted, without nulls.
        where: which rows are wanted.
        most_rows: about how many rows a block may have.
    """

    table: sql.Identifier
    texts: Sequence[str]
    numbers: Sequence[str]
    where: sql.Composable
    most_rows: int


def readable(connection: psycopg.Connection, table: sql.Identifier) -> bool:
    """Whether a table may be read this way: its values lie in its pages, so that a few pages are a little memory."""
    if connection.info.parameter_status("server_encoding") != "UTF8":
        return False
    row = connection.execute(
        "SELECT relkind = 'r' AND (reltoastrelid = 0 OR pg_relation_size(reltoastrelid) = 0)"
        " FROM pg_class WHERE oid = to_regclass(%s)",
        [table.as_string(connection)],
    ).fetchone()
    return bool(row and row[0])


def page_blocks(connection: psycopg.Connection, pages: Pages) -> Iterator[pa.Table]:
    """Read rows in the order in which they lie, in tables of the wanted columns; null is null.

    Args:
        connection: in a transaction that has not read anything; it is ended by the caller, and sees one state of the
            table throughout.
        pages: what is read.

    Raises psycopg.Error.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    for way in ("enable_seqscan", "enable_bitmapscan", "enable_indexscan"):
        # Any other way than by the range of pages would read the whole table for each of them.
        connection.execute(sql.SQL("SET LOCAL {} = off").format(sql.Identifier(way)))
    row = connection.execute(
        "SELECT pg_relation_size(oid) / current_setting('block_size')::int FROM pg_class WHERE oid = to_regclass(%s)",
        [pages.table.as_string(connection)],
    ).fetchone()
    end = int(row[0]) if row else 0
    start, step = 0, _FIRST_PAGES
    read = _parted
    with connection.cursor(binary=True) as cursor:
        while start < end:
            block, size = read(cursor, pages, start, start + step)
            if block is None:
                read = _measured
                continue
            if block.num_rows:
                yield block
            start += step
            small = size < _FULL_BYTES // 2 and block.num_rows < pages.most_rows // 2
            step = min(step * 2, _MOST_PAGES) if small else max(step // 2, 1) if size > _FULL_BYTES else step


def _parted(
    cursor: psycopg.Cursor[tuple[object, ...]], pages: Pages, start: int, end: int
) -> tuple[pa.Table | None, int]:
    """The rows of some pages, and how many bytes their texts have; null where a text has a control character in it."""
    text = sql.SQL("string_agg(coalesce({0}, chr({1})), chr({2})), count({0})")
    values = _values(cursor, pages, start, end, lambda name: text.format(sql.Identifier(name), _NULL, _PART))
    rows = int.from_bytes(next(values) or b"", "big")
    arrays = {name: _numbers(next(values), rows) for name in pages.numbers}
    size = 0
    for name in pages.texts:
        data, valid = next(values) or b"", int.from_bytes(next(values) or b"", "big")
        parts = _parts(data, rows, rows - valid)
        if parts is None:
            return None, 0
        arrays[name] = parts
        size += len(data)
    return pa.table({name: arrays[name] for name in (*pages.texts, *pages.numbers)}), size


def _measured(
    cursor: psycopg.Cursor[tuple[object, ...]], pages: Pages, start: int, end: int
) -> tuple[pa.Table | None, int]:
    """The rows of some pages, and how many bytes their texts have: the texts of a column joined, and their lengths."""
    text = sql.SQL("string_agg({0}, ''), array_agg(coalesce(octet_length({0}), -1))")
    values = _values(cursor, pages, start, end, lambda name: text.format(sql.Identifier(name)))
    rows = int.from_bytes(next(values) or b"", "big")
    arrays = {name: _numbers(next(values), rows) for name in pages.numbers}
    size = 0
    for name in pages.texts:
        data = next(values) or b""
        lengths = np.frombuffer(next(values) or b"", _LENGTHS, offset=_ARRAY_HEAD if rows else 0)["value"]
        arrays[name] = _strings(data, lengths.astype(np.int32))
        size += len(data)
    return pa.table({name: arrays[name] for name in (*pages.texts, *pages.numbers)}), size


def _values(
    cursor: psycopg.Cursor[tuple[object, ...]],
    pages: Pages,
    start: int,
    end: int,
    text: Callable[[str], sql.Composable],
) -> Iterator[bytes | None]:
    """The rows of some pages as one row: their number, each column of numbers as an array, and `text` of each other."""
    columns = [
        sql.SQL("count(*)"),
        *(sql.SQL("array_agg({})").format(sql.Identifier(name)) for name in pages.numbers),
        *map(text, pages.texts),
    ]
    query = sql.SQL("SELECT {} FROM {} WHERE ctid >= {}::tid AND ctid < {}::tid AND {}").format(
        sql.SQL(", ").join(columns),
        pages.table,
        sql.Literal(f"({start},0)"),
        sql.Literal(f"({end},0)"),
        pages.where,
    )
    cursor.execute(query, binary=True)
    result = cursor.pgresult
    assert result is not None
    return iter([result.get_value(0, i) for i in range(result.nfields)])


def _numbers(data: bytes | None, rows: int) -> pa.Array:
    array = np.frombuffer(data or b"", _NUMBERS, offset=_ARRAY_HEAD if rows else 0)["value"]
    return pa.array(array.astype(np.int64))


def _parts(data: bytes, rows: int, missing: int) -> pa.Array | None:
    """The parts of a text, of which so many stand for null; null where they are not as many as they should be."""
    text = np.frombuffer(data, np.uint8)
    marks = text == _PART
    ends = np.flatnonzero(marks)
    if not rows:
        return pa.array([], pa.string())
    if len(ends) != rows - 1:
        return None
    starts = np.concatenate(([0], ends + 1))
    lengths = np.concatenate((ends, [len(text)])) - starts
    if missing:
        nulls = np.flatnonzero(lengths == 1)
        nulls = nulls[text[starts[nulls]] == _NULL]
        if len(nulls) != missing:
            return None
        marks[starts[nulls]] = True
        lengths[nulls] = -1
    return _strings(text[~marks], lengths.astype(np.int32))


def _strings(
    data: bytes | np.ndarray[tuple[int], np.dtype[np.uint8]], lengths: np.ndarray[tuple[int], np.dtype[np.int32]]
) -> pa.Array:
    missing = lengths < 0
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(np.where(missing, 0, lengths), out=offsets[1:])
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    return pa.Array.from_buffers(pa.string(), len(lengths), [valid, pa.py_buffer(offsets), pa.py_buffer(data)])
