"""The platform as its users have it: signed in at the gateway with a browser, looking, launching, being refused.

The tests go from looking to breaking, and each leaves the platform healthy.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import expect
from websockets.sync.client import ClientConnection

from atlas_pipeline_tests.deployment.gateway import (
    OPERATOR,
    PROGRAM,
    VIEWER,
    Client,
    browser_page,
    eventually,
    websocket_of,
)
from atlas_pipeline_tests.deployment.platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.platform]
_SUBSCRIPTION = "subscription ($run: ID!) { pipelineRunLogs(runId: $run) { __typename } }"
DONE = {"SUCCESS", "FAILURE", "CANCELED"}
PAGES = (
    "/overview/activity/timeline",
    "/assets",
    "/asset-groups",
    "/catalog",
    "/runs",
    "/jobs",
    "/automation",
    "/deployment/locations",
    "/deployment/daemons",
    "/deployment/concurrency",
    "/deployment/config",
    "/locations/__repository__@atlas_pipeline/sensors/landing",
    "/locations/__repository__@atlas_pipeline/jobs/backup_daily",
    "/assets/silver/customers",
    "/assets/silver/customers?view=checks",
    "/assets/silver/customers?view=lineage",
)


@pytest.fixture(scope="module")
def operator(platform: Platform) -> Client:
    return Client(platform["gateway"].address, OPERATOR)


@pytest.fixture(scope="module")
def websocket(platform: Platform) -> Iterator[ClientConnection]:
    """A connection as the UI makes one."""
    with websocket_of(platform["gateway"].address, OPERATOR) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        yield opened


@pytest.fixture(scope="module")
def loaded(platform: Platform, operator: Client, websocket: ClientConnection) -> dict[str, str]:
    """Sample data has landed, and the sensors have brought it to gold. The runs by id."""
    code, said = platform["code"].run(["atlas", "sample", "--rows", "100", "--out", "/var/lib/atlas/landing"])
    assert code == 0, said

    def gold() -> dict[str, str]:
        runs = operator.runs()
        return runs if tables(platform, "gold") == 3 and set(runs.values()) <= DONE else {}

    return eventually(gold, 240)


def tables(platform: Platform, layer: str) -> int:
    with database(platform) as connection:
        query = "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s AND table_name NOT LIKE '\\_%%'"
        row = connection.execute(query, [layer]).fetchone()
        assert row
        return int(row[0])


def database(platform: Platform, name: str = "atlas") -> psycopg.Connection:
    container = platform["postgres"]
    password = container.service.secrets["/run/secrets/atlas_database_password"].read_text().strip()
    where = {"host": container.address, "dbname": name, "user": "atlas_owner", "password": password}
    return psycopg.connect(**where, connect_timeout=10)


def test_every_service_is_healthy_and_nobody_is_root(platform: Platform) -> None:
    print(f"ready after {platform.ready_seconds:.0f} s")
    for container in platform.containers.values():
        if container.service.health is None:
            continue
        code, said = container.run(["id", "-u"])
        assert (code, said.strip() == "0") == (0, False), container.service.name
        code, _ = container.run(["touch", "/usr/new"])
        assert code != 0
        if container.service.read_only:
            assert "Read-only file system" in container.run(["sh", "-c", "echo > /run/x"])[1]


def test_the_sample_becomes_gold_by_itself(platform: Platform, loaded: dict[str, str]) -> None:
    assert set(loaded.values()) == {"SUCCESS"}
    assert (tables(platform, "bronze"), tables(platform, "silver")) == (3, 3)


def test_an_operator_materializes_in_the_browser(
    platform: Platform, loaded: dict[str, str], operator: Client, tmp_path: Path
) -> None:
    with browser_page(platform["gateway"].address, OPERATOR) as (page, wrong):
        page.goto("/asset-groups")
        for layer in ("bronze", "silver", "gold"):
            expect(page.get_by_text(layer, exact=True).last).to_be_visible(timeout=60_000)
        page.screenshot(path=tmp_path / "graph.png")
        page.goto("/assets/gold/support_load")
        page.get_by_role("button", name=re.compile("Materialize")).first.click(timeout=60_000)
        new = eventually(lambda: set(operator.runs()) - set(loaded))
        assert eventually(lambda: {operator.runs()[one] for one in new} <= DONE)
        assert {operator.runs()[one] for one in new} == {"SUCCESS"}
        page.goto("/assets/silver/customers?view=checks")
        expect(page.get_by_text("rows_reconciled").first).to_be_visible(timeout=60_000)
        page.screenshot(path=tmp_path / "checks.png")
    assert wrong == []


def test_no_page_has_a_console_error(platform: Platform, loaded: dict[str, str]) -> None:
    with browser_page(platform["gateway"].address, OPERATOR) as (page, wrong):
        for path in (*PAGES, f"/runs/{next(iter(loaded))}"):
            page.goto(path)
            page.wait_for_timeout(1000)
            assert (path, wrong) == (path, [])


def test_a_viewer_sees_and_is_refused(platform: Platform, loaded: dict[str, str], tmp_path: Path) -> None:
    before = Client(platform["gateway"].address, OPERATOR).runs()
    viewer = Client(platform["gateway"].address, VIEWER)
    assert viewer.runs() == before
    assert viewer.launch("gold/support_load")["__typename"] == "UnauthorizedError"
    with browser_page(platform["gateway"].address, VIEWER) as (page, wrong):
        page.goto("/assets/silver/customers?view=checks")
        expect(page.get_by_text("rows_reconciled").first).to_be_visible(timeout=60_000)
        expect(page.get_by_role("button", name=re.compile("Materialize")).first).to_be_disabled()
        page.screenshot(path=tmp_path / "viewer.png")
    assert wrong == []
    assert viewer.runs() == before


def test_the_61st_request_in_a_minute_waits(platform: Platform) -> None:
    with httpx.Client(base_url=f"https://{platform['gateway'].address}:8443", auth=PROGRAM, verify=False) as program:
        answers = [program.post("/graphql", json={"query": "{ version }"}) for _ in range(61)]
    assert [one.status_code for one in answers] == [200] * 60 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60


def test_a_websocket_stays_open(websocket: ClientConnection, loaded: dict[str, str]) -> None:
    """It has been since before the sample was loaded: longer than a request may take."""
    assert websocket.ping().wait(10)
    asked = {"query": _SUBSCRIPTION, "variables": {"run": next(iter(loaded))}}
    websocket.send(json.dumps({"type": "start", "id": "1", "payload": asked}))
    said = websocket.recv(30)
    while json.loads(said)["type"] in ("connection_ack", "ka"):
        said = websocket.recv(30)
    assert json.loads(said)["type"] == "data", said


def test_a_killed_daemon_comes_back_and_takes_up(platform: Platform, loaded: dict[str, str], operator: Client) -> None:
    daemon = platform["daemon"]
    starts = daemon.starts
    daemon.kill()
    assert operator.launch("gold/support_load")["__typename"] == "LaunchRunSuccess"
    eventually(lambda: daemon.starts > starts and daemon.is_healthy())
    eventually(lambda: set(operator.runs().values()) == {"SUCCESS"})


def test_code_ends_its_runs_when_told_to_stop(platform: Platform, loaded: dict[str, str], operator: Client) -> None:
    land(platform, range(100, 103))
    going_on = eventually(lambda: [one for one, status in operator.runs().items() if status == "STARTED"])
    assert platform["code"].stop(90) == 0
    assert {operator.runs()[one] for one in going_on} == {"SUCCESS"}
    platform.up()
    eventually(lambda: is_all_loaded(platform) and set(operator.runs().values()) <= DONE)
    assert set(operator.runs().values()) == {"SUCCESS"}


def test_postgres_restarted_under_load_loses_nothing(
    platform: Platform, loaded: dict[str, str], operator: Client
) -> None:
    before = set(operator.runs())
    land(platform, range(200, 206))
    eventually(lambda: [one for one, status in operator.runs().items() if status == "STARTED"])
    postgres = platform["postgres"]
    postgres.stop(60)
    postgres.start()
    eventually(postgres.is_healthy)
    eventually(lambda: is_all_loaded(platform) and set(operator.runs().values()) <= DONE, 300)
    print({one: status for one, status in operator.runs().items() if one not in before})
    with database(platform) as connection:
        ledger = connection.execute("SELECT sum(rows) FROM atlas.files WHERE dataset = 'orders' AND status = 'loaded'")
        assert connection.execute("SELECT count(*) FROM bronze.orders").fetchone() == ledger.fetchone()
    eventually(lambda: all(one.is_healthy() for one in platform.containers.values() if one.service.health))


def test_a_backup_of_its_own_role_is_restored_by_an_administrator(platform: Platform, loaded: dict[str, str]) -> None:
    code = platform["code"]
    status, said = code.run(["atlas", "backup", "run", "--database", "atlas"], 120)
    assert status == 0, said
    with database(platform) as connection:
        connection.execute("DROP TABLE gold.support_load")
    secret = platform["postgres"].service.secrets["/run/secrets/postgres_password"].read_text()
    administrator = ["env", "ATLAS_RESTORE_ROLE=postgres", f"ATLAS_RESTORE_PASSWORD={secret}"]
    status, said = code.run([*administrator, "atlas", "backup", "restore", "--database", "atlas", "--yes"], 120)
    assert status == 0, said
    assert tables(platform, "gold") == 3


def test_the_next_version_starts_on_full_volumes(
    platform: Platform, loaded: dict[str, str], operator: Client, websocket: ClientConnection
) -> None:
    print({name: (one.most_memory() or 0) // 1_000_000 for name, one in platform.containers.items()}, "MB at most")
    # The gateway would wait for it.
    websocket.close()
    runs = operator.runs()
    platform.down()
    platform["postgres"].start()
    eventually(platform["postgres"].is_healthy)
    # As the version before left it.
    with database(platform) as connection:
        connection.execute("UPDATE atlas.setup SET version = version - 1")
    platform.up()
    assert operator.runs().items() >= runs.items()
    assert tables(platform, "gold") == 3
    with httpx.Client(base_url=f"https://{platform['gateway'].address}:8443", verify=False) as anybody:
        assert anybody.get("/health").status_code == 200


def land(platform: Platform, seeds: range) -> None:
    """Two files of orders for each seed, in the folder that the landing sensor looks at."""
    script = """
    cd /var/lib/atlas/landing
    for seed in "$@"; do
        atlas sample --rows 20 --seed "$seed" --out ".new-$seed"
        for file in ".new-$seed"/orders/*; do mv "$file" "orders/$seed-${file##*/}"; done
    done"""
    code, said = platform["code"].run(["sh", "-euc", script, "sh", *map(str, seeds)])
    assert code == 0, said


def is_all_loaded(platform: Platform) -> bool:
    """Whether the ledger has every landed file of orders."""
    listed = platform["code"].run(["ls", "/var/lib/atlas/landing/orders"])[1].split()
    with database(platform) as connection:
        loaded = {uri.rpartition("/")[2] for (uri,) in connection.execute("SELECT uri FROM atlas.files")}
    return set(listed) <= loaded
