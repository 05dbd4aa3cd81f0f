"""What it takes to start: checking and loading the definitions, a scan of a file, a first span, a run in the UI.

Each figure is CPU seconds (user and system, with child processes) of a whole process, beside those of
`dagster definitions validate` for a project without any definition, measured in the same rounds. `dg check defs` has
a second rival, itself on a project whose folder of components is empty: what Dagster takes, with the packages installed
here, before the first line of a project is read. A run is started by the platform's own code server, daemon and web
server: from leaving the queue to the start of its first step.

    python benchmarks/bench_start.py [--rounds 3] [--json]
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from harness import MIB, Goal, Report, arguments, child, medians, say, scratch

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable
DG = Path(PYTHON).with_name("dg")
EMPTY = "import dagster as dg\n\ndefs = dg.Definitions()\n"
COMPONENTS = f"""from pathlib import Path

{EMPTY.splitlines()[0]}


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
PROJECT = """[project]
name = "bare"
version = "1"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "bare"
code_location_target_module = "bare.definitions"
"""
LOAD = "from atlas_pipeline.definitions import defs; defs().get_repository_def().load_all_definitions()"
TABLE = "id,quantity\n1,3\n2,4\n"
TEXT = '"Call Ann on +1 415 555 2671"\n'
RIVAL = "dagster definitions validate, empty project"
BARE = "dg check defs, empty project"
CHECK, SCAN, SPANS = "dg check defs", "atlas pii scan, two rows", "atlas pii spans, one text"
SELECTOR = {
    "repositoryLocationName": "atlas_pipeline",
    "repositoryName": "__repository__",
    "jobName": "__ASSET_JOB",
    "assetSelection": [{"path": ["bronze", "orders"]}],
}
LAUNCH = """mutation Launch($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, mode: "default"}) {
    __typename ... on LaunchRunSuccess { run { runId } }
  }
}"""
EVENTS = """query Events($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on MessageEvent { eventType timestamp message }
} } } }"""


def bare_project(folder: Path) -> Path:
    """A project of components without any component."""
    project = folder / "project"
    (project / "bare/defs").mkdir(parents=True, exist_ok=True)
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "bare/__init__.py").touch()
    (project / "bare/defs/__init__.py").touch()
    (project / "bare/definitions.py").write_text(COMPONENTS)
    return project


def commands(folder: Path) -> dict[str, tuple[list[str | Path], Path, str]]:
    """Name, arguments, working folder and standard input of each program, the rival first."""
    (folder / "empty.py").write_text(EMPTY)
    (folder / "table.csv").write_text(TABLE)
    atlas: list[str | Path] = [PYTHON, "-m", "atlas_pipeline.cli", "pii"]
    validate: list[str | Path] = [PYTHON, "-m", "dagster", "definitions", "validate", "-f", "empty.py"]
    return {
        RIVAL: (validate, folder, ""),
        SCAN: ([*atlas, "scan", folder / "table.csv"], ROOT, ""),
        SPANS: ([*atlas, "spans"], ROOT, TEXT),
        "import and evaluate the definitions": ([PYTHON, "-c", LOAD], ROOT, ""),
        BARE: ([DG, "check", "defs"], bare_project(folder), ""),
        CHECK: ([DG, "check", "defs"], ROOT, ""),
    }


class Platform:
    """Code server, daemon and web server over a home folder of their own."""

    def __init__(self, home: Path, port: int, code: int):
        self.url = f"http://127.0.0.1:{port}/graphql"
        self.environment = os.environ | {
            "ATLAS_HOME": str(home),
            "ATLAS_PORT": str(port),
            "ATLAS_CODE_SERVER": f"127.0.0.1:{code}",
            "ATLAS_SENSOR_INTERVAL_SECONDS": "3600",
        }
        self.log = (home / "platform.log").open("wb")
        self.processes: list[subprocess.Popen[bytes]] = []

    def atlas(self, *words: str) -> subprocess.Popen[bytes]:
        """A command of Atlas in the background."""
        command = [PYTHON, "-m", "atlas_pipeline.cli", *words]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=self.log, stderr=self.log)

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL answer; null while nobody answers."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def run(self) -> tuple[float, float, float]:
        """One run: seconds from the queue to its first step, and CPU seconds and MiB of its process by then."""
        launched = until(lambda: (self.ask(LAUNCH, selector=SELECTOR) or {}).get("launchRun", {}).get("run"))
        times: dict[str, float] = {}
        usage = (0.0, 0.0)
        while "STEP_START" not in times:
            events = self.ask(EVENTS, id=launched["runId"])["logsForRun"]["events"]
            for event in events:
                times.setdefault(event["eventType"] or event["message"], float(event["timestamp"]) / 1000)
            pids = [event["message"] for event in events if "Started process for run (pid:" in event["message"]]
            if pids:
                usage = usage_of(int(pids[0].partition("pid: ")[2].rstrip(").")), usage)
            if "RUN_FAILURE" in times:
                raise RuntimeError("the run failed before its first step")
        left = min(at for name, at in times.items() if name.endswith(("_DEQUEUED", "_STARTING")))
        return times["STEP_START"] - left, *usage


def usage_of(pid: int, before: tuple[float, float]) -> tuple[float, float]:
    """CPU seconds and private MiB of a process; what was known before when it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(process.cpu_times()[:2]), process.memory_full_info().uss / MIB
    except psutil.Error:
        return before


def until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """What the condition gives once it is true. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (given := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError("the platform did not come up")
        time.sleep(0.1)
    return given


@contextmanager
def platform(home: Path) -> Iterator[Platform]:
    """The platform over empty databases and an empty landing folder, until the end."""
    import socket

    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        one = Platform(home, first.getsockname()[1], second.getsockname()[1])
    if one.atlas("migrate").wait():
        raise RuntimeError("atlas migrate failed")
    try:
        for process in ("code", "daemon", "webserver"):
            one.processes.append(one.atlas("serve", process))
            if process == "code":
                until(lambda: one.atlas("health", "code").wait() == 0)
        until(
            lambda: (
                (one.ask("{repositoriesOrError{...on RepositoryConnection{nodes{name}}}}") or {})
                .get("repositoriesOrError", {})
                .get("nodes")
            )
        )
        yield one
    finally:
        for process in reversed(one.processes):
            process.send_signal(signal.SIGTERM)
            process.wait()


def fork_server(code: subprocess.Popen[bytes]) -> float:
    """Private MiB of what runs are forked from; 0 where they are not."""
    servers = [one for one in psutil.Process(code.pid).children() if "forkserver" in " ".join(one.cmdline())]
    return sum(one.memory_full_info().uss for one in servers) / MIB


def main() -> int:
    """Measure, print, and fail when a goal was missed."""
    options = arguments(__doc__, 1, "not used", 3).parse_args()
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    runs: list[tuple[float, float, float]] = []
    with scratch() as folder:
        for number in range(options.rounds):
            for name, (command, cwd, text) in commands(folder).items():
                say(f"round {number + 1}: {name}")
                environment = {"ATLAS_HOME": str(folder), "DAGSTER_HOME": "", "PYTHONPATH": str(cwd)}
                done = child(command, cwd=cwd, env=environment, text=text)
                seconds.setdefault(name, []).append(done.cpu_seconds)
                peaks[name] = done.peak_mib
        with platform(folder) as one:
            for number in range(options.rounds + 1):
                say(f"run {number}")
                runs.append(one.run())
            memory = fork_server(one.processes[0])
    middle = medians(seconds)
    wall, cpu, private = (sorted(values)[len(values) // 2] for values in zip(*runs[1:], strict=True))
    report = Report("start")
    rows = [[name, value, value / middle[RIVAL], peaks[name]] for name, value in middle.items()]
    report.table("whole processes", ["", "CPU s", "x empty project", "peak MiB"], rows)
    step = [["a run until its first step", wall, cpu, cpu / middle[RIVAL], private]]
    report.table("runs", ["", "s from the queue", "CPU s", "x empty project", "private MiB"], step)
    report.goals += [
        Goal(f"{CHECK}, CPU, beside its empty project", middle[CHECK] / middle[BARE], 1.3, unit=" x"),
        Goal(f"{SCAN}, CPU", middle[SCAN], 1.5, unit=" s"),
        Goal(f"{SPANS}, CPU", middle[SPANS], 3.0, unit=" s"),
        Goal("a run until its first step, CPU", cpu, 3.0, unit=" s"),
    ]
    report.notes.append(f"runs are forked from a process of {memory:.0f} MiB of its own; the first run is left out")
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
