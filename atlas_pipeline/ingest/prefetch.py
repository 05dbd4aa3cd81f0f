"""Reading ahead in a second thread, so that whoever consumes is never kept waiting.

Belongs here: the thread, and how much may be ready at a time. Does not belong here: what is read (`readers/`) and where
it goes (`bronze.py`).
"""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

_ITEMS_AHEAD = 4
_BYTES_AHEAD = 16 << 20
_SWITCH_SECONDS = 0.00005


class _Shelf(Generic[T]):
    """Items that are ready: up to four, and up to 16 MiB or one larger item."""

    def __init__(self) -> None:
        self._items: deque[tuple[T | BaseException | None, int]] = deque()
        self._bytes = 0
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, item: T | BaseException | None, size: int) -> bool:
        """Wait for room; false when nobody wants any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._full(size))
            if self._stopped:
                return False
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify()
            return True

    def take(self) -> T | BaseException | None:
        with self._changed:
            self._changed.wait_for(lambda: self._items)
            item, size = self._items.popleft()
            self._bytes -= size
            self._changed.notify()
            return item

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _full(self, size: int) -> bool:
        return len(self._items) >= _ITEMS_AHEAD or (bool(self._items) and self._bytes + size > _BYTES_AHEAD)


@contextmanager
def prefetched(items: Iterable[T], size: Callable[[T], int]) -> Iterator[Iterator[T]]:
    """Go through `items` in a second thread; `size` tells how many bytes one of them holds.

    Python hands the interpreter lock over every 5 ms by default, which would stall the sending thread at each wake-up
    for longer than its work takes; for the time of the load it is handed over sooner.
    """
    shelf: _Shelf[T] = _Shelf()

    def produce() -> None:
        try:
            for item in items:
                if not shelf.put(item, size(item)):
                    return
            shelf.put(None, 0)
        except BaseException as error:  # noqa: BLE001 — handed to the consuming thread, which raises it
            shelf.put(error, 0)

    def consume() -> Iterator[T]:
        while (item := shelf.take()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    producer = threading.Thread(target=produce, name="atlas-reader", daemon=True)
    producer.start()
    try:
        yield consume()
    finally:
        shelf.stop()
        producer.join()
        sys.setswitchinterval(interval)
