"""Runs whose processes are killed are noticed, ended and started again by the servers of `dagster dev`; others go on.

The servers, the launcher and the configuration are the real ones; only the interval of run monitoring is shorter.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
import yaml
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import DagsterEvent
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient

from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline_tests.servers import free_ports

pytestmark = pytest.mark.slow

# Every run of the step says that it is there, and waits until it may end.
PROJECT = """
import os
import time
from pathlib import Path

import dagster as dg

HOME = Path(os.environ["DAGSTER_HOME"])


@dg.op(pool="things")
def wait(context):
    (HOME / f"began-{context.run_id}").touch()
    while not (HOME / "go-on").exists():
        time.sleep(0.05)


@dg.job
def waiting():
    wait()


defs = dg.Definitions(jobs=[waiting])
"""
WORKSPACE = {"load_from": [{"python_file": {"relative_path": "project.py", "location_name": "project"}}]}
SELECTOR = {"repositoryLocationName": "project", "repositoryName": "__repository__", "jobName": "waiting"}
LAUNCH = """
mutation Launch($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, mode: "default"}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
TERMINATE = "mutation Terminate($id: String!) { terminateRun(runId: $id) { __typename } }"
RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "project") { __typename } }'


class Servers:
    """`dagster dev` over the project, and what its instance says of runs."""

    def __init__(self, home: Path):
        self.home = home
        (home / "project.py").write_text(PROJECT)
        (home / "workspace.yaml").write_text(yaml.safe_dump(WORKSPACE))
        configuration = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
        configuration["run_monitoring"] |= {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1}
        (home / "dagster.yaml").write_text(yaml.safe_dump(configuration))
        self.opened: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        (port,) = free_ports(1)
        self.process = self.open("dev", "-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml")
        self.url = f"http://127.0.0.1:{port}"
        until(self.answers)

    def start_code_server(self, port: int) -> subprocess.Popen[bytes]:
        """One that others started, and that the workspace names by its port."""
        server = {"host": "127.0.0.1", "port": port, "location_name": "project"}
        (self.home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        one = self.open("api", "grpc", "-h", "127.0.0.1", "-p", str(port), "-f", "project.py")
        until(lambda: serves(port))
        return one

    def open(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / "server.log").open("ab") as log:
            one = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "dagster", *arguments],
                cwd=self.home,
                env={**os.environ, "DAGSTER_HOME": str(self.home)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.opened.append(one)
        return one

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.home / "server.log").read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5):
                return True
        except OSError:
            return False

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            document = json.load(answer)
        assert "errors" not in document, document
        return document["data"]

    def launch(self) -> str:
        """The id of a run whose step has begun."""
        launched = self.ask(LAUNCH, selector=SELECTOR)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        until(lambda: (self.home / f"began-{run_id}").exists())
        return run_id

    def processes(self) -> list[psutil.Process]:
        """All that the servers started, whoever their parents are now."""
        return [one for one in psutil.process_iter() if self.home_of(one) == str(self.home)]

    def home_of(self, process: psutil.Process) -> str | None:
        try:
            return None if process.pid == os.getpid() else process.environ().get("DAGSTER_HOME")
        except psutil.Error:
            return None

    def kill(self, word: str = "") -> None:
        """kill -9 what has the word in its command line."""
        killed = []
        for one in self.processes():
            try:
                if word in " ".join(one.cmdline()):
                    one.kill()
                    killed.append(one)
            except psutil.NoSuchProcess:
                continue
        assert killed, word
        psutil.wait_procs(killed, timeout=30)

    def rounds(self, number: int) -> None:
        """Wait for so many more rounds of run monitoring over what is going on."""
        said = "Collected 1 runs for monitoring"
        log = self.home / "server.log"
        before = log.read_text().count(said)
        until(lambda: log.read_text().count(said) >= before + number)


@pytest.fixture
def servers(atlas_env: Path) -> Iterator[Servers]:
    one = Servers(atlas_env)
    yield one
    for process in one.processes():
        process.kill()
    for opened in one.opened:
        opened.wait()


@pytest.fixture
def instance(servers: Servers) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(servers.home)) as one:
        yield one


def until(condition: Callable[[], Any], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def serves(port: int) -> bool:
    try:
        return bool(DagsterGrpcClient(host="127.0.0.1", port=port).get_server_id())
    except DagsterUserCodeUnreachableError:
        return False


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def pid(instance: dg.DagsterInstance, run_id: str) -> int:
    (entry,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START)
    found = entry.get_dagster_event().pid
    assert found is not None
    return found


def check_tried_again(servers: Servers, instance: dg.DagsterInstance, run_id: str) -> None:
    """The run ends as failed; one of its own after it waits for no slot, and succeeds."""
    until(lambda: status(instance, run_id) == dg.DagsterRunStatus.FAILURE)
    until(lambda: instance.get_runs_count() == 2)
    (again,) = [run.run_id for run in instance.get_runs() if run.run_id != run_id]
    until(lambda: (servers.home / f"began-{again}").exists())
    (servers.home / "go-on").touch()
    until(lambda: status(instance, again) == dg.DagsterRunStatus.SUCCESS)
    assert instance.get_runs_count() == 2


@pytest.mark.parametrize("with_server", [False, True])
def test_a_run_whose_process_was_killed_is_tried_again(
    servers: Servers, instance: dg.DagsterInstance, with_server: bool
) -> None:
    """Its code server tells Dagster; if that was killed too, run monitoring does, once there is another."""
    servers.start()
    run_id = servers.launch()
    if with_server:
        servers.kill("api grpc")
    psutil.Process(pid(instance, run_id)).kill()
    if with_server:
        servers.rounds(5)
        assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
        servers.ask(RELOAD)
    check_tried_again(servers, instance, run_id)


def test_a_run_that_was_killed_with_everything_is_tried_again_at_the_next_start(
    servers: Servers, instance: dg.DagsterInstance
) -> None:
    servers.start()
    run_id = servers.launch()
    servers.kill()
    assert not servers.processes()
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
    servers.start()
    check_tried_again(servers, instance, run_id)
    messages = [entry.message for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
    assert len(messages) == 1
    assert "the process of this run is gone" in messages[0]


def test_a_code_server_on_a_port_is_asked(servers: Servers, instance: dg.DagsterInstance) -> None:
    """It says that it executes the run; while it is away that is believed; another in its place knows nothing of it."""
    (port,) = free_ports(1)
    servers.start_code_server(port)
    servers.start()
    run_id = servers.launch()
    servers.rounds(5)
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
    servers.kill("api grpc")
    psutil.Process(pid(instance, run_id)).kill()
    servers.rounds(5)
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
    servers.start_code_server(port)
    check_tried_again(servers, instance, run_id)


def test_a_run_that_lives_is_not_touched(servers: Servers, instance: dg.DagsterInstance) -> None:
    """Not by many rounds, a reload of its code, nor the loss of its code server and then of all servers."""
    servers.start()
    run_id = servers.launch()
    process = psutil.Process(pid(instance, run_id))
    servers.rounds(5)
    servers.ask(RELOAD)
    servers.rounds(5)
    servers.kill("api grpc")
    servers.rounds(5)
    for word in ("dagster dev", "dagster_webserver", "dagster._daemon", "code-server"):
        servers.kill(word)
    servers.start()
    servers.rounds(5)
    assert process.is_running()
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
    (servers.home / "go-on").touch()
    until(lambda: status(instance, run_id) == dg.DagsterRunStatus.SUCCESS)
    assert instance.get_runs_count() == 1


def test_a_run_is_forked_from_a_process_with_one_thread_and_can_be_terminated(
    servers: Servers, instance: dg.DagsterInstance
) -> None:
    servers.start()
    run_id = servers.launch()
    origin = psutil.Process(pid(instance, run_id)).parent()
    assert origin is not None
    assert "multiprocessing.forkserver" in " ".join(origin.cmdline())
    assert origin.num_threads() == 1
    assert servers.ask(TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    until(lambda: status(instance, run_id) == dg.DagsterRunStatus.CANCELED)


def looks(instance: dg.DagsterInstance, number: int, pid: int = 0, **address: Any) -> list[WorkerStatus]:
    """What so many looks at a run say, whose process started when the epoch began."""
    run = instance.create_run_for_job(
        dg.job(name="nothing")(lambda: None),
        status=dg.DagsterRunStatus.STARTED,
        tags={GRPC_INFO_TAG: json.dumps(address)} if address else {},
    )
    if pid:
        event = DagsterEvent(dg.DagsterEventType.RUN_START.value, "nothing", pid=pid)
        instance.report_dagster_event(event, run.run_id, timestamp=1.0)
    return [instance.run_launcher.check_run_worker_health(run).status for _ in range(number)]


def test_a_worker_that_was_missed_three_times_is_gone(instance: dg.DagsterInstance) -> None:
    """Here its pid is that of a process which began later."""
    gone = [WorkerStatus.RUNNING, WorkerStatus.RUNNING, WorkerStatus.FAILED]
    assert looks(instance, 3, socket="/nowhere", host="localhost", pid=os.getpid()) == gone


def test_a_run_that_nobody_can_look_for_is_left_alone(servers: Servers, instance: dg.DagsterInstance) -> None:
    """It has no server, wrote no pid, or its server is not there; `dagster code-server start` cannot tell."""
    alone = [WorkerStatus.RUNNING] * 9
    (port,) = free_ports(1)
    assert looks(instance, 9) == alone
    assert looks(instance, 9, socket="/nowhere", host="localhost") == alone
    assert looks(instance, 9, host="127.0.0.1", port=port) == alone
    servers.open("code-server", "start", "-h", "127.0.0.1", "-p", str(port), "-f", "project.py")
    until(lambda: serves(port))
    assert looks(instance, 9, host="127.0.0.1", port=port) == alone


def test_a_worker_that_is_found_again_was_not_lost(servers: Servers, instance: dg.DagsterInstance) -> None:
    """Here a server that does not know the run goes away after two misses, and comes back."""
    (port,) = free_ports(1)
    tags = {GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1", "port": port})}
    run = instance.create_run_for_job(dg.job(name="nothing")(lambda: None), tags=tags)

    def look(times: int) -> list[WorkerStatus]:
        return [instance.run_launcher.check_run_worker_health(run).status for _ in range(times)]

    for _ in range(2):
        server = servers.start_code_server(port)
        assert look(2) == [WorkerStatus.RUNNING] * 2
        server.kill()
        server.wait()
        assert look(1) == [WorkerStatus.RUNNING]
    servers.start_code_server(port)
    assert look(3) == [WorkerStatus.RUNNING, WorkerStatus.RUNNING, WorkerStatus.FAILED]
