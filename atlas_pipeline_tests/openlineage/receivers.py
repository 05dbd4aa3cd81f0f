"""A receiver of events that answers well, badly, slowly, or byte by byte: a real server on this machine.

Belongs here: the server. Does not belong here: what is sent to it.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Receiver:
    """What was received, and how the next request is answered: a status, `silent` or `dripping`."""

    def __init__(self, port: int):
        self.url = f"http://127.0.0.1:{port}/api/v1/lineage"
        self.answer: int | str = 201
        self.events: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.connections = 0
        self.over = threading.Event()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port while the body runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = Receiver(server.getsockname()[1])
        server.settimeout(0.2)
        thread = threading.Thread(target=_accept, args=(server, one), daemon=True)
        thread.start()
        try:
            yield one
        finally:
            one.over.set()
            thread.join()


def _accept(server: socket.socket, one: Receiver) -> None:
    while not one.over.is_set():
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        one.connections += 1
        threading.Thread(target=_serve, args=(connection, one), daemon=True).start()


def _serve(connection: socket.socket, one: Receiver) -> None:
    """Requests of one connection until it is closed."""
    with connection, connection.makefile("rb") as reader:
        connection.settimeout(60)
        while head := _head(reader):
            length = next(int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length"))
            body = json.loads(reader.read(length))
            one.headers += [line.decode().strip() for line in head]
            if isinstance(one.answer, int):
                if one.answer < 300:
                    one.events.append(body)
                connection.sendall(f"HTTP/1.1 {one.answer} Answer\r\nContent-Length: 0\r\n\r\n".encode())
                continue
            try:
                while one.answer == "dripping" and not one.over.wait(0.05):
                    connection.sendall(b"H")
            except OSError:
                return
            one.over.wait()
            return


def _head(reader: Any) -> list[bytes]:
    lines = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return lines
