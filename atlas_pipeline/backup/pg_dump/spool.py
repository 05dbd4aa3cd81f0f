"""The folder that a dump passes through: private, bounded, and gone at the end.

Belongs here: making and removing it, and giving back the disk under what was read. Does not belong here: who writes
or reads the files in it (`outlet.py`, `restore.py`).
"""

import ctypes
import errno
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

_PREFIX = "pg-dump-"
_KEEP_SIZE_AND_PUNCH_HOLE = 3
_FULL = (errno.ENOSPC, errno.EDQUOT)

MORE_ROOM = "make room there, or set ATLAS_BACKUP_SPOOL to a folder on a bigger disk"


@contextmanager
def private_folder(path: Path) -> Iterator[Path]:
    """A new folder in `path` that only this user may enter, removed at the end; those of killed processes go too."""
    path.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path))
    try:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(path: Path) -> None:
    for left in path.glob(f"{_PREFIX}*/lock"):
        with suppress(OSError), left.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)


@cache
def _fallocate() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    function = ctypes.CDLL(None, use_errno=True).fallocate
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
    return function


def give_back(file: int, start: int, end: int) -> bool:
    """Free the disk under a part of an open file, which keeps its size.

    Args:
        file: descriptor.
        start: first byte.
        end: byte after the last.

    Returns:
        Whether the system supports this.
    """
    function = _fallocate()
    return function is not None and function(file, _KEEP_SIZE_AND_PUNCH_HOLE, start, end - start) == 0


def free_bytes(path: Path) -> int:
    """What is free on the disk of `path`."""
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def is_full(failure: OSError | str) -> bool:
    """Whether something failed, or a program says that it did, because there was no room on a disk."""
    if isinstance(failure, str):
        return any(os.strerror(number) in failure for number in _FULL)
    return failure.errno in _FULL


def full(path: Path) -> str:
    """What to say when the disk of `path` is full."""
    return f"the disk of the spool {path} is full, {free_bytes(path) >> 20} MiB are free: {MORE_ROOM}"
