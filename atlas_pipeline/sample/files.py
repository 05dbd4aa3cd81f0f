"""Write the sample's files: stage them under temporary names, compress them reproducibly, then publish them together.

Belongs here: files and lines. Does not belong here: their content (`customers.py`, `orders.py`, `tickets.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]


class Staging:
    """Staged files: each is written as `.<name>.<process id>.part` in its folder, and `publish` renames them all.

    A context manager; leaving it without `publish` (an error, Ctrl-C) removes what was staged.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._parts: dict[str, Path] = {}

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._parts.values():
            part.unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """The temporary path of the file `name`, which is relative to the sample's folder."""
        final = self._out / name
        final.parent.mkdir(parents=True, exist_ok=True)
        part = final.with_name(f".{final.name}.{os.getpid()}.part")
        self._parts[name] = part
        return part

    def sizes(self) -> dict[str, int]:
        """The size of every staged file in bytes."""
        return {name: part.stat().st_size for name, part in self._parts.items()}

    def publish(self) -> None:
        """Rename every staged file to its final name, in the order of staging.

        Raises FileExistsError, before any is renamed, when a file of that name exists.
        """
        for name in self._parts:
            if (self._out / name).exists():
                raise FileExistsError(f"{self._out / name} appeared while the sample was being written; it was kept.")
        for name, part in self._parts.items():
            part.rename(self._out / name)


class TextFile:
    """A text file in UTF-8, written in blocks of lines.

    The output of Python's gzip module depends on the system's zlib. pyarrow bundles its own, so each block is one gzip
    member (RFC 1952) compressed by pyarrow, with a header without time, name and operating system.

    Args:
        path: Where to write.
        gzip: Whether to compress.
    """

    def __init__(self, path: Path, gzip: bool = False) -> None:
        self._file = path.open("wb")
        self._codec = pa.Codec("gzip", compression_level=1) if gzip else None
        self._lines: list[str] = []

    def __enter__(self) -> TextFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._file.close()

    def write(self, line: str) -> None:
        """Add a line with its line end."""
        self._lines.append(line)
        if len(self._lines) >= 8192:
            self._flush()

    def _flush(self) -> None:
        block = "".join(self._lines).encode()
        self._lines.clear()
        if not block:
            return
        if self._codec is not None:
            packed = self._codec.compress(block, asbytes=True)
            block = packed[:9] + b"\xff" + packed[10:]
        self._file.write(block)


def csv_line(fields: Iterable[str]) -> str:
    """One CSV line, with its line end; fields are quoted only where they must be (RFC 4180, but LF at the end)."""
    return (
        ",".join(
            '"' + field.replace('"', '""') + '"' if "," in field or '"' in field or "\n" in field else field
            for field in fields
        )
        + "\n"
    )
