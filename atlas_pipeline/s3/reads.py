"""Reading an object to its end over connections that break.

Belongs here: going on where a connection broke off, in the same version of the object. Does not belong here: errors
before the first byte (`bucket.py`).
"""

import time
from functools import partial
from typing import Any

from atlas_pipeline.s3.bucket import MOST_PAUSE_SECONDS, Bucket
from atlas_pipeline.s3.errors import S3Error, S3Unavailable, connection_errors

CHUNK_BYTES = 1 << 20


class ObjectReader:
    """An object as a file to read from.

    Where the connection breaks, a range request with `If-Match` reads on from there. That goes on for as long as
    connections bring a megabyte each; after several that did not, reading fails.

    Args:
        bucket: asked for the object; its retries say after how many poor connections to give up.
        key: name of the object.
        etag: the version to read; empty takes the one found when reading begins.
        size: bytes of that version; null takes what the server says when reading begins.
    """

    def __init__(self, bucket: Bucket, key: str, etag: str = "", size: int | None = None):
        self._bucket = bucket
        self._key = key
        self._etag = etag
        self._size = size
        self._position = 0
        self._opened_at = 0
        self._poor = 0
        self._body: Any = None

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` at most; all that are left where it is negative; none at the end.

        Raises S3Unavailable, and S3Error also when the object was replaced.
        """
        if size < 0:
            return b"".join(iter(partial(self.read, CHUNK_BYTES), b""))
        while size and (self._size is None or self._position < self._size):
            if self._body is None:
                self._open()
            data = self._next(size)
            self._position += len(data)
            if self._size is not None and self._position > self._size:
                raise S3Error(f"{self._url} has {self._size} bytes, and more came", "InvalidRange")
            if data:
                return data
            self._broke_off()
        return b""

    def readable(self) -> bool:
        """True, as of any file to read from."""
        return True

    def close(self) -> None:
        """Drop the connection."""
        if self._body is not None:
            self._body.close()
            self._body = None

    @property
    def _url(self) -> str:
        return self._bucket.url(self._key)

    def _open(self) -> None:
        wanted = {"Bucket": self._bucket.name, "Key": self._key}
        if self._etag:
            wanted["IfMatch"] = self._etag
        if self._position:
            wanted["Range"] = f"bytes={self._position}-"
        response = self._bucket.ask(partial(self._bucket.client.get_object, **wanted), self._key, "read")
        self._body, self._opened_at = response["Body"], self._position
        if self._position and response["ResponseMetadata"]["HTTPStatusCode"] != 206:
            self.close()
            raise S3Error(
                f"{self._url} cannot be read on where it broke off: the server knows no ranges", "InvalidRange"
            )
        self._etag = self._etag or response["ETag"]
        if self._size is None:
            self._size = int(response["ContentLength"])

    def _next(self, size: int) -> bytes:
        try:
            return bytes(self._body.read(size))
        except connection_errors():
            return b""

    def _broke_off(self) -> None:
        """Wait before the next connection, or give up. An empty object ends here too, and waits for nothing."""
        self.close()
        if self._position == self._size:
            return
        self._poor = 0 if self._position - self._opened_at >= CHUNK_BYTES else self._poor + 1
        retries = self._bucket.retries
        if self._poor >= retries.attempts:
            raise S3Unavailable(
                f"{self._url} has {self._size} bytes, and only {self._position} came: the connection broke"
                f" {self._poor} times in a row",
                "IncompleteRead",
            )
        if self._poor:
            time.sleep(min(retries.pause_seconds * 2 ** (self._poor - 1), MOST_PAUSE_SECONDS))
