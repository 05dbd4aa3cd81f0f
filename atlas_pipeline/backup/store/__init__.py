"""The protocol of stores, which `folder.py` and `s3.py` implement.

Belongs here: the protocol and its errors. Does not belong here: manifests and databases.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class StoreError(Exception):
    """A request of a store failed; the message says which store, what failed and what to do. It holds no secret."""


class StoreUnavailable(StoreError):
    """The store does not answer: nothing is known of its content, and a later attempt may succeed."""


class AlreadyThere(StoreError):
    """An object with that key exists, and must not be replaced."""


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
        """Its location, for messages: a path or s3://bucket/prefix."""
        ...

    def check(self) -> None:
        """Prove that objects can be written, read, listed and deleted. Raises StoreError."""
        ...

    def put(self, key: str, chunks: Iterable[bytes]) -> Written:
        """Write an object from a stream. It becomes visible when it is complete; a failure leaves nothing.

        Args:
            key: its name; an object of that name is replaced.
            chunks: its bytes; what it raises passes through.

        Raises:
            StoreError: it was not written.
        """
        ...

    def put_new(self, key: str, data: bytes) -> None:
        """Write a small object unless the key exists, atomically and durably.

        Args:
            key: its name.
            data: its bytes.

        Raises:
            AlreadyThere: an object of that key exists, and stays as it is.
            StoreError: it was not written.
        """
        ...

    def get(self, key: str) -> Iterator[bytes]:
        """Read an object in chunks. Raises StoreError, also when it ends early."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key begins with `prefix`, which ends in `/` or is empty."""
        ...

    def delete(self, keys: Collection[str]) -> None:
        """Delete objects; missing ones are not an error. Raises StoreError."""
        ...

    def sweep(self, older_than: datetime) -> int:
        """Delete the remains of broken uploads from before that moment. Returns how many."""
        ...
