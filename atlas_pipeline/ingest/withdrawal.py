"""Taking one file back, loading it again, and accepting a snapshot that shrank: what a person asks of the ledger.

Belongs here: what each request changes in bronze, quarantine and the ledger. Does not belong here: how it is asked
(`cli/files.py`, `orchestration/tables/files.py`), and silver, which is built anew by its next run.
"""

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.copying import FILE_ID
from atlas_pipeline.ingest.damage import table_exists
from atlas_pipeline.ingest.dataset import Dataset
from atlas_pipeline.ingest.quarantine import release_files
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse import ledger
from atlas_pipeline.warehouse.publish import table_lock


class NoSuchFile(Exception):
    """The ledger or the source has no such file; the message says which, and what to do."""


@dataclass(frozen=True)
class Forgotten:
    """What taking a file back comes to.

    Attributes:
        uri: the file.
        rows: in bronze, of all its versions.
        rejected: lines that were no records.
        in_silver: whether silver has rows of it, until its next run.
    """

    uri: str
    rows: int
    rejected: int
    in_silver: bool


def find(connection: psycopg.Connection, dataset: str, uri: str) -> ledger.FileState:
    """The file of that URI, or the only one whose URI ends in it. Raises NoSuchFile."""
    states = ledger.file_states(connection, dataset)
    matches = [one for one in states if one.uri == uri] or [one for one in states if one.uri.endswith(f"/{uri}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise NoSuchFile(
            f"{len(matches)} files of {dataset} end in {uri}: give the whole URI, as `atlas files list` does"
        )
    raise NoSuchFile(f"{dataset} has no file {uri}: `atlas files list {dataset}` shows those that were ever looked at")


def forget(
    connection: psycopg.Connection, dataset: str, uri: str, *, reason: str, lock_seconds: int, dry_run: bool = False
) -> Forgotten:
    """Take the rows of one file out of bronze and quarantine; the next run takes them out of silver.

    The file is not loaded again until it changes, or `reload` asks for it.

    Args:
        connection: to the warehouse; committed.
        dataset: that the file belongs to.
        uri: as the ledger has it, or its end.
        reason: kept in the ledger, with who asked.
        lock_seconds: how long to wait for a run that loads or builds the dataset.
        dry_run: only count.

    Raises:
        NoSuchFile: the ledger has no such file.
        publish.TableBusy: the dataset is being loaded or built.
    """
    with (
        table_lock(connection, "bronze", dataset, lock_seconds),
        table_lock(connection, "silver", dataset, lock_seconds),
    ):
        state = find(connection, dataset, uri)
        file_ids = ledger.entries_of(connection, dataset, state.uri)
        rows = _count(connection, dataset, file_ids)
        if not dry_run:
            known = ledger.known_files(connection, dataset)[state.uri]
            asked = f"{_user()}: {reason}" if reason else _user()
            version = known.version if known.version != ledger.RELOAD else ""
            look = ledger.Look(dataset, state.partition, state.uri, version, known.options or "", "atlas files")
            with connection.transaction():
                if table_exists(connection, dataset):
                    statement = sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)")
                    table = sql.Identifier("bronze", dataset)
                    connection.execute(statement.format(table, sql.Identifier(FILE_ID)), [file_ids])
                    release_files(connection, dataset, file_ids)
                ledger.forget(connection, dataset, state.uri)
                ledger.note(connection, look, "forgotten", None, asked)
        connection.commit()
    return Forgotten(state.uri, rows, state.rejected, state.in_silver)


def reload(connection: psycopg.Connection, dataset: Dataset, settings: Settings, uri: str | None) -> list[str]:
    """Have files read again by the next run, whatever was known of them.

    What they were loaded as counts until they were read again.

    Args:
        connection: to the warehouse; committed.
        dataset: that the files belong to.
        settings: say where its source is.
        uri: one file, or its end; null for all that the ledger and the source have.

    Returns:
        The URIs.

    Raises:
        NoSuchFile: the ledger has no such file, or the source no longer has it.
        sources.SourceError, sources.ServiceUnavailable.
    """
    states = ledger.file_states(connection, dataset.name) if uri is None else [find(connection, dataset.name, uri)]
    wanted = [state.uri for state in states if uri is not None or state.rows]
    there = {file.uri for file in dataset.source.list(settings)}
    gone = [one for one in wanted if one not in there]
    wanted = [one for one in wanted if one in there]
    if gone and not wanted:
        more = f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        raise NoSuchFile(
            f"the source no longer has {gone[0]}{more}: bring it back, or take it back with `atlas files forget`"
        )
    ledger.ask_again(connection, dataset.name, wanted)
    connection.commit()
    return wanted


def accept(connection: psycopg.Connection, dataset: str, uri: str) -> str:
    """Let the next run load a snapshot that was refused for having shrunk. Returns its URI.

    Raises NoSuchFile when no such snapshot was refused.
    """
    state = find(connection, dataset, uri)
    if state.status != "refused" or state.rule not in ("snapshot_shrank", "header_only", "empty"):
        raise NoSuchFile(f"{state.uri} was not refused for having shrunk: its state is {state.rule or state.status}")
    ledger.accept(connection, dataset, state.uri)
    connection.commit()
    return state.uri


def _user() -> str:
    """Who asks; a container may run as somebody whom the system has no name for."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _count(connection: psycopg.Connection, dataset: str, file_ids: Sequence[int]) -> int:
    if not table_exists(connection, dataset):
        return 0
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {} = ANY(%s)")
    query = statement.format(sql.Identifier("bronze", dataset), sql.Identifier(FILE_ID))
    row = connection.execute(query, [list(file_ids)]).fetchone()
    return int(row[0]) if row else 0
