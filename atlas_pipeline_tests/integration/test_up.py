"""`atlas up` as its user has it: one command, a landed file that arrives in gold by itself, a clean end, a restart.

The web pages are looked at with a real browser, Debian's chromium; without one that test skips.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from atlas_pipeline.warehouse.connect import OWNER, WAREHOUSE, connect
from atlas_pipeline.warehouse.embedded import EmbeddedPostgres
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium")
NEW_CUSTOMER = (
    "customer_id,full_name,email,phone,date_of_birth,street_address,city,postcode,country,segment,marketing_opt_in,"
    "created_at,updated_at\n"
    "999999901,New Person,new@example.com,1,1990-01-01,S 1,C,01234,DE,vip,true,"
    "2024-03-01T00:00:00Z,2024-03-01T00:00:00Z\n"
)


@pytest.fixture
def up_home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="atlas-up-"))
    yield path
    for process in _processes(path):
        process.kill()
    shutil.rmtree(path, ignore_errors=True)


class Up:
    """A running `atlas up`."""

    def __init__(self, home: Path, **settings: str):
        self.home = home
        port, ops_port = free_ports(2)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_"))}
        self.env |= {
            "ATLAS_HOME": str(home),
            "ATLAS_PORT": str(port),
            "ATLAS_OPS_PORT": str(ops_port),
            "ATLAS_SAMPLE_ROWS": "100",
            "ATLAS_SENSOR_INTERVAL_SECONDS": "5",
            "ATLAS_SETTLE_SECONDS": "0",
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "atlas_pipeline.cli", "up", "--json"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        document = ""
        while not document.rstrip().endswith("}"):
            line = self.process.stdout.readline()
            assert line, f"atlas up ended with {self.process.wait()} before it served"
            document += line
        self.url = json.loads(document)["url"]
        self.ops = json.loads(document)["ops"]

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "atlas_pipeline.cli", "status", "--json"],
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def rows(self, layer: str, name: str) -> int:
        statement = "SELECT rows FROM atlas.publications WHERE layer = %s AND name = %s"
        with connect(EmbeddedPostgres(self.home).url(WAREHOUSE, OWNER)) as connection:
            found = connection.execute(statement, [layer, name]).fetchone()
        return found[0] if found else 0

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(90)


def test_up_serves_loads_what_lands_stops_cleanly_and_goes_on(up_home: Path) -> None:
    first = Up(up_home)
    with urllib.request.urlopen(f"{first.url}/server_info", timeout=10) as answer:
        assert "dagster_version" in json.load(answer)
    before = first.rows("gold", "customer_360")
    assert before == first.rows("silver", "customers") > 0
    (up_home / "landing" / "customers" / "new.csv").write_text(NEW_CUSTOMER)
    wait_for(lambda: first.rows("silver", "customers") == before + 1, 300)
    wait_for(lambda: first.rows("gold", "customer_360") == before + 1, 300)
    services = first.status()["services"]
    assert {name: one["state"] for name, one in services.items()} == dict.fromkeys(
        ("warehouse", "dagster_storage", "webserver", "daemon", "declarations"), "up"
    )
    assert first.stop(signal.SIGINT) == 0
    wait_for(lambda: not _processes(up_home), 30)

    again = Up(up_home)
    assert again.rows("gold", "customer_360") == before + 1
    family = [again.process, *_processes(up_home)]
    for process in family:
        process.kill()
    wait_for(lambda: not _processes(up_home), 30)

    after_kill = Up(up_home)
    assert after_kill.rows("gold", "customer_360") == before + 1
    assert after_kill.stop(signal.SIGTERM) == 0
    wait_for(lambda: not _processes(up_home), 30)
    assert not EmbeddedPostgres(up_home).is_up()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
def test_the_pages_show_the_graph_the_checks_and_no_personal_data(up_home: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    up = Up(up_home)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{up.url}/assets")
        for name in ("bronze", "silver", "gold"):
            expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=60_000)
        page.goto(f"{up.url}/assets/silver/customers?view=checks")
        for check in ("customer_id_missing", "customer_id_duplicate", "row_count"):
            expect(page.get_by_text(check).first).to_be_visible(timeout=60_000)
        page.goto(f"{up.url}/assets/silver/customers?view=overview")
        expect(page.get_by_text("marketing_opt_in").first).to_be_visible(timeout=60_000)
        text = page.content()
        browser.close()
    names = (up_home / "landing" / "customers" / "customers-2024-01-01.csv").read_text().splitlines()[1:]
    people = [line.split(",")[1] for line in names if " " in line.split(",")[1].strip()]
    assert len(people) > 50
    assert not [name for name in people if name in text]
    assert up.stop(signal.SIGINT) == 0


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.3)


def _processes(home: Path) -> list[psutil.Process]:
    """Every process that has the home folder in its command line or environment, but this one."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(home) in word for word in words):
            found.append(process)
    return found
