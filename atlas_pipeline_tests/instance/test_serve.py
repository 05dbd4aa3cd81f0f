"""The processes of the platform, each by itself: served, asked, ended, killed; and no run is lost on the way.

They are started as compose starts them, from settings alone, over a copy of the project with two of its datasets, whose
Dagster looks after its runs more often. A run is held in flight by the lock on the table that it writes, so that each
thing happens while it goes on.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow

SELECTOR = {
    "repositoryLocationName": "atlas_pipeline",
    "repositoryName": "__repository__",
    "jobName": "__ASSET_JOB",
}
LAUNCH = """
mutation Launch($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, mode: "default"}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
RUNS = "{ runsOrError { ... on Runs { results { runId status parentRunId } } } }"
LOADED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"


class Platform:
    """The processes over one home folder and two databases."""

    def __init__(self, home: Path, project: Path):
        code, self.port = free_ports(2)
        self.home, self.project = home, project
        self.environment = os.environ | {
            "ATLAS_CODE_SERVER": f"127.0.0.1:{code}",
            "ATLAS_PORT": str(self.port),
            "ATLAS_LOG_FORMAT": "json",
            "PYTHONPATH": str(project),
            "ATLAS_SENSOR_INTERVAL_SECONDS": "3600",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def atlas(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "atlas_pipeline.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.project, capture_output=True, text=True, check=False
        )

    def serve(self, process: str, *options: str, **settings: str) -> None:
        command = [sys.executable, "-m", "atlas_pipeline.cli", "serve", process, *options]
        with (self.home / f"{process}.log").open("ab") as log:
            environment = self.environment | settings
            self.processes[process] = subprocess.Popen(
                command, env=environment, cwd=self.project, stdout=log, stderr=log
            )

    def await_health(self, *processes: str) -> None:
        for process in processes:
            self.until(lambda process=process: self.atlas("health", process).returncode == 0)

    def end(self, process: str, number: signal.Signals = signal.SIGTERM) -> int:
        self.processes[process].send_signal(number)
        return self.processes[process].wait(60)

    def until(self, condition: Callable[[], Any], seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            dead = {name: one.poll() for name, one in self.processes.items() if one.poll() is not None}
            assert time.monotonic() < deadline, f"it never happened; ended: {dead}; {self.log_ends()}"
            time.sleep(0.3)

    def log_ends(self) -> dict[str, str]:
        return {path.stem: path.read_text()[-2000:] for path in self.home.glob("*.log")}

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.home.glob("*.log"))

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.port}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            document = json.load(answer)
        assert "errors" not in document, document
        return document["data"]

    def launch(self, *asset: str) -> str:
        launched = self.ask(LAUNCH, selector={**SELECTOR, "assetSelection": [{"path": asset}]})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def status(self, run_id: str) -> str:
        return next(one["status"] for one in self.runs() if one["runId"] == run_id)

    def runs(self) -> list[dict[str, Any]]:
        return self.ask(RUNS)["runsOrError"]["results"]


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an image holds, with fewer datasets and shorter intervals."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT_ROOT / "atlas_pipeline", folder / "atlas_pipeline")
    for name in ("gold", "alerts", "backups", "datasets/support_tickets"):
        shutil.rmtree(folder / "atlas_pipeline" / "defs" / name)
    for name in ("workspace.yaml", "pyproject.toml"):
        shutil.copy(PROJECT_ROOT / name, folder / name)
    configuration = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    configuration["run_monitoring"] |= {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1}
    configuration["run_queue"] |= {"user_code_failure_retry_delay": 1}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    return folder


@pytest.fixture
def platform(atlas_env: Path, project: Path) -> Iterator[Platform]:
    one = Platform(atlas_env, project)
    yield one
    for process in one.processes.values():
        process.kill()
        process.wait()


@contextmanager
def held(name: str) -> Iterator[Callable[[], bool]]:
    """Keep runs from writing the table; what is given says whether one waits for it."""
    lock = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = %s::oid"
    with psycopg.connect(os.environ["ATLAS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(lock, [name])
        [(database,)] = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        yield lambda: connection.execute(waits, [database]).fetchone() != (0,)


def test_no_run_is_lost_when_processes_end_or_are_killed(platform: Platform) -> None:
    assert platform.atlas("migrate").returncode == 0
    platform.serve("code")
    platform.await_health("code")
    for process in ("daemon", "webserver"):
        platform.serve(process)
    platform.await_health("daemon", "webserver")
    platform.until(lambda: platform.ask(LOADED)["repositoriesOrError"]["nodes"])
    customers = platform.home / "landing" / "customers"
    customers.mkdir()
    (customers / "customers-1.csv").write_text("customer_id,city\n1,A\n2,B\n")
    with held("bronze.orders") as waited_for:
        first = platform.launch("bronze", "orders")
        platform.until(waited_for)
        platform.processes["code"].send_signal(signal.SIGTERM)
        platform.until(lambda: "told to end" in platform.logs())
        second = platform.launch("bronze", "customers")
        platform.until(lambda: "Caught an error dequeuing run" in platform.logs())
        assert platform.status(first) == "STARTED"
    platform.until(lambda: platform.status(first) == "SUCCESS")
    assert platform.processes["code"].wait(60) == 0
    assert platform.status(second) in ("QUEUED", "STARTING")

    assert platform.end("daemon", signal.SIGKILL) < 0
    with held("bronze.customers") as waited_for:
        platform.serve("code", ATLAS_STOP_SECONDS="1")
        platform.await_health("code")
        platform.serve("daemon")
        platform.until(waited_for)
        assert platform.end("code") == 0
    platform.serve("code")
    platform.until(lambda: platform.status(second) == "FAILURE")
    platform.until(lambda: any(one["parentRunId"] == second for one in platform.runs()))
    (again,) = [one["runId"] for one in platform.runs() if one["parentRunId"] == second]
    platform.until(lambda: platform.status(again) == "SUCCESS")
    with connect(os.environ["ATLAS_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM bronze.customers").fetchone() == (2,)
    for process in ("webserver", "daemon", "code"):
        assert platform.end(process) == 0
    lines = platform.logs().splitlines()
    assert {json.loads(line)["process"] for line in lines} >= {"code", "daemon", "webserver"}
