"""The objects of one backup in a store: sealed when written, opened when read, verified against the manifest.

Belongs here: naming, counting, hashing them. Does not belong here: sealing itself (`sealing.py`), stores (`store/`),
and what a dump is made of (the engine).
"""

import hashlib
import threading
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from atlas_pipeline.backup.manifest import StoredObject
from atlas_pipeline.backup.sealing import LEVEL, SealError, seal, suffix, unseal
from atlas_pipeline.backup.store import Store, StoreError, StoreUnavailable

_READ_AT_ONCE = 2


class ObjectSink:
    """Puts each stream of a dump into an object of its own, `data-0001.zst.age` and on. Threads may share it.

    Implements engine.Sink.

    Args:
        store: where the objects go.
        folder: key of the backup's folder.
        recipients: public keys to encrypt to; none leaves objects unencrypted.
        level: of zstd.
        threads: that compress besides the caller's, for each stream that is in progress.
    """

    def __init__(self, store: Store, folder: str, recipients: Sequence[str] = (), level: int = LEVEL, threads: int = 0):
        self._store = store
        self._folder = folder.strip("/")
        self._recipients = tuple(recipients)
        self._level = level
        self._threads = threads
        self._lock = threading.Lock()
        self._last = 0
        self._objects: list[StoredObject] = []

    def put(self, files: Sequence[str] | Mapping[str, int], chunks: Iterator[bytes]) -> None:
        """Seal and store a stream; then it is one of `objects`. When it fails nothing stays. `chunks` is closed.

        One file has as many bytes as came. The engine frames several: it gives their sizes in a mapping, or else
        the first has the size of the whole stream, and the others none. Raises StoreError and SealError; whatever
        `chunks` raises passes through.
        """
        names = list(files)
        if not names:
            raise ValueError("an object has one file or more")
        with self._lock:
            self._last += 1
            name = f"data-{self._last:04}{suffix(self._recipients)}"
        raw = 0

        def counted() -> Iterator[bytes]:
            nonlocal raw
            for chunk in chunks:
                raw += len(chunk)
                yield chunk

        try:
            with closing(seal(counted(), self._recipients, self._level, self._threads)) as sealed:
                written = self._store.put(f"{self._folder}/{name}", sealed)
        finally:
            if close := getattr(chunks, "close", None):
                close()
        if isinstance(files, Mapping) and len(files) > 1:
            sizes = dict(files)
        else:
            sizes = dict.fromkeys(names, 0) | {names[0]: raw}
        with self._lock:
            self._objects.append(StoredObject(name, written.bytes, written.sha256, sizes))

    @property
    def objects(self) -> tuple[StoredObject, ...]:
        """What was put so far, by name."""
        with self._lock:
            return tuple(sorted(self._objects, key=lambda one: (len(one.name), one.name)))


def open_object(
    store: Store, folder: str, stored: StoredObject, identities: Sequence[Any] = (), recipients: Sequence[str] = ()
) -> Generator[bytes, None, None]:
    """The raw bytes of an object.

    Args:
        store: where it is.
        folder: key of the backup's folder.
        stored: what the manifest says of it.
        identities: secret keys that may open it.
        recipients: the manifest's public keys, for messages.

    Raises:
        StoreError: it cannot be read, or at its end: it differs from the manifest.
        SealError: no identity opens it, or it is damaged.
    """
    key = f"{folder.strip('/')}/{stored.name}"
    try:
        with closing(unseal(_proven(store, key, stored), identities, recipients)) as opened:
            raw = 0
            for chunk in opened:
                raw += len(chunk)
                yield chunk
    except SealError as error:
        raise SealError(f"{store.place}/{key} cannot be opened: {error}") from error
    if len(stored.files) == 1 and raw != sum(stored.files.values()):
        raise StoreError(f"{store.place}/{key} holds {raw} bytes, and the manifest says {sum(stored.files.values())}")


def verify_objects(store: Store, folder: str, objects: Collection[StoredObject]) -> list[str]:
    """Read every byte of the objects and compare them with the manifest.

    Args:
        store: where they are.
        folder: key of the backup's folder.
        objects: what the manifest says of them.

    Returns:
        One text for each object that differs.

    Raises:
        StoreUnavailable: the store does not answer, so nothing is known.
        StoreError: they cannot be listed.
    """
    folder = folder.strip("/")
    there = {entry.key: entry.bytes for entry in store.list(f"{folder}/")}

    def look(one: StoredObject) -> str | None:
        key = f"{folder}/{one.name}"
        if key not in there:
            return f"{one.name} is missing"
        if there[key] != one.bytes:
            return f"{one.name} has {there[key]} bytes, and the manifest says {one.bytes}"
        try:
            for _ in _proven(store, key, one):
                pass
        except StoreUnavailable:
            raise
        except StoreError as error:
            return str(error)
        return None

    pool = ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="backup-verify")
    try:
        return [problem for problem in pool.map(look, objects) if problem]
    finally:
        pool.shutdown(cancel_futures=True)


def _proven(store: Store, key: str, stored: StoredObject) -> Iterator[bytes]:
    """The stored bytes; raises StoreError at their end when they are others than the manifest says."""
    digest, size = hashlib.sha256(), 0
    chunks: Iterable[bytes] = store.get(key)
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if size != stored.bytes:
        raise StoreError(f"{store.place}/{key} has {size} bytes, and the manifest says {stored.bytes}")
    if digest.hexdigest() != stored.sha256:
        raise StoreError(f"{store.place}/{key} is damaged: its SHA-256 is not the manifest's")
