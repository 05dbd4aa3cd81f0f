"""`atlas up`: everything that a first user needs, in the foreground, until Ctrl-C.

Belongs here: starting, watching and stopping processes. Does not belong here: what they do. The server is Dagster's own
`dagster dev` (web server, daemon and code server), with `atlas ops` beside it; runs that were killed with it are found
by run monitoring after the next start (`instance/run_launcher.py`).
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from types import FrameType

import psutil

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, progress
from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import PROJECT_ROOT, Settings, load_settings
from atlas_pipeline.warehouse.location import dagster_url, warehouse_url

_START_SECONDS = 600
_PATIENCE_SECONDS = 30
_STOP_SECONDS = 30


def run(json: bool, host: str | None, port: int | None) -> int:
    """Serve until a signal.

    Args:
        json: print one JSON document instead of text.
        host: address to bind; null takes ATLAS_HOST.
        port: port to bind; null takes ATLAS_PORT.

    Returns:
        The exit code.
    """
    # Set even for SIGINT: a shell starts background jobs with it ignored, and then Python keeps it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with failures_as_messages():
        settings = load_settings()
        host, port = host or settings.host, port or settings.port
        if taken(host, port):
            raise ValueError(f"port {port} of {host} is in use: stop what is there, or use `atlas up --port`")
        try:
            warehouse_url(settings), dagster_url(settings)
            _first_materialization(settings, json)
            return _serve(settings, host, port, json)
        except KeyboardInterrupt:
            return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def taken(host: str, port: int) -> bool:
    """Whether the port is in use, or the address does not belong to this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _first_materialization(settings: Settings, json: bool) -> None:
    """Run `atlas demo` once per home folder, in a process of its own so that its memory is free before serving.

    It is recorded as done only when every table was published, so that a killed or failed one is repeated.
    """
    note = settings.home_path / "first-materialization"
    if note.exists():
        return
    command = [sys.executable, "-m", "atlas_pipeline.cli", "demo"]
    summary = subprocess.DEVNULL if settings.log_format == "json" else sys.stderr if json else None
    done = subprocess.run(command, stdout=summary, check=False)
    if done.returncode == 0:
        note.touch()
    else:
        ERR.print("atlas: some tables failed (above); serving all the same", highlight=False)


def _serve(settings: Settings, host: str, port: int, json: bool) -> int:
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "--log-level", "warning"]
    arguments = ["-w", str(PROJECT_ROOT / "workspace.yaml"), "-h", host, "-p", str(port)]
    home = dagster_home(settings)
    log = settings.home_path / "logs" / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    # Where the UI is, for what links to it or asks it: the options of this command may differ from the settings.
    there = {} if settings.ui_url else {"ATLAS_HOST": host, "ATLAS_PORT": str(port)}
    with log.open("wb") as output, _ops(settings, there) as ops:
        server = subprocess.Popen(
            [*command, *arguments],
            cwd=home,
            env={**os.environ, **there, "DAGSTER_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://{host}:{port}"
            with progress("starting the Dagster UI"):
                _await(server, url, str(log))
            if json:
                print_json({"url": url, "pid": server.pid, "log": str(log), "ops": ops})
                sys.stdout.flush()
            else:
                OUT.print(f"Dagster UI: {url}   (Ctrl-C stops everything; server log: {log})", highlight=False)
                if ops:
                    OUT.print(f"Metrics: {ops}/metrics   Health: {ops}/health", highlight=False)
            code = server.wait()
            ERR.print(f"atlas: the Dagster server ended with code {code}; its log is {log}", highlight=False)
            return 1
        finally:
            _stop(server)


@contextlib.contextmanager
def _ops(settings: Settings, there: Mapping[str, str]) -> Iterator[str | None]:
    """`atlas ops` while the body runs; its URL, or null when its port is taken, which keeps nothing else from serving.

    Its log is beside the server's. `there` has the settings that say where it asks for the code location.
    """
    if taken(settings.ops_host, settings.ops_port):
        where = f"port {settings.ops_port} of {settings.ops_host}"
        ERR.print(f"atlas: no metrics and health: {where} is in use; set ATLAS_OPS_PORT to another", highlight=False)
        yield None
        return
    with (settings.home_path / "logs" / "ops.log").open("wb") as log:
        ops = subprocess.Popen(
            [sys.executable, "-m", "atlas_pipeline.cli", "ops"],
            env={**os.environ, **there},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield f"http://{settings.ops_host}:{settings.ops_port}"
    finally:
        ops.terminate()
        try:
            ops.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            ops.kill()
            ops.wait()


def _await(server: subprocess.Popen[bytes], url: str, log: str) -> None:
    begin, told = time.monotonic(), False
    while (waited := time.monotonic() - begin) < _START_SECONDS:
        if server.poll() is not None:
            raise ValueError(f"the Dagster server ended with code {server.returncode} at its start: see {log}")
        try:
            with urllib.request.urlopen(f"{url}/server_info", timeout=2):  # noqa: S310 — our own server, over http
                return
        except (urllib.error.URLError, OSError):
            if waited > _PATIENCE_SECONDS and not told:
                ERR.print(f"the Dagster server is still starting; its log is {log}", highlight=False)
                told = True
            time.sleep(0.2)
    raise ValueError(f"the Dagster server did not answer within {_START_SECONDS} s: see {log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Interrupt the server, then terminate the remaining processes of its session, orphans included."""
    ERR.print("stopping", highlight=False)
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
    for end in (psutil.Process.terminate, psutil.Process.kill):
        alive = _session(server.pid)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(alive, timeout=5)


def _session(leader: int) -> list[psutil.Process]:
    """The processes of the session that the server leads; runs and code servers never leave it."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members
