"""Rules for every store: valid keys, and the self-test.

Belongs here: what folders and buckets share. Does not belong here: either of them (`folder.py`, `s3.py`).
"""

import uuid
from contextlib import suppress

from atlas_pipeline.backup.store import AlreadyThere, Store, StoreError


def parts(key: str, place: str) -> list[str]:
    """The parts of a valid key: none is empty, `.` or `..`.

    Args:
        key: names with `/` between them.
        place: the store, for messages.

    Raises:
        StoreError: it is not a key.
    """
    parts_ = key.split("/")
    if any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > 255 for part in parts_):
        raise StoreError(f"{place}: {key!r} is not a key: its parts are names, with / between them")
    return parts_


def prefix_parts(prefix: str, place: str) -> list[str]:
    """The parts of a prefix.

    Args:
        prefix: a key and `/`, or empty.
        place: the store, for messages.

    Raises:
        StoreError: it is not a prefix.
    """
    if prefix and not prefix.endswith("/"):
        raise StoreError(f"{place}: the prefix {prefix!r} does not end in /")
    return parts(prefix[:-1], place) if prefix else []


def prove(store: Store) -> None:
    """Self-test: write, overwrite, read, list and delete a probe object. Raises StoreError."""
    folder = f"probe-{uuid.uuid4().hex}"
    keys, data = [f"{folder}/put", f"{folder}/new"], uuid.uuid4().hex.encode()
    try:
        store.put(keys[0], [data])
        store.put_new(keys[1], data)
        try:
            store.put_new(keys[1], b"another")
        except AlreadyThere:
            pass
        else:
            raise StoreError(f"{store.place} replaces objects that were not to be: it cannot keep backups safely")
        for key in keys:
            if b"".join(store.get(key)) != data:
                raise StoreError(f"{store.place} returns other bytes than were written")
        if [entry.key for entry in store.list(f"{folder}/")] != sorted(keys):
            raise StoreError(f"{store.place} does not list what was written")
    except BaseException:
        _forget(store, keys)
        raise
    store.delete(keys)
    if list(store.list(f"{folder}/")):
        raise StoreError(f"{store.place} does not delete what it is told to")


def _forget(store: Store, keys: list[str]) -> None:
    with suppress(StoreError):  # what is raised already says more
        store.delete(keys)
