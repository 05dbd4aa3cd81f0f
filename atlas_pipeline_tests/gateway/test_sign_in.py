"""Who asks, what that makes of them, and what upstreams are told."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from atlas_pipeline_tests.gateway.running import Echo, Gateway, gateway

pytestmark = pytest.mark.slow

SPOOFED = {
    "X-Auth-User": "root",
    "X-Auth-Role": "operator",
    "Remote-User": "root",
    "Remote-Groups": "operators",
    "X-Auth-Request-User": "root",
    "X-Auth-Request-Groups": "operators",
    "X-Forwarded-For": "203.0.113.9",
    "X-Request-Id": "chosen",
    "Forwarded": "for=203.0.113.9",
}


def test_nobody_is_asked_to_sign_in(shared: Gateway) -> None:
    with shared.client() as client:
        answer = client.get("/")
        assert client.post("/graphql", json={"query": "{ version }"}).status_code == 401
        assert client.get("/", headers=SPOOFED).status_code == 401
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="Atlas"')


@pytest.mark.parametrize("authorization", ["Basic", "Basic !!!", "Basic YQ==", "Bearer x", "Basic YTpiAGM="])
def test_credentials_that_are_none_are_refused(shared: Gateway, authorization: str) -> None:
    with shared.client() as client:
        assert client.get("/", headers={"Authorization": authorization}).status_code == 401


@pytest.mark.parametrize(("user", "password"), [("viewer399", "wrong"), ("nobody", "correct horse battery"), ("", "")])
def test_a_wrong_password_and_an_unknown_name_look_the_same(shared: Gateway, user: str, password: str) -> None:
    with shared.client() as client:
        answer = client.get("/", auth=(user, password))
    assert answer.status_code == 401
    assert answer.text == "User or password is wrong.\n"
    assert "user" not in shared.line("access", answer)


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_each_role_has_its_server_which_is_told_by_the_gateway_alone(shared: Gateway, role: str) -> None:
    user = shared.another(role)
    with shared.client(user) as client:
        answer = client.get("/assets?x=1", headers=SPOOFED)
    seen = answer.json()
    assert seen["server"] == role
    assert seen["path"] == "/assets?x=1"
    told = seen["headers"]
    assert (told["x-auth-user"], told["x-auth-role"]) == (user, role)
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-request-id"] == answer.headers["X-Request-Id"] != "chosen"
    assert not {"authorization", "remote-user", "remote-groups", "x-auth-request-user", "forwarded"} & set(told)
    line = shared.line("access", answer)
    assert (line["user"], line["role"], line["upstream"], line["path"]) == (user, role, role, "/assets")


@pytest.fixture(scope="module")
def provider() -> Iterator[Echo]:
    """A sign-in provider that knows by a cookie who asks, as Authelia and oauth2-proxy do."""

    class Provider(Echo):
        def answer(self, path, seen):  # type: ignore[no-untyped-def]
            cookie = seen["headers"].get("cookie", "")
            known = {
                "session=ann": {"Remote-User": "ann", "Remote-Groups": "staff,operators"},
                "session=olga": {"X-Auth-Request-User": "olga", "X-Auth-Request-Groups": "operators"},
                "session=ben": {"Remote-User": "ben", "Remote-Groups": "staff, operators-not", "Set-Cookie": "s=2"},
                "session=cas": {"X-Auth-User": "cas", "X-Auth-Role": "operator"},
                "session=listed": {"Remote-User": "listed"},
                "session=nameless": {},
                "session=odd": {"Remote-User": "a b\tc"},
            }
            if cookie == "session=broken":
                return 500, {}, b""
            if cookie == "session=banned":
                return 403, {}, b""
            return (200, known[cookie], b"") if cookie in known else (401, {}, b"")

    one = Provider("provider")
    yield one
    one.close()


@pytest.fixture(scope="module")
def forwarding(tmp_path_factory: pytest.TempPathFactory, provider: Echo) -> Iterator[Gateway]:
    """A gateway that asks the provider."""
    servers = {name: Echo(name) for name in ("operator", "viewer")}
    folder = tmp_path_factory.mktemp("forward")
    (folder / "users").write_text("")
    (folder / "operators").write_text("listed\n")
    settings = {name: f"127.0.0.1:{server.port}" for name, server in servers.items()}
    settings |= {"auth": "forward", "forward_auth_url": f"http://localhost:{provider.port}/api/verify"}
    with gateway(folder, sign_in_url="https://login.example.org/?v=1", **settings) as one:
        yield one
    for server in servers.values():
        server.close()


@pytest.mark.parametrize(
    ("session", "role"),
    [("ann", "operator"), ("olga", "operator"), ("ben", "viewer"), ("cas", "operator"), ("listed", "operator")],
)
def test_a_provider_says_who_it_is(forwarding: Gateway, provider: Echo, session: str, role: str) -> None:
    with forwarding.client() as client:
        answer = client.post("/graphql?x=1", headers=SPOOFED | {"Cookie": f"session={session}"}, json={"query": "{a}"})
    told = answer.json()["headers"]
    assert (answer.json()["server"], told["x-auth-user"], told["x-auth-role"]) == (role, session, role)
    assert answer.json()["body"] == '{"query":"{a}"}'
    asked = provider.seen[-1]
    assert (asked["method"], asked["path"]) == ("GET", "/api/verify")
    assert asked["headers"]["x-forwarded-uri"] == "/graphql?x=1"
    assert asked["headers"]["x-forwarded-method"] == "POST"
    assert asked["headers"]["host"].startswith("localhost")
    assert "x-auth-user" not in asked["headers"]
    assert ("s=2" in answer.headers.get("Set-Cookie", "")) == (session == "ben")


@pytest.mark.parametrize(
    ("session", "status"), [("none", 401), ("banned", 403), ("nameless", 403), ("odd", 403), ("broken", 503)]
)
def test_a_provider_that_does_not_say_who_it_is_lets_nobody_in(forwarding: Gateway, session: str, status: int) -> None:
    with forwarding.client() as client:
        assert client.get("/", headers={"Cookie": f"session={session}"} | SPOOFED).status_code == status


def test_a_websocket_is_signed_in_as_well(forwarding: Gateway, provider: Echo) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "upgrade"}
    with forwarding.client() as client:
        seen = client.get("/graphql", headers=upgrade | {"Cookie": "session=ann"}).json()
        assert client.get("/graphql", headers=upgrade).status_code == 401
    assert (seen["server"], seen["headers"]["upgrade"]) == ("viewer", "websocket")
    assert seen["headers"]["x-auth-user"] == "ann"
    assert "upgrade" not in provider.seen[-1]["headers"]


def test_a_browser_is_sent_to_where_one_signs_in(forwarding: Gateway) -> None:
    with forwarding.client() as client:
        answer = client.get("/runs?a=b", headers={"Accept": "text/html,*/*"})
        assert client.post("/graphql", headers={"Accept": "text/html"}).status_code == 401
    assert answer.status_code == 302
    place = httpx.URL(answer.headers["Location"])
    assert (place.host, place.params["v"]) == ("login.example.org", "1")
    assert place.params["rd"] == f"{forwarding.url}/runs?a=b"


def test_without_its_provider_nobody_gets_in(tmp_path: Path) -> None:
    settings = {"auth": "forward", "forward_auth_url": "http://127.0.0.1:9/verify"}
    with gateway(tmp_path, **settings) as one, one.client("ana") as client:
        answer = client.get("/", headers=SPOOFED)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
