"""A MariaDB of the tests' own: values, updates and deletes between loads, and refusals that show no password."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from atlas_pipeline_tests.connectors.conftest import Read, Run, problem
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow

SERVER = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
PASSWORD = "hunter2-in-a-url"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Its port."""
    if not Path(SERVER).exists():
        pytest.skip("mariadb-server is not installed")
    folder = Path(tempfile.mkdtemp(prefix="atlas-maria-"))
    shutil.chown(folder, "mysql")
    [port] = free_ports(1)
    common = ["--no-defaults", "--user=mysql", f"--datadir={folder}/data"]
    subprocess.run(["mariadb-install-db", *common, "--skip-test-db"], check=True, capture_output=True)
    options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/socket", f"--pid-file={folder}/pid"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SERVER, *common, *options, "--skip-log-bin"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "socket").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with pymysql.connect(unix_socket=f"{folder}/socket", user="root") as root, root.cursor() as cursor:
            cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
            cursor.execute(f"CREATE USER atlas@'%' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute("GRANT ALL ON shop.* TO atlas@'%'")
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture
def shop(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cursor in the database, and the variable that says where it is."""
    monkeypatch.setenv("SHOP_DATABASE_URL", f"mysql://atlas:{PASSWORD}@127.0.0.1:{server}/shop?charset=utf8mb4")
    connection = pymysql.connect(
        host="127.0.0.1", port=server, user="atlas", password=PASSWORD, database="shop", autocommit=True
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS things")
        yield cursor


def test_values_arrive_as_they_are(shop: Any, run: Run, read: Read) -> None:
    shop.execute(
        "CREATE TABLE things (id bigint unsigned primary key, name text, amount decimal(30,10), at datetime(6),"
        " stamp timestamp(6) NULL, day date, span time(6), flag tinyint(1), extra json, photo blob,"
        " bits bit(8), y year)"
    )
    shop.execute("SET time_zone = '+09:00', sql_mode = ''")
    shop.execute(
        "INSERT INTO things VALUES (18446744073709551615, '007 €😀', 1.10, '2024-01-02 03:04:05.000006',"
        " '2024-01-02 03:04:05', '2024-02-29', '-100:00:01.5', 1, '{\"n\": 1.10}', x'00ff', b'1', 2024),"
        " (1, '', NULL, NULL, NULL, '0000-00-00', NULL, NULL, NULL, '', NULL, NULL)"
    )
    attributes = """
source: {sql_database: {database: SHOP_DATABASE_URL, table: things}}
key: id
columns: [{name: id, type: decimal}, {name: name, pii: none}]
"""
    assert run(attributes).success
    columns = "id, name, amount, at, stamp, day, span, flag, extra, photo, bits, y"
    assert sorted(read(f"SELECT {columns} FROM bronze.things")) == [
        ("1", "", None, None, None, "0000-00-00", None, None, None, "\\x", None, None),
        ("18446744073709551615", "007 €😀", "1.1000000000", "2024-01-02 03:04:05.000006", "2024-01-01 18:04:05",
         "2024-02-29", "-100:00:01.500000", "1", '{"n": 1.10}', "\\x00ff", "\\x01", "2024"),
    ]  # fmt: skip


def test_rows_that_were_updated_and_deleted_between_loads(shop: Any, run: Run, read: Read) -> None:
    shop.execute("CREATE TABLE things (id int primary key, name text, at timestamp(6) default now(6) on update now(6))")
    shop.execute("INSERT INTO things (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    columns = "columns: [{name: id, type: integer}, {name: name, pii: none}]\nkey: id\n"
    whole = f"source: {{sql_database: {{database: SHOP_DATABASE_URL, table: shop.things}}}}\n{columns}"
    assert run(whole).success
    shop.execute("DELETE FROM things WHERE id = 3")
    shop.execute("UPDATE things SET name = 'B' WHERE id = 2")
    assert run(whole).success
    assert read("SELECT id, name FROM silver.things ORDER BY id") == [(1, "a"), (2, "B")]
    since = whole.replace("shop.things}", "things, cursor: at}")
    assert run(since).success
    shop.execute("UPDATE things SET name = 'A' WHERE id = 1")
    shop.execute("DELETE FROM things WHERE id = 2")
    assert run(since).success
    assert read("SELECT id, name FROM silver.things ORDER BY id") == [(1, "A"), (2, "B")]
    assert read("SELECT rows FROM atlas.files ORDER BY file_id DESC LIMIT 1") == [(1,)]


def test_a_query_cannot_write(shop: Any, run: Run, read: Read) -> None:
    shop.execute("CREATE TABLE things (id int primary key)")
    shop.execute("CREATE OR REPLACE FUNCTION grow() RETURNS int DETERMINISTIC MODIFIES SQL DATA"
                 " BEGIN INSERT INTO things VALUES (1); RETURN 1; END")  # fmt: skip
    attributes = """
source: {sql_database: {database: SHOP_DATABASE_URL, query: SELECT grow() AS id}}
columns: [{name: id, type: integer}]
"""
    assert "cannot be read" in problem(run(attributes))
    shop.execute("SELECT count(*) FROM things")
    assert shop.fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((PASSWORD, "hunter2-wrong"), r"OperationalError 1045"),
        (("/shop", "/hunter2"), r"OperationalError 1(044|049)"),
        (("127.0.0.1", "127.0.0.2"), r"went away|table things"),
    ],
)
def test_a_refusal_shows_no_password(
    change: tuple[str, str], said: str, shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import os
    import re

    shop.execute("CREATE TABLE things (id int primary key)")
    monkeypatch.setattr("atlas_pipeline.ingest.connectors.sql._ATTEMPTS", 1)
    monkeypatch.setenv("SHOP_DATABASE_URL", os.environ["SHOP_DATABASE_URL"].replace(*change))
    attributes = """
source: {sql_database: {database: SHOP_DATABASE_URL, table: things}}
key: id
columns: [{name: id, type: integer}]
"""
    text = problem(run(attributes))
    assert re.search(said, text), text
    assert "hunter2" not in text + "".join(capfd.readouterr())
