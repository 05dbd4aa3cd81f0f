"""What a person who knows Dagster types in the root of the repository: `dagster` and `dg` work as they are."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import psycopg
import pytest

from atlas_pipeline.settings import PROJECT_ROOT, load_settings

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
TABLES = {"customers", "orders", "support_tickets"}
HEADER = (
    "customer_id,full_name,email,phone,date_of_birth,street_address,city,postcode,country,segment,marketing_opt_in,"
    "created_at,updated_at\n"
)
ROW = "7,A B,a@example.com,1,1990-01-01,S 1,C,01234,DE,vip,true,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z\n"


def environment() -> dict[str, str]:
    """The test's own installation, and the commands of the virtual environment as `activate` gives them."""
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "VIRTUAL_ENV": sys.prefix}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=300
    )


def runs() -> list[tuple[str, str]]:
    """The runs in Dagster's own database: status and job."""
    url = load_settings().dagster_database_url
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as connection:
        return connection.execute("SELECT status, pipeline_name FROM runs ORDER BY id").fetchall()  # type: ignore[return-value]


SELECT = 'key:"bronze/customers" or key:"silver/customers"'


@pytest.mark.parametrize(
    "command",
    [
        ("dagster", "asset", "materialize", "--select", SELECT, "-m", "atlas_pipeline.definitions"),
        ("dg", "launch", "--assets", SELECT),
    ],
    ids=["dagster", "dg"],
)
def test_materialize(atlas_env: Path, warehouse: psycopg.Connection, command: tuple[str, ...]) -> None:
    (atlas_env / "landing" / "customers").mkdir()
    (atlas_env / "landing" / "customers" / "a.csv").write_text(HEADER + ROW)
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert warehouse.execute("SELECT customer_id, country FROM silver.customers").fetchall() == [(7, "DE")]
    assert [status for status, _ in runs()] == ["SUCCESS"]


def test_materialize_says_no(atlas_env: Path) -> None:
    """A failed step is a failed command, and the run is on record."""
    (atlas_env / "landing" / "customers").mkdir()
    (atlas_env / "landing" / "customers" / "a.csv").write_text("customer_id,name\n1,x\n")
    done = run("dagster", "asset", "materialize", "--select", SELECT, "-m", "atlas_pipeline.definitions")
    assert done.returncode == 1
    assert "lacks the columns" in done.stderr
    assert [status for status, _ in runs()] == ["FAILURE"]


def test_list_defs(atlas_env: Path) -> None:
    done = run("dg", "list", "defs", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    keys = {asset["asset_key"] for asset in listed["assets"]}
    assert keys >= {f"{layer}/{table}" for layer in ("bronze", "silver") for table in TABLES}
    assert "gold/customer_360" in keys
    assert {sensor["name"] for sensor in listed["sensors"]} >= {"landing", "gold_automation"}


@pytest.mark.parametrize(
    "command", [("dg", "check", "defs"), ("dagster", "definitions", "validate")], ids=["dg", "dagster"]
)
def test_check(atlas_env: Path, command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def graphql(url: str, query: str) -> dict:
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


@pytest.mark.parametrize("command", [("dagster", "dev"), ("dg", "dev")], ids=["dagster", "dg"])
def test_dev(atlas_env: Path, command: tuple[str, ...], tmp_path: Path) -> None:
    """The web server shows the assets; Ctrl-C ends it and all that it started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", tmp_path / "dev.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=PROJECT_ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    family: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"{url}/server_info", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        nodes = graphql(url, "{ assetNodes { assetKey { path } } }")["assetNodes"]
        paths = {"/".join(node["assetKey"]["path"]) for node in nodes}
        assert paths >= {f"{layer}/{table}" for layer in ("bronze", "silver") for table in TABLES}
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        assert len(family) > 2
        os.killpg(server.pid, signal.SIGINT)  # as a terminal does
        server.wait(60)
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
    finally:
        for process in [*family, psutil.Process(server.pid)] if server.poll() is None else family:
            if process.is_running():
                process.kill()
        server.wait()


def test_check_says_what_is_wrong_with_declarations_and_no_more(atlas_env: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("pyproject.toml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT_ROOT / name, project / name)
    shutil.copytree(
        PROJECT_ROOT / "atlas_pipeline", project / "atlas_pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, field in (("typo", "modee: append"), ("keyless", "key: nope")):
        folder = project / "atlas_pipeline" / "defs" / "datasets" / name
        folder.mkdir()
        (folder / "defs.yaml").write_text(
            f"type: atlas_pipeline.components.Dataset\nattributes:\n  source: {name}/*.csv\n  {field}\n"
            "  columns: [{name: id, type: integer}]\n"
        )
    command = [str(Path(sys.executable).parent / "dg"), "check", "defs"]
    env = {**environment(), "PYTHONPATH": str(project), "VIRTUAL_ENV": sys.prefix}
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "unknown key 'modee': did you mean 'mode'?" in said
    assert "key names 'nope', which is not a declared column: id" in said
    assert said.count("'modee'") == 1
    assert "2 declarations are wrong" in said
    assert not re.search(r"Traceback|Stack Trace|File \"", said)
