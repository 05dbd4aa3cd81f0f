"""Backups in S3 and compatible servers.

Belongs here: multipart uploads, and verifying that the stored object is the one sent. Does not belong here: clients,
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
        options = {"StorageClass": storage_class, "ServerSideEncryption": sse, "SSEKMSKeyId": kms_key_id}
        self._options = {name: value for name, value in options.items() if value}
        self._part_bytes = part_bytes

    @property
    def place(self) -> str:
        return self._bucket.url(self._prefix)

    def check(self) -> None:
        next(self.list(""), None)  # first: some servers make a bucket of any name that is written to
        prove(self)
        key = f"probe-{uuid.uuid4().hex}"  # the right to abort is needed when something else fails
        self._end(key, self._create(key, uuid.uuid4().hex))
        request = {"Bucket": self._bucket.name, "Prefix": self._prefix, "MaxUploads": 1}
        self._call("", "swept", partial(self._client.list_multipart_uploads, **request))

    def put(self, key: str, chunks: Iterable[bytes]) -> Written:
        parts(key, self.place)
        digest, size, buffer, token = hashlib.sha256(), 0, bytearray(), uuid.uuid4().hex
        upload: str | None = None
        uploaded: list[dict[str, Any]] = []
        try:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                view = memoryview(chunk)
                while view:
                    free = self._part_bytes - len(buffer)
                    buffer += view[:free]
                    view = view[free:]
                    if len(buffer) == self._part_bytes:
                        upload = upload or self._create(key, token)
                        uploaded.append(self._send(key, upload, len(uploaded) + 1, buffer))
                        buffer.clear()
            if upload is None:
                self._put_whole(key, buffer, token)
            else:
                if buffer:
                    uploaded.append(self._send(key, upload, len(uploaded) + 1, buffer))
                self._complete(key, upload, uploaded, token)
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
        except _RequestFailed as error:
            if error.code != "PreconditionFailed":
                raise
            if self._head(key)["Metadata"].get(_TOKEN) != token:  # else it is this one, and the answer got lost
                raise AlreadyThere(f"{self.place}: {key} is already there, and stays as it is") from None

    def get(self, key: str) -> Iterator[bytes]:
        """See `Store.get`. After a lost connection, reading resumes where it stopped."""
        parts(key, self.place)
        with self._raising(), closing(ObjectReader(self._bucket, self._prefix + key)) as reader:
            yield from iter(partial(reader.read, CHUNK_BYTES), b"")

    def list(self, prefix: str) -> Iterator[Entry]:
        prefix_parts(prefix, self.place)
        page_token: dict[str, str] = {}
        while True:
            request = {"Bucket": self._bucket.name, "Prefix": self._prefix + prefix, **page_token}
            page = self._call("", "listed", partial(self._client.list_objects_v2, **request))
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):  # a folder, as some tools make them
                    yield Entry(item["Key"][len(self._prefix) :], item["Size"], item["LastModified"].astimezone(UTC))
            if not page.get("IsTruncated"):
                return
            page_token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Collection[str]) -> None:
        for key in keys:  # one by one: not every server knows how to delete many, and none says well which it could not
            parts(key, self.place)
            self._call(key, "deleted", partial(self._client.delete_object, **self._at(key)))

    def sweep(self, older_than: datetime) -> int:
        """See `Store.sweep`. S3 does not tell whether an upload is in progress, so only its age counts."""
        old: list[dict[str, Any]] = []
        page_token: dict[str, str] = {}
        while True:
            request = {"Bucket": self._bucket.name, "Prefix": self._prefix, **page_token}
            page = self._call("", "swept", partial(self._client.list_multipart_uploads, **request))
            old += [upload for upload in page.get("Uploads", []) if upload["Initiated"] < older_than]
            if not page.get("IsTruncated"):
                break
            page_token = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        removed = 0
        for upload in old:
            with suppress(_NoSuchUpload):
                self._end(upload["Key"].removeprefix(self._prefix), upload["UploadId"])
                removed += 1
        return removed

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket.name, "Key": self._prefix + key}

    def _create(self, key: str, token: str) -> str:
        request = {**self._at(key), **self._options, "Metadata": {_TOKEN: token}}
        return str(self._call(key, "written", partial(self._client.create_multipart_upload, **request))["UploadId"])

    def _send(self, key: str, upload: str, number: int, data: bytearray) -> dict[str, Any]:
        if number > MOST_PARTS:
            max_gib = MOST_PARTS * self._part_bytes >> 30
            raise StoreError(f"{self.place}/{key} is larger than {max_gib} GiB, which S3 takes in parts of this size")
        request = {**self._at(key), "UploadId": upload, "PartNumber": number, "Body": data, "ContentMD5": _md5(data)}
        response = self._call(key, "written", partial(self._client.upload_part, **request))
        return {"PartNumber": number, "ETag": response["ETag"]}

    def _put_whole(self, key: str, data: bytes | bytearray, token: str, **more: str) -> None:
        request = {**self._at(key), **self._options, **more, "Metadata": {_TOKEN: token}, "ContentMD5": _md5(data)}
        self._call(key, "written", partial(self._client.put_object, **request, Body=data))

    def _complete(self, key: str, upload: str, sent: Sequence[dict[str, Any]], token: str) -> None:
        request = {**self._at(key), "UploadId": upload, "MultipartUpload": {"Parts": sent}}
        try:
            self._call(key, "written", partial(self._client.complete_multipart_upload, **request))
        except _NoSuchUpload as error:  # completed before, if the response to that got lost
            try:
                head = self._head(key)
            except _RequestFailed:
                raise error from None
            if head["Metadata"].get(_TOKEN) != token:
                raise

    def _confirm(self, key: str, size: int, token: str) -> None:
        head = self._head(key)
        if head["Metadata"].get(_TOKEN) != token:
            raise StoreError(f"{self.place}/{key} was written, and is of someone else: two runs write the same backup")
        if head["ContentLength"] != size:
            self.delete([key])
            raise StoreError(
                f"{self.place}/{key} has {head['ContentLength']} bytes where {size} were sent; it was removed"
            )

    def _abort(self, key: str, upload: str) -> None:
        with suppress(StoreError):  # why it is aborted says more, and what stays is swept
            self._end(key, upload)

    def _end(self, key: str, upload: str) -> None:
        self._call(key, "swept", partial(self._client.abort_multipart_upload, **self._at(key), UploadId=upload))

    def _head(self, key: str) -> Any:
        return self._call(key, "read", partial(self._client.head_object, **self._at(key)))

    def _call(self, key: str, verb: str, action: Callable[[], T]) -> T:
        """Run `action` with retries. Raises a StoreError that names the object and what to do."""
        with self._raising():
            return self._bucket.ask(action, self._prefix + key, verb)

    @contextmanager
    def _raising(self) -> Iterator[None]:
        """Turn S3's errors into StoreError."""
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
            kind = _NoSuchUpload if error.code == "NoSuchUpload" else _RequestFailed
            raise kind(f"{error}{kms}", error.code) from None


class _RequestFailed(StoreError):
    """S3 refused the request."""

    def __init__(self, message: str, code: str):
        super().__init__(message)
        self.code = code


class _NoSuchUpload(_RequestFailed):
    """There is no such upload (any more)."""


def _md5(data: bytes | bytearray) -> str:
    """Content-MD5, which every server verifies."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
