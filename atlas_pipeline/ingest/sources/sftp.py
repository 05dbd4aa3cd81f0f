"""Files on an SFTP server as files of a source.

Belongs here: which files a pattern matches, what is odd about them, and reading the very file that was listed. Does not
belong here: connections (`sftp_server.py`), partitions (`files.py`). Whoever puts files there may be hostile, as in
folders (`folders.py`), whose rules hold here too.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

from atlas_pipeline.ingest.sources import CHANGED, Problem, SourceError, SourceFile
from atlas_pipeline.ingest.sources.patterns import UNFINISHED, regex
from atlas_pipeline.ingest.sources.sftp_requests import Entry, attributes, entries, read_at, real_path
from atlas_pipeline.ingest.sources.sftp_server import SftpServer, broken_off
from atlas_pipeline.settings import Settings

SCHEME = "sftp://"
WINDOW_BYTES = 1 << 20
_URL = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_DEEPEST = 64
_OUTSIDE = Problem(
    "outside_landing",
    "It is a link that leads out of the folder that is looked through. Put the file itself there instead.",
)
_IRREGULAR = Problem("not_a_file", "It is a pipe, a socket or a device. Only files can be loaded: remove it.")
_UNKNOWN = Problem("unavailable", "the server does not say its size and when it changed")


def split_url(pattern: str) -> tuple[str, int, str]:
    """Host, port and path pattern of an sftp:// URL. Raises SourceError, which quotes no password."""
    address, slash, path = pattern.removeprefix(SCHEME).partition("/")
    if "@" in address or ("@" in path and not _URL.fullmatch(address)):
        raise SourceError(
            "source sftp://…@…: expected no user and no password in it. Set ATLAS_SFTP_USER, and ATLAS_SFTP_KEY_FILE "
            "or ATLAS_SFTP_PASSWORD"
        )
    match = _URL.fullmatch(address)
    port = int(match["port"] or 22) if match else 0
    if not match or not slash or not path or not 0 < port < 65536 or ".." in path.split("/"):
        raise SourceError(f"source {pattern!r}: expected sftp://host/path-pattern or sftp://host:port/path-pattern")
    return match["host"].strip("[]"), port, f"/{path}"


def matching(pattern: str, settings: Settings) -> Iterator[tuple[str, SourceFile]]:
    """Each file that a pattern matches, with its URL; odd ones have a `problem`.

    Args:
        pattern: sftp://host:port/path-pattern; a path that begins with `~/` is one in the user's folder.
        settings: how to sign in.

    Raises:
        SourceError: the URL is not one, or the server refuses, or is not trusted.
        ServiceUnavailable: the server does not answer.
    """
    host, port, path = split_url(pattern)
    server = SftpServer(host, port, settings)
    base = pattern[: len(pattern) - len(path)]
    parts = path.split("/")[1:]
    fixed = next((i for i, part in enumerate(parts) if "*" in part or "?" in part), len(parts) - 1)
    walk = _Walk(server, base, "/" + "/".join(parts[:fixed]))
    try:
        found = list(walk.files(walk.start, parts[fixed:]))
        found += [_odd(base + folder, Problem("unavailable", reason)) for folder, reason in walk.unreadable.items()]
    finally:
        server.close()
    yield from {file.uri: (file.uri, file) for file in found}.values()


class _Walk:
    """One look through the folders below `start`, whose links are resolved.

    Args:
        server: the server.
        base: what URLs begin with.
        start: the folder, as the pattern has it.
    """

    def __init__(self, server: SftpServer, base: str, start: str):
        self.server = server
        self.base = base
        self.start = start.rstrip("/")
        self.unreadable: dict[str, str] = {}
        self.root = server.ask(lambda client: real_path(client, _path(self.start) or "/"), base + start)
        self._entered = {self.root}
        self._known: dict[str, list[Entry]] = {}

    def files(self, folder: str, parts: list[str], depth: int = 0) -> Iterator[SourceFile]:
        """Files below a folder that the parts of a pattern match."""
        part, rest = parts[0], parts[1:]
        if depth > _DEEPEST:
            self.unreadable[folder] = f"the folder is more than {_DEEPEST} folders deep"
            return
        if part == "**" and rest:
            yield from self.files(folder, rest, depth)
        matches = re.compile(regex("*" if part == "**" else part) + r"\Z", re.DOTALL)
        for entry in self._entries(folder):
            path = f"{folder}/{entry.name}"
            if not matches.match(entry.name) or (entry.name.startswith(".") and not part.startswith(".")):
                continue
            if rest:
                if self._may_enter(path, entry):
                    yield from self.files(path, parts if part == "**" else rest, depth + 1)
            elif (file := self._look(path, entry)) is not None:
                yield file

    def _entries(self, folder: str) -> list[Entry]:
        if folder in self._known:
            return self._known[folder]
        try:
            found = self.server.ask(lambda client: entries(client, _path(folder) or "/"), _shown(self.base + folder))
        except SourceError as error:
            if folder == self.start:
                raise
            self.unreadable[folder] = str(error)
            found = []
        # What has a slash is not a name: it would lead elsewhere.
        named = [entry for entry in found if entry.name not in ("", ".", "..") and not {"/", "\0"} & set(entry.name)]
        self._known[folder] = named
        return named

    def _may_enter(self, path: str, entry: Entry) -> bool:
        """Whether it is a folder below the root; one that links lead to again is entered once."""
        if not entry.is_link:
            return stat.S_ISDIR(entry.mode or 0)
        try:
            real, target = self._followed(path)
        except SourceError:
            return False
        if not stat.S_ISDIR(target.mode or 0):
            return False
        if not _inside(real, self.root):
            self.unreadable[path] = "the folder is a link that leads out of the folder that is looked through"
        elif real in self._entered or _inside(self.root, real):
            self.unreadable[path] = "the folder is a link to one that is looked through already"
        else:
            self._entered.add(real)
            return True
        return False

    def _look(self, path: str, entry: Entry) -> SourceFile | None:
        """What is at a path: null for a folder, a file that is still being written, or one that is gone."""
        uri = self.base + path
        if entry.name.endswith(UNFINISHED):
            return None
        if entry.is_link:
            try:
                real, entry = self._followed(path)
            except SourceError as error:
                return _odd(uri, Problem("unavailable", f"it is a link that leads nowhere ({error})"))
            if stat.S_ISDIR(entry.mode or 0):
                return None
            if not _inside(real, self.root):
                return _odd(uri, _OUTSIDE)
        if entry.mode is not None and stat.S_ISDIR(entry.mode):
            return None
        if entry.mode is not None and not stat.S_ISREG(entry.mode):
            return _odd(uri, _IRREGULAR)
        if entry.bytes is None or entry.modified is None:
            return _odd(uri, _UNKNOWN)
        return SourceFile(
            uri=uri,
            name=path.rpartition("/")[2],
            version=f"{entry.bytes} bytes, changed {entry.modified}",
            bytes=entry.bytes,
            modified=float(entry.modified),
            open=partial(
                _opened, _Listed(self.server, _shown(uri), _path(path), self.root, entry.bytes, entry.modified)
            ),
        )

    def _followed(self, path: str) -> tuple[str, Entry]:
        return self.server.ask(
            lambda client: (real_path(client, _path(path)), attributes(client, _path(path))), _shown(self.base + path)
        )


@dataclass(frozen=True)
class _Listed:
    """A file as it was listed."""

    server: SftpServer
    uri: str
    path: str
    root: str
    bytes: int
    modified: int


class _Stream:
    """A file to read from. Where the connection breaks, another one reads on, if the file is as it was listed."""

    def __init__(self, listed: _Listed):
        self._listed = listed
        self._client: Any = None
        self._file: Any = None
        self._position = 0
        self._ready = b""
        self._verified = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` at most; all that are left where it is negative; none at the end.

        Raises SourceError, also when the file was changed or replaced, and ServiceUnavailable.
        """
        if size < 0:
            return b"".join(iter(partial(self.read, WINDOW_BYTES), b""))
        if size and not self._ready and not self._verified:
            self._ready = self._listed.server.ask(self._window, self._listed.uri)
            self._position += len(self._ready)
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def readable(self) -> bool:
        """True, as of any file to read from."""
        return True

    def close(self) -> None:
        """Close the file on the server, unless the connection is gone."""
        if self._file is not None:
            with suppress(*broken_off()):
                self._file.close()
        self._file = None

    def _window(self, client: Any) -> bytes:
        """The next bytes over this connection; none at the end, where the file must be as it was listed."""
        if self._client is not client:
            self._open(client)
        wanted = min(WINDOW_BYTES, self._listed.bytes - self._position)
        data = read_at(client, self._file.handle, self._position, wanted) if wanted else b""
        if wanted and not data:
            raise SourceError(f"{self._listed.uri}: {CHANGED}")
        if not wanted:
            self._verify(self._file.stat())
            self._verified = True
        return data

    def _open(self, client: Any) -> None:
        # Before it is opened, since opening a pipe may wait for ever; and after, since it may be another one by then.
        self._verify(attributes(client, self._listed.path))
        file = client.open(os.fsencode(self._listed.path), "rb")
        self._verify(file.stat())
        if not _inside(real_path(client, self._listed.path), self._listed.root):
            raise SourceError(f"{self._listed.uri}: {_OUTSIDE.reason}")
        self._client, self._file = client, file

    def _verify(self, found: Any) -> None:
        """Raises SourceError when the file is not as it was listed. `found` is an Entry, or attributes of paramiko."""
        entry = found if isinstance(found, Entry) else Entry("", found.st_mode, found.st_size, found.st_mtime)
        regular = entry.mode is None or stat.S_ISREG(entry.mode)
        if not regular or (entry.bytes, entry.modified) != (self._listed.bytes, self._listed.modified):
            raise SourceError(f"{self._listed.uri}: {CHANGED}")


@contextmanager
def _opened(listed: _Listed) -> Iterator[BinaryIO]:
    stream = _Stream(listed)
    try:
        yield cast(BinaryIO, stream)
    finally:
        stream.close()


@contextmanager
def _refuse(problem: Problem) -> Iterator[BinaryIO]:
    raise SourceError(problem.reason)
    yield


def _odd(uri: str, problem: Problem) -> SourceFile:
    return SourceFile(uri, uri.rpartition("/")[2], "", 0, 0.0, partial(_refuse, problem), problem=problem)


def _shown(uri: str) -> str:
    """A URL for messages: bytes of names that are not UTF-8 are written as `\\xff`."""
    return os.fsencode(uri).decode("utf-8", "backslashreplace")


def _path(path: str) -> str:
    """A path for the server, which takes relative ones as in the user's folder."""
    return path.removeprefix("/~").removeprefix("/") or "." if path == "/~" or path.startswith("/~/") else path


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
