"""Where a dataset's rows come from: local files, objects in S3, or one table of another Postgres.

Belongs here: listing what is there, and opening it as a stream of bytes. Does not belong here: formats (`readers/`) and
what was seen before (`warehouse/ledger.py`). Names of files and objects are data: they are listed and opened, never
joined to a path of ours.
"""

import glob
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import psycopg
from psycopg import sql

from atlas_pipeline.ingest.outside import CONNECT_SECONDS, READ_SECONDS, call
from atlas_pipeline.settings import Settings, source_database_url
from atlas_pipeline.warehouse.connect import connect

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
    """One table of another Postgres, copied whole. `database` names the setting that holds the connection URL."""

    database: str
    table: str

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        """One entry, always new to look at: whether the rows changed is told by their SHA-256. Raises SourceError."""
        moment = time.time()
        return [
            SourceFile(
                uri=f"postgres://{self.database}/{self.table}",
                name=f"{self.table}.csv",
                version=f"at {moment:.6f}",
                bytes=0,
                modified=0.0,
                open=self._open,
                partition=partition,
            )
        ]

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        url = source_database_url(self.database)
        schema, _, name = self.table.rpartition(".")
        statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv, HEADER)").format(
            sql.Identifier(schema or "public", name)
        )
        try:
            with connect(url) as connection, connection.cursor().copy(statement) as copy:
                yield cast(BinaryIO, _CopyStream(copy))
        except psycopg.Error as error:
            message = str(error).strip().splitlines()[0]
            raise SourceError(f"table {self.table} of {self.database} cannot be read: {message}") from None


class _CopyStream:
    """A COPY TO STDOUT as a file to read from."""

    def __init__(self, copy: psycopg.Copy):
        self._copy = copy
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._rest], len(self._rest)
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


def _regex(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay within a folder, `**/` crosses them."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    known = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part, re.escape(part)) for part in parts)


def _local_files(pattern: str, settings: Settings) -> list[tuple[str, SourceFile]]:
    base = settings.landing_path
    found = []
    for relative in glob.glob(pattern, root_dir=base, recursive=True):  # noqa: PTH207 — Path.glob takes no absolute
        path = base / relative
        if not path.is_file() or path.name.endswith(_UNFINISHED):
            continue
        state = path.stat()
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


def _s3_files(pattern: str, settings: Settings) -> list[tuple[str, SourceFile]]:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key_pattern = pattern.removeprefix("s3://").partition("/")
    prefix = re.split(r"[*?]", key_pattern, maxsplit=1)[0]
    matches = re.compile(_regex(key_pattern) + r"\Z")
    client = s3_client(settings)

    def list_objects() -> list[dict[str, Any]]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item for page in pages for item in page.get("Contents", [])]

    try:
        objects = call(f"s3://{bucket}", list_objects, (BotoCoreError,))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise SourceError(
            f"s3://{bucket} cannot be listed ({code}): check its name, the region and credentials"
        ) from None
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
                open=partial(_s3_object, client, bucket, key),
            )
            found.append((file.uri, file))
    return found


def _open_file(path: Path) -> BinaryIO:
    return path.open("rb")


@contextmanager
def _s3_object(client: Any, bucket: str, key: str) -> Iterator[BinaryIO]:
    from botocore.exceptions import BotoCoreError

    response = call(f"s3://{bucket}", lambda: client.get_object(Bucket=bucket, Key=key), (BotoCoreError,))
    body = response["Body"]
    try:
        yield body
    finally:
        body.close()


def s3_client(settings: Settings) -> Any:
    """A boto3 S3 client with time limits; credentials come from the standard AWS variables or files."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "max_attempts": 5},
        s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
    )
    return boto3.client("s3", endpoint_url=settings.s3_endpoint_url, region_name=settings.s3_region, config=config)
