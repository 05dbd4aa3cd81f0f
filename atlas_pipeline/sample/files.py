"""Writing the sample's files: staged under a temporary name, compressed to the same bytes everywhere, then shown.

What stands in the files belongs in customers.py, orders.py and tickets.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]


class Staging:
    """Files on their way: each is written as ``.<name>.<process>.part`` in its folder, and all are shown together.

    Used as a context manager; leaving it without `publish` (an error, Ctrl-C) removes what was staged.
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
        """Where to write the file that will be called `name` (relative to the sample's folder)."""
        final = self._out / name
        final.parent.mkdir(parents=True, exist_ok=True)
        part = final.with_name(f".{final.name}.{os.getpid()}.part")
        self._parts[name] = part
        return part

    def sizes(self) -> dict[str, int]:
        """The bytes of every staged file."""
        return {name: part.stat().st_size for name, part in self._parts.items()}

    def publish(self) -> None:
        """Give every staged file its final name, in the order in which they were staged; never over another."""
        for name in self._parts:
            if (self._out / name).exists():
                raise FileExistsError(f"{self._out / name} appeared while the sample was being written; it was kept.")
        for name, part in self._parts.items():
            part.rename(self._out / name)


class TextFile:
    """UTF-8 lines, written in blocks; with `gzip`, compressed.

    Python's own gzip module gives other bytes with another zlib, and systems differ in which they have. pyarrow
    brings its own, so every block becomes one gzip member compressed by pyarrow (members in a row are a gzip file);
    the header holds neither time, name nor operating system.
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
        """Add a line; its line end is part of it."""
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
    """One CSV line: quoted only where needed, so that no version of a CSV module decides."""
    return (
        ",".join(
            '"' + field.replace('"', '""') + '"' if "," in field or '"' in field or "\n" in field else field
            for field in fields
        )
        + "\n"
    )
