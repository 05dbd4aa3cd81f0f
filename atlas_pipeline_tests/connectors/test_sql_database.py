"""Tables and queries of SQLite and Postgres: what is loaded, what a next load changes, what is said when it fails."""

import datetime as dt
import sqlite3
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from atlas_pipeline.warehouse.connect import OWNER
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.connectors.conftest import Read, Run, problem

pytestmark = pytest.mark.slow

WHOLE = """
source: {sql_database: {database: SHOP_DATABASE_URL, table: things}}
key: id
columns:
- {name: id, type: integer}
- {name: name, pii: none}
- {name: amount, type: decimal}
"""
SINCE = """
source: {sql_database: {database: SHOP_DATABASE_URL, table: things, cursor: at}}
columns:
- {name: id, type: integer}
- {name: name, pii: none}
- {name: at, type: timestamp}
"""


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A SQLite database of somebody else's, and the variable that says where it is."""
    path = tmp_path / "shop.db"
    monkeypatch.setenv("SHOP_DATABASE_URL", f"sqlite:///{path}")
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def shop(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A Postgres database of somebody else's, and the variable that says where it is."""
    name = f"shop{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
        url = postgres.url(name, OWNER)
        monkeypatch.setenv("SHOP_DATABASE_URL", url)
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_snapshot_of_sqlite_follows_updates_and_deletes(lite: sqlite3.Connection, run: Run, read: Read) -> None:
    lite.execute("CREATE TABLE things (id integer primary key, name text, amount numeric(10,2))")
    lite.execute("INSERT INTO things VALUES (1, 'a', 1.005), (2, '', 20000000000.25), (3, NULL, NULL)")
    assert run(WHOLE).success
    assert read("SELECT id, name, amount FROM silver.things ORDER BY id") == [
        (1, "a", Decimal("1.005")),
        (2, "", Decimal("20000000000.25")),
        (3, None, None),
    ]
    lite.execute("UPDATE things SET name = 'b' WHERE id = 1")
    lite.execute("DELETE FROM things WHERE id = 3")
    assert run(WHOLE).success
    assert read("SELECT id, name FROM silver.things ORDER BY id") == [(1, "b"), (2, "")]
    assert run(WHOLE).success
    loaded = "SELECT status, count(*) FROM atlas.files GROUP BY status ORDER BY status"
    assert read(loaded) == [("duplicate", 1), ("loaded", 2)]


def test_a_snapshot_that_is_suddenly_empty_is_refused(lite: sqlite3.Connection, run: Run, read: Read) -> None:
    lite.execute("CREATE TABLE things (id integer primary key, name text, amount numeric)")
    lite.execute("INSERT INTO things VALUES (1, 'a', 1)")
    assert run(WHOLE).success
    lite.execute("DELETE FROM things")
    run(WHOLE)
    assert read("SELECT rule FROM atlas.files ORDER BY file_id DESC LIMIT 1") == [("header_only",)]
    assert read("SELECT count(*) FROM silver.things") == [(1,)]


def test_values_of_postgres_arrive_as_they_are(shop: psycopg.Connection, run: Run, read: Read) -> None:
    shop.execute("SET timezone = 'Asia/Tokyo'")
    shop.execute('CREATE SCHEMA "my shop"')
    shop.execute(
        'CREATE TABLE "my shop"."my things" (id bigint primary key, "full ""name""" text, extra jsonb, tags text[],'
        " amount numeric, at timestamptz, naive timestamp, day date, span interval, flag boolean, photo bytea, u uuid)"
    )
    shop.execute(
        """INSERT INTO "my shop"."my things" VALUES
        (1, E'O"Neil,\n%(x)s', '{"a": [1, null], "n": 1.10}', '{a,b}', -1e30, '2024-03-31 01:30:15.123456+00',
         '2024-03-31 02:30', '1990-01-02', '1 mon 2 days', true, '\\x00ff', '00000000-0000-0000-0000-000000000001'),
        (2, '', NULL, NULL, 'NaN', 'infinity', NULL, '0044-03-15 BC', NULL, false, NULL, NULL)"""
    )
    attributes = """
source: {sql_database: {database: SHOP_DATABASE_URL, table: my shop.my things}}
key: id
columns:
- {name: id, type: integer}
- {name: 'full "name"', pii: none}
- {name: extra, pii: none}
- {name: amount}
- {name: at}
- {name: day, pii: none}
- {name: photo}
"""
    result = run(attributes)
    assert result.success
    columns = 'id, "full ""name""", extra, tags, amount, at, naive, day, span, flag, photo, u'
    rows = read(f"SELECT {columns} FROM bronze.things")
    assert sorted(rows) == [
        ("1", 'O"Neil,\n%(x)s', '{"a": [1, null], "n": 1.10}', '["a","b"]', "-1" + "0" * 30,
         "2024-03-31 01:30:15.123456+00:00", "2024-03-31 02:30:00", "1990-01-02", "P1M2D", "true", "\\x00ff",
         "00000000-0000-0000-0000-000000000001"),
        ("2", "", None, None, "NaN", "infinity", None, "0044-03-15 BC", None, "false", None, None),
    ]  # fmt: skip


def test_a_cursor_loads_only_what_is_new_and_nothing_twice(shop: psycopg.Connection, run: Run, read: Read) -> None:
    shop.execute("CREATE TABLE things (id bigint primary key, name text, at timestamp)")
    moment = dt.datetime(2024, 1, 1, 12, 0, 0, 5)
    shop.execute("INSERT INTO things VALUES (1, 'a', %s), (2, 'b', %s)", [moment - dt.timedelta(1), moment])
    assert run(SINCE).success
    # The same moment as the newest row of before, once more, and one that is later.
    shop.execute("INSERT INTO things VALUES (3, 'c', %s), (4, 'd', %s)", [moment, moment + dt.timedelta(1)])
    assert run(SINCE).success
    assert read("SELECT id, name FROM silver.things ORDER BY id") == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert run(SINCE).success
    assert read("SELECT rows FROM atlas.files ORDER BY file_id") == [(2,), (2,)]
    # Without a key each version of a row stays; with one, the newest.
    shop.execute("UPDATE things SET name = 'B', at = %s WHERE id = 2", [moment + dt.timedelta(2)])
    assert run(SINCE).success
    assert read("SELECT name FROM silver.things WHERE id = 2 ORDER BY name") == [("B",), ("b",)]
    assert run(SINCE + "key: id\n").success
    assert read("SELECT name FROM silver.things WHERE id = 2") == [("B",)]


def test_a_row_that_changes_within_the_same_moment_is_loaded(shop: psycopg.Connection, run: Run, read: Read) -> None:
    shop.execute("CREATE TABLE things (id bigint primary key, name text, at timestamp)")
    shop.execute("INSERT INTO things VALUES (1, 'a', '2024-01-01')")
    assert run(SINCE + "key: id\n").success
    shop.execute("UPDATE things SET name = 'b'")
    assert run(SINCE + "key: id\n").success
    assert read("SELECT name FROM silver.things") == [("b",)]


def test_a_query_with_a_cursor_and_a_start(shop: psycopg.Connection, run: Run, read: Read) -> None:
    shop.execute("CREATE TABLE orders (n bigint, name text, at timestamptz)")
    shop.execute("INSERT INTO orders SELECT i, 'x:y', '2024-01-01Z'::timestamptz + i * '1 day'::interval"
                 " FROM generate_series(0, 9) i")  # fmt: skip
    attributes = """
source:
  sql_database:
    database: SHOP_DATABASE_URL
    query: SELECT n AS id, name, at FROM orders WHERE name <> 'a:b';
    cursor: {column: at, initial: '2024-01-06T00:00:00+00:00'}
columns:
- {name: id, type: integer}
- {name: name, pii: none}
- {name: at, type: timestamp}
"""
    assert run(attributes).success
    assert read("SELECT id FROM silver.things ORDER BY id") == [(5,), (6,), (7,), (8,), (9,)]
    shop.execute("INSERT INTO orders VALUES (10, 'z', '2024-02-01Z')")
    assert run(attributes).success
    assert read("SELECT count(*), max(id) FROM silver.things") == [(6, 10)]


def test_a_row_without_a_cursor_value_is_not_lost_unseen(shop: psycopg.Connection, run: Run, read: Read) -> None:
    shop.execute("CREATE TABLE things (id bigint primary key, name text, at timestamp)")
    shop.execute("INSERT INTO things VALUES (1, 'secret-value', NULL)")
    said = problem(run(SINCE))
    assert "no value in the cursor column" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hunter2-not-a-url", "SHOP_DATABASE_URL holds no connection URL"),
        ("oracle://u:hunter2@h/x", "unknown kind of database: expected one of mariadb, mssql"),
        ("sqlite:////nowhere/hunter2.db", "the file that SHOP_DATABASE_URL names is not there"),
        ("mysql+hunter2://u:hunter2@h/x", "driver"),
        ("sqlite://", "needs the path"),
    ],
)
def test_a_wrong_url_is_never_shown(
    url: str, said: str, run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import re

    monkeypatch.setenv("SHOP_DATABASE_URL", url)
    monkeypatch.setattr("atlas_pipeline.ingest.connectors.sql._ATTEMPTS", 1)
    result = run(WHOLE)
    assert re.search(said, problem(result))
    if "+hunter2" not in url:
        assert "hunter2" not in problem(result) + "".join(capfd.readouterr())
