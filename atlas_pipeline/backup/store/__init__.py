"""Where backups are kept: what any place must do. `folder.py` and `s3.py` are such places.

Belongs here: the protocol and its errors. Does not belong here: manifests and databases.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class StoreError(Exception):
    """The store cannot do it; the message says which store, what failed and what to do. It holds no secret."""


class StoreUnavailable(StoreError):
    """The store does not answer: nothing is known of what is in it, and it may be tried again later."""


class AlreadyThere(StoreError):
    """An object of that key is there, and was not to be replaced."""


@dataclass(frozen=True)
class Entry:
    """An object in the store."""

    key: str
    bytes: int
    modified: datetime


@dataclass(frozen=True)
class Written:
    """What `put` wrote: bytes and their SHA-256 in hex."""

    bytes: int
    sha256: str


class Store(Protocol):
    """Objects by key; keys are relative, with `/` between parts."""

    @property
    def place(self) -> str:
        """Where it is, for messages: a path or s3://bucket/prefix."""
        ...

    def check(self) -> None:
        """Prove that objects can be written, read, listed and deleted. Raises StoreError."""
        ...

    def put(self, key: str, chunks: Iterable[bytes]) -> Written:
        """Stream an object in. It is not there until all of it is; when `chunks` raises, nothing stays.

        Raises StoreError; whatever `chunks` raises passes through.
        """
        ...

    def put_new(self, key: str, data: bytes) -> None:
        """Write a small object if there is none of that key, at once and durably. Raises AlreadyThere, StoreError."""
        ...

    def get(self, key: str) -> Iterator[bytes]:
        """Stream an object out, in chunks. Raises StoreError, also when it ends early."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key begins with `prefix`, which ends in `/` or is empty."""
        ...

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects; ones that are not there are no error. Raises StoreError."""
        ...

    def sweep(self, older_than: datetime) -> int:
        """Remove what broken uploads left before that moment. Returns how many."""
        ...
