"""SQL Server as far as it shows without one: its driver, what is said without it, statements in its dialect."""

import datetime as dt
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.ingest.connectors.isolation import isolated
from atlas_pipeline.ingest.connectors.tally import Tally
from atlas_pipeline.ingest.sources import SourceError
from atlas_pipeline.settings import PROJECT_ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("mssql://atlas:hunter2@db.example:1433/shop", "mssql+pymssql"),
        ("sqlserver://atlas:hunter2@db.example/shop", "mssql+pymssql"),
        ("mssql+pyodbc://atlas:hunter2@db.example/shop?driver=ODBC+Driver+18+for+SQL+Server", None),
    ],
)
def test_the_driver_of_sql_server(url: str, driver: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from atlas_pipeline.ingest.connectors.sql import engine_of

    monkeypatch.setenv("SHOP_DATABASE_URL", url)
    if driver is None:
        with pytest.raises(SourceError, match=r"driver mssql\+pyodbc of SHOP_DATABASE_URL is not installed") as caught:
            engine_of("SHOP_DATABASE_URL")
        assert "hunter2" not in str(caught.value)
        return
    engine = engine_of("SHOP_DATABASE_URL")
    assert engine.url.drivername == driver
    extra = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(wanted.startswith(driver.partition("+")[2]) for wanted in extra["connectors"])


def test_a_missing_driver_of_sql_server_is_said_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from atlas_pipeline.ingest.connectors.sql import engine_of

    monkeypatch.setenv("SHOP_DATABASE_URL", "mssql://atlas:hunter2@db.example:1433/shop")
    monkeypatch.setitem(sys.modules, "pymssql", None)
    with pytest.raises(SourceError, match=r"pymssql is missing.*pip install 'atlas-pipeline\[connectors\]'") as caught:
        engine_of("SHOP_DATABASE_URL")
    assert "hunter2" not in str(caught.value)


class _Spy:
    """What SQLAlchemy takes for a session of SQL Server: it answers what the dialect asks of a new one, and keeps the
    statements. No server is to be had; what one makes of them is not shown."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Any]] = []
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self._rows: list[tuple[Any, ...]] = []

    def cursor(self) -> "_Spy":
        return self

    def execute(self, statement: str, parameters: Any = None) -> None:
        self._rows, names = [], ["answer"]
        if "@@version" in statement.lower():
            self._rows = [("Microsoft SQL Server 2019 - 15.0.2000.5",)]
        elif "SCHEMA_NAME" in statement.upper():
            self._rows = [("dbo",)]
        elif "atlas_query" in statement:
            self.statements.append((statement, parameters))
            names = ["id", "updated_at"]
            self._rows = [] if "1 = 0" in statement else [(7, dt.datetime(2024, 1, 2))]
        self.description = [(name, *[None] * 6) for name in names]

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def close(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...


def test_what_sql_server_is_asked_is_of_its_dialect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    from atlas_pipeline.ingest.connectors import Cursor, SqlDatabase
    from atlas_pipeline.ingest.connectors import sql as connecting

    monkeypatch.setenv("SHOP_DATABASE_URL", "mssql://atlas:hunter2@db.example:1433/shop")
    spy, made = _Spy(), connecting.engine_of

    def engine_of(database: str) -> sa.Engine:
        engine = made(database)
        sa.event.listen(engine, "do_connect", lambda *_: spy)
        return engine

    monkeypatch.setattr(connecting, "engine_of", engine_of)
    query = "SELECT id, updated_at FROM dbo.orders"
    connector = SqlDatabase("SHOP_DATABASE_URL", query=query, cursor=Cursor("updated_at", initial="2024-01-01"))
    with isolated(tmp_path, {}):
        found = [row for block in connecting.rows(connector, Tally()) for row in block]
    assert found == [{"id": 7, "updated_at": dt.datetime(2024, 1, 2)}]
    ((head, _), (asked, parameters)) = spy.statements
    assert head == f"SELECT * FROM ({query}) AS atlas_query WHERE 1 = 0"
    assert " ".join(asked.split()) == (
        f"SELECT atlas_query.id, atlas_query.updated_at FROM ({query}) AS atlas_query"
        " WHERE atlas_query.updated_at >= %(updated_at_1)s"
    )
    assert parameters == {"updated_at_1": dt.datetime(2024, 1, 1)}


def test_the_next_rows_of_a_table_of_sql_server_are_selected_in_its_dialect() -> None:
    import sqlalchemy as sa
    from sqlalchemy.dialects import mssql

    table = sa.Table("order", sa.MetaData(schema="dbo"), sa.Column("id", sa.types.NullType()), sa.Column("at"))
    statement = sa.select(table).where(table.c.at >= dt.datetime(2024, 1, 1)).limit(1)
    text = " ".join(str(statement.compile(dialect=mssql.dialect())).split())
    assert text.startswith("SELECT TOP ")
    assert text.endswith("FROM dbo.[order] WHERE dbo.[order].at >= :at_1")
