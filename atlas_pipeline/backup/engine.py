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

        Args:
            files: names in the dump. The bytes of one file are counted; of several, a mapping gives the sizes.
            chunks: the bytes, closed in any case.
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

    def backup(self, url: str, sink: Sink, *, jobs: int, exclude: Sequence[str], progress: Progress) -> Dumped:
        """Dump the database into `sink`, in one snapshot with its state.

        Args:
            url: connection URL of the database.
            sink: takes the files of the dump, from several threads.
            jobs: tables that are read at the same time.
            exclude: patterns of tables whose rows are left out, as in `pg_dump --exclude-table-data`.
            progress: is told in words how far it is.

        Raises:
            BackupFailed: the database or the tools failed; what the sink raises passes through.
        """
        ...

    def restore(
        self, url: str, objects: Mapping[str, Callable[[], Iterator[bytes]]], *, jobs: int, progress: Progress
    ) -> None:
        """Restore into an empty database.

        Args:
            url: connection URL of the database.
            objects: reads the raw contents of an object, by each name that the sink was given for it.
            jobs: tables that are written at the same time.
            progress: is told in words how far it is.

        Raises:
            RestoreFailed: the dump or the server is at fault; what reading an object raises is its cause.
        """
        ...

    def state(self, url: str) -> DatabaseState:
        """What a database holds, to be compared with a manifest's."""
        ...
