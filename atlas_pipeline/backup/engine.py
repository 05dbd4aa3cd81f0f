"""How a database gets into a backup and out again: what any engine must do. `pg_dump/` is the one there is.

Belongs here: the protocol and its errors. Does not belong here: stores and manifests' JSON.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from atlas_pipeline.backup.manifest import DatabaseState, StoredObject

Progress = Callable[[str], None]


class BackupFailed(Exception):
    """No backup came of it; the message says which database, what failed and what to do. It holds no secret."""


class RestoreFailed(Exception):
    """Nothing was put in anyone's place; the message says what failed and what to do."""


@dataclass(frozen=True)
class Dumped:
    """What an engine put into the store."""

    objects: tuple[StoredObject, ...]
    state: DatabaseState
    server_version: str
    tool_version: str


class Sink(Protocol):
    """Takes files of a dump, compresses and encrypts them into objects of one backup."""

    def put(self, files: Sequence[str] | Mapping[str, int], chunks: Iterator[bytes]) -> None:
        """Stream one or several files of the dump, framed by the engine, into an object of its own.

        The bytes of one file are counted; of several, the engine gives the sizes. `chunks` is closed in any case.
        """
        ...

    @property
    def objects(self) -> tuple[StoredObject, ...]:
        """What was put so far."""
        ...


class Engine(Protocol):
    """Backs up one database, and restores it into an empty one."""

    name: str

    def preflight(self, url: str) -> None:
        """Prove that the database can be backed up: reachable, a server no newer than the tools, readable.

        Raises BackupFailed.
        """
        ...

    def backup(
        self, url: str, sink: Sink, *, jobs: int, exclude: Sequence[str], oracle: bool, progress: Progress
    ) -> Dumped:
        """Dump the database into `sink`, in one snapshot with its state. Raises BackupFailed."""
        ...

    def restore(
        self, url: str, objects: Mapping[str, Callable[[], Iterator[bytes]]], *, jobs: int, progress: Progress
    ) -> None:
        """Restore into the empty database at `url`, from the raw contents of each object. Raises RestoreFailed."""
        ...

    def state(self, url: str) -> DatabaseState:
        """What a database holds, to be compared with a manifest's."""
        ...
