"""A workbook that is read in a process of its own: which sheets it has, and their rows.

Belongs here: starting that process, what it says, and what its end means. Does not belong here: what happens in it
(`workbook_child.py`), and what the rows mean (`workbook.py`).
"""

import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.limits import Meter
from atlas_pipeline.ingest.readers.compression import Compression, decompressed

_LEAST_MEMORY, _MOST_MEMORY = 400 << 20, 3 << 30
"""What the process of a small workbook may take, and that of any."""
_OF_FILE, _OF_PARTS = 100, 20
"""How many bytes of memory a byte of the file is good for, and one of what it unpacks to. A cell takes about 100 bytes
of memory, 20 and more of XML, and 5 of the file; a sheet where most cells are empty, several times as much."""
_PIECE_BYTES = 1 << 20
_HEAD_BYTES = 1 << 20
_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_KNOWN = {("datetime", name) for name in ("date", "datetime", "time", "timedelta")}


class Workbook:
    """An open workbook. `file` holds its bytes, `sheets` the names of its sheets with cells, and whether hidden."""

    def __init__(self, process: "subprocess.Popen[bytes]", file: IO[bytes], encrypted: bool):
        assert process.stdout is not None
        self._process = process
        self._stdout = process.stdout
        self._encrypted = encrypted
        self.file = file
        self.sheets: list[tuple[str, bool]] = self._next("sheets")

    @property
    def zipped(self) -> bool:
        """Whether it is one of the newer formats, a zip archive of XML."""
        self.file.seek(0)
        return self.file.read(4) == _ZIP

    def ask(self, sheet: str) -> None:
        """Have a sheet's rows read; once."""
        assert self._process.stdin is not None
        try:
            pickle.dump(sheet, self._process.stdin)
            self._process.stdin.close()
        except OSError:
            raise corrupt() from None

    def rows(self) -> Iterator[tuple[int, list[Any]]]:
        """The number of the first column of the sheet that holds something, from 0, with each row from there on.

        Raises FileRefused.
        """
        left = self._next("left")
        while (rows := self._next("rows", "end")) is not None:
            for row in rows:
                yield left, row

    def _next(self, *expected: str) -> Any:
        try:
            kind, value = _Unpickler(self._stdout).load()
        except (EOFError, pickle.UnpicklingError):
            raise corrupt() from None
        if kind == "password" or (kind == "damage" and self._encrypted):
            raise FileRefused("password_protected", "The workbook is protected by a password. Send it without one.")
        if kind not in expected:
            raise corrupt()
        return value


@contextmanager
def opened(stream: BinaryIO, compression: Compression, meter: Meter | None = None) -> Iterator[Workbook]:
    """Open a workbook.

    Args:
        stream: the file, at its beginning.
        compression: how it is compressed.
        meter: counts the bytes.

    Raises:
        FileRefused: `empty`, `wrong_format`, `corrupt`, `password_protected`, `expands_too_much`.
    """
    source = decompressed(stream, compression, meter)
    head = source.peek(_HEAD_BYTES)
    if not head:
        raise FileRefused("empty", "The file is empty. A workbook was expected.")
    if not head.startswith((_ZIP, _OLD)):
        raise FileRefused(
            "wrong_format",
            "The file is named as a workbook and is none: some programs write a web page or CSV under such a name. "
            "Name it for what it holds, or save it as .xlsx.",
        )
    encrypted = head.startswith(_OLD) and "EncryptedPackage".encode("utf-16-le") in head
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        while piece := source.read(_PIECE_BYTES):
            file.write(piece)
        file.flush()
        memory = _memory(file, meter)
        file.seek(0)
        process = stack.enter_context(_process(file, memory))
        yield Workbook(process, file, encrypted)


def _memory(file: IO[bytes], meter: Meter | None) -> int:
    """What the process may take for a file: little for a small one, whatever cells it says to have."""
    size = file.tell()
    parts = size * _OF_FILE // _OF_PARTS
    file.seek(0)
    if file.read(len(_ZIP)) == _ZIP:
        try:
            with zipfile.ZipFile(file) as archive:
                parts = sum(one.file_size for one in archive.infolist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError):
            raise corrupt() from None
        if meter:
            meter.expect_bytes(parts)
    return min(max(_LEAST_MEMORY, min(_OF_FILE * size, _OF_PARTS * parts)), _MOST_MEMORY)


@contextmanager
def _process(file: IO[bytes], memory: int) -> Iterator["subprocess.Popen[bytes]"]:
    handle = file.fileno()
    child = Path(__file__).with_name("workbook_child.py")
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", str(child), f"/dev/fd/{handle}", str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where it panics it says so at length
        pass_fds=[handle],
    )
    try:
        yield process
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


class _Unpickler(pickle.Unpickler):
    """Takes plain values and moments only: the process that sends them has read a stranger's file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError
        return super().find_class(module, name)


def corrupt() -> FileRefused:
    """The refusal of a workbook that cannot be read."""
    return FileRefused(
        "corrupt",
        "The workbook cannot be read: it is damaged or was cut, or it has cells so far apart that the rectangle around "
        "them does not fit into memory. Send it again, or its rows as CSV.",
    )
