"""One extract: from where the last loaded one ended to a Parquet file that the load of bronze takes.

Belongs here: the order of steps, and what is counted. Does not belong here: how a kind of source is asked (`sql.py`,
`rest.py`, `filesystem.py`), the file (`parquet.py`), and loading it (`bronze.py`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from atlas_pipeline.ingest.connectors import Filesystem, RestApi
from atlas_pipeline.ingest.connectors.isolation import dump_state, isolated, load_state
from atlas_pipeline.ingest.connectors.source import ExtractedSource, said_of
from atlas_pipeline.ingest.connectors.tally import RefusedFile, Tally
from atlas_pipeline.ingest.sources import LeftAlone, ServiceUnavailable, SourceError
from atlas_pipeline.settings import Settings, SettingsError
from atlas_pipeline.warehouse import connectors

_ATTEMPTED = (SourceError, ServiceUnavailable, SettingsError)


@dataclass(frozen=True)
class Extract:
    """What was extracted. `path` is null when there was nothing new; `discarded` counts columns that were left out.

    `refused` are files that were left out.
    """

    path: Path | None
    rows: int
    bytes: int
    requests: int
    retries: int
    seconds: float
    discarded: int
    refused: list[RefusedFile] = field(default_factory=list)


def extract(
    connection: psycopg.Connection,
    source: ExtractedSource,
    settings: Settings,
    *,
    key: tuple[str, ...],
    progress: Callable[[str], None] = lambda message: None,
) -> Extract:
    """Extract what is new, or all, in place of an extract that was not loaded.

    Nothing is moved: that is done by the transaction that loads the file.

    Args:
        connection: to the warehouse, without a transaction; holds the lock of the bronze table.
        source: of the dataset.
        settings: landing and home folder.
        key: the columns of the dataset's key; without one, rows must not be loaded twice.
        progress: told what is being done.

    Raises:
        SourceError: the source refuses, its columns are frozen and changed, or a cursor has no meaning any more.
        ServiceUnavailable: its server does not answer, or is left alone after failures.
        SettingsError: a credential is not set.
    """
    name, kind = source.dataset, source.connector.kind
    _refuse_open(connection, source)
    position = connectors.position(connection, name, source.fingerprint)
    if position is None and not source.whole and not key and connectors.loaded_before(connection, name):
        raise SourceError(
            f"what {name} extracts was changed (its table, query, path, cursor), and without a `key` rows "
            f"would be loaded twice: take its extracts back, and let it begin anew with `atlas connectors reset {name}`"
        )
    connection.commit()
    tally, started = Tally(), time.monotonic()
    with _counting(connection, source, tally, started):
        made = _made(source, settings, position or connectors.Position(), tally, progress)
    seconds = time.monotonic() - started
    counts = (made.rows, made.bytes, tally.requests, tally.retries)
    result = Extract(made.path, *counts, seconds, made.discarded, tally.refused)
    attempt = connectors.Attempt(result.rows, result.bytes, result.requests, result.retries, seconds)
    connectors.succeeded(connection, name, kind, attempt)
    return result


@dataclass(frozen=True)
class _Made:
    path: Path | None
    rows: int
    bytes: int
    discarded: int


def _made(
    source: ExtractedSource,
    settings: Settings,
    position: connectors.Position,
    tally: Tally,
    progress: Callable[[str], None],
) -> _Made:
    from atlas_pipeline.ingest.connectors.parquet import ExtractFile

    number = position.extracts + 1
    path, state = source.path(settings, number), load_state(position.cursor)
    always = () if source.whole else tuple(position.columns)
    if not source.whole:
        path.unlink(missing_ok=True)
    with ExtractFile(path, position.columns, source.connector.contract, always) as file:
        with isolated(settings.home_path, state):
            for block in _rows(source, settings, tally):
                file.write(block)
                progress(f"{source.dataset}: extracted {file.rows:,} rows")
        if not file.rows and not file.rejected and not source.whole:
            return _Made(None, 0, 0, 0)
        file.add_columns(tally.columns or (() if file.rows else source.columns))
        cursor = dump_state(state) if source.connector.cursor else None
        size = file.finish(said_of(source, number, cursor))
        return _Made(path, file.rows, size, file.discarded)


def _rows(source: ExtractedSource, settings: Settings, tally: Tally) -> Iterator[list[dict[str, Any]] | pa.Table]:
    connector = source.connector
    if isinstance(connector, Filesystem):
        from atlas_pipeline.ingest.connectors import filesystem

        return filesystem.rows(connector, settings, tally)
    if isinstance(connector, RestApi):
        from atlas_pipeline.ingest.connectors import rest

        return rest.rows(connector, tally)
    from atlas_pipeline.ingest.connectors import sql

    return sql.rows(connector, tally)


def check(source: ExtractedSource, settings: Settings) -> str:
    """Reach the server and look at the first rows, without loading them. Returns what was found.

    Raises SourceError, ServiceUnavailable, SettingsError; none has a value of a row or a credential.
    """
    connector = source.connector
    try:
        with isolated(settings.home_path, {}):
            if isinstance(connector, Filesystem):
                from atlas_pipeline.ingest.connectors import filesystem

                return filesystem.check(connector, settings)
            if isinstance(connector, RestApi):
                from atlas_pipeline.ingest.connectors import rest

                return rest.check(connector)
            from atlas_pipeline.ingest.connectors import sql

            return sql.check(connector)
    except Exception as error:  # noqa: BLE001 — as in `_counting`
        raise _known(source, error) from None


def _refuse_open(connection: psycopg.Connection, source: ExtractedSource) -> None:
    circuit = connectors.open_circuit(connection, source.dataset)
    if circuit is not None:
        until, problem = circuit
        raise LeftAlone(f"{source.connector.service} is left alone until {until:%Y-%m-%d %H:%M:%S %Z}: {problem}")


@contextmanager
def _counting(connection: psycopg.Connection, source: ExtractedSource, tally: Tally, started: float) -> Iterator[None]:
    """Count a failure, and turn what nobody foresaw into an error that has no value of a row."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 — its text may hold values or credentials, so that its kind is told
        known = _known(source, error)
        attempt = connectors.Attempt(requests=tally.requests, retries=tally.retries, seconds=time.monotonic() - started)
        connectors.failed(
            connection,
            source.dataset,
            source.connector.kind,
            attempt,
            str(known),
            away=isinstance(known, ServiceUnavailable),
            pause=getattr(known, "seconds", None),
        )
        raise known from None


def _known(source: ExtractedSource, error: Exception) -> Exception:
    if isinstance(error, _ATTEMPTED):
        return error
    if isinstance(error, OSError):
        return SourceError(
            f"the extract of {source.dataset} cannot be written: {error.strerror or type(error).__name__}"
        )
    return SourceError(f"{source.connector.service}: extracting failed ({type(error).__name__})")
