"""Backups made, proven, restored and pruned, through all layers; what goes wrong is in `test_must_hold.py`."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from psycopg import conninfo

from atlas_pipeline.backup.catalogue import NoSuchBackup, quoted
from atlas_pipeline.backup.drill import drill
from atlas_pipeline.backup.engine import RestoreFailed
from atlas_pipeline.backup.keyed import keyed, opened_key
from atlas_pipeline.backup.pg_dump import PgDump, difference
from atlas_pipeline.backup.retention import KEEP_DAYS
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store import Store, StoreUnavailable
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.backup.store.s3 import S3Store
from atlas_pipeline.backup.swap import undo
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import execute
from atlas_pipeline_tests.servers import BUCKET

pytestmark = pytest.mark.slow
KEY = pyrage.x25519.Identity.generate()
ENCRYPTED = Options(recipients=(str(KEY.to_public()),), identities=(KEY,))
SAYS = "CREATE TABLE says AS SELECT 'live' word"
NUMBERS = "CREATE TABLE numbers AS SELECT i, md5(i::text) a FROM generate_series(1, 100000) i"


@pytest.fixture
def url(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def empty(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres) -> str:
    return postgres.url(SUPERUSER, SUPERUSER)


@pytest.fixture
def engine(tmp_path: Path) -> PgDump:
    return PgDump(tmp_path / "spool")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture(params=["folder", "s3"])
def either(request: pytest.FixtureRequest, store: FolderStore) -> Store:
    """A store of each kind."""
    if request.param == "folder":
        return store
    return S3Store(BUCKET, uuid.uuid4().hex, request.getfixturevalue("s3").client())


def name_of(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])


def word(url: str) -> str:
    with closing(connect(url)) as connection:
        row = connection.execute("SELECT word FROM says").fetchone()
    return str(row[0]) if row else ""


@pytest.mark.parametrize("options", [Options(), ENCRYPTED, Options(jobs=1, exclude=("numbers",))])
def test_made_proven_restored_and_taken_back(
    either: Store, engine: PgDump, url: str, admin_url: str, options: Options
) -> None:
    name, backups, told = name_of(url), Backups(either, engine, options), list[str]()
    execute(url, SAYS, NUMBERS)
    made = backups.run(name, url, "weekly", told.append)
    assert made.verified
    assert f"{name}: looking whether it can be backed up" in told
    assert made.manifest.expires_at - made.manifest.started_at == timedelta(days=KEEP_DAYS["weekly"])
    assert ("public.numbers" in made.manifest.state.tables) == (not options.exclude)
    assert backups.catalogue.backups() == [made]
    key = opened_key(made.manifest.hash_key, options.identities, options.recipients)
    assert options.exclude or difference(made.manifest.state, keyed(engine.state(url), key)) == []
    execute(url, "UPDATE says SET word = 'later'")
    proof, kept = backups.restore(made, admin_url, datetime.now(UTC))
    assert kept
    try:
        assert (proof.kind, proof.problem) == ("restored", None)
        assert word(url) == "live"
        assert [one.kind for one in backups.catalogue.get("latest", name).proofs] == ["verified", "restored"]
        kept = undo(admin_url, name)
        assert word(url) == "later"
    finally:
        execute(admin_url, f'DROP DATABASE "{kept}" WITH (FORCE)')
    assert list(engine.spool.iterdir()) == []


def test_a_drill_proves_it_elsewhere(store: FolderStore, engine: PgDump, url: str, tmp_path: Path) -> None:
    backups = Backups(store, engine, ENCRYPTED)
    execute(url, SAYS, NUMBERS)
    made = backups.run(name_of(url), url, "daily")
    proof = drill(backups, made, tmp_path / "drills")
    assert (proof.kind, proof.problem) == ("restored", None)
    assert proof.seconds > 0
    assert backups.catalogue.get("latest", name_of(url)).proofs[-1] == proof
    assert list((tmp_path / "drills").iterdir()) == []
    Path(store.place, backups.catalogue.folder(made.manifest), made.manifest.objects[0].name).unlink()
    assert "cannot be read" in (drill(backups, made, tmp_path / "drills").problem or "")
    assert list((tmp_path / "drills").iterdir()) == []


def test_an_empty_database(store: FolderStore, engine: PgDump, url: str, empty: str) -> None:
    backups = Backups(store, engine, Options())
    made = backups.run("app", url, "manual")
    assert made.manifest.state.rows == 0
    assert backups.restore_into(made, empty).problem is None


def test_a_restore_that_is_not_equal_is_not_put_in_place(
    store: FolderStore, engine: PgDump, url: str, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups, name = Backups(store, engine, Options()), name_of(url)
    execute(url, SAYS)
    made = backups.run(name, url, "daily")
    real = engine.restore

    def differently(target: str, *arguments: Any, **options: Any) -> None:
        real(target, *arguments, **options)
        execute(target, "INSERT INTO says VALUES ('one more')")

    monkeypatch.setattr(engine, "restore", differently)
    with pytest.raises(RestoreFailed, match=r"table public\.says has 2 rows instead of 1.* is as it was"):
        backups.restore(made, admin_url, datetime.now(UTC))
    assert word(url) == "live"
    assert not backups.catalogue.get("latest", name).verified


class Leaving(FolderStore):
    """One that goes away when the second piece of an object is read."""

    def get(self, key: str) -> Iterator[bytes]:
        """Its first piece."""
        for number, chunk in enumerate(super().get(key)):
            if number and "/data-" in key:
                raise StoreUnavailable(f"{self.place} went away")
            yield chunk


@pytest.mark.parametrize("act", ["verify", "restore_into"])
def test_a_store_that_is_away_proves_nothing(
    store: FolderStore, engine: PgDump, url: str, empty: str, act: str
) -> None:
    execute(url, NUMBERS)
    made = Backups(store, engine, Options()).run("app", url, "daily")
    away = Backups(Leaving(Path(store.place)), engine, Options())
    with pytest.raises(StoreUnavailable, match="went away"):
        away.verify(made) if act == "verify" else away.restore_into(made, empty)
    assert Backups(store, engine, Options()).catalogue.get("latest", "app").proofs == made.proofs


def _header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_header, Path.unlink, lambda path: os.truncate(path, 0)])
def test_damage_is_not_taken_for_a_wrong_key(
    store: FolderStore, engine: PgDump, url: str, empty: str, damage: Callable[[Path], None]
) -> None:
    backups = Backups(store, engine, ENCRYPTED)
    execute(url, SAYS)
    made = backups.run("app", url, "daily")
    damage(Path(store.place, backups.catalogue.folder(made.manifest), made.manifest.objects[0].name))
    assert backups.restore_into(made, empty).problem
    assert not backups.catalogue.get("latest", "app").verified


def test_pruning(store: FolderStore, engine: PgDump, url: str) -> None:
    backups = Backups(store, engine, Options())
    made = [backups.run("app", url, kind) for kind in ("staging", "daily", "daily")]
    later = made[0].manifest.expires_at + timedelta(minutes=1)
    before = list(store.list(""))
    assert [one.manifest.id for one in backups.prune(later, dry_run=True).delete] == [made[0].manifest.id]
    assert list(store.list("")) == before
    assert backups.prune(later).refused is None
    assert [entry.key for entry in store.list("RETENTION/")] == ["RETENTION/last-seen.json"]
    assert quoted("RETENTION") != "RETENTION", "no database's folder is that one"
    assert {one.manifest.id for one in backups.catalogue.backups()} == {one.manifest.id for one in made[1:]}
    with pytest.raises(NoSuchBackup):
        backups.catalogue.get(made[0].manifest.id, "app")
    assert "which is after the clock's" in (backups.prune(later - timedelta(days=5)).refused or "")
