"""Verifying a contract talks to Postgres and to nobody else, whatever the environment says about telemetry."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from atlas_pipeline.settings import PROJECT_ROOT

pytestmark = pytest.mark.slow

CONTRACT = """\
dataset: atlas/atlas/silver/things
checks:
  - schema:
  - row_count:
  - metric: {query: SELECT 1, threshold: {must_be: 1}}
columns:
  - name: id
    checks: [{missing: }, {duplicate: }, {invalid: {valid_min: 9}}]
"""
VERIFY = """
import json, os, sys, threading
from pathlib import Path
from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.verification import verify
found = verify(read_contract(Path(sys.argv[1])), sys.argv[2], "silver", "things", key=["id"])
print(json.dumps({
    "found": [one.status for one in found],
    "telemetry": os.environ["SODA_CORE_TELEMETRY_ENABLED"],
    "threads": [one.name for one in threading.enumerate() if one is not threading.main_thread()],
}))
"""
WATCH = '''
"""Loaded by Python before anything else: what looks up a name or connects to a host is written down, and fails."""

import socket
import sys

ADDRESSES = {"socket.connect", "socket.sendto", "socket.sendmsg"}
NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


def watch(event, arguments):
    local = event in ADDRESSES and getattr(arguments[0], "family", None) == socket.AF_UNIX
    if event in NAMES or event in ADDRESSES and not local:
        with open(RECORD, "a") as file:
            print(event, *arguments[1 if event in ADDRESSES else 0 :], file=file)
        raise OSError("there is no network")


sys.addaudithook(watch)
'''


@pytest.fixture
def contract(warehouse: psycopg.Connection, tmp_path: Path) -> Path:
    warehouse.execute("CREATE TABLE silver.things AS SELECT n AS id FROM generate_series(1, 3) n")
    warehouse.commit()
    path = tmp_path / "contract.yml"
    path.write_text(CONTRACT)
    return path


def child(contract: Path, url: str, *before: str, code: str = VERIFY, **environment: str) -> Any:
    """Verify in a process of its own, in which telemetry is wanted."""
    wanted = {"SODA_CORE_TELEMETRY_ENABLED": "true", "SODA_TELEMETRY_ENABLED": "true", **environment}
    done = subprocess.run(
        [*before, sys.executable, "-c", code, str(contract), url],
        capture_output=True,
        text=True,
        env={**os.environ, **wanted},
        cwd=contract.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def watched(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Where attempts will be written down, and the environment that makes a process do so."""
    record, folder = tmp_path / "attempts", tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"RECORD = {str(record)!r}\n{WATCH}")
    return record, {"PYTHONPATH": f"{folder}{os.pathsep}{PROJECT_ROOT}"}


STATUSES = ["passed", "passed", "passed", "passed", "passed", "failed"]


def test_nothing_tries_to_reach_anyone(contract: Path, warehouse_url: str, tmp_path: Path) -> None:
    record, environment = watched(tmp_path)
    assert child(contract, warehouse_url, **environment)["found"] == STATUSES
    assert not record.exists()


def test_the_watch_sees_attempts(contract: Path, warehouse_url: str, tmp_path: Path) -> None:
    """What the test above would say if somebody were called."""
    record, environment = watched(tmp_path)
    code = (
        "import socket, urllib.request, json\n"
        "try: urllib.request.urlopen('http://collect.example/')\n"
        "except OSError: pass\n"
        "try: socket.create_connection(('127.0.0.2', 9))\n"
        "except OSError: pass\n"
        "try: socket.socket().connect(('192.0.2.1', 9))\n"
        "except OSError: pass\n"
        "print(json.dumps(None))\n"
    )
    child(contract, warehouse_url, code=code, **environment)
    seen = [line.split(" ", 1)[0] for line in record.read_text().splitlines()]
    assert seen == ["socket.getaddrinfo", "socket.getaddrinfo", "socket.connect"]


def namespace() -> Sequence[str]:
    """The command that runs another without any network, empty where this machine does not let one do so."""
    for command in (["unshare", "-n"], ["unshare", "-r", "-n"]):
        try:
            done = subprocess.run([*command, "true"], capture_output=True, check=False)
        except FileNotFoundError:
            return ()
        if done.returncode == 0:
            return command
    return ()


def test_it_works_where_there_is_no_network(contract: Path, warehouse_url: str) -> None:
    """In a network namespace without even a loopback; where the kernel forbids one, the watch above has to do."""
    assert child(contract, warehouse_url, *namespace())["found"] == STATUSES


def test_telemetry_is_off_even_if_the_environment_says_on(contract: Path, warehouse_url: str) -> None:
    """Also for what the host does with Soda afterwards: nothing is started that would send."""
    asked = "from soda_core.telemetry.soda_telemetry import SodaTelemetry\nSodaTelemetry()\nprint("
    found = child(contract, warehouse_url, code=VERIFY.replace("print(", asked, 1))
    assert found["found"] == STATUSES
    assert found["telemetry"] == "false"
    assert found["threads"] == []


def test_soda_alone_would_start_a_sender(contract: Path, warehouse_url: str, tmp_path: Path) -> None:
    """What the test above would say if the environment were obeyed."""
    code = (
        "import json, threading\n"
        "from soda_core.telemetry.soda_telemetry import SodaTelemetry\n"
        "SodaTelemetry()\n"
        "print(json.dumps([one.name for one in threading.enumerate() if one is not threading.main_thread()]))\n"
    )
    assert child(contract, warehouse_url, code=code, **watched(tmp_path)[1]) != []


def test_soda_does_not_put_a_dot_env_file_into_the_environment(
    contract: Path, warehouse_url: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("SECRET_OF_THE_PROJECT=canary\n")
    code = VERIFY.replace("print(", f"from dotenv import load_dotenv\nload_dotenv({str(tmp_path / '.env')!r})\nprint(")
    code = code.replace('"threads"', '"read": os.environ.get("SECRET_OF_THE_PROJECT"), "threads"')
    assert child(contract, warehouse_url, code=code)["read"] is None
