"""Streams the output folder of pg_dump into the sink while pg_dump writes it, and frees the disk under what was read.

Belongs here: which file is complete, which files share an object, and backpressure. Does not belong here: pg_dump's
arguments (`engine.py`), processes (`tools.py`).

Files are submitted to reader threads in the order in which they became big or complete, and there are as many readers
as pg_dump has workers. So a complete file is read before one that is still written, and a reader that waits for more
data cannot deadlock with pg_dump.
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
from atlas_pipeline.backup.pg_dump.spool import punch_hole
from atlas_pipeline.backup.pg_dump.tools import Child

CHUNK = 1 << 18
BIG = 8 << 20
PACK = 64 << 20
PACK_FILES = 10_000
TOC = "toc.dat"
CONTENTS = "contents.json"
"""Sizes of all objects but the last."""
_PUNCH_BYTES = 8 << 20
_POLL_SECONDS = 0.05


class _Stopped(Exception):
    """The stream was stopped, since another part failed."""


@dataclass
class _File:
    path: Path
    size: int = 0
    read: int = 0
    closed: bool = False
    submitted: bool = False


class DumpStream:
    """Streams the files of a dump into a sink while pg_dump writes them.

    Args:
        folder: output folder of pg_dump.
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
        self.max_unread = 0
        self.read = 0
        self.sizes: dict[str, int] = {}
        """Bytes of each object that was put into the sink."""
        self.started = False
        """Whether pg_dump has begun to write data, and so holds its locks."""
        self._min_big = min(BIG, max(CHUNK, limit // (4 * jobs)))
        self._max_pack = min(PACK, max(CHUNK, limit // 4))
        self._files: dict[str, _File] = {}
        self._gone: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._packs = 0
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="backup")
        self._running: list[Future] = []
        self._writers: list[psutil.Process] = []

    def drain(self, on_poll: Callable[[], None]) -> int:
        """Stream all but the table of contents until pg_dump exits; returns its status. Raises what the sink raises."""
        while True:
            status = self.child.poll()
            begun = time.monotonic()
            self._scan(ended=status is not None)
            self._submit_files()
            self._apply_backpressure()
            self._check()
            on_poll()
            if status is not None:
                if status == 0:
                    self._finish()
                return status
            time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - begun)))

    def close(self, paths: Sequence[Path]) -> None:
        """Stream the remaining small files and `paths` as the last tar file, with the sizes of all other objects."""
        contents = self.folder.parent / CONTENTS
        contents.write_text(json.dumps(self.sizes, indent=1, sort_keys=True), encoding="utf-8")
        paths = [contents, *paths]
        remaining = [file for file in self._files.values() if not file.submitted]
        self._put_pack([*remaining, *(_File(path, path.stat().st_size, closed=True) for path in paths)])

    def stop(self) -> None:
        """Stop the readers, also in the middle of a file."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _scan(self, ended: bool) -> None:
        """Update sizes, and which files are complete: listed before, and now open in no process of pg_dump."""
        try:
            entries = [entry for entry in os.scandir(self.folder) if entry.name != TOC]
        except FileNotFoundError:
            return
        listed = {}
        for entry in entries:
            with suppress(FileNotFoundError):  # a reader removed it just now
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
        """Names of the files that pg_dump has open; None while not all of its processes are known."""
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
                names |= {Path(open_file.path).name for open_file in process.open_files()}
            except psutil.NoSuchProcess:
                continue
            except psutil.Error:
                return None
        return names

    def _submit_files(self) -> None:
        waiting = [file for file in self._files.values() if not file.submitted]
        big = [file for file in waiting if file.size >= self._min_big]
        small = [file for file in waiting if file.closed and file.size < self._min_big]
        pack: list[_File] = []
        size = 0
        for file in small:
            pack.append(file)
            size += file.size
            if size >= self._max_pack or len(pack) >= PACK_FILES:
                self._submit_pack(pack)
                pack, size = [], 0
        if pack and self.child.paused:
            self._submit_pack(pack)
        for file in sorted(big, key=lambda file: not file.closed):
            file.submitted = True
            self._running.append(self._pool.submit(self._put_file, file))

    def _submit_pack(self, pack: list[_File]) -> None:
        for file in pack:
            file.submitted = True
        self._running.append(self._pool.submit(self._put_pack, pack))

    def _apply_backpressure(self) -> None:
        with self._changed:
            unread = sum(file.size - file.read for file in self._files.values())
        self.max_unread = max(self.max_unread, unread)
        if unread > self.limit:
            self.child.pause()
        elif unread < self.limit // 2:
            self.child.resume()

    def _check(self) -> None:
        for future in [running for running in self._running if running.done()]:
            self._running.remove(future)
            future.result()

    def _finish(self) -> None:
        while self._running:
            self._check()
            time.sleep(_POLL_SECONDS)

    def _put_file(self, file: _File) -> None:
        self.sink.put([file.path.name], self._count_bytes(file.path.name, self._tail(file)))
        self._remove(file)

    def _put_pack(self, pack: list[_File]) -> None:
        with self._changed:
            self._packs += 1
            name = f"small-{self._packs:04}.tar"
        files = ((file.path.name, file.size, self._tail(file)) for file in pack)
        self.sink.put([name], self._count_bytes(name, tar_stream(files)))
        for file in pack:
            self._remove(file)

    def _count_bytes(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            yield chunk
        with self._changed:
            self.sizes[name] = size

    def _remove(self, file: _File) -> None:
        if file.path.name != TOC:
            file.path.unlink(missing_ok=True)
        with self._changed:
            self._files.pop(file.path.name, None)
            self._gone.add(file.path.name)

    def _tail(self, file: _File) -> Iterator[bytes]:
        """A file's bytes as they are written, until it is complete; holes are punched where they were read."""
        with file.path.open("r+b", buffering=0) as source:
            punched_to = position = 0
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
                if position - punched_to >= _PUNCH_BYTES and punch_hole(source.fileno(), punched_to, position):
                    punched_to = position


def tar_stream(files: Iterator[tuple[str, int, Iterator[bytes]]]) -> Iterator[bytes]:
    """A tar file in chunks. Raises BackupFailed when a file does not have its announced size."""
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


class ChunkReader(io.RawIOBase):
    """Chunks of bytes as a readable file object."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self._left = memoryview(b"")
        self.size = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill `buffer` from the chunks."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
            self.size += len(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
