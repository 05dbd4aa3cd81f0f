"""Where a dataset's rows come from: local files, objects in S3, or one table of another Postgres.

Belongs here: listing what is there, and opening it as a stream of bytes. Does not belong here: formats (`readers/`) and
what was seen before (`warehouse/ledger.py`). Names of files and objects are data: they are listed and opened, never
joined to a path of ours.
"""

import glob
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.outside import CONNECT_SECONDS, FAILURES, READ_SECONDS, ServiceUnavailable, call
from atlas_pipeline.settings import Settings, source_database_url

T = TypeVar("T")

PARTITION = "{partition}"
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")


class SourceError(Exception):
    """A source cannot be listed or opened; the message says which, why, and what to do."""


@dataclass(frozen=True)
class SourceFile:
    """One file, object or table. `version` changes when its content may have: size and change time, or ETag."""

    uri: str
    name: str
    version: str
    bytes: int
    modified: float
    open: Callable[[], AbstractContextManager[BinaryIO]]
    partition: str | None = None

    def settled(self, seconds: float, now: float | None = None) -> bool:
        """Whether it has not changed for `seconds`, so that it is no longer being written."""
        return (now if now is not None else time.time()) - self.modified >= seconds


@dataclass(frozen=True)
class FileSource:
    """A glob of local files (relative to the landing folder) or of S3 objects; `{partition}` stands for the key."""

    pattern: str

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        """The files that match, of one partition or of all, in order of their names. Raises SourceError."""
        wildcard = self.pattern.replace(PARTITION, "*")
        found = _s3_files(wildcard, settings) if wildcard.startswith("s3://") else _local_files(wildcard, settings)
        before, marker, after = self.pattern.partition(PARTITION)
        if marker:
            key = re.compile(_regex(before) + "(?P<key>[^/]+?)" + _regex(after) + r"\Z")
            matches = [(file, key.match(path)) for path, file in found]
            files = [replace(file, partition=match["key"]) for file, match in matches if match]
        else:
            files = [file for _, file in found]
        wanted = [file for file in files if partition in (None, file.partition)]
        return sorted(wanted, key=lambda file: file.uri)


@dataclass(frozen=True)
class TableSource:
    """One table of another Postgres, copied whole. `database` names the setting that holds the connection URL.

    `table` is schema.table, each part as Postgres stores it, or in double quotes when it holds a dot or a quote.
    """

    database: str
    table: str

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        """One entry, always new to look at: whether the rows changed is told by their SHA-256.

        Raises SourceError when the table cannot be read, ServiceUnavailable when its server does not answer,
        SettingsError when the variable is not set.
        """
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
        url = source_database_url(self.database)

        def dial() -> psycopg.Connection:
            return psycopg.connect(
                url, options=_SESSION, connect_timeout=CONNECT_SECONDS, application_name="atlas", client_encoding="utf8"
            )

        try:
            connection = call(f"the server of {self.database}", dial, (psycopg.OperationalError,))
        except (psycopg.ProgrammingError, UnicodeError):
            # Postgres's own message quotes the URL, password and all.
            raise SourceError(
                f"{self.database} holds no connection URL: expected postgresql://user:password@host:5432/database"
            ) from None
        except ServiceUnavailable as error:
            cause = f": {_first_line(error.__cause__)}" if error.__cause__ else ""
            raise ServiceUnavailable(f"{error}{cause}") from None
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


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _regex(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay within a folder, `**/` crosses them."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    known = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part, re.escape(part)) for part in parts)


def _local_files(pattern: str, settings: Settings) -> list[tuple[str, SourceFile]]:
    base = settings.landing_path
    found = []
    literal = pattern.replace("[", "[[]")  # only * and ? are wild, here as in S3
    for relative in glob.glob(literal, root_dir=base, recursive=True):  # noqa: PTH207 — Path.glob takes no absolute
        path = base / relative
        try:
            state = path.stat()
        except FileNotFoundError:  # gone since it was listed
            continue
        if not stat.S_ISREG(state.st_mode) or path.name.endswith(_UNFINISHED):
            continue
        file = SourceFile(
            uri=str(path),
            name=path.name,
            version=f"{state.st_size} bytes, changed {state.st_mtime_ns}",
            bytes=state.st_size,
            modified=state.st_mtime,
            open=partial(_open_file, path),
        )
        found.append((relative, file))
    return found


def s3_place(pattern: str) -> tuple[str, str]:
    """Bucket and key pattern of an s3:// URL. Raises SourceError."""
    bucket, _, key = pattern.removeprefix("s3://").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket) or not key:
        raise SourceError(f"source {pattern!r}: expected s3://bucket/key-pattern")
    return bucket, key


def _s3_files(pattern: str, settings: Settings) -> list[tuple[str, SourceFile]]:
    bucket, key_pattern = s3_place(pattern)
    prefix = re.split(r"[*?]", key_pattern, maxsplit=1)[0]
    matches = re.compile(_regex(key_pattern) + r"\Z", re.DOTALL)
    client = s3_client(settings)

    def list_objects() -> list[dict[str, Any]]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item for page in pages for item in page.get("Contents", [])]

    objects = _s3_call(bucket, "", list_objects)
    found = []
    for item in objects:
        key = item["Key"]
        if matches.match(key) and not key.endswith(("/", *_UNFINISHED)):
            file = SourceFile(
                uri=f"s3://{bucket}/{key}",
                name=key.rsplit("/", 1)[-1],
                version=f"{item['Size']} bytes, etag {item['ETag']}",
                bytes=item["Size"],
                modified=item["LastModified"].timestamp(),
                open=partial(_s3_object, client, bucket, key, item["ETag"], item["Size"]),
            )
            found.append((file.uri, file))
    return found


def _open_file(path: Path) -> BinaryIO:
    return path.open("rb")


@contextmanager
def _s3_object(client: Any, bucket: str, key: str, etag: str, size: int) -> Iterator[BinaryIO]:
    stream = _S3Stream(client, bucket, key, etag, size)
    try:
        yield cast(BinaryIO, stream)
    finally:
        stream.close()


_POOR_BYTES = 1 << 20


class _S3Stream:
    """The object as it was listed. Where the connection breaks, it is read on from there by another one.

    That goes on for as long as connections bring something: after several that broke within a megabyte it ends.
    """

    def __init__(self, client: Any, bucket: str, key: str, etag: str, size: int):
        self._client = client
        self._bucket = bucket
        self._key = key
        self._etag = etag
        self._size = size
        self._place = 0
        self._opened_at = 0
        self._poor = 0
        self._body: Any = None

    def read(self, size: int = -1) -> bytes:
        if size == 0 or self._place >= self._size:
            return b""
        data = _s3_call(self._bucket, self._key, lambda: self._attempt(None if size < 0 else size))
        self._place += len(data)
        return data

    def _attempt(self, size: int | None) -> bytes:
        if self._body is None:
            wanted = {"Range": f"bytes={self._place}-"} if self._place else {}
            response = self._client.get_object(Bucket=self._bucket, Key=self._key, IfMatch=self._etag, **wanted)
            self._body, self._opened_at = response["Body"], self._place
        try:
            return bytes(self._body.read(size))
        except Exception:
            self.close()
            self._poor = self._poor + 1 if self._place - self._opened_at < _POOR_BYTES else 0
            if self._poor >= FAILURES:
                raise ServiceUnavailable(
                    f"s3://{self._bucket}/{self._key}: the connection broke {self._poor} times in a row"
                ) from None
            raise

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _s3_call(bucket: str, key: str, action: Callable[[], T]) -> T:
    """Run `action`, with retries where they may help. Raises SourceError or ServiceUnavailable, naming the object."""
    from botocore import exceptions as boto

    what, verb = f"s3://{bucket}/{key}" if key else f"s3://{bucket}", "read" if key else "listed"

    def answered() -> T:
        try:
            return action()
        except boto.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500 or code in _S3_BUSY:
                raise _Busy(code) from None
            hint = _S3_HINTS.get(code, "check its name, the region and credentials")
            raise SourceError(f"{what} cannot be {verb} ({code}): {hint}") from None

    transient = (_Busy, boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError)
    try:
        return call(f"s3://{bucket}", answered, transient)
    except (boto.NoCredentialsError, boto.PartialCredentialsError):
        raise SourceError(
            f"{what} cannot be {verb}: no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except boto.BotoCoreError as error:
        raise SourceError(f"{what} cannot be {verb}: {' '.join(str(error).split())}") from None


class _Busy(Exception):
    """S3 answered that it cannot answer now."""


_S3_BUSY = {"SlowDown", "RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException"}
_S3_CHANGED = "it changed after it was listed; the next run takes it as it is then"
_S3_HINTS = {
    "NoSuchBucket": "there is no such bucket; check its name and the endpoint",
    "NoSuchKey": "it was deleted after it was listed",
    "404": "it was deleted after it was listed",
    "PreconditionFailed": _S3_CHANGED,
    "412": _S3_CHANGED,
    "InvalidRange": _S3_CHANGED,
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "the credentials do not allow it",
}


def s3_client(settings: Settings) -> Any:
    """A boto3 S3 client with time limits; credentials come from the standard AWS variables or files."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},  # `outside.call` is what tries again
        s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
    )
    session = boto3.session.Session()  # the default one is shared by threads, which it is not made for
    return session.client("s3", endpoint_url=settings.s3_endpoint_url, region_name=settings.s3_region, config=config)
