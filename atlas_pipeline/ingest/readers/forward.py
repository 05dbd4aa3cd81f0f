"""Streams that are read forward only.

Belongs here: what they have in common. Does not belong here: where their bytes come from (`delivery.py`,
`connectors/filesystem.py`), and the stream that hashes a file, which may seek (`ingest/copying.py`).
"""

from abc import ABC, abstractmethod

_BLOCK_BYTES = 1 << 20


class ForwardStream(ABC):
    """What readers ask of a stream, but seeking."""

    closed = False

    @abstractmethod
    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size` of them; none at the end."""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Never."""
        return False

    def drain(self) -> None:
        """Pass over what the reader left."""
        while self.read(_BLOCK_BYTES):
            continue
