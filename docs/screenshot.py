"""Take the pictures in docs/images: start Atlas on a free port with a small sample, and photograph its UI.

Run it as `.venv/bin/python docs/screenshot.py`. It needs a Chromium: set CHROMIUM when it is not /usr/bin/chromium.
Nothing of the checkout's own `.atlas` is touched, and nothing is left running. Look at the pictures afterwards.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
ROWS = 10_000
_RUN_JOB = """
import sys
import dagster as dg
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.definitions import defs
from atlas_pipeline.settings import load_settings
with dg.DagsterInstance.from_config(str(dagster_home(load_settings()))) as instance:
    defs().resolve_job_def(sys.argv[1]).execute_in_process(instance=instance)
"""
SETTLED_MS = 3000


def main() -> int:
    """Write the pictures. Returns the exit code."""
    home = Path(tempfile.mkdtemp(prefix="atlas-pictures-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_"))}
    environment |= {"ATLAS_HOME": str(home), "ATLAS_SAMPLE_ROWS": str(ROWS), "ATLAS_SETTLE_SECONDS": "0"}
    command = [sys.executable, "-m", "atlas_pipeline.cli", "up", "--json", "--port", str(_free_port())]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        said = ""
        while not said.rstrip().endswith("}"):
            line = server.stdout.readline()
            if not line:
                print("atlas up ended before it served", file=sys.stderr)
                return 1
            said += line
        for job in ("backup_daily", "backup_drill"):
            subprocess.run([sys.executable, "-c", _RUN_JOB, job], cwd=ROOT, env=environment, check=True)
        _take_pictures(json.loads(said)["url"])
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        shutil.rmtree(home, ignore_errors=True)
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _take_pictures(url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        # The dialog that Dagster shows to a new visitor was skipped, and the navigation folded in.
        page.add_init_script(
            "localStorage.setItem('communityNux', JSON.stringify('1'));"
            "localStorage.setItem('dagster-nav-collapsed', 'true');"
        )
        _asset_graph(page, url)
        page.set_viewport_size({"width": 1600, "height": 1240})
        _asset_page(page, url, "customers", "overview", "Latest check results", "silver-customers.png")
        page.set_viewport_size({"width": 1600, "height": 960})
        _asset_page(page, url, "customers", "events", "rows quarantined", "silver-customers-run.png")
        page.set_viewport_size({"width": 1600, "height": 1180})
        _asset_page(page, url, "orders", "events", "personal-data plan", "silver-orders-plan.png")
        page.set_viewport_size({"width": 1600, "height": 1000})
        chosen = "checks&checkDetail=references_customer_id_customers"
        _asset_page(page, url, "orders", chosen, "rows tested", "silver-orders-checks.png")
        page.set_viewport_size({"width": 1600, "height": 1100})
        page.goto(f"{url}/assets/backups/atlas?view=events", wait_until="networkidle")
        page.get_by_text("time to restore (s)").first.wait_for()
        page.wait_for_timeout(SETTLED_MS)
        _save(page, "backups-atlas.png")
        page.set_viewport_size({"width": 1600, "height": 800})
        page.goto(f"{url}/assets/backups/atlas?view=checks&checkDetail=restorable", wait_until="networkidle")
        page.get_by_text("time to restore (s)").first.wait_for()
        page.wait_for_timeout(SETTLED_MS)
        _save(page, "backups-atlas-checks.png")
        browser.close()


def _asset_graph(page: Page, url: str) -> None:
    page.goto(f"{url}/asset-groups", wait_until="networkidle")
    field = page.get_by_placeholder("Jump to").bounding_box()
    assert field is not None
    page.mouse.click(field["x"] + field["width"] + 23, field["y"] + field["height"] / 2)  # fold the list in
    page.wait_for_timeout(SETTLED_MS)
    page.keyboard.press("Alt+KeyE")  # unfold all groups
    page.get_by_text("support_load").first.wait_for()
    page.mouse.move(800, 880)
    page.wait_for_timeout(SETTLED_MS)
    _save(page, "asset-graph.png")


def _asset_page(page: Page, url: str, asset: str, view: str, shows: str, name: str) -> None:
    page.goto(f"{url}/assets/silver/{asset}?view={view}", wait_until="networkidle")
    page.get_by_text(shows).first.wait_for()
    page.wait_for_timeout(SETTLED_MS)
    _save(page, name)


def _save(page: Page, name: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(IMAGES / name))
    print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size // 1024} KiB")


if __name__ == "__main__":
    sys.exit(main())
