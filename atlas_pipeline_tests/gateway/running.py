"""A real gateway on loopback, and what stands behind it: servers that say what they were sent.

Belongs here: starting and ending them, and reading what the gateway wrote. Does not belong here: what is asked of them.
"""

import contextlib
import functools
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from atlas_pipeline_tests.servers import free_ports

FOLDER = Path(__file__).resolve().parents[2] / "docker" / "gateway"
PROGRAM = FOLDER / "gateway"
MODULES = Path("/usr/lib/nginx/modules")
PASSWORD = "correct horse battery"
SECONDS = 90.0
"""How long something may take to come true."""


def needs_nginx() -> None:
    """Skips the test where nginx, its Lua module or cjson are missing."""
    parts = [MODULES / "ngx_http_lua_module.so", *Path("/usr/lib").glob("*/lua/5.1/cjson.so")]
    if not shutil.which("nginx") or len(parts) < 2 or not parts[0].exists():
        pytest.skip("no nginx with Lua: apt-get install nginx libnginx-mod-http-lua lua-cjson openssl")


def eventually(true: Callable[[], Any], what: str) -> Any:
    """What `true` returns, once that is something; fails when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError, OSError):
            found = true()
            if found:
                return found
        if time.monotonic() > deadline:
            pytest.fail(f"not in time: {what}")
        time.sleep(0.05)


class Echo:
    """An HTTP server that answers each request with what it was sent, and by its path in some other way."""

    def __init__(self, name: str, port: int = 0):
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {key.lower(): value for key, value in self.headers.items()}
                seen = {"server": name, "method": self.command, "path": self.path, "headers": headers}
                echo.seen.append(seen)
                status, more, answer = echo.answer(self.path, seen | {"body": body.decode("latin-1")})
                self.send_response(status)
                for key, value in {"Content-Length": str(len(answer)), **more}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_POST = do_HEAD = do_PUT = do_DELETE = do_GET

            def log_message(self, *arguments: object) -> None:
                pass

        self.seen: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.held = threading.Event()
        self.held.set()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str, seen: dict[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body. `/held` waits until `held` is set."""
        if path == "/held":
            self.held.wait(SECONDS)
        if path in self.answers:
            return self.answers[path]
        return 200, {"Content-Type": "application/json"}, json.dumps(seen).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@functools.cache
def hashed(password: str = PASSWORD) -> str:
    """A hash of the password that is quick to check."""
    arguments = ["openssl", "passwd", "-6", "-salt", "rounds=1000$salt", password]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip()


class Gateway:
    """A gateway of a test's own, in a folder."""

    def __init__(self, folder: Path, **settings: object):
        self.folder = folder
        self.http, self.https, self.metrics_port = free_ports(3)
        for name in ("run", "tls", "tmp"):
            (folder / name).mkdir(exist_ok=True)
        self.users, self.operators = folder / "users", folder / "operators"
        if not self.users.exists():
            names = [f"{role}{number}" for role in ("operator", "viewer") for number in range(400)]
            self.users.write_text("".join(f"{name}:{hashed()}\n" for name in ("ana", "vic", *names)))
            self.operators.write_text("\n".join(["ana", *names[:400]]))
        here = {
            "HOME": FOLDER,
            "RUN": folder / "run",
            "TMP": folder / "tmp",
            "TLS": folder / "tls",
            "USERS_FILE": self.users,
            "OPERATORS_FILE": self.operators,
            "LISTEN_HTTP": f"127.0.0.1:{self.http}",
            "LISTEN_HTTPS": f"127.0.0.1:{self.https}",
            "LISTEN_METRICS": f"127.0.0.1:{self.metrics_port}",
            "HTTPS_PORT": self.https,
            "OPERATOR": "127.0.0.1:9",
            "VIEWER": "127.0.0.1:9",
            "OPS": "127.0.0.1:9",
            **{name.upper(): value for name, value in settings.items()},
        }
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environment = keep | {f"GATEWAY_{name}": str(value) for name, value in here.items()}
        self.url = f"https://127.0.0.1:{self.https}"
        self.numbers = itertools.count()
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        with (self.folder / "out").open("ab") as out, (self.folder / "err").open("ab") as err:
            self.process = subprocess.Popen([PROGRAM], env=self.environment, stdout=out, stderr=err)
        process = self.process

        def serves() -> bool:
            if process.poll() is not None:
                pytest.fail(f"the gateway did not start: {self.said()}")
            return self.call("health").returncode == 0

        eventually(serves, "the gateway serves")

    def stop(self, by: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        assert self.process is not None
        self.process.send_signal(by)
        return self.process.wait(SECONDS)

    def call(self, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """What a command of the program says."""
        return subprocess.run(
            [PROGRAM, *arguments], env=self.environment, capture_output=True, text=True, input=typed, timeout=SECONDS
        )

    def refusal(self) -> str:
        """The one line with which it does not start."""
        done = self.call()
        assert done.returncode == 78, done
        assert not done.stdout
        (line,) = [line for line in done.stderr.splitlines() if "made a self-signed one" not in line]
        assert line.startswith("gateway: ")
        return line

    def said(self) -> str:
        """What it wrote on standard error."""
        return (self.folder / "err").read_text()

    def client(self, user: str | None = None, *, address: str = "127.0.0.1", password: str = PASSWORD) -> httpx.Client:
        """A client that is signed in as a user, or as nobody."""
        transport = httpx.HTTPTransport(verify=False, local_address=address)
        return httpx.Client(
            base_url=self.url, transport=transport, auth=(user, password) if user else None, timeout=SECONDS
        )

    def another(self, role: str = "operator") -> str:
        """A user whom no other test has used."""
        return f"{role}{next(self.numbers)}"

    def lines(self, log: str, **fields: object) -> list[dict[str, Any]]:
        """Lines of a log, `access` or `audit`, that have these values."""
        found = [json.loads(line) for line in (self.folder / "out").read_text().splitlines()]
        return [one for one in found if {"log": log, **fields}.items() <= one.items()]

    def line(self, log: str, response: httpx.Response) -> dict[str, Any]:
        """The line about a request."""
        number = response.headers["X-Request-Id"]
        (line,) = eventually(lambda: self.lines(log, request_id=number), f"a line of {log}")
        return line

    def metrics(self) -> dict[str, float]:
        """Series and values."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {series: float(value) for series, value in samples}


@contextlib.contextmanager
def gateway(folder: Path, **settings: object) -> Iterator[Gateway]:
    """A gateway that runs, and is gone at the end."""
    needs_nginx()
    one = Gateway(folder, **settings)
    try:
        one.start()
        yield one
        failures = one.lines("error")
        assert not failures
    finally:
        if one.process and one.process.poll() is None:
            one.stop()
