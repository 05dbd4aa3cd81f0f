"""A server that speaks Azure's blob protocol as far as sources need it: signed requests, pages, ranges, ETags.

Belongs here: that protocol (https://learn.microsoft.com/rest/api/storageservices/). Does not belong here: tests. The
real emulator, Azurite, is on npm alone.
"""

import base64
import hashlib
import hmac
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"k" * 64).decode()
TOKEN = "sv=2025-01-05&sp=rl&sig=c2lnbmF0dXJl"
PAGE = 3


class Blobs(ThreadingHTTPServer):
    """The server. `blobs` are bodies with their ETags by container and name; `answers` are statuses to give first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = self.server_address[1]
        self.blobs: dict[tuple[str, str], tuple[bytes, str, dict[str, str]]] = {}
        self.answers: list[int] = []
        self.requests = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """What ATLAS_AZURE_ENDPOINT_URL is."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def put(self, container: str, name: str, body: bytes, **properties: str) -> None:
        """Store a blob: `encoding` as its content encoding, `folder` as what stands for a folder."""
        tag = '"' + hashlib.sha256(body + str(time.monotonic_ns()).encode()).hexdigest()[:16] + '"'
        self.blobs[container, name] = (body, tag, properties)


class _Handler(BaseHTTPRequestHandler):
    server: Blobs
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        if server.answers:
            self._answer(server.answers.pop(0))
            return
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not self._known(parts.path, query):
            self._answer(403)
            return
        container, _, name = unquote(parts.path).removeprefix(f"/{ACCOUNT}/").partition("/")
        if query.get("comp") == "list":
            self._list(container, query)
        elif (container, name) not in server.blobs:
            self._answer(404)
        else:
            self._blob(*server.blobs[container, name])

    def _known(self, path: str, query: dict[str, str]) -> bool:
        """Whether the request is signed with the key, or brings the token."""
        if not (given := self.headers.get("Authorization")):
            return "c2lnbmF0dXJl" in query.get("sig", "")
        named = ("Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date")
        conditions = ("If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range")
        headers = [self.headers.get(name, "") for name in (*named, *conditions)]
        own = sorted((k.lower(), v.strip()) for k, v in self.headers.items() if k.lower().startswith("x-ms-"))
        resource = f"/{ACCOUNT}{path}" + "".join(f"\n{k.lower()}:{v}" for k, v in sorted(query.items()))
        text = "\n".join(["GET", *headers, *(f"{k}:{v}" for k, v in own), resource])
        signature = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        return given == f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"

    def _list(self, container: str, query: dict[str, str]) -> None:
        found = {name: blob for (place, name), blob in sorted(self.server.blobs.items()) if place == container}
        if not any(place == container for place, _ in self.server.blobs):
            self._answer(404)
            return
        names = [name for name in found if name.startswith(query.get("prefix", ""))]
        rest = [name for name in names if name > query.get("marker", "")]
        items = "".join(self._item(name, *found[name]) for name in rest[:PAGE])
        marker = escape(rest[PAGE - 1]) if len(rest) > PAGE else ""
        body = f"<EnumerationResults><Blobs>{items}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    @staticmethod
    def _item(name: str, body: bytes, tag: str, properties: dict[str, str]) -> str:
        folder = "<hdi_isfolder>true</hdi_isfolder>" if properties.get("folder") else ""
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{formatdate(1_700_000_000, usegmt=True)}"
            f"</Last-Modified><Etag>{tag.strip(chr(34))}</Etag><Content-Length>{len(body)}</Content-Length>"
            f"<Content-Encoding>{properties.get('encoding', '')}</Content-Encoding><BlobType>BlockBlob</BlobType>"
            f"</Properties><Metadata>{folder}</Metadata></Blob>"
        )

    def _blob(self, body: bytes, tag: str, properties: dict[str, str]) -> None:
        if self.headers.get("If-Match", tag).strip('"') != tag.strip('"'):
            self._answer(412)
            return
        given = self.headers.get("x-ms-range") or self.headers.get("Range") or f"bytes=0-{len(body) - 1}"
        first, _, last = given.removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last) + 1]
        headers = {"ETag": tag, "Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"}
        if "encoding" in properties:
            headers["Content-Encoding"] = properties["encoding"]
        self._answer(206, part, {**headers, "Last-Modified": formatdate(1_700_000_000, usegmt=True)})

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"x-ms-version": "2025-01-05", "x-ms-blob-type": "BlockBlob", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
