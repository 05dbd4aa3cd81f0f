"""Objects in S3 as files of a source.

Belongs here: which objects a pattern matches, and opening them. Does not belong here: clients, errors, retries and
broken connections (the room `s3/`). Keys are data, as names of files are.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeVar, cast

from atlas_pipeline.ingest.sources import CHANGED, ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.patterns import UNFINISHED, regex
from atlas_pipeline.ingest.sources.resilience import guarded
from atlas_pipeline.s3.bucket import Bucket, Retries
from atlas_pipeline.s3.client import s3_client
from atlas_pipeline.s3.errors import S3Error, S3Unavailable
from atlas_pipeline.s3.reads import ObjectReader
from atlas_pipeline.settings import Settings

T = TypeVar("T")

SCHEME = "s3://"
RETRIES = Retries(pause_seconds=0.5, within_seconds=30)
"""A sensor lists all sources in one tick, for which Dagster gives it a minute."""
_HINTS = {
    "NoSuchKey": "it was deleted after it was listed",
    "PreconditionFailed": CHANGED,
    "InvalidRange": CHANGED,
}


def split_url(pattern: str) -> tuple[str, str]:
    """Bucket and key pattern of an s3:// URL. Raises SourceError."""
    bucket, _, key = pattern.removeprefix(SCHEME).partition("/")
    if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket) or not key:
        raise SourceError(f"source {pattern!r}: expected s3://bucket/key-pattern")
    return bucket, key


def objects(pattern: str, settings: Settings) -> Iterator[tuple[str, SourceFile]]:
    """Each object that matches, with its URL.

    Args:
        pattern: s3://bucket/key-pattern.
        settings: endpoint and region.

    Raises:
        SourceError: the URL is not one, or S3 refuses to list the bucket.
        ServiceUnavailable: S3 does not answer.
    """
    name, key_pattern = split_url(pattern)
    with _source_errors():
        client = s3_client(settings.s3_endpoint_url, settings.s3_region)
    bucket = _GuardedBucket(client, name, RETRIES, _HINTS)
    prefix = re.split(r"[*?]", key_pattern, maxsplit=1)[0]
    matches = re.compile(regex(key_pattern) + r"\Z", re.DOTALL)
    for item in _listed(bucket, prefix):
        key = item["Key"]
        if matches.match(key) and not key.endswith(("/", *UNFINISHED)):
            url = f"{SCHEME}{name}/{key}"
            file = SourceFile(
                uri=url,
                name=key.rsplit("/", 1)[-1],
                version=f"{item['Size']} bytes, etag {item['ETag']}",
                bytes=item["Size"],
                modified=item["LastModified"].timestamp(),
                open=partial(_opened, bucket, key, item["ETag"], item["Size"]),
            )
            yield url, file


def _listed(bucket: Bucket, prefix: str) -> list[dict[str, Any]]:
    def pages() -> list[dict[str, Any]]:
        found = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix)
        return [item for page in found for item in page.get("Contents", [])]

    return bucket.ask(pages, "", "listed")


@contextmanager
def _opened(bucket: Bucket, key: str, etag: str, size: int) -> Iterator[BinaryIO]:
    stream = _Stream(bucket, key, etag, size)
    try:
        yield cast(BinaryIO, stream)
    finally:
        stream.close()


@contextmanager
def _source_errors() -> Iterator[None]:
    try:
        yield
    except S3Unavailable as error:
        raise ServiceUnavailable(str(error)) from None
    except S3Error as error:
        raise SourceError(str(error)) from None


@dataclass(frozen=True)
class _GuardedBucket(Bucket):
    """A bucket behind its circuit breaker. Raises SourceError and ServiceUnavailable."""

    def ask(self, action: Callable[[], T], key: str, verb: str) -> T:
        def request() -> T:
            with _source_errors():
                return Bucket.ask(self, action, key, verb)

        return guarded(f"{SCHEME}{self.name}", request)


class _Stream(ObjectReader):
    """An object of a source. Raises SourceError and ServiceUnavailable."""

    def read(self, size: int = -1) -> bytes:
        with _source_errors():
            return super().read(size)
