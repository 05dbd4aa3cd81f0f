"""Soda's log while rows are read: collected for the caller, and kept from the host's handlers.

Belongs here: the host's logging before, meanwhile and after. Does not belong here: what is measured (`soda/`). Soda
itself is not imported.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGER = logging.getLogger("soda")
_LOCK = threading.Lock()
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Listener(logging.Handler):
    """Collects Soda's errors for the caller in whose thread they happen."""

    def emit(self, record: logging.LogRecord) -> None:
        found = _heard.get()
        if found is not None:
            place = getattr(record, "location", None)
            line = f"line {place.line + 1}: " if place is not None and place.line is not None else ""
            found.append(line + record.getMessage())


_LISTENER = _Listener(logging.ERROR)
_listening = 0
_before: tuple[bool, int, list[logging.Handler]] = (True, logging.NOTSET, [])


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what Soda logs as errors. It goes nowhere else: what is logged while rows are read may quote them.

    Several threads may listen at once. When the last has finished, logging is as it was: Soda leaves a handler at the
    root that would see every record of the host.
    """
    global _listening, _before
    found: list[str] = []
    heard = _heard.set(found)
    with _LOCK:
        if not _listening:
            _before = _LOGGER.propagate, _LOGGER.level, list(logging.root.handlers)
            _LOGGER.addHandler(_LISTENER)
            _LOGGER.propagate = False
            _LOGGER.setLevel(logging.ERROR)
        _listening += 1
    try:
        yield found
    finally:
        _heard.reset(heard)
        with _LOCK:
            _listening -= 1
            if not _listening:
                _LOGGER.removeHandler(_LISTENER)
                _LOGGER.propagate = _before[0]
                _LOGGER.setLevel(_before[1])
                for handler in logging.root.handlers[:]:
                    if handler not in _before[2] and type(handler).__module__.startswith("soda_core."):
                        logging.root.removeHandler(handler)
