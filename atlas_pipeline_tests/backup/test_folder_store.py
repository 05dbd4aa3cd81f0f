"""Backups in a folder: keys, kills, full disks, many at once, and what others may not read."""

import errno
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atlas_pipeline.backup.store import StoreError, StoreUnavailable
from atlas_pipeline.backup.store import folder as folder_module
from atlas_pipeline.backup.store.folder import INCOMING, FolderStore

DATA = os.urandom(3_000_001)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


class Broken(Exception):
    pass


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "disk" / "backups")


def read(store: FolderStore, key: str) -> bytes:
    return b"".join(store.get(key))


def names(store: FolderStore, prefix: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def incoming(store: FolderStore) -> list[Path]:
    folder = Path(store.place) / INCOMING
    return list(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("size", [0, 1, 1 << 20, len(DATA)])
def test_sizes(store: FolderStore, size: int) -> None:
    data = DATA[:size]
    written = store.put("a/b", iter([data[: size // 2], b"", data[size // 2 :]]))
    assert (written.bytes, written.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert read(store, "a/b") == data
    (entry,) = store.list("a/")
    assert (entry.key, entry.bytes, entry.modified.tzinfo) == ("a/b", size, UTC)
    assert incoming(store) == []
    store.put("a/b", [b"anew"])
    assert read(store, "a/b") == b"anew"


def test_listing_and_deleting(store: FolderStore) -> None:
    assert names(store) == []
    for key in ("b/2", "b/1", "a", "bb/1", "b/c/ü 1"):
        store.put(key, [b"x"])
    assert names(store, "b/") == ["b/1", "b/2", "b/c/ü 1"]
    assert names(store) == ["a", "b/1", "b/2", "b/c/ü 1", "bb/1"]
    assert names(store, "nothing/") == names(store, "a/") == []
    store.delete(["b/1", "b/c/ü 1", "not there", "a/not/there"])
    assert names(store) == ["a", "b/2", "bb/1"]
    assert not (Path(store.place) / "b" / "c").exists(), "empty folders go"
    with pytest.raises(StoreError, match="does not end in /"):
        names(store, "b")
    with pytest.raises(StoreError, match="b/1 cannot be read: it is not there"):
        read(store, "b/1")


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../../b", "a/./b", "a\0b", "x" * 300, f"{INCOMING}/a"]
)
def test_keys_that_lead_elsewhere(store: FolderStore, key: str) -> None:
    for act in (
        lambda: store.put(key, [b"x"]),
        lambda: store.put_new(key, b"x"),
        lambda: read(store, key),
        lambda: store.delete([key]),
    ):
        with pytest.raises(StoreError, match="is not a key"):
            act()
    with pytest.raises(StoreError):
        names(store, "../")
    assert not Path(store.place).exists()


def test_nobody_else_may_read_it(store: FolderStore) -> None:
    old = os.umask(0)
    try:
        store.put("a/b/c", [b"x"])
        store.put_new("a/n", b"x")
    finally:
        os.umask(old)
    root = Path(store.place)
    for path in (root, *root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert len(list(root.rglob("*"))) == 5


def test_links_are_not_followed(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("x")
    store.put("a/b", [b"x"])
    (Path(store.place) / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (Path(store.place) / "a" / "file").symlink_to(tmp_path / "elsewhere" / "file")
    assert names(store) == ["a/b"]


def test_a_check_leaves_nothing(store: FolderStore) -> None:
    store.check()
    assert [path.name for path in Path(store.place).rglob("*")] == [INCOMING]


def test_it_is_on_the_disk_before_it_has_its_name(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is flushed, then moved, then its folder is flushed."""
    store.put("a/first", [b"x"])
    happened: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(file: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{file}"))  # noqa: PTH115
        happened.append(f"sync {'file' if name.parent.name == INCOMING else name.name}")
        real_sync(file)

    def replace(self: Path, target: Path) -> Path:
        happened.append("move")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    store.put("a/b", [b"x"])
    assert happened == ["sync file", "move", "sync a"]
    happened.clear()
    store.put("c/b", [b"x"])
    assert happened == ["sync file", "sync backups", "move", "sync c"]


# What breaks off.


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_source_that_breaks_leaves_nothing(store: FolderStore, after: int) -> None:
    def breaking() -> Iterator[bytes]:
        for _ in range(after):
            yield DATA
        raise Broken

    with pytest.raises(Broken):
        store.put("big", breaking())
    assert names(store) == []
    assert incoming(store) == []


def test_a_kill_leaves_nothing_visible_and_is_swept(store: FolderStore) -> None:
    code = f"""
import sys
from pathlib import Path
from atlas_pipeline.backup.store.folder import FolderStore
def chunks():
    yield bytes(5_000_000)
    print("half", flush=True)
    sys.stdin.read()
FolderStore(Path({store.place!r})).put("big", chunks())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half\n"
        assert len(incoming(store)) == 1
        assert store.sweep(TOMORROW) == 0, "someone writes it, however old it is"
        child.send_signal(signal.SIGKILL)
    assert names(store) == []
    assert len(incoming(store)) == 1
    assert store.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0, "it is not old"
    assert store.sweep(TOMORROW) == 1
    assert incoming(store) == []
    assert FolderStore(Path(store.place) / "nowhere").sweep(TOMORROW) == 0


def test_of_twenty_processes_one_wins(store: FolderStore) -> None:
    code = f"""
import sys
from pathlib import Path
from atlas_pipeline.backup.store import AlreadyThere
from atlas_pipeline.backup.store.folder import FolderStore
store = FolderStore(Path({store.place!r}))
print("ready", flush=True)
for line in sys.stdin:
    try:
        store.put_new("a/" + line.strip(), sys.argv[1].encode())
        print("won", flush=True)
    except AlreadyThere:
        print("lost", flush=True)
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for n in range(20)
    ]
    try:
        assert [child.stdout.readline() for child in children] == ["ready\n"] * 20  # type: ignore[union-attr]
        for turn in range(10):
            for child in children:
                child.stdin.write(f"{turn}\n")  # type: ignore[union-attr]
            said = [child.stdout.readline() for child in children]  # type: ignore[union-attr]
            assert sorted(said) == ["lost\n"] * 19 + ["won\n"]
            assert read(store, f"a/{turn}") == str(said.index("won\n")).encode()
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert incoming(store) == []


def test_writers_and_deleters_beside_each_other(store: FolderStore) -> None:
    """Whoever deletes the last object removes its folder, which another has just found there."""
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait(30)
        for _ in range(150):
            store.put(f"a/b/{number}", [b"x"])
            store.delete([f"a/b/{number}"])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, n) for n in range(4)]:
            done.result(60)
    assert names(store) == []


# What the system refuses.


def test_a_full_disk_is_said_and_nothing_stays(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(4)
    store = FolderStore(disk / "backups")
    store.put("small", [b"x"])
    free = shutil.disk_usage(disk).free
    assert free < 4 << 20
    with pytest.raises(StoreError, match=f"{store.place} is full: big was not written; free some space"):
        store.put("big", (DATA for _ in range(10)))
    assert names(store) == ["small"]
    assert incoming(store) == []
    assert shutil.disk_usage(disk).free == free
    store.put("other", [DATA])
    with pytest.raises(StoreError, match="is full: new was not written"):
        store.put_new("new", DATA)
    assert names(store) == ["other", "small"]
    assert incoming(store) == []


def test_a_disk_that_is_read_only(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(4)
    store = FolderStore(disk / "backups")
    store.put("a", [b"x"])
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StoreError, match="a cannot be deleted: it is mounted read-only"):
        store.delete(["a"])
    with pytest.raises(StoreError, match="cannot be written: it is mounted read-only"):
        store.check()
    assert read(store, "a") == b"x"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (errno.EIO, StoreUnavailable, "big cannot be written: Input/output error"),
        (errno.ESTALE, StoreUnavailable, "big cannot be written: Stale file handle"),
        (errno.EDQUOT, StoreError, "is full: big was not written"),
        (errno.EACCES, StoreError, "this user may not; check who owns it"),
    ],
)
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_what_the_system_says(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, code: int, kind: type, message: str, call: str
) -> None:
    store.put("big", [b"as it was"])

    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StoreError, match=message) as caught:
        store.put("big", [DATA])
    assert type(caught.value) is kind
    monkeypatch.undo()
    assert read(store, "big") == b"as it was"
    assert incoming(store) == []


def test_a_file_system_without_hard_links_is_refused(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(folder_module.os, "link", refuse)
    with pytest.raises(StoreError, match=r"no hard links \(EPERM\)"):
        store.check()
    assert names(store) == []


def test_a_file_that_shrinks_while_it_is_read(store: FolderStore) -> None:
    store.put("a", [DATA])
    reading = store.get("a")
    next(reading)
    os.truncate(Path(store.place) / "a", 100)
    with pytest.raises(StoreError, match=f"a has {len(DATA)} bytes, and only 1048576 came"):
        list(reading)
