"""Backups in S3 and compatible servers.

Belongs here: multipart uploads, and proving that an object is the one that was sent. Does not belong here: clients,
errors and retries (the room `s3/`), and folders (`folder.py`).

An object larger than a part is uploaded in parts, one of which is held in memory; it is not there until S3 has put
them together. Each request is tried again where that may help, for about a minute. Objects carry a token of their
upload, so that an answer that got lost is told from an object of someone else.
"""

import base64
import hashlib
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from atlas_pipeline.backup.store import AlreadyThere, Entry, StoreError, StoreUnavailable, Written
from atlas_pipeline.backup.store.rules import parts, prefix_parts, prove
from atlas_pipeline.s3.bucket import Bucket, Retries
from atlas_pipeline.s3.errors import S3Error, S3Unavailable
from atlas_pipeline.s3.reads import CHUNK_BYTES, ObjectReader

T = TypeVar("T")

PART_BYTES = 64 << 20
MOST_PARTS = 10_000
_TOKEN = "atlas-upload"  # noqa: S105 — a name

_HINTS = {
    "NoSuchBucket": "there is no such bucket; make it, or check its name and the endpoint",
    "NoSuchKey": "it is not there",
    "NoSuchUpload": "its upload was ended by someone else; back up anew",
    "PreconditionFailed": "it was replaced while it was read",
    "NotImplemented": "the server cannot do this; it needs multipart uploads and If-None-Match",
    "QuotaExceeded": "the bucket is full; free some space, or keep fewer backups",
    "XMinioStorageFull": "the server is full; free some space, or keep fewer backups",
}


class S3Store:
    """Objects below a prefix of a bucket. Implements Store.

    Args:
        bucket: its name.
        prefix: put before each key, with `/` between; may be empty.
        client: boto3's, as `s3_client` makes it; threads may share it.
        storage_class: of new objects; null for the bucket's.
        sse: server-side encryption of new objects, AES256 or aws:kms; null for the bucket's.
        kms_key_id: key for aws:kms.
        part_bytes: size of the parts of an upload, one of which is held in memory; at least 5 MiB.
        attempts: of each request.
        pause_seconds: before the second attempt, doubled before each further one.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        client: Any,
        storage_class: str | None = None,
        sse: str | None = None,
        kms_key_id: str | None = None,
        part_bytes: int = PART_BYTES,
        attempts: int = Retries.attempts,
        pause_seconds: float = Retries.pause_seconds,
    ):
        self._bucket = Bucket(client, bucket, Retries(attempts, pause_seconds), _HINTS)
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = client
        given = {"StorageClass": storage_class, "ServerSideEncryption": sse, "SSEKMSKeyId": kms_key_id}
        self._options = {name: value for name, value in given.items() if value}
        self._part_bytes = part_bytes

    @property
    def place(self) -> str:
        return self._bucket.url(self._prefix)

    def check(self) -> None:
        next(self.list(""), None)  # first: some servers make a bucket of any name that is written to
        prove(self)
        key = f"probe-{uuid.uuid4().hex}"  # the right to abort is needed when something else fails
        self._end(key, self._create(key, uuid.uuid4().hex))
        asked = {"Bucket": self._bucket.name, "Prefix": self._prefix, "MaxUploads": 1}
        self._call("", "swept", partial(self._client.list_multipart_uploads, **asked))

    def put(self, key: str, chunks: Iterable[bytes]) -> Written:
        parts(key, self.place)
        digest, size, held, token = hashlib.sha256(), 0, bytearray(), uuid.uuid4().hex
        upload: str | None = None
        sent: list[dict[str, Any]] = []
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                view = memoryview(chunk)
                while view:
                    room = self._part_bytes - len(held)
                    held += view[:room]
                    view = view[room:]
                    if len(held) == self._part_bytes:
                        upload = upload or self._create(key, token)
                        sent.append(self._send(key, upload, len(sent) + 1, held))
                        held.clear()
            if upload is None:
                self._put_whole(key, held, token)
            else:
                if held:
                    sent.append(self._send(key, upload, len(sent) + 1, held))
                self._complete(key, upload, sent, token)
        except BaseException:
            if upload is not None:
                self._abort(key, upload)
            raise
        self._confirm(key, size, token)
        return Written(size, digest.hexdigest())

    def put_new(self, key: str, data: bytes) -> None:
        parts(key, self.place)
        token = uuid.uuid4().hex
        try:
            self._put_whole(key, data, token, IfNoneMatch="*")
        except _Refused as error:
            if error.code != "PreconditionFailed":
                raise
            if self._head(key)["Metadata"].get(_TOKEN) != token:  # else it is this one, and the answer got lost
                raise AlreadyThere(f"{self.place}: {key} is already there, and stays as it is") from None

    def get(self, key: str) -> Iterator[bytes]:
        """As the protocol says. Where the connection breaks, it is read on from there by another one."""
        parts(key, self.place)
        with self._raising(), closing(ObjectReader(self._bucket, self._prefix + key)) as reader:
            yield from iter(partial(reader.read, CHUNK_BYTES), b"")

    def list(self, prefix: str) -> Iterator[Entry]:
        prefix_parts(prefix, self.place)
        place: dict[str, str] = {}
        while True:
            asked = {"Bucket": self._bucket.name, "Prefix": self._prefix + prefix, **place}
            page = self._call("", "listed", partial(self._client.list_objects_v2, **asked))
            for one in page.get("Contents", []):
                if not one["Key"].endswith("/"):  # a folder, as some tools make them
                    yield Entry(one["Key"][len(self._prefix) :], one["Size"], one["LastModified"].astimezone(UTC))
            if not page.get("IsTruncated"):
                return
            place = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Collection[str]) -> None:
        for key in keys:  # one by one: not every server knows how to delete many, and none says well which it could not
            parts(key, self.place)
            self._call(key, "deleted", partial(self._client.delete_object, **self._at(key)))

    def sweep(self, older_than: datetime) -> int:
        """As the protocol says. S3 does not tell whether an upload is still going on: only its age counts."""
        old: list[dict[str, Any]] = []
        place: dict[str, str] = {}
        while True:
            asked = {"Bucket": self._bucket.name, "Prefix": self._prefix, **place}
            page = self._call("", "swept", partial(self._client.list_multipart_uploads, **asked))
            old += [one for one in page.get("Uploads", []) if one["Initiated"] < older_than]
            if not page.get("IsTruncated"):
                break
            place = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        removed = 0
        for one in old:
            with suppress(_Gone):
                self._end(one["Key"].removeprefix(self._prefix), one["UploadId"])
                removed += 1
        return removed

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket.name, "Key": self._prefix + key}

    def _create(self, key: str, token: str) -> str:
        asked = {**self._at(key), **self._options, "Metadata": {_TOKEN: token}}
        return str(self._call(key, "written", partial(self._client.create_multipart_upload, **asked))["UploadId"])

    def _send(self, key: str, upload: str, number: int, data: bytearray) -> dict[str, Any]:
        if number > MOST_PARTS:
            most = MOST_PARTS * self._part_bytes >> 30
            raise StoreError(f"{self.place}/{key} is larger than {most} GiB, which S3 takes in parts of this size")
        asked = {**self._at(key), "UploadId": upload, "PartNumber": number, "Body": data, "ContentMD5": _md5(data)}
        answer = self._call(key, "written", partial(self._client.upload_part, **asked))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _put_whole(self, key: str, data: bytes | bytearray, token: str, **more: str) -> None:
        asked = {**self._at(key), **self._options, **more, "Metadata": {_TOKEN: token}, "ContentMD5": _md5(data)}
        self._call(key, "written", partial(self._client.put_object, **asked, Body=data))

    def _complete(self, key: str, upload: str, sent: Sequence[dict[str, Any]], token: str) -> None:
        asked = {**self._at(key), "UploadId": upload, "MultipartUpload": {"Parts": sent}}
        try:
            self._call(key, "written", partial(self._client.complete_multipart_upload, **asked))
        except _Gone:  # it was completed before, if the answer to that got lost
            if self._head(key)["Metadata"].get(_TOKEN) != token:
                raise

    def _confirm(self, key: str, size: int, token: str) -> None:
        found = self._head(key)
        if found["Metadata"].get(_TOKEN) != token:
            raise StoreError(f"{self.place}/{key} was written, and is of someone else: two runs write the same backup")
        if found["ContentLength"] != size:
            self.delete([key])
            raise StoreError(
                f"{self.place}/{key} has {found['ContentLength']} bytes where {size} were sent; it was removed"
            )

    def _abort(self, key: str, upload: str) -> None:
        with suppress(StoreError):  # why it is aborted says more, and what stays is swept
            self._end(key, upload)

    def _end(self, key: str, upload: str) -> None:
        self._call(key, "swept", partial(self._client.abort_multipart_upload, **self._at(key), UploadId=upload))

    def _head(self, key: str) -> Any:
        return self._call(key, "read", partial(self._client.head_object, **self._at(key)))

    def _call(self, key: str, verb: str, action: Callable[[], T]) -> T:
        """Run `action`, again where that may help. Raises StoreError that names the object and what to do."""
        with self._raising():
            return self._bucket.ask(action, self._prefix + key, verb)

    @contextmanager
    def _raising(self) -> Iterator[None]:
        """Raise the store's own errors in place of those of S3."""
        try:
            yield
        except S3Unavailable as error:
            raise StoreUnavailable(str(error)) from None
        except S3Error as error:
            kms = (
                ", or may not use the KMS key"
                if error.code == "AccessDenied" and "SSEKMSKeyId" in self._options
                else ""
            )
            kind = _Gone if error.code == "NoSuchUpload" else _Refused
            raise kind(f"{error}{kms}", error.code) from None


class _Refused(StoreError):
    """S3 said no."""

    def __init__(self, message: str, code: str):
        super().__init__(message)
        self.code = code


class _Gone(_Refused):
    """There is no such upload, or no more."""


def _md5(data: bytes | bytearray) -> str:
    """What the server compares with what arrived; every server knows it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
