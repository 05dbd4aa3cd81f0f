"""Rows of Postgres as Arrow tables."""

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from atlas_pipeline.warehouse.arrow import copy_blocks

COLUMNS = {"n": pa.int64(), "text": pa.string(), "more": pa.string()}
ROWS = [
    (1, "plain", None),
    (2, "", 'a "quoted", text'),
    (3, None, "two\nlines\r\nand \\N"),
    (4, "NULL", ""),
    (5, " ", "é 日本 \\."),
]


def test_a_query_is_read_in_blocks_with_null_and_empty_text_told_apart(warehouse: psycopg.Connection) -> None:
    values = sql.SQL(", ").join(sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row))) for row in ROWS)
    query = sql.SQL("SELECT * FROM (VALUES {}) t (n, text, more) ORDER BY n").format(values)
    for size, sizes in ((2, [2, 2, 1]), (5, [5]), (100, [5])):
        blocks = list(copy_blocks(warehouse, query, COLUMNS, size))
        assert [block.num_rows for block in blocks] == sizes
        table = pa.concat_tables(blocks)
        assert table.schema == pa.schema(COLUMNS)
        assert [tuple(row.values()) for row in table.to_pylist()] == ROWS


def test_a_single_column_of_missing_values_has_rows(warehouse: psycopg.Connection) -> None:
    query = sql.SQL("SELECT NULL::text FROM generate_series(1, 3)")
    (block,) = copy_blocks(warehouse, query, {"text": pa.string()}, 10)
    assert block.to_pydict() == {"text": [None] * 3}


def test_a_query_without_rows_has_no_block(warehouse: psycopg.Connection) -> None:
    assert list(copy_blocks(warehouse, sql.SQL("SELECT 1 WHERE false"), {"n": pa.int64()}, 10)) == []


def test_a_block_is_bounded_by_its_bytes_too(warehouse: psycopg.Connection) -> None:
    query = sql.SQL("SELECT repeat('x', 10000000) FROM generate_series(1, 9)")
    blocks = list(copy_blocks(warehouse, query, {"text": pa.string()}, 50_000))
    assert [block.num_rows for block in blocks] == [4, 4, 1]


def test_an_error_in_the_middle_is_raised_and_the_connection_stays_usable(warehouse: psycopg.Connection) -> None:
    query = sql.SQL("SELECT 1 / (50000 - n) FROM generate_series(1, 60000) n")
    blocks = copy_blocks(warehouse, query, {"n": pa.int64()}, 10_000)
    assert next(blocks).num_rows == 10_000
    with pytest.raises(psycopg.errors.DivisionByZero):
        list(blocks)
    warehouse.rollback()
    assert warehouse.execute("SELECT 1").fetchone() == (1,)


def test_reading_may_end_early(warehouse: psycopg.Connection) -> None:
    blocks = copy_blocks(warehouse, sql.SQL("SELECT generate_series(1, 10000000)"), {"n": pa.int64()}, 10)
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    warehouse.rollback()
    assert warehouse.execute("SELECT 1").fetchone() == (1,)
