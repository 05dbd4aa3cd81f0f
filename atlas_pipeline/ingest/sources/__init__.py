"""Where a dataset's rows come from: files in folders, object stores and on servers, or a table of another Postgres.

Belongs here: what every source promises. Does not belong here: one kind of them (`files.py`, `s3.py`, `postgres.py`),
formats (`readers/`), and what was loaded before (`warehouse/ledger.py`).
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import psycopg

from atlas_pipeline.ingest.readers import Format
from atlas_pipeline.settings import Settings

CHANGED = "it changed after it was listed; the next run takes it as it is then"
"""What is said of a file whose version cannot be read any more."""


class SourceError(Exception):
    """A source cannot be listed or opened; the message says which, why, and what to do."""


class ServiceUnavailable(Exception):
    """A service that a source needs does not answer, and may later. The message names the service and the failure."""


class LeftAlone(ServiceUnavailable):
    """A service is not asked for a while, since it failed several times or asked for that: trying again is no use."""


@dataclass(frozen=True)
class Problem:
    """Why something that was listed cannot be loaded: a stable rule, and the reason for people."""

    rule: str
    reason: str


@dataclass(frozen=True)
class SourceFile:
    """One file, object or table. `version` changes when its content may have: size and change time, or ETag.

    With a `problem` it is only named; a folder that cannot be read is one, too. `on_loaded` is called in the
    transaction that loads it, or notes that its content is loaded already. `format` is null for what its name says.
    """

    uri: str
    name: str
    version: str
    bytes: int
    modified: float
    open: Callable[[], AbstractContextManager[BinaryIO]]
    partition: str | None = None
    problem: Problem | None = None
    on_loaded: Callable[[psycopg.Connection], None] | None = None
    format: Format | None = None

    def settled(self, seconds: float, now: float | None = None) -> bool:
        """Whether it has not changed for a while, so that it is no longer being written.

        Args:
            seconds: for how long.
            now: the time in seconds since the epoch; null for that of the clock.
        """
        return (now if now is not None else time.time()) - self.modified >= seconds


class Source(Protocol):
    """Where the rows of a dataset come from."""

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        """What there is to load, in order of names.

        Args:
            settings: landing folder, S3 endpoint and region.
            partition: only files of this partition; null for all.

        Raises:
            SourceError: it cannot be listed.
            ServiceUnavailable: its server does not answer; a later attempt may succeed.
            SettingsError: a setting that it needs is missing.
        """
        ...
