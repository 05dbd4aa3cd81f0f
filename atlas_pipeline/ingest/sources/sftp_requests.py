"""Requests of SFTP that paramiko has no public call for.

Belongs here: names and real paths as bytes, since a server's names need not be UTF-8, and several reads at once, since
one at a time is as slow as the way is long. Does not belong here: connections (`sftp_server.py`). It relies on what
paramiko keeps to itself, so its next major version is not allowed until this was tried with it.
"""

import os
import stat
from dataclasses import dataclass
from typing import Any

REQUEST_BYTES = 32 * 1024
"""What every server answers in one response (draft-ietf-secsh-filexfer-02, section 3)."""
MOST_ENTRIES = 1_000_000


@dataclass(frozen=True)
class Entry:
    """What a folder says of one of its entries; a link is not followed. Null is what the server does not say."""

    name: str
    mode: int | None
    bytes: int | None
    modified: int | None

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link, or may be one."""
        return self.mode is None or stat.S_ISLNK(self.mode)


def entries(client: Any, folder: str) -> list[Entry]:
    """The entries of a folder in order of their names; bytes of names that are not UTF-8 are surrogates.

    Raises OSError, and what paramiko raises for a connection that broke.
    """
    from paramiko import SFTPAttributes
    from paramiko.sftp import CMD_CLOSE, CMD_NAME, CMD_OPENDIR, CMD_READDIR

    _, answer = client._request(CMD_OPENDIR, os.fsencode(folder))
    handle = answer.get_binary()
    found: list[Entry] = []
    while len(found) <= MOST_ENTRIES:
        try:
            kind, answer = client._request(CMD_READDIR, handle)
        except EOFError:
            client._request(CMD_CLOSE, handle)
            return sorted(found, key=lambda entry: entry.name)
        if kind != CMD_NAME:
            break
        for _ in range(answer.get_int()):
            name, _ = os.fsdecode(answer.get_binary()), answer.get_binary()
            found.append(_entry(name, SFTPAttributes._from_msg(answer)))
    raise OSError("the answer of the server is no list of a folder, or has no end")


def attributes(client: Any, path: str) -> Entry:
    """What is at a path; links are followed. Raises OSError, and what paramiko raises."""
    return _entry(path.rpartition("/")[2], client.stat(os.fsencode(path)))


def real_path(client: Any, path: str) -> str:
    """A path without links and dots, as the server resolves it. Raises OSError, and what paramiko raises."""
    from paramiko.sftp import CMD_REALPATH

    _, answer = client._request(CMD_REALPATH, os.fsencode(path))
    answer.get_int()
    return os.fsdecode(answer.get_binary())


def read_at(client: Any, handle: bytes, offset: int, size: int) -> bytes:
    """Bytes of an open file; fewer than `size` at its end, or where the server sends less than was asked for.

    Args:
        client: the SFTP client.
        handle: of the open file.
        offset: of the first byte.
        size: how many. They are asked for in requests of 32 KiB, all at once.

    Raises:
        OSError: the server refuses.
        EOFError: the connection broke; so do paramiko's exceptions say.
    """
    from paramiko.sftp import CMD_DATA, CMD_READ, CMD_STATUS, int64

    answers = _Answers()
    wanted = [(at, min(REQUEST_BYTES, offset + size - at)) for at in range(offset, offset + size, REQUEST_BYTES)]
    numbers = [client._async_request(answers, CMD_READ, handle, int64(at), length) for at, length in wanted]
    while len(answers) < len(numbers):
        client._read_response()
    parts: list[bytes] = []
    for number, (_, length) in zip(numbers, wanted, strict=True):
        kind, answer = answers[number]
        if kind == CMD_STATUS:
            try:
                client._convert_status(answer)
            except EOFError:
                break
        data = answer.get_binary() if kind == CMD_DATA else b""
        parts.append(data)
        if len(data) < length:
            break
    return b"".join(parts)


class _Answers(dict[int, tuple[int, Any]]):
    """Answers by the numbers of their requests, as paramiko hands them over."""

    def _async_response(self, kind: int, answer: Any, number: int) -> None:
        self[number] = (kind, answer)

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


def _entry(name: str, found: Any) -> Entry:
    return Entry(name, found.st_mode, found.st_size, found.st_mtime)
