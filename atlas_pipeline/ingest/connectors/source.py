"""Extracts of a connector as a source: files in a folder of their own below the landing folder.

Belongs here: which extracts there are, and moving the cursor when one is loaded. Does not belong here: making them
(`extracting.py`). Listing asks no server.

The folder's name begins with a dot, which no pattern of files matches. An extract says of itself where it ends; loading
it moves the cursor there, in the same transaction. One that was made and not loaded is made anew by the next run.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psycopg

from atlas_pipeline.ingest.connectors import Extractable, fingerprint
from atlas_pipeline.ingest.sources import SourceFile
from atlas_pipeline.ingest.sources.folders import matching
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse import connectors, ledger

FOLDER = ".extracts"
SNAPSHOT = "snapshot.parquet"


@dataclass(frozen=True)
class ExtractedSource:
    """The extracts of a dataset. With `whole` each is all that there is; else it is what is new. Implements Source.

    Attributes:
        dataset: its name.
        connector: what is extracted.
        whole: an extract takes the place of the one before.
        columns: the declared columns, for an extract without rows.
    """

    dataset: str
    connector: Extractable
    whole: bool
    columns: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Hash of what is extracted."""
        return fingerprint(self.connector)

    def folder(self, settings: Settings) -> Path:
        """Where the extracts are."""
        return settings.landing_path / FOLDER / self.dataset

    def path(self, settings: Settings, number: int) -> Path:
        """The file of an extract.

        The name has the fingerprint, so that extracts of another source stay beside it.
        """
        name = SNAPSHOT if self.whole else f"{self.fingerprint}-{number:08d}.parquet"
        return self.folder(settings) / name

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        """The extracts that were made, in order."""
        found = [file for _, file in matching("*.parquet", self.folder(settings))]
        files = [
            replace(
                file,
                partition=partition,
                modified=0.0,
                format="extract",
                on_loaded=partial(_loaded, self.dataset, Path(file.uri)),
            )
            for file in found
        ]
        return sorted(files, key=lambda file: file.uri)


def clear(connection: psycopg.Connection, source: ExtractedSource, settings: Settings) -> int:
    """Delete extracts that were loaded longer ago than they are kept. Returns how many.

    The newest one stays, and so does a snapshot, which each load writes anew.
    """
    old = ledger.loaded_before(connection, source.dataset, settings.extracts_days)
    gone = [file for file in source.list(settings)[:-1] if file.uri in old and file.name != SNAPSHOT]
    for file in gone:
        Path(file.uri).unlink(missing_ok=True)
    return len(gone)


def _loaded(dataset: str, path: Path, connection: psycopg.Connection) -> None:
    """Move the cursor to where the extract ends, in the transaction that loads it."""
    from atlas_pipeline.ingest.connectors.parquet import about

    said = about(path)
    if said:
        after = connectors.Position(said["extract"], said["cursor"], said["columns"])
        connectors.move(connection, dataset, said["source"], said["extract"], after)


def said_of(source: ExtractedSource, number: int, cursor: str | None) -> dict[str, object]:
    """What an extract says of itself: of a whole one nothing that changes while its rows do not."""
    return {"source": source.fingerprint, "extract": 1 if source.whole else number, "cursor": cursor}


def shown(source: ExtractedSource) -> str:
    """The connector for people, without credentials: what it has of them are names of settings."""
    connector = source.connector
    what = {"database", "table", "url", "path", "files"}
    return json.dumps({name: value for name, value in vars(connector).items() if name in what and value})
