"""A server on loopback that takes what Sentry's library sends, and keeps it.

Belongs here: the envelope protocol as far as it takes to read events. Does not belong here: what should be in them.
"""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """What came: `bodies` as bytes, `items` as (type, document)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.items: list[tuple[str, dict[str, Any]]] = []
        self.came = threading.Condition()

    @property
    def dsn(self) -> str:
        return f"http://publickeyofdsn@127.0.0.1:{self.server_address[1]}/4"

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The documents of one type, `event` or `transaction`."""
        return [document for name, document in self.items if name == kind]

    def wait_for(self, happened: Callable[[], bool], seconds: float = 60) -> None:
        """Until it has happened; looked at whenever something came."""
        deadline = time.monotonic() + seconds
        with self.came:
            while not happened():
                assert self.came.wait(max(0.0, deadline - time.monotonic())), f"in vain; there came {self.items}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.split(b"\n")
        with self.server.came:
            self.server.bodies.append(body + str(self.headers).encode())
            for head, payload in zip(lines[1::2], lines[2::2], strict=False):
                self.server.items.append((json.loads(head)["type"], json.loads(payload)))
            self.server.came.notify_all()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *arguments: object) -> None:
        """Not to the tests' output."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server that runs meanwhile."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
