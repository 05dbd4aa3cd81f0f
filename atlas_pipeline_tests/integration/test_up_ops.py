"""`atlas ops` beside a real `atlas up` that has run the demo: every family has numbers, and a dead daemon shows."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from atlas_pipeline.telemetry.families import families
from atlas_pipeline_tests.integration.test_up import Up, _processes, wait_for
from atlas_pipeline_tests.monitoring.expressions import ELSEWHERE, without_data
from atlas_pipeline_tests.monitoring.stack import monitored

pytestmark = pytest.mark.slow
PROMTOOL = shutil.which("promtool")


@pytest.fixture
def up_home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="atlas-up-"))
    yield path
    for process in _processes(path):
        process.kill()
    shutil.rmtree(path, ignore_errors=True)


def get(url: str) -> tuple[int, str]:
    """Status and body; status 0 while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def run(home: Path, *arguments: str) -> None:
    """A program in this home folder."""
    environment = {**os.environ, "ATLAS_HOME": str(home), "ATLAS_SAMPLE_ROWS": "100"}
    subprocess.run([sys.executable, "-m", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def problems(ops: str) -> dict[str, Any]:
    """The components of /health/ready that are not well."""
    status, body = get(f"{ops}/health/ready")
    found = json.loads(body)["components"] if body else {"ops": {"problem": "away"}}
    wrong = {name: one["problem"] for name, one in found.items() if "problem" in one}
    assert not body or (status == 200) == (not wrong)
    return wrong


def sampled(ops: str) -> set[str]:
    """The families that have a sample."""
    return {line.split()[2] for line in get(f"{ops}/metrics")[1].splitlines() if line.startswith("# TYPE ")}


def test_after_the_demo_every_family_has_numbers_and_a_dead_daemon_shows(up_home: Path, tmp_path: Path) -> None:
    run(up_home, "atlas_pipeline.cli", "demo")
    (up_home / "first-materialization").touch()
    run(up_home, "atlas_pipeline.cli", "backup", "run")
    run(up_home, "atlas_pipeline.cli", "backup", "drill")
    run(up_home, "atlas_pipeline_tests.integration.mishaps")
    up = Up(up_home, ATLAS_ALERT_CHANNELS="pager=json://127.0.0.1:1")
    assert up.ops
    wait_for(lambda: not problems(up.ops), 300)
    wait_for(lambda: sampled(up.ops) == families().keys(), 300)
    assert get(f"{up.ops}/health")[0] == get(f"{up.ops}/health/startup")[0] == 200
    metrics = get(f"{up.ops}/metrics")[1]
    names = (up_home / "landing" / "customers" / "customers-2024-01-01.csv").read_text().splitlines()[1:]
    people = [line.split(",")[1] for line in names if " " in line.split(",")[1].strip()]
    assert len(people) > 50
    assert not [name for name in people if name in metrics]
    assert str(up_home) not in metrics
    if PROMTOOL:
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=metrics.encode(), capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    with monitored(f"{up.ops}/metrics", tmp_path) as stack:
        missing = set[str]()

        def complete() -> bool:
            missing.clear()
            missing.update(without_data(stack.prometheus, ELSEWHERE))
            return not missing

        with contextlib.suppress(AssertionError):
            wait_for(complete, 90)
        assert not missing
        assert not [rule for rule in stack.rules() if rule["health"] != "ok"]

    [daemon] = [one for one in _processes(up_home) if "dagster._daemon" in _words(one)]
    daemon.suspend()
    wait_for(lambda: "no sign of life" in problems(up.ops).get("daemon", ""), 300)
    assert problems(up.ops).keys() == {"daemon"}
    daemon.resume()
    wait_for(lambda: not problems(up.ops), 300)
    assert up.stop(signal.SIGINT) == 0
    wait_for(lambda: not _processes(up_home), 30)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
