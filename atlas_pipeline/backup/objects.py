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
    """Puts each stream of a dump into its own object, `data-0001.zst.age` and on. Thread-safe.

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
        """Compress, encrypt and store a stream, then add it to `objects`. A failure leaves nothing. `chunks` is closed.

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
        """The objects so far, by name."""
        with self._lock:
            return tuple(sorted(self._objects, key=lambda stored: (len(stored.name), stored.name)))


def open_object(
    store: Store, folder: str, stored: StoredObject, identities: Sequence[Any] = (), recipients: Sequence[str] = ()
) -> Generator[bytes, None, None]:
    """The raw bytes of an object.

    Args:
        store: where it is.
        folder: key of the backup's folder.
        stored: its entry in the manifest.
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
        objects: their entries in the manifest.

    Returns:
        One text for each object that differs.

    Raises:
        StoreUnavailable: the store does not answer, so nothing is known.
        StoreError: they cannot be listed.
    """
    folder = folder.strip("/")
    sizes = {entry.key: entry.bytes for entry in store.list(f"{folder}/")}

    def check(stored: StoredObject) -> str | None:
        key = f"{folder}/{stored.name}"
        if key not in sizes:
            return f"{stored.name} is missing"
        if sizes[key] != stored.bytes:
            return f"{stored.name} has {sizes[key]} bytes, and the manifest says {stored.bytes}"
        try:
            for _ in _proven(store, key, stored):
                pass
        except StoreUnavailable:
            raise
        except StoreError as error:
            return str(error)
        return None

    pool = ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="backup-verify")
    try:
        return [problem for problem in pool.map(check, objects) if problem]
    finally:
        pool.shutdown(cancel_futures=True)


def _proven(store: Store, key: str, stored: StoredObject) -> Iterator[bytes]:
    """The stored bytes; raises StoreError at the end if size or SHA-256 differ from the manifest."""
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
