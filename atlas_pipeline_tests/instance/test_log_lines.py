"""What all of Dagster's processes write when they run together, as JSON, and what Sentry hears of it.

A project that logs canaries in every way and fails runs under `dagster dev`; then `atlas up` itself is looked at.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.integration.test_up import NEW_CUSTOMER
from atlas_pipeline_tests.monitoring.collector import stages
from atlas_pipeline_tests.telemetry.canaries import CANARIES
from atlas_pipeline_tests.telemetry.receiver import Receiver, receiver

pytestmark = pytest.mark.slow

PROJECT = f"""
import logging
import dagster as dg

log = logging.getLogger("shop.people")
CANARIES = {list(CANARIES)!r}

@dg.asset(key=["silver", "people"])
def people(context):
    for canary in CANARIES:
        context.log.info("told %s", canary)
        context.log.warning(f"told {{canary}}", extra={{"mail": canary}})
        log.warning("plain %s", canary)
        print("printed", canary)
    context.log.error("an error that is only told")

@dg.asset(key=["gold", "broken"], deps=[people])
def broken(context):
    local = list(CANARIES)
    try:
        {{}}["zqvalue"]
    except KeyError as error:
        raise ValueError(f"Key (email)=(zqvalue) of {{local}}") from error

@dg.sensor(job_name="everything", default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=600)
def tripping(context):
    context.log.info("looking at anna.kowalska@example.com")
    raise ValueError("zqvalue")

defs = dg.Definitions(
    assets=[people, broken], jobs=[dg.define_asset_job("everything")], sensors=[tripping],
    executor=dg.in_process_executor,
)
"""
LAUNCH = """mutation($where: JobOrPipelineSelector!) {
  launchPipelineExecution(executionParams: {selector: $where, mode: "default"}) {
    __typename ... on LaunchRunSuccess { run { runId } } } }"""


@pytest.fixture
def sentry() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


def test_a_run_that_fails_in_all_processes_of_dagster(atlas_env: Path, sentry: Receiver, tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    home, port, output = dagster_home(load_settings()), free_port(), tmp_path / "output.log"
    env = {**os.environ, "ATLAS_LOG_FORMAT": "json", "ATLAS_SENTRY_DSN": sentry.dsn, "DAGSTER_HOME": str(home)}
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "-f", str(tmp_path / "project.py")]
    with output.open("wb") as stream:
        server = subprocess.Popen([*command, "-p", str(port)], stdout=stream, stderr=stream, env=env, cwd=home)
    try:
        run_id = wait_for(lambda: launched(port), 300)
        wait_for(lambda: '"step": "gold__broken"' in output.read_text() and "tripping" in output.read_text(), 300)
        sentry.wait_for(lambda: {"gold/broken", "silver/people"} <= set(assets_of(sentry)))
        sentry.wait_for(lambda: any("tripping" in json.dumps(one) for one in sentry.of("event")))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            wait_for(lambda: instance.get_run_by_id(run_id).is_finished, 60)
            stored = [entry.user_message for entry in instance.all_logs(run_id) if not entry.is_dagster_event]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(90)

    texts = [output.read_text(), *(path.read_text() for path in captured(atlas_env))]
    entries = [json.loads(line) for text in texts for line in text.splitlines()]
    assert {entry["process"] for entry in entries} == {"dev", "webserver", "daemon", "code", "run"}
    assert all({"time", "level", "logger", "message", "pid"} <= set(entry) for entry in entries)

    [wanted] = [one.blocks for one in stages() if "webserver" in one.values.get("selector", "")]
    fields = {name for stage in wanted if stage.name == "stage.json" for name in stage.values["expressions"].values()}
    assert fields <= set().union(*entries), "the collector looks for what nobody writes"

    in_run = [entry for entry in entries if entry["process"] == "run"]
    assert {entry["run_id"] for entry in in_run} == {entry["correlation_id"] for entry in in_run} == {run_id}
    assert {entry["job"] for entry in in_run} == {"everything"}
    for message in ("told [email]", "plain [email]", "printed [email]"):
        found = [entry for entry in in_run if entry["message"] == message]
        assert found
        assert {(entry["asset"], entry["step"]) for entry in found} == {("silver/people", "silver__people")}
    failed = next(entry for entry in in_run if entry.get("step") == "gold__broken" and "exception" in entry)
    assert [one["type"] for one in failed["exception"]][-2:] == ["ValueError", "KeyError"]

    (broken,) = [event for event in sentry.of("event") if event["tags"].get("asset") == "gold/broken"]
    assert broken["tags"] == {
        "process": "run",
        "run": run_id,
        "job": "everything",
        "asset": "gold/broken",
        "step": "gold__broken",
    }
    assert [one["type"] for one in broken["exception"]["values"]][:2] == ["KeyError", "ValueError"]
    told = [event for event in sentry.of("event") if event["tags"].get("run") == run_id]
    assert [event["logentry"]["formatted"] for event in told if event is not broken] == ["an error that is only told"]

    sent = b"".join(sentry.bodies).decode()
    everything = [*texts, sent, *stored]
    assert stored
    assert not [canary for canary in [*CANARIES, "zqvalue"] if any(canary in text for text in everything)]


def test_atlas_up_writes_nothing_else() -> None:
    with tempfile.TemporaryDirectory(prefix="atlas-up-") as folder:
        home = Path(folder)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "DAGSTER_"))}
        env |= {"ATLAS_HOME": folder, "ATLAS_PORT": str(free_port()), "ATLAS_OPS_PORT": str(free_port())}
        env |= {"ATLAS_SAMPLE_ROWS": "100", "ATLAS_SENSOR_INTERVAL_SECONDS": "5", "ATLAS_SETTLE_SECONDS": "0"}
        command = [sys.executable, "-m", "atlas_pipeline.cli", "up", "--json"]
        with (home / "err").open("wb") as err, (home / "out").open("wb") as out:
            up = subprocess.Popen(command, env={**env, "ATLAS_LOG_FORMAT": "json"}, stdout=out, stderr=err)
        try:
            wait_for(lambda: (home / "out").read_text().rstrip().endswith("}"), 600)
            (home / "landing" / "customers" / "new.csv").write_text(NEW_CUSTOMER)
            log = home / "logs" / "server.log"
            wait_for(lambda: '"asset": "silver/customers"' in log.read_text(), 300)
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(90)
        assert "url" in json.loads((home / "out").read_text())
        entries = [json.loads(line) for name in ("err", "logs/server.log") for line in lines(home / name)]
        assert {"atlas up", "atlas demo", "daemon", "code", "run"} <= {entry["process"] for entry in entries}


def captured(home: Path) -> list[Path]:
    """Standard output and error of steps, as the UI shows them."""
    return [path for path in home.glob("logs/*/compute_logs/*") if path.suffix in {".out", ".err"}]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def assets_of(sentry: Receiver) -> list[str | None]:
    return [event["tags"].get("asset") for event in sentry.of("event")]


def launched(port: int) -> str | None:
    """The id of a new run of everything, once the server can start one."""
    where = {"repositoryLocationName": "project.py", "repositoryName": "__repository__", "jobName": "everything"}
    body = json.dumps({"query": LAUNCH, "variables": {"where": where}}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            data = json.load(answer)["data"]["launchPipelineExecution"]
    except (urllib.error.URLError, OSError):
        return None
    return data["run"]["runId"] if data["__typename"] == "LaunchRunSuccess" else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return result
