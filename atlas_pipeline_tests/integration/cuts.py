"""Connections that are cut on their way to a server.

Belongs here: cutting them. Does not belong here: the servers (`servers.py`), and when to cut, which each test says.
"""

import contextlib
import socket
import threading


class Proxy:
    """A way to the server that drops each connection after so many bytes of what the server says."""

    def __init__(self, port: int):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut_after: int | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
                threading.Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self._close(source, target)

    def _answer(self, source: socket.socket, target: socket.socket) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                limit = self.cut_after
                if limit is not None and sent + len(data) > limit:
                    target.sendall(data[: max(limit - sent, 0)])
                    self.cuts += 1
                    break
                target.sendall(data)
                sent += len(data)
        self._close(source, target)

    @staticmethod
    def _close(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def stop(self) -> None:
        self._listener.close()
