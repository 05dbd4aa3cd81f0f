"""What a restore needs is said before it begins, and what is said is enough: roles with few rights, on real servers."""

import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from atlas_pipeline.backup.engine import BackupFailed, RestoreFailed
from atlas_pipeline.backup.manifest import Backup
from atlas_pipeline.backup.pg_dump import PgDump, difference
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.backup.swap import undo
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import execute

pytestmark = pytest.mark.slow
NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
_STATEMENT = re.compile(r": ((?:GRANT|ALTER ROLE) .*?)(?=;|$)")


class Site:
    """A server with a database whose owner may do nothing else, one role that reads it and one that restores it."""

    def __init__(self, server: EmbeddedPostgres, folder: Path):
        token = uuid.uuid4().hex[:6]
        self.server = server
        self.admin = server.url(SUPERUSER, SUPERUSER)
        self.owner, self.reader, self.restorer = (f"{name}-{token}" for name in ("owner", "reader", "restorer"))
        self.name = f"site_{token}"
        self.backups = Backups(FolderStore(folder / "store"), PgDump(folder / "spool"), Options())

    def build(self) -> None:
        roles = (self.owner, self.reader, self.restorer)
        execute(self.admin, *(f'CREATE ROLE "{role}" LOGIN' for role in roles))
        execute(self.admin, f'CREATE DATABASE {self.name} OWNER "{self.owner}"')
        execute(self.admin, f'GRANT pg_read_all_data TO "{self.reader}"')
        execute(
            self.url(self.owner),
            "CREATE TABLE says AS SELECT 'first' word",
            "CREATE SCHEMA other",
            "CREATE TABLE other.big AS SELECT i, md5(i::text) a FROM generate_series(1, 30000) i",
            f'GRANT USAGE ON SCHEMA other TO "{self.reader}"',
            f'GRANT SELECT ON other.big TO "{self.reader}"',
        )

    def remove(self) -> None:
        for name in self.databases():
            if name.startswith(self.name):
                execute(self.admin, f'DROP DATABASE "{name}" WITH (FORCE)')
        for role in (self.restorer, self.reader, self.owner):
            execute(self.admin, f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')

    def url(self, role: str) -> str:
        return self.server.url(self.name, role)

    def as_restorer(self, server: EmbeddedPostgres | None = None) -> str:
        return conninfo.make_conninfo((server or self.server).url("postgres", self.restorer))

    def databases(self) -> list[str]:
        with closing(connect(self.admin)) as connection:
            return [name for (name,) in connection.execute("SELECT datname FROM pg_database ORDER BY 1")]

    def word(self) -> str:
        with closing(connect(self.url(self.owner))) as connection:
            row = connection.execute("SELECT word FROM says").fetchone()
        return str(row[0]) if row else ""


@pytest.fixture
def site(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Site]:
    made = Site(postgres, tmp_path)
    made.build()
    yield made
    made.remove()


def refused(site: Site, backup: Backup, url: str) -> str:
    """What a restore says that does not begin."""
    with pytest.raises(RestoreFailed) as caught:
        site.backups.restore(backup, url, NOW)
    assert f"the role {site.restorer} may not restore {site.name}, and nothing was changed" in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_named_and_is_all_that_is_needed(site: Site) -> None:
    backup = site.backups.run(site.name, site.url(site.reader), "daily")
    execute(site.url(site.owner), "UPDATE says SET word = 'second'")
    before, state = site.databases(), site.backups.engine.state(site.url(site.reader))
    with psycopg.connect(site.url(site.reader)):
        said = refused(site, backup, site.as_restorer())
    statements = _STATEMENT.findall(said)
    assert statements == [
        f'ALTER ROLE "{site.restorer}" CREATEDB',
        f'GRANT pg_signal_backend TO "{site.restorer}"',
        f'GRANT "{site.owner}" TO "{site.restorer}" WITH INHERIT TRUE, SET TRUE',
    ]
    assert site.databases() == before
    assert site.backups.engine.state(site.url(site.reader)) == state
    assert site.backups.catalogue.get("latest", site.name).verified, "that was no fault of the backup"
    for statement in statements:
        refused_without(site, backup, statements, statement)
    with psycopg.connect(site.url(site.reader)) as other:
        proof, kept = site.backups.restore(backup, site.as_restorer(), NOW)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")
    assert (proof.problem, proof.detail) == (None, {})
    assert kept in site.databases()
    assert site.word() == "first"
    assert difference(backup.manifest.state, site.backups.engine.state(site.url(site.reader))) == []
    execute(site.admin, f'REVOKE "{site.owner}" FROM "{site.restorer}"')
    with pytest.raises(RestoreFailed, match=f'GRANT "{site.owner}" TO "{site.restorer}"'):
        undo(site.as_restorer(), site.name, NOW)
    assert site.word() == "first"
    execute(site.admin, f'GRANT "{site.owner}" TO "{site.restorer}"')
    undo(site.as_restorer(), site.name, NOW)
    assert site.word() == "second"


def refused_without(site: Site, backup: Backup, statements: list[str], one: str) -> None:
    """Do what was asked for but for one thing, see that refused, and do it too."""
    execute(site.admin, *(statement for statement in statements if statement != one))
    undone = f'ALTER ROLE "{site.restorer}" NOCREATEDB'
    if one.startswith("GRANT"):
        undone = one.replace("GRANT", "REVOKE").replace(" TO ", " FROM ").split(" WITH ")[0]
    execute(site.admin, undone)
    with psycopg.connect(site.url(site.reader)):
        assert _STATEMENT.findall(refused(site, backup, site.as_restorer())) == [one]
    execute(site.admin, one)


def test_a_server_without_the_roles(site: Site, elsewhere: EmbeddedPostgres) -> None:
    execute(site.admin, f'ALTER ROLE "{site.reader}" BYPASSRLS')
    backup = site.backups.run(site.name, site.url(site.reader), "daily")
    there = elsewhere.url(SUPERUSER, SUPERUSER)
    execute(there, f'CREATE ROLE "{site.restorer}" LOGIN')
    statements = _STATEMENT.findall(refused(site, backup, site.as_restorer(elsewhere)))
    assert statements == [
        f'ALTER ROLE "{site.restorer}" CREATEDB',
        f'ALTER ROLE "{site.restorer}" CREATEROLE',
        f'ALTER ROLE "{site.restorer}" BYPASSRLS',
        f'GRANT "pg_read_all_data" TO "{site.restorer}" WITH ADMIN OPTION',
    ]
    execute(there, *statements)
    proof, kept = site.backups.restore(backup, site.as_restorer(elsewhere), NOW)
    assert (proof.problem, kept) == (None, None)
    restored = site.backups.engine.state(elsewhere.url(site.name, SUPERUSER))
    assert difference(backup.manifest.state, restored) == []


def test_what_only_an_administrator_may(site: Site) -> None:
    backup = site.backups.run(site.name, site.url(site.reader), "daily")
    execute(site.admin, f'ALTER ROLE "{site.restorer}" CREATEDB', f'GRANT "{site.owner}" TO "{site.restorer}"')
    with psycopg.connect(site.url(SUPERUSER)):
        said = refused(site, backup, site.as_restorer())
    assert f"sessions of {SUPERUSER}, a superuser, that are in {site.name}: end them" in said
    execute(site.admin, f"ALTER DATABASE {site.name} OWNER TO {SUPERUSER}")
    assert f"SUPERUSER, which {SUPERUSER}, who owns something, is" in refused(site, backup, site.as_restorer())


def test_a_role_that_may_not_read_does_not_back_up(site: Site) -> None:
    with pytest.raises(BackupFailed, match=f"the role {site.restorer} may not read .*: GRANT pg_read_all_data TO"):
        site.backups.run(site.name, site.url(site.restorer), "daily")
    assert site.backups.catalogue.backups() == []
