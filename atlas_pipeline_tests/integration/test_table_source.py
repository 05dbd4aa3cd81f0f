"""A table of another Postgres: what its values become, when it is loaded anew, what is said when it cannot be."""

# ruff: noqa: E501 — a fault and what is said about it stand in one line

import datetime as dt
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from psycopg import sql

from atlas_pipeline.ingest.sources import ServiceUnavailable, resilience
from atlas_pipeline.ingest.sources.postgres import TableSource
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.connect import OWNER
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests import projects

TABLE = '"Shop ""1"""."cus.tom\'ers"'
COLUMNS = """
    - {name: id, type: integer}
    - {name: 'full "name"', pii: none}
    - {name: note}
    - {name: photo}
    - {name: extra, type: json}
    - {name: tags}
    - {name: amount, type: decimal}
    - {name: changed_at, type: timestamp}
    - {name: born, type: date, pii: none}
    - {name: vip, type: boolean}
"""
DEFS = """type: atlas_pipeline.components.Dataset
attributes:
  source: {database: SHOP_DATABASE_URL, table: %s}
  key: id
  latest_by: changed_at
  columns:%s"""


@pytest.fixture
def shop(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A database of somebody else's, and the variable that says where it is."""
    name = f"shop{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.url(SUPERUSER, SUPERUSER), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
        url = postgres.url(name, OWNER)
        monkeypatch.setenv("SHOP_DATABASE_URL", url)
        resilience.breaker.cache_clear()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET timezone = 'Asia/Tokyo'")
            connection.execute('CREATE SCHEMA "Shop ""1"""')
            connection.execute(
                f'CREATE TABLE {TABLE} (id bigint, "full ""name""" text, note text, photo bytea, extra jsonb,'
                " tags text[], amount numeric, changed_at timestamptz, born date, vip boolean)"
            )
            yield connection
        resilience.breaker.cache_clear()
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def run(atlas_env: Path) -> Run:
    """One run of bronze/shoppers and silver/shoppers by Dagster."""

    def materialize(table: str = TABLE, columns: str = COLUMNS) -> dg.ExecuteInProcessResult:
        with create_defs_folder_sandbox() as sandbox:
            projects.write(sandbox, {"shoppers/defs.yaml": DEFS % (json.dumps(table), columns)})
            found = projects.load(sandbox)
        with dg.DagsterInstance.ephemeral() as instance:
            job = found.resolve_implicit_global_asset_job_def()
            return job.execute_in_process(instance=instance, raise_on_error=False)

    return materialize


def insert(shop: psycopg.Connection, *rows: tuple[object, ...]) -> None:
    for row in rows:
        marks = ", ".join(["%s"] * len(row))
        shop.execute(f"INSERT INTO {TABLE} VALUES ({marks})", row)  # type: ignore[arg-type]


def problem(result: dg.ExecuteInProcessResult) -> str:
    """What the failed step says."""
    assert not result.success
    (event, *_) = [event for event in result.all_events if event.is_step_failure]
    failure = event.step_failure_data.user_failure_data
    assert failure is not None, event.step_failure_data.error
    return str(failure.description)


@pytest.mark.slow
def test_values_arrive_as_they_are(run: Run, shop: psycopg.Connection, warehouse: psycopg.Connection) -> None:
    moment = dt.datetime(2024, 3, 31, 1, 30, 15, 123456, dt.UTC)
    insert(
        shop,
        (1, 'O"Neil, Ann', "", b"\x00\xff", '{"a": [1, null]}', ["x,y", 'q"', None], Decimal("1.50"), moment,
         dt.date(1990, 1, 2), True),
        (2, None, None, None, None, None, None, None, None, None),
        (3, "two\nlines\r\nand a tab\t", "\\N", b"", "[]", [], Decimal("-1e30"), moment, dt.date(1, 1, 1), False),
    )  # fmt: skip
    assert run().success
    rows = warehouse.execute(
        'SELECT id, "full ""name""", note, photo, extra, tags, amount, changed_at, born, vip'
        " FROM silver.shoppers ORDER BY id"
    ).fetchall()
    assert rows == [
        (1, 'O"Neil, Ann', "", "\\x00ff", {"a": [1, None]}, '{"x,y","q\\"",NULL}', Decimal("1.50"), moment,
         dt.date(1990, 1, 2), True),
        (2, None, None, None, None, None, None, None, None, None),
        (3, "two\nlines\r\nand a tab\t", "\\N", "\\x", [], "{}", Decimal("-1e30"), moment, dt.date(1, 1, 1), False),
    ]  # fmt: skip
    uris = warehouse.execute("SELECT DISTINCT uri FROM atlas.files").fetchall()
    assert uris == [(f"postgres://SHOP_DATABASE_URL/{TABLE}",)]


@pytest.mark.slow
def test_loaded_anew_only_when_it_changed(run: Run, shop: psycopg.Connection, warehouse: psycopg.Connection) -> None:
    early, late = dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    insert(shop, (1, "Ann", *[None] * 5, early, None, None), (2, "Bob", *[None] * 5, early, None, None))
    first, again = run(), run()
    assert first.success
    assert again.success

    def counts() -> tuple[object, ...]:
        row = warehouse.execute(
            "SELECT (SELECT count(*) FROM bronze.shoppers), count(*) FROM silver.shoppers"
        ).fetchone()
        warehouse.commit()
        assert row
        return row

    assert counts() == (2, 2)
    shop.execute(f'UPDATE {TABLE} SET "full ""name""" = %s, changed_at = %s WHERE id = 2', ["Rob", late])  # type: ignore[arg-type]
    insert(shop, (3, "Cid", *[None] * 5, early, None, None))
    assert run().success
    assert counts() == (5, 3)
    names = warehouse.execute('SELECT id, "full ""name""" FROM silver.shoppers ORDER BY id').fetchall()
    assert names == [(1, "Ann"), (2, "Rob"), (3, "Cid")]


@pytest.mark.slow
def test_an_empty_table_is_refused_with_the_reason(run: Run, shop: psycopg.Connection) -> None:
    (check,) = [one for one in run().get_asset_check_evaluations() if one.check_name == "files_readable"]
    assert not check.passed


FAULTS: dict[str, tuple[str | None, str, str]] = {
    "missing_variable": (None, TABLE, "SHOP_DATABASE_URL is not set: put the connection URL of the source database there"),
    "wrong_table": ("{url}", "public.nothing", "table public.nothing of SHOP_DATABASE_URL cannot be read: relation"),
    "unreadable_name": ("{url}", 'a"b', 'table a"b of SHOP_DATABASE_URL: expected schema.table or "schema"."table"'),
    "no_url": ("postgresql//u:hunter2@x", TABLE, "SHOP_DATABASE_URL holds no connection URL: expected postgresql://"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("url", "table", "message"), FAULTS.values(), ids=FAULTS)
def test_what_is_said_when_it_cannot_be_read(
    run: Run, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, url: str | None, table: str, message: str
) -> None:
    if url is None:
        monkeypatch.delenv("SHOP_DATABASE_URL")
    elif url != "{url}":
        monkeypatch.setenv("SHOP_DATABASE_URL", url)
    result = run(table)
    assert message in problem(result)
    texts = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    assert "hunter2" not in " ".join([problem(result), *texts])


@pytest.mark.slow
def test_a_server_that_is_away_is_left_alone_after_all_attempts(
    atlas_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SHOP_DATABASE_URL", f"postgresql://u:hunter2@127.0.0.1:{free.getsockname()[1]}/shop")
    resilience.breaker.cache_clear()
    source, said = TableSource("SHOP_DATABASE_URL", "public.a"), list[str]()
    for _ in range(3):
        with pytest.raises(ServiceUnavailable) as caught:
            source.list(load_settings())
        said.append(str(caught.value))
    resilience.breaker.cache_clear()
    service = "the server of SHOP_DATABASE_URL"
    assert said[0].startswith(f"{service} does not answer (OperationalError): connection failed: ")
    assert "Connection refused" in said[0]
    assert said[1:] == [f"{service} did not answer and is left alone for 60 s; then try again"] * 2
    assert "hunter2" not in " ".join(said)


@pytest.mark.slow
def test_nothing_is_written_to_the_source(run: Run, shop: psycopg.Connection) -> None:
    """The session is read-only, whatever a view of the source does when it is read."""
    shop.execute("CREATE SEQUENCE looks")
    shop.execute("CREATE VIEW public.nosy AS SELECT nextval('looks') AS id")
    (check,) = [one for one in run("public.nosy").get_asset_check_evaluations() if one.check_name == "files_readable"]
    assert "cannot execute nextval() in a read-only transaction" in str(check.metadata)
    assert shop.execute("SELECT is_called FROM looks").fetchone() == (False,)
