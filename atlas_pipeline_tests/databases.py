"""Databases on the server that the tests of a process share; most are copies of one that was set up once.

Belongs here: making and dropping them. Does not belong here: starting servers (`servers.py`), and what is handed to
tests (`conftest.py`).
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from dagster_postgres import DagsterPostgresStorage
from psycopg import sql

from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import OWNER, connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres


def hurry(server: EmbeddedPostgres) -> None:
    """Have the server wait for no disk; what it holds is thrown away at the end."""
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        _run(server, sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
    _run(server, sql.SQL("SELECT pg_reload_conf()"))


def create(server: EmbeddedPostgres, template: str = "template1") -> str:
    """Make a database of the pipeline's role, a copy of `template`, to which nobody may be connected. Returns its URL.

    Files are copied, which takes a fifth of the time of copying through the log, on a server that waits for no disk.
    """
    name = f"t{uuid.uuid4().hex[:12]}"
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy")
    _run(server, statement.format(sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)))
    return server.url(name, OWNER)


@contextmanager
def lent(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A copy of `template` that is dropped at the end."""
    url = create(server, template)
    yield url
    _run(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_name(url))))


def warehouse_template(server: EmbeddedPostgres) -> str:
    """Make a warehouse that is set up and empty. Returns its name."""
    url = create(server)
    with connect(url) as connection:
        prepare_warehouse(connection)
    return _name(url)


def dagster_template(server: EmbeddedPostgres) -> str:
    """Make a database with Dagster's tables. Returns its name."""
    url = create(server)
    DagsterPostgresStorage(url.replace("postgresql", "postgresql+psycopg2", 1))
    return _name(url)


def _name(url: str) -> str:
    return url.split("@/")[1].split("?")[0]


def _run(server: EmbeddedPostgres, statement: sql.SQL | sql.Composed) -> None:
    with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute(statement)
