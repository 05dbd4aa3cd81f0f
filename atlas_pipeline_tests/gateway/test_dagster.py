"""The gateway in front of two real web servers of Dagster, one of them read-only."""

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from atlas_pipeline_tests.gateway.running import PASSWORD, SECONDS, Gateway, eventually, gateway, needs_nginx
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow

WEBSERVER = Path(sys.executable).parent / "dagster-webserver"
HIDDEN = (
    """mutation { pipelineRunLogs(runId: "x") { __typename } setConcurrencyLimit(concurrencyKey: "w", limit: 7) }"""
)
"""A subscription's field first: what comes of it is executed for each event, with all other fields."""


def asked(gateway: Gateway, user: str, query: str) -> httpx.Response:
    with gateway.client(user) as client:
        return client.post("/graphql", json={"query": query})


def limit(platform: SimpleNamespace, key: str) -> Any:
    query = f'{{ instance {{ concurrencyLimit(concurrencyKey: "{key}") {{ slotCount }} }} }}'
    return asked(platform.gateway, "vic", query).json()["data"]["instance"]["concurrencyLimit"]["slotCount"]


def change(key: str, number: int) -> str:
    return f'mutation {{ setConcurrencyLimit(concurrencyKey: "{key}", limit: {number}) }}'


def serving(folder: Path, processes: list[subprocess.Popen], *options: str) -> int:
    """The port of a new web server, once it serves; another one when somebody else has just taken that."""
    environment = os.environ | {"DAGSTER_HOME": str(folder)}
    for _ in range(3):
        (port,) = free_ports(1)
        command = [str(WEBSERVER), "--empty-workspace", "--host", "127.0.0.1", "--port", str(port), *options]
        with (folder / f"log{port}").open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        processes.append(process)
        url = f"http://127.0.0.1:{port}/server_info"
        eventually(
            lambda url=url, process=process: process.poll() is not None or httpx.get(url).is_success, "it serves"
        )
        if process.poll() is None:
            return port
    pytest.fail(f"no web server started: see {folder}")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Both servers, on one storage and without code, and the gateway."""
    needs_nginx()
    folder = tmp_path_factory.mktemp("dagster")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    processes: list[subprocess.Popen] = []
    try:
        operator = serving(folder, processes)
        viewer = serving(folder, processes, "--read-only")
        (folder / "gateway").mkdir()
        with gateway(folder / "gateway", operator=f"127.0.0.1:{operator}", viewer=f"127.0.0.1:{viewer}") as one:
            yield SimpleNamespace(gateway=one, operator=operator, viewer=viewer)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(SECONDS)


def test_operators_change_and_viewers_are_refused_by_dagster(platform: SimpleNamespace) -> None:
    accepted = asked(platform.gateway, "ana", change("a", 3))
    assert accepted.json()["data"]["setConcurrencyLimit"] is True
    assert limit(platform, "a") == 3
    refused = asked(platform.gateway, "vic", change("a", 4))
    assert "UnauthorizedError" in refused.text
    assert limit(platform, "a") == 3
    lines = [platform.gateway.line("audit", answer) for answer in (accepted, refused)]
    assert [(line["user"], line["outcome"], line["mutations"]) for line in lines] == [
        ("ana", "accepted", ["setConcurrencyLimit"]),
        ("vic", "refused", ["setConcurrencyLimit"]),
    ]


@pytest.mark.parametrize(
    "mutation",
    [
        "reloadWorkspace { __typename }",
        'deletePipelineRun(runId: "x") { __typename }',
        'terminatePipelineExecution(runId: "x") { __typename }',
        'wipeAssets(assetPartitionRanges: [{assetKey: {path: ["x"]}}]) { __typename }',
        "setAutoMaterializePaused(paused: true)",
        'freeConcurrencySlots(runId: "x")',
    ],
)
def test_what_a_viewer_may_not_is_written_down(platform: SimpleNamespace, mutation: str) -> None:
    answer = asked(platform.gateway, "vic", f"mutation {{ {mutation} }}")
    assert "UnauthorizedError" in answer.text
    line = platform.gateway.line("audit", answer)
    assert (line["outcome"], line["mutations"]) == ("refused", [re.split(r"\W", mutation)[0]])


@pytest.mark.parametrize("document", [change("w", 5), f"subscription S {{ a }} {change('w', 6)}", HIDDEN])
def test_a_websocket_changes_nothing(platform: SimpleNamespace, document: str) -> None:
    headers = {"Authorization": httpx.BasicAuth("ana", PASSWORD)._auth_header}
    url = f"wss://127.0.0.1:{platform.gateway.https}/graphql"
    options: dict[str, Any] = {"ssl": ssl._create_unverified_context(), "additional_headers": headers}
    with connect(url, subprotocols=["graphql-ws"], origin=platform.gateway.url, **options) as websocket:  # type: ignore
        websocket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(websocket.recv(SECONDS)) == {"type": "connection_ack"}
        websocket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": document}}))
        assert json.loads(websocket.recv(SECONDS))["type"] == "error"
    assert limit(platform, "w") == 0


def test_pages_keep_dagsters_nonce_and_have_both_policies(platform: SimpleNamespace) -> None:
    with platform.gateway.client("vic") as client:
        answer = client.get("/runs", headers={"Accept-Encoding": "gzip"})
    dagsters, own = answer.headers.get_list("Content-Security-Policy")
    nonce = dagsters.split("'nonce-")[1].split("'")[0]
    assert f'nonce="{nonce}"' in answer.text
    assert "script-src" not in own
    assert answer.headers["Content-Encoding"] == "gzip"


def test_viewers_report_nothing(platform: SimpleNamespace) -> None:
    for path in (
        "report_asset_materialization/a",
        "report_asset_check/a?check_name=c&passed=true",
        "report_asset_observation/a",
    ):
        direct = httpx.post(f"http://127.0.0.1:{platform.viewer}/{path}")
        assert direct.status_code == 401
        with platform.gateway.client("vic") as client:
            assert client.post(f"/{path}").status_code == 403
        with platform.gateway.client("ana") as client:
            assert client.post(f"/{path}").status_code == 200
