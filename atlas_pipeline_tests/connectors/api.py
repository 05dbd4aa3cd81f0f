"""An HTTP API on loopback that hands out pages, limits, and fails as it is told.

Belongs here: the server. Does not belong here: what connectors make of it.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

TOKEN = "t0ken-for-nobody"
ELSEWHERE = "http://localhost:1/next"


class Api:
    """The server's rows and manners, which a test changes.

    Attributes:
        rows: of all endpoints.
        size: rows on a page.
        failures: statuses, headers and bodies of the next answers; `cut` for a body that ends early.
        asked: path with query of each request, in order.
        headers: of the last request.
    """

    def __init__(self, port: int):
        self.url = f"http://127.0.0.1:{port}/v1/"
        self.rows: list[dict[str, Any]] = []
        self.raw: str | None = None
        self.size = 3
        self.failures: list[tuple[int | str, dict[str, str], str]] = []
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.tokens = 0

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Status, headers and body."""
        rows = [row for row in self.rows if str(row.get("at", "")) >= query.get("since", "")]
        if path == "/v1/whole":
            return 200, {}, self.raw if self.raw is not None else json.dumps(rows)
        if path == "/v1/secret":
            known = self.headers.get("authorization") in (f"Bearer {TOKEN}", "Basic " + _basic(f"me:{TOKEN}"))
            known = known or TOKEN in (self.headers.get("x-api-key"), query.get("key"))
            return (200, {}, json.dumps(rows)) if known else (401, {}, "who are you, hunter2?")
        if path == "/v1/redirect":
            return 302, {"Location": ELSEWHERE}, ""
        page = int(query.get("page", "1"))
        start = int(query.get("offset", query.get("cursor", (page - 1) * self.size)))
        part, more = rows[start : start + self.size], start + self.size < len(rows)
        body: dict[str, Any] = {"data": part, "total": len(rows)}
        if path == "/v1/stuck":
            body["data"] = rows[: self.size]
        after = {**query, "cursor": str(start + self.size)}
        link = f"{self.url}{path.removeprefix('/v1/')}?{urlencode(after)}"
        body["next"] = (str(start + self.size) if path == "/v1/cursor" else link) if more else None
        if path == "/v1/elsewhere":
            body["next"] = ELSEWHERE
        return 200, {"Link": f'<{link}>; rel="next"'} if more else {}, json.dumps(body)


def _basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextmanager
def serving() -> Iterator[Api]:
    """The server, while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            api.asked.append(self.path)
            api.headers = {name.lower(): value for name, value in self.headers.items()}
            if api.failures:
                self.fail(*api.failures.pop(0))
                return
            self.reply(*api.answer(parts.path, dict(parse_qsl(parts.query))))

        def do_POST(self) -> None:
            body = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            known = body == {"client_id": "me", "client_secret": "s3cret", "grant_type": "client_credentials"}
            api.tokens += known
            self.reply(200 if known else 400, {}, json.dumps({"access_token": TOKEN, "expires_in": 60}))

        def fail(self, status: int | str, headers: dict[str, str], body: str) -> None:
            if status == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'[{"id": 1')
                self.close_connection = True
            elif status == "drop":
                self.close_connection = True
            else:
                assert isinstance(status, int)
                self.reply(status, headers, body)

        def reply(self, status: int, headers: dict[str, str], body: str) -> None:
            data = body.encode("utf-8", "surrogatepass")
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api = Api(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
