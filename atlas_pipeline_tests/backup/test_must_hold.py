"""What must hold whatever goes wrong: each fault made real, against a real Postgres and a real store.

Here they are made through `service.Backups`, as people use it. What other tests show in detail is named beside.

| Fault | Shown here by | And in detail by |
|---|---|---|
| the database is missing | `a_database_that_is_missing` | `test_pg_dump_failures: test_preflight_of_a_database_…` |
| the server ends pg_dump's session | `the_server_ends_the_dump` | `test_pg_dump_failures: test_the_server_ends_…` |
| the encryptor dies | `the_encryption_dies` | `test_sealing: test_an_encryption_that_dies_…` |
| a part of an upload fails, or its end does | `an_upload_that_fails` | `test_s3_store: test_a_part_…`, |
| | | `test_s3_store: test_a_completion_…` |
| killed before the manifest | `killed_before_the_manifest` | `test_pg_dump_failures: test_killed_in_the_middle`, |
| | | `test_s3_store: test_a_kill_leaves_nothing_visible_and_is_swept` |
| the disk of the spool is full | `the_disk_of_the_spool_is_full` | `test_pg_dump_failures: test_the_spool_is_bounded` |
| the disk of the store is full | | `test_objects: test_a_full_disk_while_a_dump_goes_on` |
| the server is newer than pg_dump | `a_server_newer_than_pg_dump` | `test_pg_dump_failures: test_preflight` |
| an object is cut, changed, or gone | `damage_is_found` | `test_objects: test_damage_is_found` |
| forty days of failures | `forty_failing_days_…` | `test_retention: test_the_newest_verified_outlives_…` |
| the clock jumps | `a_clock_that_jumps_deletes_nothing` | `test_retention: test_a_clock_that_jumped_…` |
| names that begin alike | `databases_are_never_mixed_up` | `test_catalogue: test_each_name_has_a_folder_…` |
| two backups at once | `two_at_once` | `test_lock` |
| the roles are missing | `a_server_without_the_roles` | `test_pg_dump: …_on_a_server_without_the_roles` |
| the role may not restore | | `test_rights: test_what_is_missing_is_named_…` |
| the target is not empty | `a_target_that_is_not_empty` | `test_swap: test_a_database_with_content_is_refused` |
| a restore is killed | `a_restore_that_is_killed` | `test_swap: test_killed_in_the_middle_…` |
| the server ends a restore | `the_server_ends_a_restore` | `test_swap: test_a_failed_restore_leaves_nothing` |
| a table is locked | `a_locked_table_fails_fast` | `test_pg_dump_failures: test_a_locked_table` |
| the wrong age key | `the_wrong_key` | `test_sealing: test_a_wrong_key_…`, `test_objects: test_a_wrong_key_…` |
| Dagster's own database is gone | `test_backup_cli: test_dagsters_own_database` | |
| | | `test_backup_cli: test_a_restore_is_good_though_dagster_…` |
| | | `test_backup_assets: test_observations_are_made_anew_…` |
| a password shows | `test_backup_cli: test_nobody_sees_a_password` | `test_pg_dump_failures: test_nobody_sees_…` |
| the bucket is not permitted | `a_bucket_without_permission` | `test_s3_store: test_refusals_are_one_sentence` |
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from psycopg import conninfo
from tenacity import stop_after_delay

from atlas_pipeline.backup.engine import BackupFailed, RestoreFailed
from atlas_pipeline.backup.lock import AlreadyRunning
from atlas_pipeline.backup.manifest import Backup, Proof
from atlas_pipeline.backup.pg_dump import PgDump, difference
from atlas_pipeline.backup.pg_dump.tools import Tools
from atlas_pipeline.backup.sealing import SealError
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store import Store, StoreError, Written
from atlas_pipeline.backup.store.folder import INCOMING, FolderStore
from atlas_pipeline.backup.store.s3 import S3Store
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.warehouse import connect as connecting
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres
from atlas_pipeline_tests.backup.pg_dump_harness import execute, programs
from atlas_pipeline_tests.s3.proxy import Proxy, Request
from atlas_pipeline_tests.servers import BUCKET, S3

pytestmark = pytest.mark.slow

MIB = 1 << 20
DAY = timedelta(days=1)
BIG = "CREATE TABLE big AS SELECT i, md5(i::text) || md5((-i)::text) || md5((7 + i)::text) a"
BIG += " FROM generate_series(1, 400000) i"
SMALL = "CREATE TABLE says AS SELECT 'live' word"
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres) -> str:
    return postgres.url(SUPERUSER, SUPERUSER)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[PgDump]:
    """One whose spool is small, so that a dump waits for the store; afterwards nothing of it runs or lies about."""
    made = PgDump(tmp_path / "spool", spool_bytes=16 * MIB, lock_seconds=1)
    yield made
    deadline = time.monotonic() + 5
    while programs(made.spool) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert programs(made.spool) == []
    assert not made.spool.exists() or list(made.spool.iterdir()) == []


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def backups(store: FolderStore, engine: PgDump) -> Backups:
    return Backups(store, engine, Options())


class Watched:
    """A store that tells of each piece on its way in and out."""

    def __init__(self, store: Store, at_piece: Callable[[], object]):
        self._store = store
        self._at_piece = at_piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, chunks: Iterable[bytes]) -> Written:
        """Tell of pieces of objects only."""
        return self._store.put(key, self._told(chunks) if "/data-" in key else chunks)

    def get(self, key: str) -> Iterator[bytes]:
        """Likewise."""
        return self._told(self._store.get(key)) if "/data-" in key else self._store.get(key)

    def _told(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._at_piece()


def watched(backups: Backups, at_piece: Callable[[], object]) -> Backups:
    """The same backups with a store that tells."""
    return Backups(Watched(backups.store, at_piece), backups.engine, backups.options)


def name_of(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])


def server_databases(admin_url: str) -> list[str]:
    with closing(connect(admin_url, autocommit=True)) as connection:
        return sorted(name for (name,) in connection.execute("SELECT datname FROM pg_database"))


def files(store: FolderStore) -> list[Path]:
    """What lies there of objects, written or half written."""
    return [one for one in Path(store.place).rglob("*") if one.is_file()]


def nothing_is_listed(backups: Backups) -> None:
    contents = backups.catalogue.read()
    assert (contents.backups, contents.faults) == ((), ())


def words(url: str) -> list[str]:
    with closing(connect(url)) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM says")]


# Backups that fail.


def test_a_database_that_is_missing(
    backups: Backups, store: FolderStore, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting._attempt.retry, "stop", stop_after_delay(0))
    with pytest.raises(BackupFailed, match=r"absent.*does not exist"):
        backups.run("absent", postgres.url("absent", SUPERUSER), "daily")
    nothing_is_listed(backups)
    assert files(store) == []


@pytest.fixture(params=["folder", "s3"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of each kind."""
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    s3: S3 = request.getfixturevalue("s3")
    return S3Store(BUCKET, uuid.uuid4().hex, s3.client(), part_bytes=5 * MIB)


def unfinished(store: Store) -> list[Any]:
    """Uploads that were neither completed nor aborted."""
    if isinstance(store, FolderStore):
        return list((Path(store.place) / INCOMING).glob("*"))
    assert isinstance(store, S3Store)
    prefix = store.place.removeprefix(f"s3://{BUCKET}/")
    found: list[Any] = store._client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
    return found


def test_the_server_ends_the_dump(either: Store, engine: PgDump, database: Callable[[], str]) -> None:
    url = database()
    execute(url, BIG.replace("400000", "1200000"))  # so much that it is still being copied when its first piece comes
    ended: list[tuple[Any, ...]] = []

    def end() -> None:
        if not ended:
            copying = f"application_name = 'atlas backup' AND query LIKE 'COPY%' AND datname = '{name_of(url)}'"
            with closing(connect(url, autocommit=True)) as connection:
                ended.extend(connection.execute(END + copying).fetchall())

    made = Backups(either, engine, Options())
    with pytest.raises(BackupFailed, match=r'pg_dump ended with 1: Dumping the contents of table "big" failed'):
        watched(made, end).run("app", url, "daily")
    assert ended
    nothing_is_listed(made)
    assert unfinished(either) == []
    assert made.run("app", url, "daily").verified
    assert len(made.catalogue.backups()) == 1


def test_the_encryption_dies(
    engine: PgDump, store: FolderStore, database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database()
    execute(url, BIG)
    real, running = pyrage.encrypt_io, []

    def dying(reader: Any, writer: Any, keys: Any) -> None:
        for _ in range(20):
            writer.write(reader.read(8192))
        running.extend(programs(engine.spool))
        raise MemoryError

    monkeypatch.setattr(pyrage, "encrypt_io", dying)
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    backups = Backups(store, engine, Options(recipients=(recipient,)))
    with pytest.raises(SealError, match=r"age cannot encrypt it \(MemoryError\)"):
        backups.run("app", url, "daily")
    assert running
    assert programs(engine.spool) == []
    nothing_is_listed(backups)
    assert unfinished(store) == []
    monkeypatch.setattr(pyrage, "encrypt_io", real)
    assert backups.run("app", url, "daily").verified


def refused(request: Request) -> None:
    request.error(500, "InternalError")


@pytest.mark.parametrize(("method", "path"), [("PUT", "partNumber=2"), ("POST", "uploadId")])
def test_an_upload_that_fails(
    s3: S3, proxy: Proxy, engine: PgDump, database: Callable[[], str], method: str, path: str
) -> None:
    url = database()
    execute(url, BIG)
    prefix = uuid.uuid4().hex
    options: dict[str, Any] = {"part_bytes": 5 * MIB, "attempts": 2, "pause_seconds": 0.01}
    backups = Backups(S3Store(BUCKET, prefix, s3.client(port=proxy.port), **options), engine, Options())
    check = backups.store.check

    def check_and_break() -> None:
        check()
        proxy.on(method, path, refused)

    backups.store.check = check_and_break  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="InternalError"):
        backups.run("app", url, "daily")
    assert proxy.count(method, path) >= 2
    proxy.faults.clear()
    nothing_is_listed(backups)
    assert unfinished(S3Store(BUCKET, prefix, s3.client())) == []
    assert programs(engine.spool) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
url, store, spool = sys.argv[1:]
backups = Backups(FolderStore(Path(store)), PgDump(Path(spool)), Options())
backups.catalogue.write_manifest = lambda _: os.kill(os.getpid(), signal.SIGKILL)
backups.run("app", url, "daily")
"""


def test_killed_before_the_manifest(backups: Backups, store: FolderStore, database: Callable[[], str]) -> None:
    url = database()
    execute(url, SMALL)
    engine = backups.engine
    assert isinstance(engine, PgDump)
    command = [sys.executable, "-c", _KILLED, url, store.place, str(engine.spool)]
    assert subprocess.run(command, check=False, cwd=PROJECT_ROOT).returncode == -signal.SIGKILL
    assert any("data-" in one.name for one in files(store))
    nothing_is_listed(backups)
    now = datetime.now(UTC)
    backups.prune(now)
    assert any("data-" in one.name for one in files(store)), "it could be one that is being made"
    _when_free(lambda: backups.run("app", url, "daily"))
    (good,) = backups.catalogue.backups()
    backups.prune(now + 8 * DAY)
    assert {entry.key.split("/")[1] for entry in store.list("app/")} == {good.manifest.id}
    assert backups.verify(good).problem is None


def _when_free(action: Callable[[], object]) -> None:
    for _ in range(100):
        try:
            action()
            return
        except AlreadyRunning:
            time.sleep(0.1)
    pytest.fail("the lock of a killed process is still held")


def test_the_disk_of_the_spool_is_full(
    small_disk: Callable[[int], Path], store: FolderStore, database: Callable[[], str]
) -> None:
    disk = small_disk(160)
    url = database()
    execute(url, SMALL)
    engine = PgDump(disk / "spool", spool_bytes=8 * MIB)
    backups = Backups(store, engine, Options())
    first = backups.run("app", url, "daily")
    execute(url, BIG)
    filler = disk / "filler"

    def fill() -> None:
        with filler.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(64 << 10)):
                    pass
            except OSError:
                return

    place = re.escape(str(engine.spool))
    told = rf"pg_dump ended with 1: the disk of the spool {place} is full, \d+ MiB are free: .*ATLAS_BACKUP_SPOOL"
    with pytest.raises(BackupFailed, match=told):
        watched(backups, fill).run("app", url, "daily")
    assert programs(engine.spool) == []
    with pytest.raises(BackupFailed, match=rf"only \d+ MiB are free at {place}.*ATLAS_BACKUP_SPOOL"):
        backups.run("app", url, "daily")
    assert [one.manifest.id for one in backups.catalogue.backups()] == [first.manifest.id]
    assert unfinished(store) == []
    assert backups.verify(first).problem is None
    fill()
    assert re.search(rf"the disk of the spool {place} is full", backups.restore_into(first, database()).problem or "")
    filler.unlink()
    assert backups.run("app", url, "daily").verified
    assert list(engine.spool.iterdir()) == []


def test_a_server_newer_than_pg_dump(
    backups: Backups, store: FolderStore, database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Tools.installed()[:-1]
    url = database()
    monkeypatch.setattr(Tools, "installed", lambda: older)
    with pytest.raises(BackupFailed, match=r"is Postgres 18, and the newest pg_dump here is 1[56]\.\d+.*: install"):
        backups.run("app", url, "daily")
    assert files(store) == []


def test_a_locked_table_fails_fast(backups: Backups, store: FolderStore, database: Callable[[], str]) -> None:
    url = database()
    execute(url, SMALL)
    with closing(connect(url)) as connection:
        connection.execute("LOCK TABLE says IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        with pytest.raises(BackupFailed, match="a table stayed locked by another session"):
            backups.run("app", url, "daily")
        assert time.monotonic() - started < 10
    nothing_is_listed(backups)
    assert files(store) == []
    assert backups.run("app", url, "daily").verified


def test_two_at_once(backups: Backups, database: Callable[[], str]) -> None:
    url = database()
    execute(url, SMALL)
    told: list[str] = []

    def second() -> None:
        if not told:
            with pytest.raises(AlreadyRunning, match="another backup of app is running at") as caught:
                backups.run("app", url, "daily")
            told.append(str(caught.value))

    assert watched(backups, second).run("app", url, "daily").verified
    assert told
    assert len(backups.catalogue.backups()) == 1


def test_a_bucket_without_permission(s3: S3, engine: PgDump, database: Callable[[], str]) -> None:
    url = database()
    execute(url, SMALL)
    for identity, permission in (("reader", "PutObject"), ("writer", "GetObject"), ("blind", "ListBucket")):
        store = S3Store(BUCKET, uuid.uuid4().hex, s3.client(identity), attempts=2, pause_seconds=0.01)
        with pytest.raises(StoreError, match=rf"the credentials lack s3:{permission}"):
            Backups(store, engine, Options()).run("app", url, "daily")
    assert not engine.spool.exists(), "nothing was dumped"


# Backups that are damaged, old, or another database's.


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 9 // 10)


def _flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (octet,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([octet ^ 1]))


@pytest.mark.parametrize(
    ("damage", "said"), [(_cut, "and the manifest says"), (_flip, "is damaged"), (Path.unlink, "is missing")]
)
@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("encrypted", [False, True])
def test_damage_is_found(
    store: FolderStore,
    engine: PgDump,
    database: Callable[[], str],
    admin_url: str,
    damage: Callable[[Path], None],
    said: str,
    which: int,
    encrypted: bool,
) -> None:
    key = pyrage.x25519.Identity.generate()
    options = Options(recipients=(str(key.to_public()),), identities=(key,)) if encrypted else Options()
    backups, url = Backups(store, engine, options), database()
    execute(url, SMALL, BIG.replace("400000", "60000"))
    made = backups.run(name_of(url), url, "daily")
    damage(Path(store.place) / backups.catalogue.folder(made.manifest) / made.manifest.objects[which].name)
    before = server_databases(admin_url)
    with pytest.raises(RestoreFailed, match=f"does not restore: .* {name_of(url)} is as it was"):
        backups.restore(made, admin_url, datetime.now(UTC))
    assert not backups.catalogue.get("latest", name_of(url)).verified, "what did not restore is no longer believed"
    proof = backups.verify(made)
    assert said in (proof.problem or "")
    found = backups.catalogue.get("latest", name_of(url))
    assert [(one.kind, one.problem is None) for one in found.proofs] == [
        ("verified", True),
        ("restored", False),
        ("verified", False),
    ]
    assert server_databases(admin_url) == before
    assert words(url) == ["live"]


def copies(backups: Backups, made: Backup, days: Iterable[int], problem: str | None) -> list[Backup]:
    """Backups like that one, so many days later, with a proof of their own."""
    found = []
    for day in days:
        start = made.manifest.started_at + day * DAY
        manifest = replace(
            made.manifest,
            id=backups.catalogue.new_id(made.manifest.database, "daily", start),
            started_at=start,
            finished_at=made.manifest.finished_at + day * DAY,
            expires_at=made.manifest.expires_at + day * DAY,
        )
        backups.store.put(f"{backups.catalogue.folder(manifest)}/data-0001.zst", [b"x"])
        backups.catalogue.write_manifest(manifest)
        backups.catalogue.add_proof(manifest, Proof("verified", manifest.finished_at, 0.1, problem))
        found.append(Backup(manifest))
    return found


def test_forty_failing_days_keep_the_newest_verified(backups: Backups, database: Callable[[], str]) -> None:
    url = database()
    execute(url, SMALL)
    made = backups.run("app", url, "daily")
    copies(backups, made, [-2, -1], None)
    bad = copies(backups, made, range(1, 41), "data-0001.zst is damaged")
    decision = backups.prune(made.manifest.finished_at + 41 * DAY)
    assert decision.refused is None
    assert len(decision.delete) == 2
    left = {one.manifest.id for one in backups.catalogue.backups()}
    assert left == {made.manifest.id, *(one.manifest.id for one in bad)}
    assert backups.verify(made).problem is None


@pytest.mark.parametrize("jump", [3652 * DAY, -3652 * DAY])
def test_a_clock_that_jumps_deletes_nothing(
    backups: Backups, store: FolderStore, database: Callable[[], str], jump: timedelta
) -> None:
    url = database()
    execute(url, SMALL)
    made = backups.run("app", url, "daily")
    copies(backups, made, range(-40, 0), None)
    now = datetime.now(UTC)
    backups.prune(now, confirmed=True)
    before = files(store)
    decision = backups.prune(now + jump)
    assert "no backup was deleted" in (decision.refused or "")
    assert not decision.delete
    assert files(store) == before
    assert backups.prune(now + DAY).refused is None, "the wrong clock was not remembered"


def test_databases_are_never_mixed_up(
    backups: Backups, database: Callable[[], str], admin_url: str, store: FolderStore
) -> None:
    urls = {name: database() for name in ("app", "app_test")}
    for name, url in urls.items():
        execute(url, f"CREATE TABLE says AS SELECT '{name}' word")
    made = {name: backups.run(name, url, "staging") for name, url in urls.items()}
    for name, other in (("app", "app_test"), ("app_test", "app")):
        assert [one.manifest.database for one in backups.catalogue.backups(name)] == [name]
        assert backups.catalogue.get("latest", name).manifest.id == made[name].manifest.id
        with pytest.raises(Exception, match=f"no backup of {other} begins with"):
            backups.catalogue.get(made[name].manifest.id, other)
        target = database()
        assert backups.restore_into(made[name], target).problem is None
        assert words(target) == [name]
    # All of `app` is older than all of `app_test`, and goes without the other.
    old = copies(backups, made["app"], [-60, -59], None)
    copies(backups, made["app"], [1, 2], None)
    decision = backups.prune(datetime.now(UTC) + 2 * DAY)
    assert {one.manifest.id for one in decision.delete} == {one.manifest.id for one in old}
    assert [one.manifest.id for one in backups.catalogue.backups("app_test")] == [made["app_test"].manifest.id]
    assert backups.verify(made["app_test"]).problem is None
    shutil.rmtree(Path(store.place) / "app")
    assert backups.catalogue.backups("app_test")
    assert backups.catalogue.backups("app") == []


# Restores.


def test_a_server_without_the_roles(
    backups: Backups, database: Callable[[], str], admin_url: str, elsewhere: EmbeddedPostgres
) -> None:
    url = database()
    name, owner, reader = name_of(url), "must_own", "must_read"
    execute(admin_url, f"CREATE ROLE {owner} LOGIN CREATEDB", f"CREATE ROLE {reader}", f"GRANT {reader} TO {owner}")
    try:
        execute(
            url,
            f"ALTER DATABASE {name} OWNER TO {owner}",
            f"CREATE SCHEMA s AUTHORIZATION {owner}",
            "CREATE TABLE s.t AS SELECT 1 a",
            f"ALTER TABLE s.t OWNER TO {owner}",
            f"GRANT USAGE ON SCHEMA s TO {reader}",
            f"GRANT SELECT ON s.t TO {reader} WITH GRANT OPTION",
        )
        made = backups.run(name, url, "daily")
        there = elsewhere.url(SUPERUSER, SUPERUSER)
        proof, kept = backups.restore(made, there, datetime.now(UTC))
        assert (proof.kind, proof.problem, kept) == ("restored", None, None)
        restored = elsewhere.url(name, SUPERUSER)
        assert difference(backups.engine.state(url), backups.engine.state(restored)) == []
        query = (
            "SELECT tableowner, has_table_privilege('must_read', 's.t', 'SELECT WITH GRANT OPTION'),"
            " has_table_privilege('must_read', 's.t', 'INSERT'), pg_has_role('must_own', 'must_read', 'MEMBER'),"
            " (SELECT rolcreatedb FROM pg_roles WHERE rolname = 'must_own') FROM pg_tables WHERE schemaname = 's'"
        )
        with closing(connect(restored)) as connection:
            assert connection.execute(query).fetchall() == [(owner, True, False, True, True)]
    finally:
        execute(url, f"REASSIGN OWNED BY {owner} TO {SUPERUSER}", f"DROP OWNED BY {owner}, {reader}")
        execute(admin_url, f"DROP ROLE {owner}, {reader}")


def test_a_target_that_is_not_empty(backups: Backups, database: Callable[[], str]) -> None:
    url, other = database(), database()
    execute(url, SMALL)
    execute(other, "CREATE TABLE mine AS SELECT 1 a")
    made = backups.run("app", url, "daily")
    before = backups.engine.state(other)
    for target in (url, other):
        with pytest.raises(RestoreFailed, match=r"is not empty \(table public\.(says|mine)\), and nothing in it was"):
            backups.restore_into(made, target)
    assert backups.engine.state(other) == before
    assert words(url) == ["live"]
    assert backups.catalogue.get("latest", "app").verified, "that was no fault of the backup"


def changed(backups: Backups, url: str) -> Backup:
    """A backup of a database that was changed since."""
    execute(url, SMALL, BIG)
    made = backups.run(name_of(url), url, "daily")
    execute(url, "UPDATE says SET word = 'changed since'")
    return made


_RESTORER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
class Slow(FolderStore):
    def get(self, key):
        pieces = 0
        for chunk in super().get(key):
            yield chunk
            pieces += "/data-" in key
            if pieces == 2:
                print("restoring", flush=True)
                time.sleep(60)
database, admin_url, store, spool = sys.argv[1:]
backups = Backups(Slow(Path(store)), PgDump(Path(spool)), Options())
backups.restore(backups.catalogue.get("latest", database), admin_url, datetime.now(UTC))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restore_that_is_killed(
    backups: Backups, store: FolderStore, database: Callable[[], str], admin_url: str, number: signal.Signals
) -> None:
    url = database()
    made, before = changed(backups, url), server_databases(admin_url)
    spool = str(backups.engine.spool)  # type: ignore[attr-defined]
    command = [sys.executable, "-c", _RESTORER, name_of(url), admin_url, store.place, spool]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT_ROOT) as child:
        assert child.stdout
        assert child.stdout.readline() == b"restoring\n"
        time.sleep(0.5)
        child.send_signal(number)
        child.wait(30)
    assert words(url) == ["changed since"]
    assert set(before) <= set(server_databases(admin_url))
    _when_free(lambda: backups.restore(made, admin_url, datetime.now(UTC)))
    assert words(url) == ["live"]
    _only_one_copy(admin_url, before, name_of(url))


def _only_one_copy(admin_url: str, before: list[str], name: str) -> None:
    """Nothing but what the restore put aside came to be; it is dropped."""
    (copy,) = set(server_databases(admin_url)) - set(before)
    assert copy.startswith(f"{name}__before_")
    assert words(admin_url.replace(f"/{SUPERUSER}?", f"/{copy}?")) == ["changed since"]
    execute(admin_url, f'DROP DATABASE "{copy}" WITH (FORCE)')


def test_the_server_ends_a_restore(backups: Backups, database: Callable[[], str], admin_url: str) -> None:
    url = database()
    made, before = changed(backups, url), server_databases(admin_url)
    ended = []

    def end() -> None:
        with closing(connect(admin_url, autocommit=True)) as connection:
            query = f"{END} datname LIKE '{name_of(url)}\\_\\_restoring%' AND query LIKE 'COPY%'"
            ended.extend(connection.execute(query).fetchall())

    with pytest.raises(RestoreFailed, match=f"(ended with 1: .*|to its end\\.) {name_of(url)} is as it was"):
        watched(backups, end).restore(made, admin_url, datetime.now(UTC))
    assert ended
    assert words(url) == ["changed since"]
    assert server_databases(admin_url) == before
    proof, _ = backups.restore(made, admin_url, datetime.now(UTC))
    assert proof.problem is None
    assert words(url) == ["live"]
    assert backups.catalogue.get("latest", name_of(url)).verified
    _only_one_copy(admin_url, before, name_of(url))


def test_the_wrong_key(store: FolderStore, engine: PgDump, database: Callable[[], str], admin_url: str) -> None:
    right, wrong = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    recipient = str(right.to_public())
    url = database()
    execute(url, SMALL)
    made = Backups(store, engine, Options(recipients=(recipient,))).run(name_of(url), url, "daily")
    assert made.verified, "no secret key is needed to back up and verify"
    before, lying = server_databases(admin_url), files(store)
    for identities, said in (((wrong,), "none of the identities opens it"), ((), "there is no identity")):
        backups = Backups(store, engine, Options(recipients=(recipient,), identities=identities))
        with pytest.raises(SealError, match=said) as caught:
            backups.restore(made, admin_url, datetime.now(UTC))
        assert recipient in str(caught.value)
        assert str(wrong) not in str(caught.value)
        with pytest.raises(SealError, match=said):
            backups.restore_into(made, database())
    assert words(url) == ["live"]
    assert files(store) == lying, "that was no fault of the backup"
    assert set(before) <= set(server_databases(admin_url))
    assert not [one for one in server_databases(admin_url) if "__restoring_" in one]
    backups = Backups(store, engine, Options(recipients=(recipient,), identities=(wrong, right)))
    assert backups.restore_into(made, database()).problem is None
