"""What comes back: headers, errors, pages of other sites, and what stands behind being away."""

import socket
import ssl
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from atlas_pipeline_tests.gateway.running import PASSWORD, SECONDS, Echo, Gateway, eventually, gateway
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow

DAGSTERS_POLICY = "script-src 'nonce-abc' 'strict-dynamic'; object-src 'none'"


def test_pages_have_the_headers_and_keep_the_policy_of_dagster(shared: Gateway, behind: SimpleNamespace) -> None:
    told = {"Content-Security-Policy": DAGSTERS_POLICY, "Feature-Policy": "camera 'none'", "Server": "uvicorn"}
    behind.operator.answers["/runs"] = (200, told | {"Content-Type": "text/html"}, b"<html></html>")
    with shared.client(shared.another()) as client:
        answer = client.get("/runs")
    policies = answer.headers.get_list("Content-Security-Policy")
    assert policies[0] == DAGSTERS_POLICY
    assert "frame-ancestors 'self'" in policies[1]
    assert "script-src" not in policies[1]
    assert "default-src" not in policies[1]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Server"] == "nginx"
    assert "Feature-Policy" not in answer.headers


def test_errors_have_the_headers_too(shared: Gateway) -> None:
    with shared.client() as client:
        answer = client.get("/", headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.headers["Strict-Transport-Security"]
    assert answer.json() == {"error": "Sign in first.", "status": 401, "request_id": answer.headers["X-Request-Id"]}


@pytest.mark.parametrize("path", ["/logs/x/y.out", "/notebook?path=a.ipynb", "/download_debug/1"])
def test_what_is_made_of_data_runs_no_script(shared: Gateway, path: str) -> None:
    with shared.client(shared.another()) as client:
        policy = client.get(path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy


def test_files_with_a_hash_in_their_name_may_be_kept(shared: Gateway) -> None:
    with shared.client(shared.another()) as client:
        assert "immutable" in client.get("/_next/static/chunks/1.js").headers["Cache-Control"]
        assert client.get("/runs/1").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("kind", ["application/json", "application/javascript", "text/css", "image/svg+xml"])
def test_texts_are_compressed(shared: Gateway, behind: SimpleNamespace, kind: str) -> None:
    behind.operator.answers["/large"] = (200, {"Content-Type": kind}, b"a" * 50_000)
    with shared.client(shared.another()) as client:
        answer = client.get("/large", headers={"Accept-Encoding": "gzip"})
        plain = client.get("/large", headers={"Accept-Encoding": "identity"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.num_bytes_downloaded < 1000
    assert answer.content == plain.content
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused(shared: Gateway, chunked: bool) -> None:
    body = b"x" * (4 * 1024 * 1024 + 1)
    with shared.client(shared.another()) as client:
        try:
            answer = client.post("/graphql", content=iter([body]) if chunked else body)
        except httpx.WriteError:
            pytest.skip("the connection was closed before the answer was read")
    assert answer.status_code == 413
    assert answer.text == "The request is too large.\n"


def test_large_headers_are_refused(shared: Gateway) -> None:
    with shared.client(shared.another()) as client:
        answer = client.get("/", headers={"X-Large": "x" * 20_000})
    assert (answer.status_code, answer.text) == (400, "This request is malformed.\n")
    assert raw(shared, f"GET /{'x' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/graphql", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/graphql", {"Sec-Fetch-Site": "same-site"}, 403),
        ("POST", "/graphql", {"Origin": "https://evil.example"}, 403),
        ("POST", "/graphql", {"Origin": "null"}, 403),
        ("POST", "/graphql", {"Origin": "{url}"}, 200),
        ("POST", "/graphql", {"Sec-Fetch-Site": "same-origin", "Origin": "{url}"}, 200),
        ("POST", "/graphql", {}, 200),
        ("GET", "/graphql?query={version}", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/report_asset_check/x", {"Origin": "https://evil.example"}, 403),
        ("POST", "/", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", "/runs", {"Sec-Fetch-Site": "cross-site"}, 200),
        ("GET", "/graphql", {"Upgrade": "websocket", "Connection": "upgrade", "Origin": "https://evil.example"}, 403),
        (
            "GET",
            "/graphql",
            {
                "Upgrade": "websocket",
                "Connection": "upgrade",
                "Origin": "https://evil.example",
                "Sec-Fetch-Site": "none",
            },
            403,
        ),
    ],
)
def test_pages_of_other_sites_may_not_act(
    shared: Gateway, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    headers = {name: value.replace("{url}", shared.url) for name, value in headers.items()}
    with shared.client(shared.another()) as client:
        body: Any = {"json": {"query": "{ version }"}} if path == "/graphql" and method == "POST" else {}
        assert client.request(method, path, headers=headers, **body).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "//graphql",
        "/a/../graphql",
        "/report_asset_check/../x",
        "/a/./b",
        "/%2e%2e/x",
        "/logs/..%2f..%2fetc/passwd",
        "/a%00",
    ],
)
def test_paths_that_could_be_read_in_two_ways_are_refused(shared: Gateway, path: str) -> None:
    answer = raw(
        shared, f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic('ana')}\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_paths_that_are_plain_are_not(shared: Gateway) -> None:
    with shared.client(shared.another()) as client:
        for path in ("/", "/assets/", "/assets/a.b/..c", "/runs/1?next=//x/../y", "/assets/a%2Fb%20c+d"):
            assert client.get(path).json()["path"] == path


def test_ops_is_for_operators_who_read(shared: Gateway) -> None:
    with shared.client(shared.another()) as client:
        seen = client.get("/ops/health/ready?x").json()
        assert (seen["server"], seen["path"]) == ("ops", "/health/ready?x")
        assert client.get("/ops").json()["path"] == "/"
        assert client.post("/ops/health").status_code == 405
    with shared.client(shared.another("viewer")) as client:
        assert client.get("/ops/metrics").status_code == 403
        assert client.get("/download_debug/1").status_code == 403
        assert client.delete("/runs").status_code == 405
    with shared.client() as client:
        assert client.get("/ops/metrics").status_code == 401


def test_health_is_said_to_anyone_and_says_no_more(tmp_path: Path) -> None:
    ops = Echo("ops")
    with gateway(tmp_path, ops=f"localhost:{ops.port}") as one, one.client() as client:
        assert (client.get("/health").status_code, client.get("/health").text) == (200, "ok\n")
        ops.answers["/health/ready"] = (503, {}, b"the warehouse is down")
        eventually(lambda: client.get("/health").text == "failing\n", "it is failing")
        ops.close()
        answer = client.get("/health")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert {one["path"] for one in ops.seen} == {"/health/ready"}


def test_plain_http_is_sent_to_https(shared: Gateway) -> None:
    answer = httpx.get(f"http://127.0.0.1:{shared.http}/runs?a=b")
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://localhost:{shared.https}/runs?a=b")
    mistaken = httpx.get(f"http://127.0.0.1:{shared.https}/runs")
    assert (mistaken.status_code, mistaken.headers["Location"]) == (308, f"https://localhost:{shared.https}/runs")


def test_an_old_tls_is_refused(shared: Gateway) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", shared.https)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


def test_an_upstream_that_goes_and_comes_back(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with (
        gateway(tmp_path, operator=f"localhost:{port}", viewer="nowhere.invalid:1") as one,
        one.client("ana") as client,
    ):
        answer = client.get("/runs")
        assert (answer.status_code, answer.headers["Retry-After"]) == (502, "5")
        server = Echo("operator", port)
        assert client.get("/runs").status_code == 200
        server.close()
        assert client.get("/runs").status_code == 502
        with one.client("vic") as viewer:
            assert viewer.get("/runs").status_code == 502
        assert one.metrics()['atlas_gateway_upstream_failures_total{upstream="operator"}'] == 2
    assert "runs" not in one.said(), "no request is quoted"


def test_a_slow_client_is_let_go(tmp_path: Path) -> None:
    with gateway(tmp_path, client_seconds=1) as one:
        assert raw(one, "GET / HTTP/1.1\r\nHost: x\r\n") == b""
        body = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: {basic('ana')}\r\nContent-Length: 9\r\n\r\n{{"
        assert b"200" not in raw(one, body)[:20]


def test_a_websocket_passes_frames_both_ways_and_stays(tmp_path: Path) -> None:
    def answer(connection: ServerConnection) -> None:
        for frame in connection:
            connection.send(f"seen {frame!r}")

    with serve(answer, "127.0.0.1", 0, subprotocols=["graphql-ws"]) as server:  # type: ignore[list-item]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        with gateway(tmp_path, viewer=f"127.0.0.1:{port}", client_seconds=1) as one:
            context = ssl._create_unverified_context()
            headers = {"Authorization": basic("ana"), "Sec-Fetch-Site": "same-origin"}
            url = f"wss://127.0.0.1:{one.https}/graphql"
            with connect(
                url,
                ssl=context,
                origin=one.url,
                additional_headers=headers,
                subprotocols=["graphql-ws"],  # type: ignore[arg-type,list-item]
            ) as websocket:
                websocket.send("a")
                assert websocket.recv(SECONDS) == "seen 'a'"
                assert one.metrics()["atlas_gateway_websockets_open"] == 1
                assert one.metrics()["atlas_http_requests_in_progress"] == 0
                with one.client() as client:
                    slow = client.get("/health")
                assert slow.status_code == 503
                websocket.send("b" * 100_000)
                assert len(websocket.recv(SECONDS)) > 100_000
            (line,) = eventually(lambda: one.lines("access", status=101), "its line")
            assert (line["user"], line["upstream"]) == ("ana", "viewer")
            assert one.metrics()["atlas_gateway_websockets_open"] == 0
        server.shutdown()


def basic(user: str) -> str:
    """The header that signs a user in."""
    return httpx.BasicAuth(user, PASSWORD)._auth_header


def raw(one: Gateway, request: str) -> bytes:
    """What comes back for these bytes, until the connection is closed."""
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", one.https), SECONDS) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(request.encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received
