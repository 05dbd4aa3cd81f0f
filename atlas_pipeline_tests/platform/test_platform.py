"""The platform as its users have it: signed in at the gateway with a browser, looking, launching, being refused.

The tests go from looking to breaking, and each leaves the platform healthy.
"""

import re
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import expect

from atlas_pipeline_tests.platform.gateway import OPERATOR, VIEWER, Client, browser_page, eventually
from atlas_pipeline_tests.platform.platform import Platform

pytestmark = pytest.mark.slow
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
def loaded(platform: Platform, operator: Client) -> dict[str, str]:
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
    password = container.service.secrets["atlas_database_password"].read_text().strip()
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
        expect(page.get_by_text("customer_360").first).to_be_visible(timeout=60_000)
        page.screenshot(path=tmp_path / "graph.png")
        page.goto("/assets/gold/support_load")
        page.get_by_role("button", name=re.compile("Materialize")).first.click(timeout=60_000)
        new = eventually(lambda: set(operator.runs()) - set(loaded))
        assert eventually(lambda: {operator.runs()[one] for one in new} <= DONE)
        assert {operator.runs()[one] for one in new} == {"SUCCESS"}
        page.goto("/assets/silver/customers?view=checks")
        expect(page.get_by_text("row_conservation").first).to_be_visible(timeout=60_000)
        page.screenshot(path=tmp_path / "checks.png")
    assert wrong == []


def test_no_page_has_a_console_error(platform: Platform, loaded: dict[str, str]) -> None:
    with browser_page(platform["gateway"].address, OPERATOR) as (page, wrong):
        for path in (*PAGES, f"/runs/{next(iter(loaded))}"):
            page.goto(path)
            page.wait_for_timeout(2000)
            assert (path, wrong) == (path, [])


def test_a_viewer_sees_and_is_refused(platform: Platform, loaded: dict[str, str]) -> None:
    before = Client(platform["gateway"].address, OPERATOR).runs()
    viewer = Client(platform["gateway"].address, VIEWER)
    assert viewer.runs() == before
    assert viewer.launch("gold/support_load")["__typename"] == "UnauthorizedError"
    with browser_page(platform["gateway"].address, VIEWER) as (page, wrong):
        page.goto("/assets/silver/customers?view=checks")
        expect(page.get_by_text("row_conservation").first).to_be_visible(timeout=60_000)
        expect(page.get_by_role("button", name=re.compile("Materialize")).first).to_be_disabled()
    assert wrong == []
    assert viewer.runs() == before
