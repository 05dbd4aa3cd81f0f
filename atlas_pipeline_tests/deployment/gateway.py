"""Clients of the gateway: GraphQL over HTTPS, and a browser that notes what goes wrong on a page."""

import base64
import contextlib
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from playwright.sync_api import Page, Request, sync_playwright
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

OPERATOR = ("olga", "an-operator-of-the-tests")
VIEWER = ("vera", "a-viewer-of-the-tests")
PROGRAM = ("paul", "a-program-of-the-tests")
CHROMIUM = "/usr/bin/chromium"
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_LAUNCH = """
mutation LaunchRun($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}"""


class Client:
    """One user of the gateway's API."""

    def __init__(self, address: str, user: tuple[str, str]):
        # A browser's page says that it is its own site that asks, which has a limit of its own.
        own = {"Sec-Fetch-Site": "same-origin", "Origin": f"https://{address}:8443"}
        self.http = httpx.Client(
            base_url=f"https://{address}:8443", auth=user, verify=_any_certificate(), headers=own, timeout=60
        )

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer. Raises AssertionError with what GraphQL says of errors."""
        answer = self.http.post("/graphql", json={"query": query, "variables": variables})
        assert answer.status_code == 200, (answer.status_code, answer.text[:500])
        document = answer.json()
        assert not document.get("errors"), document["errors"]
        return document["data"]

    def launch(self, *assets: str) -> dict[str, Any]:
        """Ask for a materialization of assets such as `bronze/orders`."""
        selector = {
            "repositoryLocationName": "atlas_pipeline",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": one.split("/")} for one in assets],
            "assetCheckSelection": [],
        }
        found: dict[str, Any] = self.ask(
            _LAUNCH, params={"selector": selector, "runConfigData": "{}", "mode": "default"}
        )
        return dict(found["launchRun"])

    def runs(self) -> dict[str, str]:
        """Status of each run by its id."""
        query = "{ runsOrError(limit: 500) { ... on Runs { results { runId status } } } }"
        return {one["runId"]: one["status"] for one in self.ask(query)["runsOrError"]["results"]}


def websocket_of(address: str, user: tuple[str, str]) -> ClientConnection:
    """A WebSocket for GraphQL, as a page of the UI opens it."""
    own = {"Authorization": "Basic " + base64.b64encode(":".join(user).encode()).decode()}
    url = f"wss://{address}:8443/graphql"
    origin, protocols = Origin(f"https://{address}:8443"), [Subprotocol("graphql-ws")]
    return connect(url, ssl=_any_certificate(), additional_headers=own, origin=origin, subprotocols=protocols)


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.contextmanager
def browser_page(address: str, user: tuple[str, str]) -> Iterator[tuple[Page, list[str]]]:
    """A signed-in page at the gateway, and the list of errors on its console and of requests that failed."""
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        context = browser.new_context(
            base_url=f"https://{address}:8443",
            ignore_https_errors=True,
            http_credentials={"username": user[0], "password": user[1]},
            viewport={"width": 1600, "height": 900},
        )
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda asked: wrong.append(_failed(asked)) if _failed(asked) else None)
        yield page, wrong
        browser.close()


def _failed(asked: Request) -> str:
    """What a request failed of; nothing when the page did not wait for it, as when another one is gone to."""
    return "" if asked.failure == "net::ERR_ABORTED" else f"{asked.url}: {asked.failure}"


def eventually(what: Callable[[], Any], seconds: float = 120) -> Any:
    """What the function returns once that is true. Raises AssertionError with its last answer."""
    deadline = time.monotonic() + seconds
    found = what()
    while not found:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
        found = what()
    return found
