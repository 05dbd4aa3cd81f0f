"""Receivers on loopback that answer as they are told, and remember what they got."""

import email.policy
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, dict[str, str]]
OK: Answer = (200, {})


@dataclass
class Receiver:
    """An HTTP server. `answer` says what a request gets: a status with headers, or null to close without an answer."""

    port: int = 0
    got: list[Request] = field(default_factory=list)
    answer: Callable[[Request], Answer | None] = lambda request: OK

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def receiver(
    answer: Callable[[Request], Answer | None] = lambda request: OK,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    tunnel: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    """A receiver on a free port, for as long as the block lasts.

    `tls` makes it one of https; with `tunnel` it is a proxy that is itself whatever a client wants to reach.
    """
    state = Receiver(answer=answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.path, dict(self.headers.items()), body)
            state.got.append(request)
            answer = state.answer(request)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            for name, value in answer[1].items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            assert tunnel
            self.connection = tunnel.wrap_socket(self.connection, server_side=True)
            self.setup_streams()

        def setup_streams(self) -> None:
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)
            self.close_connection = False

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, *args: Any) -> None:
            pass

    server = Server(("127.0.0.1", port), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def raw_receiver(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """What answers each connection as `serve` does, at the address given."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=answered, args=(connection,), daemon=True).start()

        def answered(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def drip(connection: socket.socket) -> None:
    """A header without an end, a character at a time, for as long as the client listens."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def close_at_once(connection: socket.socket) -> None:
    """Read the request, and say nothing."""
    connection.recv(65536)


def self_signed(folder: Path, *hosts: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for hosts that signs itself, and how a server shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = datetime.now(UTC)
    names = [x509.DNSName(host) for host in hosts]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / "certificate.pem", folder / "key.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return path, context


@dataclass
class Mailbox:
    """A mail server's messages. `reply` is what it says to the content of each."""

    port: int = 0
    got: list[EmailMessage] = field(default_factory=list)
    reply: str = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.reply.startswith("250"):
            self.got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return self.reply


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mail server on a free port."""
    mailbox = Mailbox(port=free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@contextmanager
def alertmanager(folder: Path) -> Iterator[tuple[str, Callable[[], list[dict[str, Any]]]]]:
    """Debian's Alertmanager, which tells nobody: its address, and a function that gives the alerts that it holds."""
    program = shutil.which("prometheus-alertmanager")
    if not program:
        pytest.skip("prometheus-alertmanager is not installed")
    (folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            program,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def alerts() -> list[dict[str, Any]]:
        return httpx.get(f"http://{address}/api/v2/alerts", trust_env=False).json()

    try:
        assert process.stderr
        assert any("Listening on" in line for line in process.stderr)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield address, alerts
    finally:
        process.terminate()
        process.wait()
