"""A way to the S3 server on which requests go wrong, for faults that the server cannot be made to show.

Belongs here: what is done to a request. Does not belong here: which requests, which each test says.
"""

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from atlas_pipeline_tests.servers import SECRET


class Request(BaseHTTPRequestHandler):
    """One request on its way; faults look at it and do with it what they like."""

    protocol_version = "HTTP/1.1"
    body: bytes

    def log_message(self, *_: Any) -> None:
        pass

    def forward(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the server."""
        far = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)  # type: ignore[attr-defined]
        far.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("expect", "connection"):
                far.putheader(name, value)
        far.endheaders(self.body)
        answer = far.getresponse()
        data = answer.read()
        far.close()
        return answer.status, answer.getheaders(), data

    def reply(self, status: int, headers: list[tuple[str, str]], data: bytes, cut: int | None = None) -> None:
        self.send_response_only(status)
        length = str(len(data)) if self.command != "HEAD" else dict(headers).get("Content-Length", "0")
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data if cut is None else data[:cut])
        if cut is not None:
            self.hang_up()

    def error(self, status: int, code: str, *headers: tuple[str, str]) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
        self.reply(status, [("Content-Type", "application/xml"), *headers], body)

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _handle(self) -> None:
        proxy: Proxy = self.server.proxy  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length", 0))
        fault = proxy.fault_for(self)
        if fault == "cut":
            self.rfile.read(length // 2)
            self.hang_up()
            return
        self.body = self.rfile.read(length)
        if callable(fault):
            fault(self)
        else:
            self.reply(*self.forward())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle


Fault = Callable[[Request], None] | str


class Proxy:
    """A way to the server on which requests go wrong: `faults` has method, part of the path, fault and how often."""

    def __init__(self, target: int):
        self.seen: list[str] = []
        self.faults: list[tuple[str, str, Fault, int]] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self._server.daemon_threads = True
        self._server.target, self._server.proxy = target, self  # type: ignore[attr-defined]
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def on(self, method: str, path: str, fault: Fault, times: int = 1_000) -> None:
        self.faults.append((method, path, fault, times))

    def count(self, method: str, path: str) -> int:
        return sum(one.startswith(method) and path in one for one in self.seen)

    def fault_for(self, request: Request) -> Fault | None:
        self.seen.append(f"{request.command} {request.path}")
        for number, (method, path, fault, times) in enumerate(self.faults):
            if request.command == method and path in request.path and times > 0:
                self.faults[number] = (method, path, fault, times - 1)
                return fault
        return None

    def hang(self, _: Request) -> None:
        self.released.wait(30)

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
