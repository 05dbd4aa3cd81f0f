"""Several installations share a place: none of them counts, prunes or restores the backups of another unasked."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import conninfo

from atlas_pipeline.backup.catalogue import NoMatch, NoSuchBackup
from atlas_pipeline.backup.installation import installation
from atlas_pipeline.backup.manifest import manifest_from, to_json
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import databases, execute

pytestmark = pytest.mark.slow


@pytest.fixture
def warehouse(database: Callable[[], str]) -> str:
    return set_up(database())


@pytest.fixture
def staging(elsewhere: EmbeddedPostgres) -> Iterator[str]:
    """A warehouse on another server."""
    with databases(elsewhere) as make:
        yield set_up(make())


def set_up(url: str) -> str:
    with closing(connect(url)) as connection:
        prepare_warehouse(connection)
        connection.commit()
    return url


def named(place: Path, url: str, home: Path) -> Backups:
    """The backups of the installation whose warehouse is at `url`."""
    options = Options(installation=lambda: installation(url, home))
    return Backups(FolderStore(place), PgDump(home / "spool"), options)


def test_the_backups_of_two_installations_are_told_apart(warehouse: str, staging: str, tmp_path: Path) -> None:
    production, other = (
        named(tmp_path / "place", warehouse, tmp_path / "a"),
        named(tmp_path / "place", staging, tmp_path / "b"),
    )
    execute(warehouse, "CREATE TABLE says AS SELECT 'production' word")
    made = production.run("atlas", warehouse, "daily")
    newer = other.run("atlas", staging, "daily")
    assert made.manifest.installation != newer.manifest.installation
    contents = production.catalogue.read("atlas")
    assert contents.backups == (made,)
    assert contents.others == (newer,)
    assert production.catalogue.get("latest", "atlas") == made
    with pytest.raises(NoMatch):
        production.catalogue.get(newer.manifest.id, "atlas")
    assert newer.manifest.installation
    asked_for = production.of(newer.manifest.installation[:6], "atlas")
    assert asked_for.catalogue.get("latest", "atlas") == newer
    late = datetime.now(UTC) + timedelta(days=40)
    again = production.run("atlas", warehouse, "daily")
    decision = production.prune(late, dry_run=True, confirmed=True)
    assert [one.manifest.id for one in (*decision.keep, *decision.delete)] == [again.manifest.id, made.manifest.id]
    with pytest.raises(NoSuchBackup, match="expected one of"):
        production.of("0000")


def test_a_copy_of_a_warehouse_on_another_server_is_another(
    warehouse: str, elsewhere: EmbeddedPostgres, tmp_path: Path
) -> None:
    production = named(tmp_path / "place", warehouse, tmp_path / "a")
    made = production.run("atlas", warehouse, "daily")
    with databases(elsewhere) as make:
        copy = make()
        assert production.restore_into(made, copy).problem is None
        cloned = named(tmp_path / "place", copy, tmp_path / "b")
        assert cloned.catalogue.read("atlas").backups == ()
        with pytest.raises(NoMatch, match=f"but 1 of others: --from {made.manifest.installation} takes"):
            cloned.catalogue.get("latest", "atlas")
        assert cloned.prune(datetime.now(UTC) + timedelta(days=40), confirmed=True).delete == ()


def test_backups_of_the_version_before_are_taken_up(warehouse: str, tmp_path: Path) -> None:
    before = Backups(FolderStore(tmp_path / "place"), PgDump(tmp_path / "spool"), Options())
    old = before.run("atlas", warehouse, "daily")
    assert before.catalogue.folder(old.manifest) == f"atlas/{old.manifest.id}"
    production = named(tmp_path / "place", warehouse, tmp_path / "a")
    new = production.run("atlas", warehouse, "daily")
    assert production.catalogue.backups("atlas") == [new, old]
    assert new.manifest.installation
    late = datetime.now(UTC) + timedelta(days=40)
    assert production.of(new.manifest.installation).prune(late, dry_run=True).keep == (new,)
    assert production.prune(late, confirmed=True).delete == (old,)


def test_a_manifest_of_the_format_before_is_read(warehouse: str, tmp_path: Path) -> None:
    made = named(tmp_path / "place", warehouse, tmp_path / "a").run("atlas", warehouse, "daily").manifest
    former = to_json(made).replace(b'"format": 2', b'"format": 1')
    former = former.replace(f'"installation": "{made.installation}",\n'.encode(), b"")
    assert manifest_from(former, "here") == replace(made, format=1, installation=None)


def test_a_new_machine_restores_the_only_one_and_asks_where_there_are_several(
    warehouse: str, staging: str, tmp_path: Path
) -> None:
    made = named(tmp_path / "place", warehouse, tmp_path / "a").run("atlas", warehouse, "daily")
    fresh = Backups(FolderStore(tmp_path / "place"), PgDump(tmp_path / "spool"), Options())
    assert fresh.catalogue.get("latest", "atlas") == made
    assert fresh.prune(datetime.now(UTC) + timedelta(days=40), confirmed=True).keep == ()
    named(tmp_path / "place", staging, tmp_path / "b").run("atlas", staging, "daily")
    with pytest.raises(NoSuchBackup, match=r"of 2 installations.*--from"):
        fresh.catalogue.get("latest", "atlas")


def test_the_id_is_remembered_while_the_same_warehouse_is_away(
    warehouse: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    known = installation(warehouse, tmp_path)
    assert known
    assert installation(None, tmp_path) == known
    name = str(conninfo.conninfo_to_dict(warehouse)["dbname"])
    execute(postgres.url(SUPERUSER, SUPERUSER), f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    assert installation(warehouse, tmp_path) == known
    assert installation(postgres.url("another", SUPERUSER), tmp_path) is None
    assert installation(warehouse, tmp_path / "copied") is None
