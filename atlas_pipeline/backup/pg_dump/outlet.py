"""From a folder that pg_dump writes into the sink, while it writes: what was read takes no disk.

Belongs here: which file is finished, what goes into which object, and when pg_dump has to wait. Does not belong here:
pg_dump's arguments (`engine.py`), processes (`tools.py`).

Files go to reader threads in the order in which they became big or finished, and there are as many readers as pg_dump
has writers. So whatever was finished before a file that is still written has a reader before it, and a reader that
waits for more never keeps pg_dump from writing it.
"""

import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from atlas_pipeline.backup.engine import BackupFailed, Sink
from atlas_pipeline.backup.pg_dump.spool import give_back
from atlas_pipeline.backup.pg_dump.tools import Child

CHUNK = 1 << 18
BIG = 8 << 20
PACK = 64 << 20
PACK_FILES = 10_000
TOC = "toc.dat"
CONTENTS = "contents.json"
"""Sizes of all objects but the last."""
_GIVE_BACK_EVERY = 8 << 20
_POLL_SECONDS = 0.05


class _Stopped(Exception):
    """Something else failed."""


@dataclass
class _File:
    path: Path
    size: int = 0
    read: int = 0
    closed: bool = False
    taken: bool = False


class Outlet:
    """Streams the files of a dump into a sink while pg_dump writes them.

    Args:
        folder: where pg_dump writes.
        child: pg_dump; it is paused while too much is unread.
        sink: takes the files.
        jobs: workers of pg_dump, and streams into the sink at the same time.
        limit: bytes that may lie unread on the disk.
    """

    def __init__(self, folder: Path, child: Child, sink: Sink, *, jobs: int, limit: int):
        self.folder = folder
        self.child = child
        self.sink = sink
        self.jobs = jobs
        self.limit = limit
        self.most_unread = 0
        self.read = 0
        self.sizes: dict[str, int] = {}
        """Of what was put into the sink, by name."""
        self.started = False
        """Whether pg_dump has begun with the data, so that it holds its locks."""
        self._big = min(BIG, max(CHUNK, limit // (4 * jobs)))
        self._pack = min(PACK, max(CHUNK, limit // 4))
        self._files: dict[str, _File] = {}
        self._gone: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._packs = 0
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="backup")
        self._running: list[Future] = []
        self._writers: list[psutil.Process] = []

    def drain(self, meanwhile: Callable[[], None]) -> int:
        """Stream until pg_dump has ended; its exit status. Its table of contents stays. Raises what the sink raises."""
        while True:
            status = self.child.poll()
            begun = time.monotonic()
            self._look(ended=status is not None)
            self._hand_out()
            self._brake()
            self._check()
            meanwhile()
            if status is not None:
                if status == 0:
                    self._finish()
                return status
            time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - begun)))

    def close(self, paths: Sequence[Path]) -> None:
        """Stream what is left of small files, and `paths`, as one last tar file, with a list of all the others."""
        listed = self.folder.parent / CONTENTS
        listed.write_text(json.dumps(self.sizes, indent=1, sort_keys=True), encoding="utf-8")
        paths = [listed, *paths]
        left = [file for file in self._files.values() if not file.taken]
        self._put_pack([*left, *(_File(path, path.stat().st_size, closed=True) for path in paths)])

    def stop(self) -> None:
        """End the readers, in the middle of a file if need be."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look(self, ended: bool) -> None:
        """Learn what files there are, how big, and which are finished: listed first, and then open nowhere."""
        try:
            entries = [entry for entry in os.scandir(self.folder) if entry.name != TOC]
        except FileNotFoundError:
            return
        listed = {}
        for entry in entries:
            with suppress(FileNotFoundError):  # a reader was done with it just now
                listed[entry.name] = entry.stat().st_size
        open_now = set() if ended else self._open_files()
        with self._changed:
            for name, size in listed.items():
                if name in self._gone:
                    continue
                file = self._files.setdefault(name, _File(self.folder / name))
                if not file.closed and open_now is not None and name not in open_now:
                    file.closed = True
                    size = file.path.stat().st_size
                file.size = max(size, file.size)
                self.started = True
            self._changed.notify_all()

    def _open_files(self) -> set[str] | None:
        """Names of the files that pg_dump has open, or None as long as its processes are not all known."""
        try:
            leader = psutil.Process(self.child.process.pid)
            if self.jobs > 1 and len(self._writers) < self.jobs + 1:
                self._writers = [leader, *leader.children(recursive=True)]
                if len(self._writers) < self.jobs + 1:
                    return None
            elif not self._writers:
                self._writers = [leader]
        except psutil.Error:
            return None
        names = set()
        for process in self._writers:
            try:
                names |= {Path(one.path).name for one in process.open_files()}
            except psutil.NoSuchProcess:
                continue
            except psutil.Error:
                return None
        return names

    def _hand_out(self) -> None:
        waiting = [file for file in self._files.values() if not file.taken]
        big = [file for file in waiting if file.size >= self._big]
        small = [file for file in waiting if file.closed and file.size < self._big]
        pack: list[_File] = []
        size = 0
        for file in small:
            pack.append(file)
            size += file.size
            if size >= self._pack or len(pack) >= PACK_FILES:
                self._start(pack)
                pack, size = [], 0
        if pack and self.child.paused:
            self._start(pack)
        for file in sorted(big, key=lambda one: not one.closed):
            file.taken = True
            self._running.append(self._pool.submit(self._put_file, file))

    def _start(self, pack: list[_File]) -> None:
        for file in pack:
            file.taken = True
        self._running.append(self._pool.submit(self._put_pack, pack))

    def _brake(self) -> None:
        with self._changed:
            unread = sum(file.size - file.read for file in self._files.values())
        self.most_unread = max(self.most_unread, unread)
        if unread > self.limit:
            self.child.pause()
        elif unread < self.limit // 2:
            self.child.resume()

    def _check(self) -> None:
        for future in [one for one in self._running if one.done()]:
            self._running.remove(future)
            future.result()

    def _finish(self) -> None:
        while self._running:
            self._check()
            time.sleep(_POLL_SECONDS)

    def _put_file(self, file: _File) -> None:
        self.sink.put([file.path.name], self._counted(file.path.name, self._follow(file)))
        self._done(file)

    def _put_pack(self, pack: list[_File]) -> None:
        with self._changed:
            self._packs += 1
            name = f"small-{self._packs:04}.tar"
        files = ((file.path.name, file.size, self._follow(file)) for file in pack)
        self.sink.put([name], self._counted(name, tarred(files)))
        for file in pack:
            self._done(file)

    def _counted(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            yield chunk
        with self._changed:
            self.sizes[name] = size

    def _done(self, file: _File) -> None:
        if file.path.name != TOC:
            file.path.unlink(missing_ok=True)
        with self._changed:
            self._files.pop(file.path.name, None)
            self._gone.add(file.path.name)

    def _follow(self, file: _File) -> Iterator[bytes]:
        """A file's bytes as they are written, until it is finished; the disk under them is given back."""
        with file.path.open("r+b", buffering=0) as source:
            freed = position = 0
            while True:
                with self._changed:
                    if self._stopped:
                        raise _Stopped
                    closed = file.closed
                chunk = os.pread(source.fileno(), CHUNK, position)
                if not chunk:
                    if closed:
                        return
                    with self._changed:
                        self._changed.wait(1)
                    continue
                yield chunk
                position += len(chunk)
                with self._changed:
                    file.read = position
                    self.read += len(chunk)
                if position - freed >= _GIVE_BACK_EVERY and give_back(source.fileno(), freed, position):
                    freed = position


def tarred(files: Iterator[tuple[str, int, Iterator[bytes]]]) -> Iterator[bytes]:
    """A tar file, piece by piece. Raises BackupFailed when a file has another size than was said."""
    for name, size, chunks in files:
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o600
        yield header.tobuf(tarfile.PAX_FORMAT)
        written = 0
        for chunk in chunks:
            written += len(chunk)
            yield chunk
        if written != size:
            raise BackupFailed(f"the dump's file {name} changed while it was read")
        yield bytes(-size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


class Readable(io.RawIOBase):
    """Pieces of bytes as a file to read."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self._left = memoryview(b"")
        self.size = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill `buffer` from the pieces."""
        while not self._left:
            piece = next(self._chunks, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
            self.size += len(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
