"""The spool folder of a dump: private, bounded, and removed at the end.

Belongs here: creating and removing it, and freeing the disk blocks of what was read. Does not belong here: the files in
it (`stream.py`, `restore.py`).
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

FREE_SPACE_HINT = "make room there, or set ATLAS_BACKUP_SPOOL to a folder on a bigger disk"


@contextmanager
def private_folder(path: Path) -> Iterator[Path]:
    """Create a folder in `path` with mode 0700 and remove it at the end; remove those of killed processes first."""
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
    for lock_file in path.glob(f"{_PREFIX}*/lock"):
        with suppress(OSError), lock_file.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_file.parent, ignore_errors=True)


@cache
def _fallocate() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    function = ctypes.CDLL(None, use_errno=True).fallocate
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
    return function


def punch_hole(file: int, start: int, end: int) -> bool:
    """Free the disk blocks of a range of an open file, which keeps its size (`fallocate(2)`, FALLOC_FL_PUNCH_HOLE).

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
    """Free bytes of the file system of `path`, for this user."""
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def is_full(failure: OSError | str) -> bool:
    """Whether an error, or the stderr of a program, is about a full disk or quota."""
    if isinstance(failure, str):
        return any(os.strerror(number) in failure for number in _FULL)
    return failure.errno in _FULL


def disk_full_message(path: Path) -> str:
    """The message for a disk without room: which, how much is free, what to do."""
    free = free_bytes(path) >> 20
    return f"the disk of the spool {path} is full, {free} MiB are free: {FREE_SPACE_HINT}"
