"""Objects of a store as files of a source: listed by prefix, read in windows of the very version that was listed.

Belongs here: which objects a pattern matches, asking again, and reading on where a connection broke. Does not belong
here: one kind of store (`gcs.py`, `azure.py`; S3 has a room of its own). Keys are data, as names of files are.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol, TypeVar, cast

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError, SourceFile
from atlas_pipeline.ingest.sources.patterns import UNFINISHED, regex
from atlas_pipeline.ingest.sources.resilience import guarded

T = TypeVar("T")

WINDOW_BYTES = 4 << 20
ATTEMPTS = 6
PAUSE_SECONDS = 0.5
CONNECT_SECONDS = 8
ANSWER_SECONDS = 30
_WITHIN_SECONDS = 30
"""No attempt begins after that: a sensor lists all sources in one tick, for which Dagster gives it a minute."""


@dataclass(frozen=True)
class StoredObject:
    """An object as it was listed. `version` is asked for when it is read; `packed` says that it is stored as gzip."""

    key: str
    bytes: int
    version: str
    modified: float
    packed: bool = False


class Store(Protocol):
    """A bucket or container. Each method is one attempt, and raises SourceError or ServiceUnavailable."""

    @property
    def url(self) -> str:
        """What addresses of its objects begin with, without a slash at the end."""
        ...

    def list(self, prefix: str) -> Iterable[StoredObject]:
        """All objects whose keys begin so."""
        ...

    def fetch(self, item: StoredObject, offset: int, length: int) -> bytes:
        """A part of an object that lies within it, of the version that was listed."""
        ...


def matching(store: Store, key_pattern: str) -> Iterator[tuple[str, SourceFile]]:
    """Each object that matches, with its address.

    Args:
        store: asked for its objects.
        key_pattern: of their keys.

    Raises:
        SourceError: the store refuses.
        ServiceUnavailable: it does not answer.
    """
    prefix = re.split(r"[*?]", key_pattern, maxsplit=1)[0]
    matches = re.compile(regex(key_pattern) + r"\Z", re.DOTALL)
    for item in _asked(store, lambda: list(store.list(prefix))):
        if matches.match(item.key) and not item.key.endswith(("/", *UNFINISHED)):
            url = f"{store.url}/{item.key}"
            name = item.key.rpartition("/")[2]
            file = SourceFile(
                uri=url,
                name=f"{name}.gz" if item.packed and not name.lower().endswith(".gz") else name,
                version=f"{item.bytes} bytes, version {item.version}",
                bytes=item.bytes,
                modified=item.modified,
                open=partial(_opened, store, item),
            )
            yield url, file


def _asked(store: Store, action: Callable[[], T]) -> T:
    retrying = Retrying(
        retry=retry_if_exception_type(ServiceUnavailable),
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(_WITHIN_SECONDS),
        wait=wait_exponential_jitter(multiplier=PAUSE_SECONDS, max=5, jitter=PAUSE_SECONDS),
        reraise=True,
    )
    return guarded(store.url, lambda: retrying(action))


@contextmanager
def _opened(store: Store, item: StoredObject) -> Iterator[BinaryIO]:
    yield cast(BinaryIO, _Stream(store, item))


class _Stream:
    """An object to read from. Each window is a request of its own, made again where its connection breaks."""

    closed = False

    def __init__(self, store: Store, item: StoredObject):
        self._store = store
        self._item = item
        self._position = 0
        self._ready = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` at most; all that are left where it is negative; none at the end.

        Raises SourceError, also when the object was replaced, and ServiceUnavailable.
        """
        if size < 0:
            return b"".join(iter(partial(self.read, WINDOW_BYTES), b""))
        if size and not self._ready and self._position < self._item.bytes:
            self._ready = _asked(self._store, self._window)
            self._position += len(self._ready)
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def readable(self) -> bool:
        """True, as of any file to read from."""
        return True

    def _window(self) -> bytes:
        wanted = min(WINDOW_BYTES, self._item.bytes - self._position)
        data = self._store.fetch(self._item, self._position, wanted)
        what = f"{self._store.url}/{self._item.key}"
        if len(data) > wanted:
            raise SourceError(f"{what} cannot be read: the server gives more than it is asked for, it knows no ranges")
        if len(data) < wanted:
            came = self._position + len(data)
            raise ServiceUnavailable(f"{what} cannot be read: the connection broke after {came} bytes")
        return data
