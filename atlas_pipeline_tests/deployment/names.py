"""A name server for a handful of names, as docker has one in each network: addresses, and nothing of other kinds."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping

_ADDRESS = 1
_QUESTION = 12


@contextlib.contextmanager
def serving(host: str, addresses: Mapping[str, str]) -> Iterator[None]:
    """Answer on UDP port 53 of `host` while the body runs. An empty datagram ends it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((host, 53))
        thread = threading.Thread(target=_serve, args=(server, addresses), daemon=True)
        thread.start()
        yield
        server.sendto(b"", (host, 53))
        thread.join()


def _serve(server: socket.socket, addresses: Mapping[str, str]) -> None:
    while True:
        query, client = server.recvfrom(512)
        if not query:
            return
        server.sendto(_answer(query, addresses), client)


def _answer(query: bytes, addresses: Mapping[str, str]) -> bytes:
    end = query.index(0, _QUESTION) + 5
    words, rest = [], query[_QUESTION : end - 5]
    while rest:
        words.append(rest[1 : rest[0] + 1].decode())
        rest = rest[rest[0] + 1 :]
    address = addresses.get(".".join(words).lower())
    (kind,) = struct.unpack(">H", query[end - 4 : end - 2])
    found = address is not None and kind == _ADDRESS
    flags = 0x8580 if address else 0x8583
    head = query[:2] + struct.pack(">HHHHH", flags, 1, int(found), 0, 0) + query[_QUESTION:end]
    if not found or address is None:
        return head
    return head + b"\xc0\x0c" + struct.pack(">HHIH", _ADDRESS, 1, 1, 4) + socket.inet_aton(address)
