"""A table of another Postgres as a source, copied whole.

Belongs here: connecting, and its rows as CSV. Does not belong here: parsing them (`readers/`), and what the rows were
before: their SHA-256 says whether they changed.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, cast

import psycopg
from psycopg import sql
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.resilience import guarded
from atlas_pipeline.settings import Settings, source_database_url

ATTEMPTS = 5
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class TableSource:
    """One table of another Postgres, copied whole. `database` names the setting that holds the connection URL.

    `table` is schema.table, each part as Postgres stores it, or in double quotes when it holds a dot or a quote.
    Implements Source.
    """

    database: str
    table: str

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        """One entry, whose version is always new: whether the rows changed is told by their SHA-256."""
        with self._connect() as connection, self._naming_the_table():
            connection.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(self._identifier))
        return [
            SourceFile(
                uri=f"postgres://{self.database}/{self.table}",
                name=f"{self.table}.csv",
                version=f"at {time.time():.6f}",
                bytes=0,
                modified=0.0,
                open=self._open,
                partition=partition,
            )
        ]

    @property
    def _identifier(self) -> sql.Identifier:
        parts = _TABLE.fullmatch(self.table)
        if parts is None:
            raise SourceError(f'table {self.table} of {self.database}: expected schema.table or "schema"."table"')
        schema, name = (
            part[1:-1].replace('""', '"') if part and part.startswith('"') else part for part in parts.groups()
        )
        return sql.Identifier(schema or "public", name or "")

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv, HEADER)").format(self._identifier)
        with self._connect() as connection:
            copying = connection.cursor().copy(statement)
            with self._naming_the_table():
                copy = copying.__enter__()
            try:
                yield cast(BinaryIO, _CopyStream(copy, self._naming_the_table))
            finally:
                # What the reader did not take is not wanted; what happened to it is not this source's matter.
                with suppress(psycopg.Error):
                    copying.__exit__(None, None, None)

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection]:
        """A session that cannot write, with every setting that the text of values depends on."""
        url, service = source_database_url(self.database), f"the server of {self.database}"

        def dial() -> psycopg.Connection:
            return psycopg.connect(
                url, options=_SESSION, connect_timeout=CONNECT_SECONDS, application_name="atlas", client_encoding="utf8"
            )

        def dial_until_answered() -> psycopg.Connection:
            try:
                return _retrying()(dial)
            except psycopg.OperationalError as error:
                name = type(error).__name__
                raise ServiceUnavailable(f"{service} does not answer ({name}): {_first_line(error)}") from None

        try:
            connection = guarded(service, dial_until_answered)
        except (psycopg.ProgrammingError, UnicodeError):
            # Postgres's own message quotes the URL, password and all.
            raise SourceError(
                f"{self.database} holds no connection URL: expected postgresql://user:password@host:5432/database"
            ) from None
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _naming_the_table(self) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            raise ServiceUnavailable(f"the server of {self.database} went away: {_first_line(error)}") from None
        except psycopg.Error as error:
            raise SourceError(f"table {self.table} of {self.database} cannot be read: {_first_line(error)}") from None


_TABLE = re.compile(r'(?:("(?:[^"]|"")+"|[^"]+)\.)?("(?:[^"]|"")+"|[^".]+)')
_SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601 -c bytea_output=hex -c extra_float_digits=1"
    " -c default_transaction_read_only=on -c synchronize_seqscans=off"
)


class _CopyStream:
    """A COPY TO STDOUT as a file to read from."""

    def __init__(self, copy: psycopg.Copy, guard: Callable[[], AbstractContextManager[None]]):
        self._copy = copy
        self._guard = guard
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._rest], len(self._rest)
        with self._guard():
            while size < 0 or length < size:
                block = bytes(self._copy.read())
                if not block:
                    break
                parts.append(block)
                length += len(block)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]

    def readable(self) -> bool:
        return True


def _retrying() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(psycopg.OperationalError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        reraise=True,
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
