"""Objects of a backup: what was put comes out, or an error says what is wrong with which."""

import hashlib
import io
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyrage
import pytest

from atlas_pipeline.backup.manifest import StoredObject
from atlas_pipeline.backup.objects import ObjectSink, open_object, verify_objects
from atlas_pipeline.backup.sealing import SealError
from atlas_pipeline.backup.store import StoreError, StoreUnavailable
from atlas_pipeline.backup.store.folder import INCOMING, FolderStore
from atlas_pipeline.backup.store.s3 import S3Store

KEY = pyrage.x25519.Identity.generate()
FOR_KEY = str(KEY.to_public())
DATA = random.Random(2).randbytes(2_000_000) + b"a line\n" * 300_000
FOLDER = "shop/2024-01-01"


class Broken(Exception):
    pass


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "backups")


def chunks(data: bytes = DATA) -> Iterator[bytes]:
    source = io.BytesIO(data)
    while chunk := source.read(50_000):
        yield chunk


def opened(store: Any, one: StoredObject) -> bytes:
    return b"".join(open_object(store, FOLDER, one, [KEY], [FOR_KEY] if one.name.endswith(".age") else []))


def path_of(store: FolderStore, one: StoredObject) -> Path:
    return Path(store.place) / FOLDER / one.name


@pytest.mark.parametrize("recipients", [(), (FOR_KEY,)], ids=["plain", "encrypted"])
def test_what_was_put_comes_out(store: FolderStore, recipients: tuple[str, ...]) -> None:
    sink = ObjectSink(store, FOLDER, recipients, threads=1)
    sink.put(["toc"], chunks())
    sink.put(["empty"], iter([]))
    sink.put({"a": 3, "b": 4}, iter([b"a and b"]))
    sink.put(["c", "d"], iter([b"c and d"]))
    end = ".zst.age" if recipients else ".zst"
    assert [one.name for one in sink.objects] == [f"data-000{n}{end}" for n in range(1, 5)]
    assert [dict(one.files) for one in sink.objects] == [
        {"toc": len(DATA)},
        {"empty": 0},
        {"a": 3, "b": 4},
        {"c": 7, "d": 0},
    ]
    assert [opened(store, one) for one in sink.objects] == [DATA, b"", b"a and b", b"c and d"]
    for one in sink.objects:
        stored = path_of(store, one).read_bytes()
        assert (one.bytes, one.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert verify_objects(store, FOLDER, sink.objects) == []
    json.dumps([asdict(one) for one in sink.objects])
    with pytest.raises(ValueError, match="one file or more"):
        sink.put([], iter([]))


def test_the_dump_is_not_readable_in_the_store(store: FolderStore) -> None:
    sink = ObjectSink(store, FOLDER, [FOR_KEY])
    sink.put(["file"], iter([b"a very secret line\n"] * 100))
    stored = path_of(store, sink.objects[0]).read_bytes()
    assert stored.startswith(b"age-encryption.org/v1")
    assert b"secret" not in stored
    assert b"\x28\xb5\x2f\xfd" not in stored, "zstd's magic"


def test_threads_share_a_sink(store: FolderStore) -> None:
    sink = ObjectSink(store, FOLDER, [FOR_KEY])
    barrier = threading.Barrier(8)

    def put(number: int) -> None:
        def together() -> Iterator[bytes]:
            barrier.wait(30)  # all eight are on their way
            yield from chunks(f"{number}".encode() * 100_000)

        sink.put([f"file {number}"], together())

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(put, number) for number in range(40)]:
            done.result(60)
    assert [one.name for one in sink.objects] == [f"data-{n:04}.zst.age" for n in range(1, 41)]
    assert {name for one in sink.objects for name in one.files} == {f"file {n}" for n in range(40)}
    for one in sink.objects:
        (name,) = one.files
        assert opened(store, one) == name.removeprefix("file ").encode() * 100_000


def test_a_dump_that_breaks_is_no_object(store: FolderStore) -> None:
    sink, closed = ObjectSink(store, FOLDER, [FOR_KEY]), []

    def breaking() -> Iterator[bytes]:
        yield from chunks()
        raise Broken

    with pytest.raises(Broken):
        sink.put(["a"], breaking())
    assert sink.objects == ()
    assert list(store.list("")) == []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield os.urandom(100_000)
        finally:
            closed.append(True)

    class Full(FolderStore):
        def put(self, key: str, chunks: Any) -> Any:
            for _, _ in zip(chunks, range(3), strict=False):
                pass
            raise StoreError("it is full")

    source = endless()
    with pytest.raises(StoreError, match="it is full"):
        ObjectSink(Full(Path(store.place)), FOLDER, [FOR_KEY]).put(["a"], source)
    assert closed == [True], "who reads a dump learns that nobody wants it any more"
    assert not [thread for thread in threading.enumerate() if thread.name == "atlas-age"]
    sink.put(["a"], chunks())
    assert [one.name for one in sink.objects] == ["data-0002.zst.age"]


@pytest.mark.parametrize("recipients", [(), (FOR_KEY,)], ids=["plain", "encrypted"])
def test_damage_is_found(store: FolderStore, recipients: tuple[str, ...]) -> None:
    sink = ObjectSink(store, FOLDER, recipients)
    for name in ("cut", "longer", "flipped", "gone", "whole"):
        sink.put([name], chunks())
    cut, longer, flipped, gone, whole = sink.objects
    good = {one.name: path_of(store, one).read_bytes() for one in sink.objects}
    path_of(store, cut).write_bytes(good[cut.name][:-1])
    path_of(store, longer).write_bytes(good[longer.name] + b"x")
    path_of(store, flipped).write_bytes(good[flipped.name][:-30] + b"?" + good[flipped.name][-29:])
    path_of(store, gone).unlink()
    size = cut.bytes
    assert verify_objects(store, FOLDER, sink.objects) == [
        f"{cut.name} has {size - 1} bytes, and the manifest says {size}",
        f"{longer.name} has {longer.bytes + 1} bytes, and the manifest says {longer.bytes}",
        f"{store.place}/{FOLDER}/{flipped.name} is damaged: its SHA-256 is not the manifest's",
        f"{gone.name} is missing",
    ]
    for one in (cut, longer, flipped, gone):
        with pytest.raises((StoreError, SealError), match=one.name):
            opened(store, one)
    assert opened(store, whole) == DATA


def test_another_object_in_its_place_is_found(store: FolderStore) -> None:
    """It opens, and is as large: only the manifest tells."""
    sink = ObjectSink(store, FOLDER, [FOR_KEY])
    for letter in b"ab":
        sink.put([chr(letter)], chunks(random.Random(letter).randbytes(100_000)))
    first, second = sink.objects
    path_of(store, first).write_bytes(path_of(store, second).read_bytes())
    exchanged = replace(first, bytes=second.bytes)
    with pytest.raises(StoreError, match=r"data-0001.zst.age is damaged: its SHA-256 is not the manifest's"):
        opened(store, exchanged)
    with pytest.raises(StoreError, match="holds 100000 bytes, and the manifest says 5"):
        opened(store, replace(second, files={"b": 5}))


def test_a_wrong_key_names_the_object_and_the_right_one(store: FolderStore) -> None:
    sink = ObjectSink(store, FOLDER, [FOR_KEY])
    sink.put(["a"], chunks())
    wrong = pyrage.x25519.Identity.generate()
    with pytest.raises(SealError) as caught:
        list(open_object(store, FOLDER, sink.objects[0], [wrong], [FOR_KEY]))
    assert str(caught.value) == (
        f"{store.place}/{FOLDER}/data-0001.zst.age cannot be opened: none of the identities opens it: expected the key"
        f" of {FOR_KEY}"
    )


def test_a_store_that_is_away_is_no_damage(store: FolderStore) -> None:
    sink = ObjectSink(store, FOLDER)
    sink.put(["a"], chunks())

    class Away(FolderStore):
        def get(self, key: str) -> Iterator[bytes]:
            yield b""
            raise StoreUnavailable("it does not answer")

    with pytest.raises(StoreUnavailable):
        verify_objects(Away(Path(store.place)), FOLDER, sink.objects)


@pytest.mark.slow
def test_in_s3_too(s3: Any) -> None:
    store = S3Store("backups", "objects", s3.client(), part_bytes=5 << 20)
    sink = ObjectSink(store, FOLDER, [FOR_KEY])
    big = random.Random(9).randbytes(12_000_000)
    sink.put(["big"], chunks(big))
    sink.put(["small"], chunks(b"x"))
    assert verify_objects(store, FOLDER, sink.objects) == []
    assert [opened(store, one) for one in sink.objects] == [big, b"x"]
    store.delete([f"{FOLDER}/{sink.objects[1].name}"])
    store.put(f"{FOLDER}/{sink.objects[0].name}", [big])
    problems = verify_objects(store, FOLDER, sink.objects)
    assert [problem.split(" ", 2)[:2] for problem in problems] == [
        ["data-0001.zst.age", "has"],
        ["data-0002.zst.age", "is"],
    ]


def test_a_full_disk_while_a_dump_goes_on(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(4)
    store = FolderStore(disk)
    sink = ObjectSink(store, FOLDER, [FOR_KEY])
    with pytest.raises(StoreError, match=r"is full: shop/2024-01-01/data-0001.zst.age was not written"):
        sink.put(["a"], (os.urandom(1 << 20) for _ in range(50)))
    assert list(store.list("")) == list((disk / INCOMING).iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "atlas-age"]
