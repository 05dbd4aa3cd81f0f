"""Backups in a folder, local or on a mounted disk.

Belongs here: files as objects. Does not belong here: S3 (`s3.py`).

An object is written to a file in `.incoming/`, flushed to the disk, and moved to its name. While it is written its
file is locked, which the kernel undoes however the writer ends: what is not locked there, nobody writes.
"""

import errno
import fcntl
import hashlib
import os
import stat
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from atlas_pipeline.backup.store import AlreadyThere, Entry, StoreError, StoreUnavailable, Written
from atlas_pipeline.backup.store.rules import parts, prefix_parts, prove

INCOMING = ".incoming"
_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}
_AWAY = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN}
_HINTS = {
    errno.EACCES: "this user may not; check who owns it",
    errno.EPERM: "this user may not, or the file system cannot; check both",
    errno.EROFS: "it is mounted read-only",
    errno.ENOENT: "it is not there",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.ENOTDIR: "a part of its path is a file",
}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class FolderStore:
    """Objects as files below a folder, which is created on the first write. Implements Store."""

    def __init__(self, path: Path):
        self._root = path.expanduser().absolute()

    @property
    def place(self) -> str:
        return str(self._root)

    def check(self) -> None:
        prove(self)

    def put(self, key: str, chunks: Iterable[bytes]) -> Written:
        target, digest, size = self._path(key), hashlib.sha256(), 0
        with self._incoming(key) as (temporary, file):
            for chunk in chunks:
                with self._saying(key, "written"):
                    _write(file, chunk)
                digest.update(chunk)
                size += len(chunk)
            with self._saying(key, "written"):
                os.fsync(file)
                self._moved(target, lambda: temporary.replace(target))
        return Written(size, digest.hexdigest())

    def put_new(self, key: str, data: bytes) -> None:
        target = self._path(key)
        with self._incoming(key) as (temporary, file), self._saying(key, "written"):
            _write(file, data)
            os.fsync(file)
            try:
                self._moved(target, lambda: os.link(temporary, target))
            except FileExistsError:
                raise AlreadyThere(f"{self.place}: {key} is already there, and stays as it is") from None
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise StoreError(
                        f"{self.place}: its file system has no hard links ({errno.errorcode[error.errno or 0]}),"
                        " without which two writers could overwrite each other; choose another disk"
                    ) from None
                raise

    def get(self, key: str) -> Iterator[bytes]:
        path = self._path(key)
        with self._saying(key, "read"), path.open("rb", buffering=0) as file:
            expected, received = os.fstat(file.fileno()).st_size, 0
            while chunk := file.read(_CHUNK):
                received += len(chunk)
                yield chunk
        if received != expected:
            raise StoreError(f"{self.place}: {key} has {expected} bytes, and only {received} came")

    def list(self, prefix: str) -> Iterator[Entry]:
        below = self._root.joinpath(*prefix_parts(prefix, self.place))
        with self._saying(prefix, "listed"):
            entries = sorted(self._files(below), key=lambda entry: entry.key)
        yield from entries

    def delete(self, keys: Collection[str]) -> None:
        for key in keys:
            path = self._path(key)
            with self._saying(key, "deleted"):
                with suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
                for folder in path.parents:
                    if folder == self._root:
                        break
                    try:
                        folder.rmdir()
                    except OSError:  # it holds others
                        break

    def sweep(self, older_than: datetime) -> int:
        removed = 0
        with self._saying(INCOMING, "swept"):
            try:
                entries = list(os.scandir(self._root / INCOMING))
            except FileNotFoundError:
                return 0
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat().st_mtime < older_than.timestamp() and _abandoned(Path(entry.path)):
                        Path(entry.path).unlink()
                        removed += 1
        return removed

    def _path(self, key: str) -> Path:
        names = parts(key, self.place)
        if names[0] == INCOMING:
            raise StoreError(f"{self.place}: {key!r} is not a key: {INCOMING} holds unfinished uploads")
        return self._root.joinpath(*names)

    def _files(self, folder: Path) -> Iterator[Entry]:
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if folder == self._root and entry.name == INCOMING:
                continue
            with suppress(FileNotFoundError):  # it is gone since
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(state.st_mode):
                    yield from self._files(Path(entry.path))
                elif stat.S_ISREG(state.st_mode):
                    key = Path(entry.path).relative_to(self._root).as_posix()
                    yield Entry(key, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC))

    @contextmanager
    def _incoming(self, key: str) -> Iterator[tuple[Path, int]]:
        """A new locked file; removed at the end unless it was moved."""
        with self._saying(key, "written"):
            _make_folder(self._root / INCOMING)
            temporary, file = self._new_file()
        try:
            yield temporary, file
        finally:
            temporary.unlink(missing_ok=True)
            os.close(file)

    def _new_file(self) -> tuple[Path, int]:
        while True:
            path = self._root / INCOMING / uuid.uuid4().hex
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with suppress(OSError):  # some file systems know no locks: there, age alone decides what is swept
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:  # it was not swept before it was locked
                return path, file
            os.close(file)

    def _moved(self, target: Path, move: Callable[[], object]) -> None:
        """Move a file to its name, durably; retry if a concurrent delete removed the empty folder."""
        for attempt in range(100):
            try:
                _make_folder(target.parent)
                move()
                break
            except FileNotFoundError:
                if attempt == 99:
                    raise
        _flush(target.parent)

    @contextmanager
    def _saying(self, key: str, verb: str) -> Iterator[None]:
        """Turn an OSError into a StoreError that names the object."""
        try:
            yield
        except OSError as error:
            code = error.errno or 0
            if code in _FULL:
                raise StoreError(
                    f"{self.place} is full: {key} was not written; free some space, or keep fewer backups"
                ) from error
            kind = StoreUnavailable if code in _AWAY else StoreError
            hint = _HINTS.get(code, os.strerror(code))
            raise kind(f"{self.place}: {key or 'it'} cannot be {verb}: {hint}") from error


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _make_folder(path: Path) -> None:
    """Create a folder and its missing parents with mode 0700, durably."""
    if path.is_dir():
        return
    _make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    _flush(path.parent)


def _flush(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _abandoned(path: Path) -> bool:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks here
        return True
    finally:
        os.close(file)
    return True
