"""Tables of text by ranges of pages: the same rows as a COPY gives, in blocks that stay small."""

import psycopg
import pyarrow as pa
from psycopg import sql

from atlas_pipeline.warehouse.arrow import copy_blocks
from atlas_pipeline.warehouse.pages import Pages, page_blocks, readable

TABLE = sql.Identifier("bronze", "things")
TEXTS = ("a", "b", "none")
ODD = ("plain", None, "", 'a "quoted", text', "two\nlines\r\nand \\N", "é 日本 \\.", " ", "NULL", "x" * 500)


def fill(connection: psycopg.Connection, rows: int) -> None:
    connection.execute("CREATE TABLE bronze.things (a text, file bigint NOT NULL, none text, b text)")
    with connection.cursor().copy("COPY bronze.things (a, b, file) FROM STDIN") as copy:
        for n in range(rows):
            copy.write_row((ODD[n % len(ODD)], ODD[n % 7], n % 3))
    connection.commit()


def by_pages(connection: psycopg.Connection, where: str = "true", most_rows: int = 50_000) -> list[pa.Table]:
    connection.rollback()
    blocks = list(page_blocks(connection, Pages(TABLE, TEXTS, ("file",), sql.SQL(where), most_rows)))
    connection.rollback()
    return blocks


def by_copy(connection: psycopg.Connection, where: str = "true") -> pa.Table:
    types = dict.fromkeys(TEXTS, pa.string()) | {"file": pa.int64()}
    query = sql.SQL("SELECT a, b, none, file FROM {} WHERE {}").format(TABLE, sql.SQL(where))
    return pa.concat_tables([pa.schema(types).empty_table(), *copy_blocks(connection, query, types, 10_000)])


def test_the_rows_are_those_of_a_copy(warehouse: psycopg.Connection) -> None:
    fill(warehouse, 30_000)
    warehouse.execute("DELETE FROM bronze.things WHERE file = 1 AND a IS NULL")
    warehouse.commit()
    for where in ("true", "file = ANY('{0,2}')", "a IS NULL", "false"):
        blocks = by_pages(warehouse, where)
        table = pa.concat_tables([by_copy(warehouse, "false"), *blocks])
        table.validate(full=True)
        assert table.equals(by_copy(warehouse, where)), where
    assert len(by_pages(warehouse)) > 1
    assert max(block.num_rows for block in by_pages(warehouse, most_rows=1000)) < 10_000


def test_control_characters_in_texts_part_nothing_and_stand_for_nothing(warehouse: psycopg.Connection) -> None:
    marks = ("\x1f", "\x1e", "a\x1fb", "\x1e\x1f\x1e", "a\x1e", "\x1f\x1f", None, "", "plain")
    for others in (("plain",), ("plain", None), (None,)):
        for mark in marks:
            warehouse.execute("DROP TABLE IF EXISTS bronze.things")
            warehouse.execute("CREATE TABLE bronze.things (a text, file bigint NOT NULL, none text, b text)")
            with warehouse.cursor().copy("COPY bronze.things (a, b, file) FROM STDIN") as copy:
                for n in range(12_000):
                    copy.write_row((mark if n in (3, 11_000) else others[n % len(others)], f"text {n}", n))
            warehouse.commit()
            blocks = by_pages(warehouse)
            assert len(blocks) > 1
            for block in blocks:
                block.validate(full=True)
            assert pa.concat_tables(blocks).equals(by_copy(warehouse)), (mark, others)


def test_an_empty_table_has_no_block(warehouse: psycopg.Connection) -> None:
    fill(warehouse, 0)
    assert by_pages(warehouse) == []


def test_each_block_is_read_from_its_pages_alone_and_from_one_state_of_the_table(
    warehouse: psycopg.Connection, warehouse_url: str
) -> None:
    fill(warehouse, 30_000)
    blocks = page_blocks(warehouse, Pages(TABLE, TEXTS, ("file",), sql.SQL("true"), 50_000))
    rows = next(blocks).num_rows
    with psycopg.connect(warehouse_url) as other:
        other.execute("DELETE FROM bronze.things")
    (read,) = warehouse.execute(
        "SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_xact_user_tables WHERE relname = 'things'"
    ).fetchone() or (None,)
    assert read == 0
    assert rows + sum(block.num_rows for block in blocks) == 30_000


def test_tables_whose_values_lie_elsewhere_are_not_read_so(warehouse: psycopg.Connection) -> None:
    fill(warehouse, 10)
    assert readable(warehouse, TABLE)
    wide = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n"
    warehouse.execute(f"UPDATE bronze.things SET b = ({wide}) WHERE a = 'plain'")
    assert not readable(warehouse, TABLE)
    assert not readable(warehouse, sql.Identifier("bronze", "nothing"))
