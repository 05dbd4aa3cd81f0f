"""The protocol of backup engines, which dump and restore one database. `pg_dump/` implements it.

Belongs here: the protocol and its errors. Does not belong here: stores and manifests' JSON.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from atlas_pipeline.backup.manifest import DatabaseState, StoredObject

Progress = Callable[[str], None]


class BackupFailed(Exception):
    """The backup failed; the message says which database, what failed and what to do. It holds no secret."""


class RestoreFailed(Exception):
    """The restore failed, and the live database is unchanged; the message says what failed and what to do."""


@dataclass(frozen=True)
class Dumped:
    """The result of a dump; `unrestorable` names what is in the database and not in the dump."""

    objects: tuple[StoredObject, ...]
    state: DatabaseState
    server_version: str
    tool_version: str
    unrestorable: tuple[str, ...] = ()


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
        """The objects so far."""
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
            progress: called with a message on the way.

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
            progress: called with a message on the way.

        Raises:
            RestoreFailed: the dump or the server is at fault; what reading an object raises is its cause.
        """
        ...

    def state(self, url: str) -> DatabaseState:
        """The state of a database, to be compared with a manifest's."""
        ...
