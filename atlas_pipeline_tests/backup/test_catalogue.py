"""What the manifests in a store say: in a real folder, with names that are unkind, and with what is broken or half."""

import json
import os
import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.backup.catalogue import Catalogue, Contents, Fault, NoSuchBackup, quoted
from atlas_pipeline.backup.manifest import Backup, BackupClass, DatabaseState, Manifest, Proof, StoredObject
from atlas_pipeline.backup.retention import expires_at
from atlas_pipeline.backup.store import AlreadyThere, Store, StoreError
from atlas_pipeline.backup.store.folder import FolderStore

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
DAY = timedelta(days=1)
LATER = datetime.now(UTC) + DAY
NAMES = [
    "app",
    "app_test",
    "App",
    "a/b",
    "..",
    ".",
    ".hidden",
    "with space",
    "Ünï – 数",
    "%2e%2e",
    "a%2fb",
    "'\"\\",
    "~",
]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "backups")


@pytest.fixture
def catalogue(store: FolderStore) -> Catalogue:
    return Catalogue(store)


def manifest(
    started: datetime = NOW, database: str = "app", kind: BackupClass = "daily", suffix: str = "a1b2c3"
) -> Manifest:
    state = DatabaseState({'"s"."t"': (3, "ab")}, {}, (0, ""), {}, {}, {}, {})
    return Manifest(
        id=f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{kind}-{suffix}",
        database=database,
        backup_class=kind,
        started_at=started,
        finished_at=started + timedelta(minutes=5),
        expires_at=expires_at(kind, started),
        engine="pg_dump",
        server_version="18.0",
        tool_version="18.0",
        compression="zstd",
        recipients=(),
        excluded=(),
        objects=(StoredObject("0001", 3, "cd", {"toc": 3}),),
        state=state,
    )


def put(catalogue: Catalogue, made: Manifest, objects: int = 2) -> Manifest:
    """A whole backup."""
    for number in range(objects):
        catalogue.store.put(f"{catalogue.folder(made)}/objects/{number:04}", [b"abc"])
    catalogue.write_manifest(made)
    return made


def spoil(store: Store, key: str, data: bytes) -> None:
    """Other bytes in the place of an object."""
    store.delete([key])
    store.put_new(key, data)


def keys(store: Store) -> list[str]:
    return sorted(entry.key for entry in store.list(""))


def test_an_empty_store_has_no_backups(catalogue: Catalogue) -> None:
    assert (catalogue.read(), catalogue.leftovers(LATER)) == (Contents((), ()), [])
    with pytest.raises(NoSuchBackup, match="holds no backup of app"):
        catalogue.get("latest", "app")


@pytest.mark.parametrize("database", NAMES)
def test_each_name_has_a_folder_of_its_own(catalogue: Catalogue, store: FolderStore, database: str) -> None:
    for name in NAMES:
        put(catalogue, manifest(database=name))
    assert len(catalogue.backups()) == len(NAMES)
    assert [one.manifest.database for one in catalogue.backups(database)] == [database]
    assert catalogue.get("latest", database).manifest == manifest(database=database)
    catalogue.delete(catalogue.get("latest", database))
    assert sorted(one.manifest.database for one in catalogue.backups()) == sorted(set(NAMES) - {database})
    root = Path(store.place)
    assert all(path.parent.parent == root for path in root.glob("*/*"))
    assert not list(root.parent.glob("*.json"))


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_quoted_names_are_safe_and_differ(one: str, other: str) -> None:
    try:
        names = {quoted(one), quoted(other)}
    except UnicodeEncodeError:
        return  # half a character: no database has such a name
    assert all(re.fullmatch(r"[a-z0-9_%-][a-z0-9_.%-]*", name) for name in names)
    assert len(names) == len({name.casefold() for name in names}) == len({one, other})


def test_backups_are_listed_newest_first_whatever_their_zone(catalogue: Catalogue) -> None:
    east = timezone(timedelta(hours=14))
    moments = [NOW, (NOW + timedelta(hours=3)).astimezone(east), NOW + timedelta(hours=1), NOW - DAY]
    for moment in moments:
        put(catalogue, manifest(moment))
    put(catalogue, manifest(NOW + DAY, database="app_test"))
    listed = [one.manifest.started_at for one in catalogue.backups("app")]
    assert listed == sorted(moments, reverse=True)
    assert len(catalogue.backups()) == 5
    assert catalogue.get("latest", "app").manifest.started_at == moments[1]


def test_a_folder_without_a_manifest_is_no_backup_but_a_leftover(catalogue: Catalogue, store: FolderStore) -> None:
    put(catalogue, manifest())
    broken = manifest(NOW - DAY)
    store.put(f"{catalogue.folder(broken)}/objects/0000", [b"abc", b"de"])
    store.put_new("app/README", b"not of Atlas")
    store.put_new("app/notes/2026.txt", b"not of Atlas")
    assert [one.manifest.id for one in catalogue.backups("app")] == [manifest().id]
    assert catalogue.read().faults == ()
    assert catalogue.leftovers(NOW - DAY * 3000) == []
    (left,) = catalogue.leftovers(LATER)
    assert (left.folder, left.bytes, len(left.keys)) == (catalogue.folder(broken), 5, 1)
    assert catalogue.sweep(NOW - DAY * 3000) == 0
    assert catalogue.sweep(LATER) == 1
    assert catalogue.leftovers(LATER) == []
    assert len(catalogue.backups()) == 1
    assert {"app/README", "app/notes/2026.txt"} < set(keys(store))


def test_a_folder_that_is_still_written_to_is_not_swept(catalogue: Catalogue, store: FolderStore) -> None:
    folder = catalogue.folder(manifest())
    for number in range(2):
        store.put(f"{folder}/objects/{number}", [b"abc"])
    long_ago = (datetime.now(UTC) - 30 * DAY).timestamp()
    os.utime(Path(store.place) / folder / "objects" / "0", (long_ago, long_ago))
    assert catalogue.sweep(datetime.now(UTC) - DAY) == 0
    os.utime(Path(store.place) / folder / "objects" / "1", (long_ago, long_ago))
    assert catalogue.sweep(datetime.now(UTC) - DAY) == 1


def test_a_leftover_that_became_a_backup_is_not_swept(
    catalogue: Catalogue, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(f"{catalogue.folder(manifest())}/objects/0000", [b"abc"])
    found = catalogue.leftovers(LATER)
    catalogue.write_manifest(manifest())
    monkeypatch.setattr(catalogue, "leftovers", lambda older_than: found)
    assert catalogue.sweep(LATER) == 0
    assert len(keys(store)) == 2


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"format": 2}', b'{"format": 1}', b"\xff\xfe"])
def test_a_broken_manifest_is_a_fault_and_is_neither_swept_nor_hides_others(
    catalogue: Catalogue, store: FolderStore, data: bytes
) -> None:
    put(catalogue, manifest())
    broken = put(catalogue, manifest(NOW - DAY))
    place = f"{catalogue.folder(broken)}/manifest.json"
    spoil(store, place, data)
    assert [one.manifest.id for one in catalogue.backups("app")] == [manifest().id]
    (fault,) = catalogue.read().faults
    assert fault.place == f"{store.place}/{place}"
    assert fault.problem
    assert catalogue.leftovers(LATER) == []
    assert catalogue.sweep(LATER) == 0
    with pytest.raises(NoSuchBackup, match=re.escape(place)):
        catalogue.get(broken.id, "app")
    catalogue.delete(catalogue.get("latest", "app"))
    with pytest.raises(NoSuchBackup, match=re.escape(place)):
        catalogue.get("latest", "app")
    assert len(keys(store)) == 3


def test_a_copied_folder_is_a_fault_since_deleting_it_would_delete_another(
    catalogue: Catalogue, store: FolderStore
) -> None:
    made = put(catalogue, manifest())
    data = b"".join(store.get(f"{catalogue.folder(made)}/manifest.json"))
    store.put_new(f"app_test/{made.id}/manifest.json", data)
    assert catalogue.backups("app_test") == []
    assert [one.manifest.database for one in catalogue.backups()] == ["app"]
    assert "it was moved or copied" in catalogue.read().faults[0].problem


def test_a_manifest_is_written_once(catalogue: Catalogue) -> None:
    made = put(catalogue, manifest())
    with pytest.raises(AlreadyThere):
        catalogue.write_manifest(replace(made, engine="another"))
    assert catalogue.get(made.id, "app").manifest == made


def test_proofs_are_read_in_the_order_in_which_they_were_added(catalogue: Catalogue) -> None:
    made = put(catalogue, manifest())
    proofs = [
        Proof("verified", NOW, 1.5),
        Proof("restored", NOW, 2.0, detail={"rows": 3}),
        Proof("restored", NOW - DAY, 2.0, problem="the clock was set back, and a table differs"),
        Proof("verified", NOW - DAY, 2.0),
    ]
    added = [catalogue.add_proof(made, proof) for proof in proofs]
    assert added == sorted(added)
    assert added[0] == f"{catalogue.folder(made)}/proof-20261122T020000.000000Z-verified.json"
    assert catalogue.get(made.id, "app") == Backup(made, tuple(proofs))
    assert catalogue.get(made.id, "app").verified


def test_a_proof_of_the_same_moment_by_another_process_is_not_overwritten(
    catalogue: Catalogue, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = put(catalogue, manifest())
    write, raced = store.put_new, []

    def put_new(key: str, data: bytes) -> None:
        if not raced:
            raced.append(key)
            write(key, data)
        write(key, data)

    monkeypatch.setattr(store, "put_new", put_new)
    catalogue.add_proof(made, Proof("verified", NOW, 1.0))
    assert len(catalogue.get(made.id, "app").proofs) == 2


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\x00"])
def test_a_broken_proof_proves_nothing(catalogue: Catalogue, store: FolderStore, data: bytes) -> None:
    made = put(catalogue, manifest())
    catalogue.add_proof(made, Proof("verified", NOW, 1.0))
    assert catalogue.get("latest", "app").verified
    key = catalogue.add_proof(made, Proof("verified", NOW + DAY, 1.0))
    spoil(store, key, data)
    assert not catalogue.get("latest", "app").verified
    assert [fault.place for fault in catalogue.read().faults] == [f"{store.place}/{key}"]


def test_a_half_deleted_backup_is_none(
    catalogue: Catalogue, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(catalogue, manifest())
    old = put(catalogue, manifest(NOW - DAY))
    catalogue.add_proof(old, Proof("verified", NOW, 1.0))
    calls: list[list[str]] = []
    delete = store.delete

    def killed(which: Collection[str]) -> None:
        calls.append(sorted(which))
        if len(calls) == 2:
            raise StoreError("killed")
        delete(which)

    with monkeypatch.context() as patched:
        patched.setattr(store, "delete", killed)
        with pytest.raises(StoreError, match="killed"):
            catalogue.delete(catalogue.get(old.id, "app"))
    assert calls[0] == [f"{catalogue.folder(old)}/manifest.json"]
    assert [one.manifest.id for one in catalogue.backups()] == [manifest().id]
    assert [left.folder for left in catalogue.leftovers(LATER)] == [catalogue.folder(old)]
    assert catalogue.sweep(LATER) == 1
    assert all(key.startswith(catalogue.folder(manifest())) for key in keys(store))


def test_deleting_removes_all_of_one_and_nothing_else(catalogue: Catalogue, store: FolderStore) -> None:
    made = put(catalogue, manifest())
    near = put(catalogue, manifest(suffix="a1b2c4"))
    test = put(catalogue, manifest(database="app_test"))
    catalogue.add_proof(made, Proof("verified", NOW, 1.0))
    catalogue.delete(catalogue.get(made.id, "app"))
    catalogue.delete(Backup(made))
    assert {one.manifest.id for one in catalogue.backups("app")} == {near.id}
    assert {one.manifest.id for one in catalogue.backups("app_test")} == {test.id}
    assert len(keys(store)) == 6


def test_get_takes_an_id_or_the_beginning_of_one(catalogue: Catalogue) -> None:
    first, second = put(catalogue, manifest()), put(catalogue, manifest(NOW + timedelta(hours=2)))
    put(catalogue, manifest(NOW + DAY, database="app_test"))
    assert catalogue.get(first.id, "app").manifest == first
    assert catalogue.get("20261122T04", "app").manifest == second
    assert catalogue.get("latest", "app").manifest == second
    with pytest.raises(NoSuchBackup, match=f"2 backups of app begin with '20261122'.*{second.id}, {first.id}"):
        catalogue.get("20261122", "app")
    with pytest.raises(NoSuchBackup, match="no backup of app begins with '20261123'"):
        catalogue.get("20261123", "app")
    with pytest.raises(NoSuchBackup, match="no backup of app begins with ''"):
        catalogue.get("", "app")


def test_ids_are_new_and_tell_the_moment_in_utc(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=-11)))
    assert re.fullmatch(r"20261122T020000Z-daily-[0-9a-f]{6}", catalogue.new_id("app", "daily", local))
    put(catalogue, manifest())
    tokens = iter(["a1b2c3", "a1b2c3", "d4e5f6"])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(tokens))
    assert catalogue.new_id("app_test", "daily", NOW).endswith("a1b2c3")
    assert catalogue.new_id("app", "daily", NOW).endswith("d4e5f6")


def test_a_backup_that_goes_while_it_is_read_is_none_and_a_store_that_fails_is_an_error(
    catalogue: Catalogue, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = put(catalogue, manifest())
    put(catalogue, manifest(NOW + DAY))
    get = store.get

    def going(key: str) -> object:
        if made.id in key:
            store.delete([key])
        return get(key)

    with monkeypatch.context() as patched:
        patched.setattr(store, "get", going)
        assert [one.manifest.started_at for one in catalogue.backups()] == [NOW + DAY]
        assert catalogue.read().faults == ()

    def failing(key: str) -> object:
        raise StoreError("away")

    monkeypatch.setattr(store, "get", failing)
    with pytest.raises(StoreError, match="away"):
        catalogue.backups()


def test_a_manifest_says_what_lies_there(catalogue: Catalogue, store: FolderStore) -> None:
    made = put(catalogue, manifest())
    read = json.loads(b"".join(store.get(f"app/{made.id}/manifest.json")))
    assert (read["id"], read["database"]) == (made.id, "app")
    assert catalogue.read("app").faults == ()
    assert isinstance(Fault("there", "broken"), Fault)
