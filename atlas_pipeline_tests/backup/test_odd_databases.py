"""Settings, encodings and damage that once ended a backup, or were not told of."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import conninfo

from atlas_pipeline.backup.engine import BackupFailed
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import execute

pytestmark = pytest.mark.slow
NUMBERS = "CREATE TABLE numbers AS SELECT i, md5(i::text) a FROM generate_series(1, 100000) i"


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    beside = {"configuration.tar": lambda: iter([b"settings"])}
    return Backups(FolderStore(tmp_path / "store"), PgDump(tmp_path / "spool"), Options(beside=beside))


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres) -> str:
    return postgres.url(SUPERUSER, SUPERUSER)


@pytest.fixture
def kept(admin_url: str) -> Iterator[list[str | None]]:
    """Names of databases that are dropped at the end."""
    names: list[str | None] = []
    yield names
    for name in names:
        execute(admin_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def name_of(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])


def stored(backups: Backups) -> list[str]:
    return [entry.key for entry in backups.store.list("")]


def test_a_transaction_timeout_of_the_server_ends_nothing(
    backups: Backups, database: Callable[[], str], admin_url: str, kept: list[str | None]
) -> None:
    url = database()
    name = name_of(url)
    execute(url, NUMBERS, f"ALTER DATABASE {name} SET transaction_timeout = '40ms'")
    made = backups.run(name, url, "daily")
    proof, old = backups.restore(made, admin_url, datetime.now(UTC))
    kept.append(old)
    assert proof.problem is None


def test_a_database_without_an_encoding(
    backups: Backups, database: Callable[[], str], admin_url: str, kept: list[str | None]
) -> None:
    url = database()
    name = name_of(url)
    clauses = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
    execute(admin_url, f"DROP DATABASE {name}", f"CREATE DATABASE {name} {clauses}")
    execute(url, "CREATE TABLE bytes (t text)", "INSERT INTO bytes VALUES (E'\\xff\\xfe'), ('größer')")
    made = backups.run(name, url, "daily")
    proof, old = backups.restore(made, admin_url, datetime.now(UTC))
    kept.append(old)
    assert proof.problem is None
    execute(url, "CREATE FUNCTION odd() RETURNS text LANGUAGE sql AS E'SELECT ''\\xff'''")
    with pytest.raises(BackupFailed, match="invalid byte sequence for encoding"):
        backups.run(name, url, "daily")


def test_damage_beside_the_database_is_told(
    backups: Backups, database: Callable[[], str], admin_url: str, kept: list[str | None]
) -> None:
    url, target = database(), database()
    execute(url, NUMBERS)
    made = backups.run(name_of(url), url, "daily")
    [beside] = [one for one in made.manifest.objects if "configuration.tar" in one.files]
    Path(backups.store.place, backups.catalogue.folder(made.manifest), beside.name).write_bytes(b"damaged")
    assert beside.name in (backups.restore_into(made, target).problem or "")
    proof, old = backups.restore(made, admin_url, datetime.now(UTC))
    kept.append(old)
    assert proof.problem is None
    assert beside.name in proof.detail["beside"][0]
    with closing(connect(url)) as connection:
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (100000,)


def test_a_failed_backup_leaves_nothing_on_the_disk(
    backups: Backups, database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database()
    execute(url, NUMBERS)
    made = backups.run("app", url, "daily")
    before = stored(backups)

    def refused(*_: object) -> None:
        raise BackupFailed("the state cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr("atlas_pipeline.backup.pg_dump.state.unrestorable", refused)
        with pytest.raises(BackupFailed, match="the state cannot be read"):
            backups.run("app", url, "daily")
    assert stored(backups) == before
    assert backups.catalogue.backups() == [made]
