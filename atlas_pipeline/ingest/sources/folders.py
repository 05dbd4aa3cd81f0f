"""Files in folders, listed as if whoever put them there were hostile.

Belongs here: which local files match a pattern, what is odd about them, and opening the very file that was listed. Does
not belong here: S3 (`s3.py`), partitions (`files.py`).

What a link leads to counts: outside of the folder that is looked through, a file is refused by its name. Pipes, devices
and folders that cannot be read are reported, and do not keep the others from being listed. Between looking and opening
anything may be replaced, so what counts is what the kernel opened: its place, and whether it is the file that was
listed, before it is read and after. File systems that are mounted below the folder are in it: who may mount is trusted.
"""

import errno
import fnmatch
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.sources import CHANGED, Problem, SourceError, SourceFile
from atlas_pipeline.ingest.sources.patterns import UNFINISHED

_WILD = "*?"
_DEEPEST = 64
_OUTSIDE = Problem(
    "outside_landing",
    "It is a link that leads out of the folder that is looked through. Put the file itself there instead.",
)
_IRREGULAR = Problem("not_a_file", "It is a pipe, a socket or a device. Only files can be loaded: remove it.")


def matching(pattern: str, landing: Path) -> Iterator[tuple[str, SourceFile]]:
    """Each file that a pattern matches, with its path as the pattern sees it; odd ones have a `problem`.

    Args:
        pattern: a path with `*`, `?` and `**`, relative to `landing` or absolute.
        landing: the landing folder.
    """
    parts = pattern.split("/")
    fixed = next((i for i, part in enumerate(parts) if any(mark in part for mark in _WILD)), len(parts) - 1)
    root = landing if not pattern.startswith("/") else Path("/".join(parts[:fixed]) or "/")
    walk = _Walk(Path(os.path.realpath(root)))
    start, left = (root, parts) if not pattern.startswith("/") else (root, parts[fixed:])
    prefix = "" if not pattern.startswith("/") else f"{str(root).rstrip('/')}/"
    seen: set[str] = set()
    for relative, path in walk.files(start, "", left):
        name = prefix + relative
        if name not in seen:
            seen.add(name)
            found = walk.look(path)
            if found is not None:
                yield name, found
    for folder, reason in walk.unreadable.items():
        yield prefix + folder, _odd(Path(root, folder), Problem("unavailable", reason))


@dataclass
class _Walk:
    """One look through the folders below `root`, whose links are resolved."""

    root: Path

    def __post_init__(self) -> None:
        self.unreadable: dict[str, str] = {}
        self._passed: set[tuple[int, int]] = set()
        self._folders: dict[Path, bool] = {}
        with suppress(OSError):
            state = self.root.stat()
            self._passed.add((state.st_dev, state.st_ino))

    def files(self, folder: Path, relative: str, parts: list[str]) -> Iterator[tuple[str, Path]]:
        """Paths below a folder that the parts of a pattern match, relative to the root and whole."""
        part, rest = parts[0], parts[1:]
        if relative.count("/") > _DEEPEST:
            self.unreadable[relative.rstrip("/")] = f"the folder is more than {_DEEPEST} folders deep"
            return
        if part == "**" and rest:
            yield from self.files(folder, relative, rest)
        for name, path in self._entries(folder, relative, part):
            below = f"{relative}{name}"
            if rest and (part == "**" or _matches(name, part)):
                if self._may_enter(path, below):
                    yield from self.files(path, f"{below}/", parts if part == "**" else rest)
            elif not rest and _matches(name, "*" if part == "**" else part):
                yield below, path

    def look(self, path: Path) -> SourceFile | None:
        """What is at a path: null for a folder, a file that is still being written, or one that is gone."""
        if path.name.endswith(UNFINISHED):
            return None
        try:
            return self._look(path)
        except FileNotFoundError:
            return None  # also one that was taken away while it was looked at
        except OSError as error:
            return _odd(path, Problem("unavailable", f"cannot be read: {_words(error)}"))

    def _look(self, path: Path) -> SourceFile | None:
        """As `look`. Raises OSError."""
        try:
            state = path.stat()
        except FileNotFoundError:
            return _odd(path, _OUTSIDE) if path.is_symlink() and not self._inside(path) else None
        if stat.S_ISDIR(state.st_mode):
            return None
        if not self._inside(path):
            return _odd(path, _OUTSIDE)
        if not stat.S_ISREG(state.st_mode):
            return _odd(path, _IRREGULAR)
        return SourceFile(
            uri=str(path),
            name=path.name,
            version=f"{state.st_size} bytes, changed {state.st_mtime_ns}",
            bytes=state.st_size,
            modified=state.st_mtime,
            open=partial(_open, path, self.root, _identity(state)),
        )

    def _entries(self, folder: Path, relative: str, part: str) -> Iterator[tuple[str, Path]]:
        if part != "**" and not any(mark in part for mark in _WILD):
            if os.path.lexists(folder / part):
                yield part, folder / part
            return
        try:
            names = self._names(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self.unreadable[relative.rstrip("/") or "."] = f"the folder cannot be read: {_words(error)}"
            return
        yield from ((name, folder / name) for name in names if not name.startswith(".") or part.startswith("."))

    def _names(self, folder: Path) -> list[str]:
        """What is in a folder; nothing where by now a link stands in its place that leads out. Raises OSError."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            names = os.listdir(handle) if _place_of(handle).is_relative_to(self.root) else []  # noqa: PTH208 — by handle
            return sorted(names)
        finally:
            os.close(handle)

    def _may_enter(self, path: Path, relative: str) -> bool:
        """Whether it is a folder below the root; one that links lead to again is entered once."""
        try:
            state = path.stat()
            inside = self._inside(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            self.unreadable[relative] = f"the folder cannot be read: {_words(error)}"
            return False
        if not stat.S_ISDIR(state.st_mode):
            return False
        if not inside:
            self.unreadable[relative] = "the folder is a link that leads out of the folder that is looked through"
            return False
        here = (state.st_dev, state.st_ino)
        if path.is_symlink() and here in self._passed:
            self.unreadable[relative] = "the folder is a link to one that is looked through already"
            return False
        self._passed.add(here)
        return True

    def _inside(self, path: Path) -> bool:
        if path.is_symlink():
            return self._resolves_inside(path)
        folder = path.parent  # most files are in the folder of the one before
        if folder not in self._folders:
            self._folders[folder] = self._resolves_inside(folder)
        return self._folders[folder]

    def _resolves_inside(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self.root)


def _matches(name: str, part: str) -> bool:
    literal = part.replace("[", "[[]")  # only * and ? are wild, here as in S3
    return fnmatch.fnmatchcase(name, literal)


def _words(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "links lead in a circle"
    return error.strerror or type(error).__name__


def _odd(path: Path, problem: Problem) -> SourceFile:
    return SourceFile(str(path), path.name, "", 0, 0.0, partial(_refuse, problem), problem=problem)


@contextmanager
def _refuse(problem: Problem) -> Iterator[BinaryIO]:
    raise SourceError(problem.reason)
    yield


def _place_of(handle: int) -> Path:
    """Where an open file or folder is; the kernel followed all links."""
    return Path(f"/proc/self/fd/{handle}").readlink()


_Identity = tuple[int, int, int, int]


def _identity(state: os.stat_result) -> _Identity:
    """Which file it is, and in which version."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


@contextmanager
def _open(path: Path, root: Path, listed: _Identity) -> Iterator[BinaryIO]:
    """The file that was listed. Never waits for a pipe.

    Raises SourceError when another file has its name by now, or when it is written while it is read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        state = os.fstat(handle)
        inside = _place_of(handle).is_relative_to(root)
        if _identity(state)[:2] != listed[:2] or not stat.S_ISREG(state.st_mode) or not inside:
            raise SourceError("it was replaced by another file after it was listed")
        try:
            _refuse_written(handle, listed)
            yield stream
        except FileRefused:
            _refuse_written(handle, listed)  # half of a version and half of the next one are no fault of either
            raise
        _refuse_written(handle, listed)


def _refuse_written(handle: int, listed: _Identity) -> None:
    if _identity(os.fstat(handle)) != listed:
        raise SourceError(CHANGED)
